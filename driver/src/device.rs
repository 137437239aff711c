//! An ENA card in use: its events, health checks, recovery and shutdown.

use std::collections::VecDeque;
use std::time::Duration;

use nitor_abi::admin::{stats, BasicStats, EniStats, GetStats, Opcode};
use nitor_abi::bar::ResetReason;
use nitor_abi::event::{Group, KeepAlive};
use nitor_abi::feature::{capability, Feature};
use nitor_abi::mgmt::Counter;
use nitor_abi::rss::{input, TABLE_ENTRIES};

use crate::admin::{AdminStats, VECTOR};
use crate::aenq::Event;
use crate::error::{Error, Result};
use crate::features::{head, Features};
use crate::pci::{PciFunction, VectorSet};
use crate::queue::QueuePair;
use crate::regs::{Regs, Versions};
use crate::rss::RssKey;
use crate::setup::{apply_hints, check, check_mtu, quiesce, Config, Core, Mode, FRAME_OVERHEAD};

/// The most events that are kept until the caller takes them.
const EVENTS_KEPT: usize = 64;

/// Counts of events that concern the whole card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceStats {
    pub resets: u64,
    pub watchdog_expired: u64,
    pub tx_timeouts: u64,
    pub link_changes: u64,
    pub keep_alives: u64,
}

/// An ENA card that is up. `T` is the type of the tokens that identify sent packets.
///
/// Dropping this resets the card and turns its bus mastering off.
pub struct Ena<P: PciFunction + Clone, T = u64> {
    core: Core<P, T>,
    regs: Regs<P>,
    config: Config,
    link: Option<bool>,
    drops: KeepAlive,
    reset_wanted: bool,
    log: VecDeque<Event>,
    stats: DeviceStats,
    closed: bool,
}

impl<P: PciFunction + Clone, T> Ena<P, T> {
    /// Brings the card up, from whatever state it is in.
    pub fn open(function: P, config: Config) -> Result<Self> {
        check(&config)?;
        let mut regs = Regs::attach(function)?;
        let core = match Core::start(&mut regs, &config) {
            Ok(core) => core,
            Err(error) => {
                regs.detach();
                return Err(error);
            }
        };
        let mut ena = Ena {
            core,
            regs,
            config,
            link: None,
            drops: KeepAlive::default(),
            reset_wanted: false,
            log: VecDeque::new(),
            stats: DeviceStats::default(),
            closed: false,
        };
        ena.poll_events();
        Ok(ena)
    }

    pub fn function(&self) -> &P {
        self.regs.function()
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn features(&self) -> &Features {
        &self.core.features
    }

    pub fn versions(&self) -> Versions {
        self.core.versions
    }

    pub fn mac(&self) -> [u8; 6] {
        self.core.features.mac()
    }

    /// Whether the link is up; None before the card has reported it.
    pub fn link(&self) -> Option<bool> {
        self.link
    }

    pub fn pairs(&self) -> &[QueuePair<P, T>] {
        &self.core.pairs
    }

    pub fn pairs_mut(&mut self) -> &mut [QueuePair<P, T>] {
        &mut self.core.pairs
    }

    /// Queue pair `index`, which is less than [Config::pairs].
    pub fn pair(&mut self, index: usize) -> &mut QueuePair<P, T> {
        &mut self.core.pairs[index]
    }

    /// Waits for an interrupt, at most `timeout`, and returns the vectors that fired. The vector of
    /// management is served here and left out, so there may be none. The caller serves the queue
    /// pairs with these [vectors](QueuePair::vector) and unmasks them afterwards. Without
    /// interrupts this only lets time pass.
    pub fn wait(&mut self, timeout: Duration) -> VectorSet {
        let mut fired = self.fired();
        if fired.is_empty() {
            self.function().wait(timeout);
            fired = self.fired();
        }
        fired
    }

    /// The vectors that have fired since the last call, without the vector of management.
    fn fired(&mut self) -> VectorSet {
        let mut fired = std::mem::take(&mut self.core.admin.fired);
        fired.extend(self.function().take_interrupts().iter());
        if fired.remove(VECTOR) || self.config.mode == Mode::Polling {
            self.poll_events();
        }
        fired
    }

    /// Serves the pending events. [wait](Self::wait) and [health](Self::health) do it too.
    pub fn poll_events(&mut self) {
        let Ena { core, regs, link, drops, reset_wanted, log, stats, .. } = self;
        let Core { events, features, admin, .. } = core;
        events.take(|event| {
            match event {
                Event::Link { up } => {
                    stats.link_changes += u64::from(*link != Some(up));
                    *link = Some(up);
                }
                Event::KeepAlive(totals) => {
                    stats.keep_alives += 1;
                    *drops = totals;
                }
                Event::Hints(hints) => {
                    features.hints = hints;
                    apply_hints(features, admin, regs);
                }
                Event::ResetRequest => *reset_wanted = true,
                Event::Fatal | Event::Warning | Event::Unknown { .. } => {}
            }
            if log.len() == EVENTS_KEPT {
                log.pop_front();
            }
            log.push_back(event);
        });
    }

    /// Takes the events since the last call, the latest 64 at most.
    pub fn take_events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.log.drain(..)
    }

