//! A card: bring-up, events, health, recovery, and the way down.

use std::collections::VecDeque;
use std::time::Duration;

use nitor_abi::admin::{stats, BasicStats, GetStats, Opcode, Status};
use nitor_abi::bar::{self, ResetReason};
use nitor_abi::event::{Group, KeepAlive};
use nitor_abi::feature::{
    driver_feature, os, AenqConfig, Feature, HostAttributes, HostInfo, ENA_SPEC_VERSION,
    HOST_INFO_PAGE,
};
use nitor_abi::rss::{input, TABLE_ENTRIES};

use crate::admin::{AdminQueue, AdminStats, VECTOR};
use crate::aenq::{Event, EventQueue, GROUPS};
use crate::dma::DmaBuf;
use crate::error::{Error, Result};
use crate::features::{head, Features};
use crate::pci::{PciFunction, VectorSet};
use crate::queue::{PairConfig, QueuePair};
use crate::regs::{Regs, Versions};
use crate::rss::RssKey;
use crate::tx::TxLimits;

/// Ethernet header and two VLAN tags: what a frame has beyond the MTU.
pub const FRAME_OVERHEAD: u32 = 14 + 2 * 4;
/// Rings are not made smaller than this when the card is short of resources.
const MIN_DEPTH: u16 = 256;
/// Events kept until they are asked for.
const EVENTS_KEPT: usize = 64;

/// How completions are learned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By looking: no interrupt is ever sent.
    Polling,
    /// By MSI-X, a vector for management and one for each queue pair.
    Interrupts {
        /// How long completions may wait for others.
        tx_delay: Duration,
        rx_delay: Duration,
    },
}

/// How a card is set up.
#[derive(Clone, Debug)]
pub struct Config {
    pub pairs: u16,
    /// Powers of two.
    pub tx_depth: u16,
    pub rx_depth: u16,
    /// Bytes of a receive buffer. Longer frames take several.
    pub rx_buffer_len: u16,
    pub mtu: u32,
    pub mode: Mode,
    /// None: the card's own.
    pub rss_key: Option<RssKey>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            pairs: 1,
            tx_depth: 1024,
            rx_depth: 1024,
            rx_buffer_len: 2048,
            mtu: 1500,
            mode: Mode::Polling,
            rss_key: None,
        }
    }
}

/// Counts of what happened to the card as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceStats {
    pub resets: u64,
    pub watchdog_expired: u64,
    pub tx_timeouts: u64,
    pub link_changes: u64,
    pub keep_alives: u64,
}

/// What is set up anew after each reset.
struct Core<P: PciFunction, T> {
    admin: AdminQueue<P>,
    events: EventQueue<P>,
    pairs: Vec<QueuePair<P, T>>,
    features: Features,
    versions: Versions,
    started: Duration,
    // The card may read it at any time.
    _host_info: DmaBuf<P::Memory>,
}

/// An ENA card, up and running. `T` is what sent packets are known by.
///
/// The card is reset and left without access to memory when this is dropped.
pub struct Ena<P: PciFunction + Clone, T = u64> {
    core: Core<P, T>,
    regs: Regs<P>,
    config: Config,
    link: Option<bool>,
    drops: KeepAlive,
    reset_wanted: bool,
    log: VecDeque<Event>,
    fired: VectorSet,
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
            fired: VectorSet::new(),
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

    /// Whether the link is up; None before the card has told.
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

    /// Waits for an interrupt, at most `timeout`, and gives the vectors that fired. Those of management are served here; a
    /// queue pair has its [vector](QueuePair::vector), and is to be unmasked when it was served. Without
    /// interrupts this only lets time pass.
    pub fn wait(&mut self, timeout: Duration) -> VectorSet {
        self.collect();
        if self.fired.is_empty() {
            self.function().wait(timeout);
            self.collect();
        }
        let mut fired = std::mem::take(&mut self.fired);
        let interrupted = fired.remove(VECTOR);
        if interrupted || self.config.mode == Mode::Polling {
            self.poll_events();
        }
        fired
    }

