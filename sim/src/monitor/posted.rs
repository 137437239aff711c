//! The memory that descriptors name, which is looked up by address.

use std::collections::BTreeMap;

use super::queues::{Direction, Fill, Sq};
use super::{Breach, Verdict};
use crate::rules::Rule;

/// The memory of one descriptor. `number` distinguishes extents at the same address.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub address: u64,
    pub len: u32,
    pub number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    len: u32,
    /// The base of the receive queue; none for memory of a packet to send.
    rx: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Posted {
    extents: BTreeMap<(u64, u64), Owner>,
    next: u64,
}

/// How many extents a search looks at before it gives up.
const NEAR: usize = 64;

impl Posted {
    /// Adds memory; `rx` is the receive queue's base.
    pub fn add(&mut self, address: u64, len: u32, rx: Option<u64>) -> Extent {
        let number = self.next;
        self.next += 1;
        self.extents.insert((address, number), Owner { len, rx });
        Extent { address, len, number }
    }

    pub fn remove(&mut self, extent: Extent) {
        self.extents.remove(&(extent.address, extent.number));
    }

    /// Whether a receive buffer has any of these bytes.
    pub fn is_received_into(&self, address: u64, len: u32) -> bool {
        let end = address.saturating_add(len.into());
        let before = self.extents.range(..(address, 0)).rev().take(NEAR);
        let within = self.extents.range((address, 0)..(end, 0)).take(NEAR);
        before.chain(within).any(|(&(start, _), owner)| {
            owner.rx.is_some() && start < end && address < start.saturating_add(owner.len.into())
        })
    }

    /// Extents that contain these bytes, nearest first.
    fn around(&self, address: u64, end: u64) -> impl Iterator<Item = (u64, u64, Owner)> + '_ {
        let before = self.extents.range(..=(address, u64::MAX)).rev();
        let within = move |(&(start, number), &owner): (&(u64, u64), &Owner)| {
            (end <= start + u64::from(owner.len)).then_some((start, number, owner))
        };
        let mut seen = 0;
        before.filter_map(within).take_while(move |_| {
            seen += 1;
            seen <= NEAR
        })
    }

    pub fn may_read(&self, address: u64, end: u64) -> bool {
        self.around(address, end).any(|(_, _, owner)| owner.rx.is_none())
    }

    /// Whether these bytes are in a receive buffer.
    pub fn may_write(&self, address: u64, end: u64) -> bool {
        self.around(address, end).any(|(_, _, owner)| owner.rx.is_some())
    }

    /// Checks bytes that are written to a receive buffer: they must be the next ones in it.
    pub fn wrote(
        &self,
        address: u64,
        len: u32,
        queues: &mut BTreeMap<(Direction, u16), Sq>,
    ) -> Verdict {
        let mut breach = Breach::new(Rule::UnpostedWrite, "nobody posted that");
        let end = address.saturating_add(len.into());
        for (start, number, owner) in self.around(address, end) {
            let Some(base) = owner.rx else { continue };
            let queue = queues
                .values_mut()
                .find(|sq| sq.direction == Direction::Rx && sq.ring().start == base);
            let offset = (address - start) as u32;
            match queue.map(|sq| sq.fill(number, offset, len)) {
                Some(Fill::Next) => return Ok(()),
                Some(Fill::Gap(filled)) => {
                    let detail = format!("at {offset} of a buffer with {filled} bytes in it");
                    breach = Breach::new(Rule::FillOrder, detail);
                }
                Some(Fill::Unread) => {
                    let detail = "the card has not read that buffer's descriptor";
                    breach = Breach::new(Rule::FilledUnread, detail);
                }
                None => {}
            }
        }
        Err(breach)
    }
}

/// The memory that the descriptors of a wild queue name.
#[derive(Debug, Default)]
pub struct Loose(BTreeMap<u64, u64>);

impl Loose {
    pub fn add(&mut self, address: u64, len: u32) {
        let end = address.saturating_add(len.into());
        let known = self.0.entry(address).or_insert(end);
        *known = end.max(*known);
    }

    pub fn has(&self, address: u64, end: u64) -> bool {
        self.0.range(..=address).rev().any(|(_, &known)| end <= known)
    }
}