    /// Checks the card's health; to be called about once a second. Returns the reason if the card
    /// needs to be [recovered](Self::recover).
    pub fn health(&mut self) -> Option<ResetReason> {
        self.poll_events();
        let now = self.function().now();
        let core = &self.core;
        let alive = core.events.alive.unwrap_or(core.started);
        let watched = core.features.event_groups & Group::KeepAlive.bit() != 0;
        if !core.admin.running() {
            return Some(ResetReason::AdminTimeout);
        }
        if self.reset_wanted {
            return Some(ResetReason::DeviceRequest);
        }
        if let Some(fault) = core.pairs.iter().find_map(|pair| pair.fault()) {
            return Some(fault.reset_reason());
        }
        if watched && core.features.watchdog().is_some_and(|limit| now - alive > limit) {
            self.stats.watchdog_expired += 1;
            return Some(ResetReason::KeepAliveTimeout);
        }
        let late = |sent: Duration| core.features.tx_timeout().is_some_and(|max| now - sent > max);
        if core.pairs.iter().filter_map(|pair| pair.tx.oldest()).any(late) {
            self.stats.tx_timeouts += 1;
            return Some(ResetReason::MissingTxCompletion);
        }
        None
    }

    /// Resets the card and sets it up as before. [reap](crate::tx::TxQueue::reap) gives packets
    /// that were not sent back as not completed. Frames that were received and not taken are lost.
    /// After an error the card is down, and this may be tried again.
    pub fn recover(&mut self, reason: ResetReason) -> Result<()> {
        self.stats.resets += 1;
        self.core.admin.stop();
        quiesce(&mut self.regs, reason)?;
        let mut core = Core::start(&mut self.regs, &self.config)?;
        if core.features.mac() != self.core.features.mac() {
            // The card must use no memory before it is freed.
            let _ = quiesce(&mut self.regs, ResetReason::InitError);
            return Err(Error::Nonsense("its address changed in a reset"));
        }
        let old = std::mem::take(&mut self.core.pairs);
        for (new, old) in core.pairs.iter_mut().zip(old) {
            new.inherit(old);
        }
        core.admin.stats.add(&self.core.admin.stats);
        self.core = core;
        self.reset_wanted = false;
        self.poll_events();
        Ok(())
    }

    /// Shuts the card down: destroys the queues, resets the device, turns interrupts and bus
    /// mastering off.
    pub fn close(mut self) -> Result<()> {
        let destroyed = self.destroy_pairs();
        let down = self.down();
        self.closed = true;
        destroyed.and(down)
    }

    fn destroy_pairs(&mut self) -> Result<()> {
        let Core { admin, pairs, .. } = &mut self.core;
        pairs.iter_mut().for_each(|pair| pair.mask());
        pairs.iter().try_for_each(|pair| pair.destroy(admin))
    }

