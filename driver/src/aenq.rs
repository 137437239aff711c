//! The event queue (AENQ): events that the card posts without being asked.

use std::sync::atomic::{fence, Ordering};
use std::time::Duration;

use nitor_abi::bar::{self, QueueCaps};
use nitor_abi::event::{
    EventHeader, Group, KeepAlive, LinkChange, ENTRY_LEN, PAYLOAD, SYNDROME_UPDATE_HINTS,
};
use nitor_abi::feature::Hints;

use crate::dma::{self, DmaBuf};
use crate::error::Result;
use crate::pci::PciFunction;
use crate::regs::Regs;

const DEPTH: u16 = 16;

/// The groups of events that this driver uses.
pub(crate) const GROUPS: u32 = Group::LinkChange.bit()
    | Group::FatalError.bit()
    | Group::Warning.bit()
    | Group::Notification.bit()
    | Group::KeepAlive.bit()
    | Group::DeviceRequestReset.bit();

/// An event that the card has posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Link { up: bool },
    KeepAlive(KeepAlive),
    Hints(Hints),
    Fatal,
    Warning,
    ResetRequest,
    Unknown { group: u16, syndrome: u16 },
}

pub(crate) struct EventQueue<P: PciFunction> {
    function: P,
    ring: DmaBuf<P::Memory>,
    /// The number of events taken.
    taken: u16,
    /// When the last keep-alive arrived.
    pub alive: Option<Duration>,
}

impl<P: PciFunction + Clone> EventQueue<P> {
    pub fn start(regs: &Regs<P>) -> Result<Self> {
        let function = regs.function().clone();
        let ring = dma::alloc(&function, usize::from(DEPTH) * ENTRY_LEN, 4096)?;
        regs.write_address(bar::AENQ_BASE_LO, ring.iova());
        let caps = QueueCaps { depth: DEPTH, entry_size: ENTRY_LEN as u16 };
        regs.write(bar::AENQ_CAPS, caps.into());
        Ok(EventQueue { function, ring, taken: 0, alive: None })
    }

    /// Gives the card credit for the whole ring beyond the events taken.
    pub fn give_credit(&self) {
        let head = self.taken.wrapping_add(DEPTH);
        self.function.bar_write(0, bar::AENQ_HEAD_DB.into(), head.into());
    }

    /// Takes the pending events, at most as many as the ring has entries.
    pub fn take(&mut self, mut each: impl FnMut(Event)) {
        let before = self.taken;
        while self.taken.wrapping_sub(before) < DEPTH {
            let Some(event) = self.next() else { break };
            if let Event::KeepAlive(_) = event {
                self.alive = Some(self.function.now());
            }
            each(event);
        }
        if self.taken != before {
            self.give_credit();
        }
    }

    fn next(&mut self) -> Option<Event> {
        let at = usize::from(self.taken % DEPTH) * ENTRY_LEN;
        let phase = (self.taken / DEPTH).is_multiple_of(2);
        if (self.ring.load::<u8>(at + 4) & 1 == 1) != phase {
            return None;
        }
        fence(Ordering::Acquire);
        let mut entry = [0; ENTRY_LEN];
        for (word, offset) in entry.as_chunks_mut::<8>().0.iter_mut().zip((at..).step_by(8)) {
            *word = self.ring.load::<u64>(offset).to_le_bytes();
        }
        self.taken = self.taken.wrapping_add(1);
        Some(parse(&entry))
    }
}

fn parse(entry: &[u8; ENTRY_LEN]) -> Event {
    let header = EventHeader::from_bytes(entry.first_chunk().expect("longer"));
    let payload = &entry[PAYLOAD..];
    let unknown = Event::Unknown { group: header.group, syndrome: header.syndrome };
    match Group::try_from(header.group) {
        Ok(Group::LinkChange) => {
            let link = LinkChange::from_bytes(payload.first_chunk().expect("longer"));
            Event::Link { up: link.up }
        }
        Ok(Group::KeepAlive) => {
            Event::KeepAlive(KeepAlive::from_bytes(payload.first_chunk().expect("longer")))
        }
        Ok(Group::Notification) if header.syndrome == SYNDROME_UPDATE_HINTS => {
            Event::Hints(Hints::from_bytes(payload.first_chunk().expect("longer")))
        }
        Ok(Group::FatalError) => Event::Fatal,
        Ok(Group::Warning) => Event::Warning,
        Ok(Group::DeviceRequestReset) => Event::ResetRequest,
        Ok(_) | Err(_) => unknown,
    }
}