    fn collect(&mut self) {
        let early = std::mem::take(&mut self.core.admin.fired);
        let now = self.regs.function().take_interrupts();
        self.fired.extend(early.iter().chain(now.iter()));
    }

    /// Serves events that have come. [wait](Self::wait) and [health](Self::health) do it too.
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

    /// The events since the last call, the latest 64 at most.
    pub fn take_events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.log.drain(..)
    }

    /// Looks after the card, to be called about once a second: None, or why it needs to be [recovered](Self::recover).
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

    /// Resets the card and sets it up as it was. Packets not sent come back from [reap](crate::tx::TxQueue::reap)
    /// as not completed; what was received but not taken is lost. After an error the card is down, and this may be tried again.
    pub fn recover(&mut self, reason: ResetReason) -> Result<()> {
        self.stats.resets += 1;
        self.core.admin.stop();
        self.quiesce(reason)?;
        let mut core = Core::start(&mut self.regs, &self.config)?;
        if core.features.mac() != self.core.features.mac() {
            // Freed with nothing using it.
            let _ = self.quiesce(ResetReason::InitError);
            return Err(Error::Nonsense("its address changed in a reset"));
        }
        let old = std::mem::take(&mut self.core.pairs);
        for (new, old) in core.pairs.iter_mut().zip(old) {
            new.inherit(old);
        }
        core.admin.stats.add(&self.core.admin.stats);
        self.core = core;
        self.reset_wanted = false;
        self.fired = VectorSet::new();
        self.poll_events();
        Ok(())
    }

    /// Brings the card to a state in which it uses no memory, at worst by resetting the whole function.
    fn quiesce(&mut self, reason: ResetReason) -> Result<()> {
        quiesce(&mut self.regs, reason)
    }

    /// Takes the card down: queues destroyed, device reset, interrupts off, no access to memory.
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
        let quiet = self.quiesce(ResetReason::Shutdown);
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

    /// Sets which queue pair each value of the hash's low 7 bits goes to. Until the next [recover](Self::recover).
    pub fn set_rss_table(&mut self, pairs: &[u16; TABLE_ENTRIES]) -> Result<()> {
        if pairs.iter().any(|&pair| usize::from(pair) >= self.core.pairs.len()) {
            return Err(Error::Config("no such queue pair".into()));
        }
        let ids = pairs.map(|pair| self.core.pairs[usize::from(pair)].rx_id());
        self.core.admin.set_rss_table(&ids)
    }

    /// Which queue pair each value of the hash's low 7 bits goes to.
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

    /// Selects what is hashed, see [nitor_abi::rss::input]. Until the next [recover](Self::recover).
    pub fn set_rss_input(&mut self, fields: &[u16; input::KINDS]) -> Result<()> {
        self.core.admin.set_rss_input(fields)
    }

    /// The card's own counts since its last reset.
    pub fn card_stats(&mut self) -> Result<BasicStats> {
        let get = GetStats { kind: stats::BASIC, ..Default::default() };
        let body = self.core.admin.command("statistics", Opcode::GetStats, get.to_bytes(), None)?;
        Ok(BasicStats::from_bytes(&head(&body)))
    }

    /// The card's drops as its last sign of life told them.
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
            // Nobody to tell; DMA is off in any case, before memory is freed.
            let _ = self.down();
        }
    }
}

fn quiesce<P: PciFunction + Clone>(regs: &mut Regs<P>, reason: ResetReason) -> Result<()> {
    match regs.reset(reason) {
        Ok(()) => Ok(()),
        Err(_) => regs.function_reset().inspect_err(|_| regs.disable_dma()),
    }
}

