//! The event queue (AENQ): posts changes of the link, a keep-alive every second, and the events of
//! [orders](crate::Order).

use nitor_abi::bar::QueueCaps;
use nitor_abi::event::{
    EventHeader, Group, KeepAlive, LinkChange, ENTRY_LEN, PAYLOAD, SYNDROME_UPDATE_HINTS,
};
use nitor_abi::mgmt;

use crate::admin::Place;
use crate::hw::{self, Hw};
use crate::stats::Totals;
use crate::{Life, Settings};

/// The byte that has an event's phase bit, which is not that of commands.
const PHASE_AT: u16 = 4;

pub(crate) struct Events {
    groups: u32,
    /// The number of events posted, as AENQ_HEAD_DB counts them.
    posted: u16,
    to: Place,
    /// The state of the link that the driver was last sent.
    link: Option<bool>,
    /// When the last keep-alive was due.
    keep_alive: Option<u32>,
    /// Whether keep-alives are off.
    pub silent: bool,
    /// The groups of which an event is pending.
    asked: u32,
}

/// The groups that orders ask for, most urgent first.
const ASKED: [Group; 4] =
    [Group::FatalError, Group::DeviceRequestReset, Group::Notification, Group::Warning];

impl Events {
    pub fn new() -> Self {
        Events {
            groups: 0,
            posted: 0,
            to: Place::START,
            link: None,
            keep_alive: None,
            silent: false,
            asked: 0,
        }
    }

    pub fn groups(&self) -> u32 {
        self.groups
    }

    pub fn enable(&mut self, groups: u32) {
        let new = groups & !self.groups;
        if new & Group::LinkChange.bit() != 0 {
            self.link = None;
        }
        if new & Group::KeepAlive.bit() != 0 {
            self.keep_alive = None;
        }
        self.groups = groups;
    }

    /// Marks an event of this group as pending.
    pub fn ask(&mut self, group: Group) {
        self.asked |= group.bit();
    }

    fn wants(&self, group: Group) -> bool {
        self.groups & group.bit() != 0
    }
}

impl Life {
    /// Posts the events that are due. An event without credit stays pending: link changes as the
    /// latest state, keep-alives as one.
    pub(crate) fn serve_events(&mut self, settings: &Settings, hw: &mut Hw<'_>) {
        let status = hw.status();
        if self.events.groups == 0 || !status.bus_master {
            return;
        }
        for group in ASKED {
            if self.events.asked & self.events.groups & group.bit() != 0 {
                let posted = match group {
                    Group::Notification => {
                        let hints = settings.hints.to_bytes();
                        self.post_event(hw, group, SYNDROME_UPDATE_HINTS, &hints)
                    }
                    _ => self.post_event(hw, group, 0, &[]),
                };
                if posted {
                    self.events.asked &= !group.bit();
                }
            }
        }
        if self.events.wants(Group::LinkChange) && self.events.link != Some(status.link_up) {
            let link = LinkChange { up: status.link_up };
            if self.post_event(hw, Group::LinkChange, 0, &link.to_bytes()) {
                self.events.link = Some(status.link_up);
            }
        }
        if self.events.wants(Group::KeepAlive) && !self.events.silent {
            let (now, period) = (hw.now(), settings.keep_alive_us);
            let due = match self.events.keep_alive {
                None => Some(now),
                Some(last) if now.wrapping_sub(last) >= period.saturating_mul(2) => Some(now),
                Some(last) if now.wrapping_sub(last) >= period => Some(last.wrapping_add(period)),
                Some(_) => None,
            };
            if due.is_some() && self.event_credit(hw).is_some() {
                let totals = Totals::read(hw).since(&self.before);
                let alive = KeepAlive {
                    rx_drops: totals.rx_drops,
                    tx_drops: totals.tx_drops,
                    rx_overruns: totals.rx_overruns,
                };
                if self.post_event(hw, Group::KeepAlive, 0, &alive.to_bytes()) {
                    self.events.keep_alive = due;
                }
            }
        }
    }

    /// The number of entries in the ring, if there is credit for an event. There is none before the
    /// driver has first given some: until then the register reads 0.
    fn event_credit(&mut self, hw: &mut Hw<'_>) -> Option<u16> {
        let caps = QueueCaps::from(hw.bus.read32(mgmt::AENQ_CAPS));
        let head = hw.bus.read32(mgmt::AENQ_HEAD_DB) as u16;
        let credit = head.wrapping_sub(self.events.posted);
        // A credit of more than the ring's depth is a head that went backwards.
        let usable =
            usize::from(caps.entry_size) == ENTRY_LEN && (1..=caps.depth).contains(&credit);
        usable.then_some(caps.depth)
    }

    /// Posts an event if there is credit for it. Returns whether it was posted.
    fn post_event(&mut self, hw: &mut Hw<'_>, group: Group, syndrome: u16, payload: &[u8]) -> bool {
        let Some(depth) = self.event_credit(hw) else { return false };
        let to = &mut self.events.to;
        if to.index >= depth {
            to.index = 0;
        }
        let header = EventHeader {
            group: group as u16,
            syndrome,
            phase: to.phase,
            timestamp: hw.now().into(),
        };
        let mut entry = [0; ENTRY_LEN];
        entry[..PAYLOAD].copy_from_slice(&header.to_bytes());
        entry[PAYLOAD..PAYLOAD + payload.len()].copy_from_slice(payload);
        let base = hw.read_address(mgmt::AENQ_BASE_LO);
        let at = hw::behind(base, u64::from(to.index) * ENTRY_LEN as u64);
        if hw.post_entry(at, &entry, PHASE_AT).is_err() {
            hw::count(&mut hw.faults.answers_lost);
            return false;
        }
        to.advance(depth);
        self.events.posted = self.events.posted.wrapping_add(1);
        hw.bus.write32(mgmt::RAISE, 1);
        true
    }
}
