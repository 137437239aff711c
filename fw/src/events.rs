//! The event queue: the link's state, a sign of life every second, and what was [ordered](crate::Order).

use nitor_abi::bar::QueueCaps;
use nitor_abi::event::{
    EventHeader, Group, KeepAlive, LinkChange, ENTRY_LEN, PAYLOAD, SYNDROME_UPDATE_HINTS,
};
use nitor_abi::mgmt;

use crate::admin::Place;
use crate::hw::{self, Hw};
use crate::stats::Totals;
use crate::{Life, Settings};

/// Where an event's phase bit is: not where commands have it.
const PHASE_AT: u16 = 4;

pub(crate) struct Events {
    groups: u32,
    /// Events posted, as AENQ_HEAD_DB counts them.
    posted: u16,
    to: Place,
    /// What the driver was told of the link.
    link: Option<bool>,
    /// When the last keep-alive was due.
    keep_alive: Option<u32>,
    /// No keep-alives.
    pub silent: bool,
    /// Groups of which an event is to be posted.
    asked: u32,
}

/// What may be asked for, most urgent first.
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

    /// An event of this group is to be posted.
    pub fn ask(&mut self, group: Group) {
        self.asked |= group.bit();
    }

    fn wants(&self, group: Group) -> bool {
        self.groups & group.bit() != 0
    }
}

impl Life {
    /// Posts what is due. What finds no credit waits: link changes as the latest state, keep-alives as one.
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

    /// Entries of the ring, if the next one may be written. Before the driver has first given credit none may: the register
    /// reads 0 then.
    fn event_credit(&mut self, hw: &mut Hw<'_>) -> Option<u16> {
        let caps = QueueCaps::from(hw.bus.read32(mgmt::AENQ_CAPS));
        let head = hw.bus.read32(mgmt::AENQ_HEAD_DB) as u16;
        let credit = head.wrapping_sub(self.events.posted);
        // More than the ring holds is no credit but a head that went back.
        let usable =
            usize::from(caps.entry_size) == ENTRY_LEN && (1..=caps.depth).contains(&credit);
        usable.then_some(caps.depth)
    }

    /// Posts an event if there is credit for it; whether it was posted.
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