impl<P: PciFunction + Clone, T> Core<P, T> {
    fn start(regs: &mut Regs<P>, config: &Config) -> Result<Self> {
        let function = regs.function().clone();
        quiesce(regs, ResetReason::Normal)?;
        function.disable_msix()?;
        let versions = regs.versions()?;
        let caps = regs.caps()?;
        if !(32..=48).contains(&caps.dma_addr_width) {
            return Err(Error::Nonsense("an impossible width of DMA addresses"));
        }
        let timeout = Duration::from_millis(100) * caps.admin_cmd_timeout.into();
        let mut host_info = function.alloc_dma(HOST_INFO_PAGE, HOST_INFO_PAGE)?;
        host_info.as_mut_slice()[..HostInfo::LEN].copy_from_slice(&describe_host().to_bytes());
        let mut admin = AdminQueue::start(regs, timeout)?;
        let events = EventQueue::start(regs)?;
        regs.write(bar::INTR_MASK, 1);

        let mut pairs = Vec::new();
        match configure(regs, config, &mut admin, &events, &host_info, &mut pairs) {
            Ok(features) => Ok(Core {
                admin,
                events,
                pairs,
                features,
                versions,
                started: function.now(),
                _host_info: host_info,
            }),
            Err(error) => {
                // While the rings are still there.
                let _ = quiesce(regs, ResetReason::InitError);
                let _ = function.disable_msix();
                Err(error)
            }
        }
    }
}

/// All that admin commands are needed for.
fn configure<P: PciFunction + Clone, T>(
    regs: &mut Regs<P>,
    config: &Config,
    admin: &mut AdminQueue<P>,
    events: &EventQueue<P>,
    host_info: &DmaBuf<P::Memory>,
    pairs: &mut Vec<QueuePair<P, T>>,
) -> Result<Features> {
    let function = regs.function().clone();
    let host = HostAttributes { os_info: host_info.iova(), ..Default::default() };
    match admin.set(Feature::HostAttributes, &host.to_bytes(), None) {
        // Only for the card's information.
        Ok(()) | Err(Error::Command { .. }) => {}
        Err(error) => return Err(error),
    }
    let features = Features::query(admin)?;
    check_limits(config, &features)?;
    apply_hints(&features, admin, regs);
    let enabled_groups = GROUPS & features.event_groups;
    let groups = AenqConfig { supported_groups: 0, enabled_groups };
    admin.set(Feature::AenqConfig, &groups.to_bytes(), None)?;

    if let Mode::Interrupts { .. } = config.mode {
        function.enable_msix(config.pairs + 1)?;
        admin.use_interrupts();
        regs.write(bar::INTR_MASK, 0);
    }
    events.give_credit();

    create_pairs(&function, config, &features, admin, pairs)?;
    if features.offers(Feature::RssIndirectionTable) {
        let ids: Vec<u16> = pairs.iter().map(|pair| pair.rx_id()).collect();
        admin.set_rss_table(&std::array::from_fn(|i| ids[i % ids.len()]))?;
    }
    if let Some(key) = &config.rss_key {
        admin.set_rss_key(key)?;
    }
    if features.offers(Feature::Mtu) {
        admin.set_mtu(config.mtu)?;
    }
    for pair in pairs {
        pair.rx.refill();
        if pair.vector().is_some() {
            pair.unmask();
        }
    }
    Ok(features)
}

/// Creates the queue pairs, with smaller rings if the card is short of resources.
fn create_pairs<P: PciFunction + Clone, T>(
    function: &P,
    config: &Config,
    features: &Features,
    admin: &mut AdminQueue<P>,
    pairs: &mut Vec<QueuePair<P, T>>,
) -> Result<()> {
    let delay = |delay: Duration| {
        // 15 bits of the card's unit.
        (delay.as_micros() / u128::from(features.delay_unit)).min(0x7fff) as u16
    };
    let (interrupts, tx_delay, rx_delay) = match config.mode {
        Mode::Polling => (false, 0, 0),
        Mode::Interrupts { tx_delay, rx_delay } => (true, delay(tx_delay), delay(rx_delay)),
    };
    let limits = &features.limits;
    let (mut tx_depth, mut rx_depth) = (config.tx_depth, config.rx_depth);
    loop {
        let made = (0..config.pairs).try_for_each(|index| {
            let config = PairConfig {
                tx_depth,
                rx_depth,
                rx_buffer_len: config.rx_buffer_len,
                max_rx_parts: limits.packet_rx_descs,
                tx_limits: TxLimits {
                    descs: limits.packet_tx_descs,
                    header: limits.tx_header_size.min(255) as u8,
                    bytes: (config.mtu + FRAME_OVERHEAD) as usize,
                    offload: features.offload,
                },
                vector: interrupts.then_some(index + 1),
                tx_delay,
                rx_delay,
            };
            pairs.push(QueuePair::create(function, admin, &config)?);
            Ok(())
        });
        match made {
            Err(Error::Command { status: Status::ResourceAllocationFailure, .. })
                if tx_depth.max(rx_depth) > MIN_DEPTH =>
            {
                // What a pair made before it failed is found and destroyed by the reset that follows if this fails too.
                pairs.iter().try_for_each(|pair| pair.destroy(admin))?;
                pairs.clear();
                let smaller = |depth: u16| if depth > MIN_DEPTH { depth / 2 } else { depth };
                (tx_depth, rx_depth) = (smaller(tx_depth), smaller(rx_depth));
            }
            other => return other,
        }
    }
}