    fn down(&mut self) -> Result<()> {
        let quiet = quiesce(&mut self.regs, ResetReason::Shutdown);
        let masked = self.function().disable_msix();
        self.regs.detach();
        quiet.and(masked.map_err(Error::from))
    }

    /// Changes the MTU.
    pub fn set_mtu(&mut self, mtu: u32) -> Result<()> {
        check_mtu(mtu, &self.config, &self.core.features)?;
        if self.core.features.offers(Feature::Mtu) {
            self.core.admin.set_mtu(mtu)?;
        }
        self.config.mtu = mtu;
        for pair in &mut self.core.pairs {
            pair.tx.set_max_bytes((mtu + FRAME_OVERHEAD) as usize);
        }
        Ok(())
    }

    /// Sets the queue pair for each value of the hash's low 7 bits. The table holds until the next
    /// [recover](Self::recover).
    pub fn set_rss_table(&mut self, pairs: &[u16; TABLE_ENTRIES]) -> Result<()> {
        if pairs.iter().any(|&pair| usize::from(pair) >= self.core.pairs.len()) {
            return Err(Error::Config("no such queue pair".into()));
        }
        let ids = pairs.map(|pair| self.core.pairs[usize::from(pair)].rx_id());
        self.core.admin.set_rss_table(&ids)
    }

    /// The queue pair for each value of the hash's low 7 bits.
    pub fn rss_table(&mut self) -> Result<[Option<u16>; TABLE_ENTRIES]> {
        let ids = self.core.admin.rss_table()?;
        let pairs = &self.core.pairs;
        Ok(ids.map(|id| pairs.iter().position(|pair| pair.rx_id() == id).map(|i| i as u16)))
    }

    pub fn set_rss_key(&mut self, key: &RssKey) -> Result<()> {
        self.core.admin.set_rss_key(key)?;
        self.config.rss_key = Some(*key);
        Ok(())
    }

    pub fn rss_key(&mut self) -> Result<RssKey> {
        self.core.admin.rss_key()
    }

    /// Selects the fields that are hashed, see [nitor_abi::rss::input]. The selection holds until
    /// the next [recover](Self::recover).
    pub fn set_rss_input(&mut self, fields: &[u16; input::KINDS]) -> Result<()> {
        self.core.admin.set_rss_input(fields)
    }

    /// The card's own counts since its last reset.
    pub fn card_stats(&mut self) -> Result<BasicStats> {
        let get = GetStats { kind: stats::BASIC, ..Default::default() };
        let body = self.core.admin.command("statistics", Opcode::GetStats, get.to_bytes(), None)?;
        Ok(BasicStats::from_bytes(&head(&body)))
    }

    /// Packets that the card dropped at one of its limits since its last reset; None if it does not
    /// count them.
    pub fn eni_stats(&mut self) -> Result<Option<EniStats>> {
        if self.core.features.attributes.capabilities & capability::ENI_STATS == 0 {
            return Ok(None);
        }
        let get = GetStats { kind: stats::ENI, ..Default::default() };
        let body = self.core.admin.command("limits", Opcode::GetStats, get.to_bytes(), None)?;
        Ok(Some(EniStats::from_bytes(&head(&body))))
    }

    /// All of the card's counters since power-on, such as what it refused and why.
    pub fn counters(&mut self) -> Result<Vec<(Counter, u64)>> {
        self.core.admin.counters()
    }

    /// The card's drops, as of its last keep-alive.
    pub fn drops(&self) -> KeepAlive {
        self.drops
    }

    pub fn device_stats(&self) -> DeviceStats {
        self.stats
    }

    pub fn admin_stats(&self) -> AdminStats {
        self.core.admin.stats
    }
}

impl<P: PciFunction + Clone, T> Drop for Ena<P, T> {
    fn drop(&mut self) {
        if !self.closed {
            // A drop cannot report an error. DMA is off in any case before memory is freed.
            let _ = self.down();
        }
    }
}