fn apply_hints<P: PciFunction + Clone>(
    features: &Features,
    admin: &mut AdminQueue<P>,
    regs: &mut Regs<P>,
) {
    let ms = |ms: u16| Duration::from_millis(ms.into());
    if features.hints.admin_completion_timeout_ms > 0 {
        admin.set_timeout(ms(features.hints.admin_completion_timeout_ms));
    }
    if features.hints.mmio_read_timeout_ms > 0 {
        regs.set_read_timeout(ms(features.hints.mmio_read_timeout_ms));
    }
}

/// What needs no card to be wrong.
fn check(config: &Config) -> Result<()> {
    let wrong = |what: &str| Err(Error::Config(what.into()));
    let depth_ok = |depth: u16| depth.is_power_of_two() && depth > 1;
    if config.pairs == 0 {
        return wrong("no queue pair");
    }
    if !depth_ok(config.tx_depth) || !depth_ok(config.rx_depth) {
        return wrong("a ring's depth is a power of two, and more than 1");
    }
    if config.rx_buffer_len == 0 {
        return wrong("receive buffers have no room");
    }
    Ok(())
}

fn check_limits(config: &Config, features: &Features) -> Result<()> {
    let wrong = |what: String| Err(Error::Config(what));
    if u32::from(config.pairs) > features.max_pairs() {
        return wrong(format!("the card has {} queue pairs", features.max_pairs()));
    }
    let (tx, rx) = features.max_depths();
    if config.tx_depth > tx || config.rx_depth > rx {
        return wrong(format!("the card's rings are {tx} and {rx} deep at most"));
    }
    check_mtu(config.mtu, config, features)
}

fn check_mtu(mtu: u32, config: &Config, features: &Features) -> Result<()> {
    let max = features.attributes.max_mtu;
    if mtu == 0 || mtu > max || mtu > 0xffff - FRAME_OVERHEAD {
        return Err(Error::Config(format!("the card's MTU is {max} at most")));
    }
    let parts = u32::from(features.limits.packet_rx_descs);
    if parts * u32::from(config.rx_buffer_len) < mtu + FRAME_OVERHEAD {
        return Err(Error::Config(format!("a frame does not fit {parts} receive buffers")));
    }
    Ok(())
}

fn describe_host() -> HostInfo {
    let number = |part: &str| part.parse().unwrap_or(0);
    let mut info = HostInfo {
        os_type: os::LINUX,
        driver_major: number(env!("CARGO_PKG_VERSION_MAJOR")),
        driver_minor: number(env!("CARGO_PKG_VERSION_MINOR")),
        driver_sub: number(env!("CARGO_PKG_VERSION_PATCH")),
        driver_module: b'N',
        ena_spec_version: ENA_SPEC_VERSION,
        num_cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u16),
        driver_features: driver_feature::RX_OFFSET
            | driver_feature::INTERRUPT_MODERATION
            | driver_feature::RSS_CONFIGURABLE_FUNCTION_KEY,
        ..Default::default()
    };
    let name = b"nitor-driver";
    info.os_dist_str[..name.len()].copy_from_slice(name);
    info
}
