//! Low-latency transmit rings: the driver writes lines, each with descriptors and the head of a
//! packet, into the card.

use nitor_abi::feature::llq;

use crate::pci::PciFunction;
use crate::ring::{Submission, DESC_LEN};

/// The BAR that the lines are in.
pub(crate) const BAR: u8 = 2;
const HEADER_AT: usize = llq::DESCS_BEFORE * DESC_LEN;

/// The ring of a low-latency queue. Head and tail count lines and run freely.
pub(crate) struct LineRing<P: PciFunction> {
    function: P,
    /// The offset of the lines in the BAR.
    base: u64,
    mask: u16,
    doorbell: u64,
    tail: u16,
    told: u16,
    done: u16,
    /// The line being filled, the descriptors in it, and the most it has room for.
    line: Vec<u8>,
    at: usize,
    room: usize,
    doorbells: u64,
}

impl<P: PciFunction + Clone> LineRing<P> {
    /// `len` is the number of bytes of a line, 128 or 256.
    pub fn new(function: &P, base: u32, len: usize, depth: u16, doorbell: u32) -> Self {
        LineRing {
            function: function.clone(),
            base: base.into(),
            mask: depth - 1,
            doorbell: doorbell.into(),
            tail: 0,
            told: 0,
            done: 0,
            line: vec![0; len],
            at: 0,
            room: 0,
            doorbells: 0,
        }
    }

    fn begin(&mut self, header: &[u8]) {
        self.line.fill(0);
        self.line[HEADER_AT..HEADER_AT + header.len()].copy_from_slice(header);
        (self.at, self.room) = (0, llq::DESCS_BEFORE);
    }

    /// The phase of the line that the next descriptor is in.
    fn phase(&self) -> bool {
        let line = self.tail.wrapping_add(u16::from(self.at == self.room));
        line & (self.mask + 1) == 0
    }

    fn push(&mut self, desc: [u8; DESC_LEN]) {
        if self.at == self.room {
            self.end();
            self.line.fill(0);
            (self.at, self.room) = (0, self.line.len() / DESC_LEN);
        }
        self.line[self.at * DESC_LEN..][..DESC_LEN].copy_from_slice(&desc);
        self.at += 1;
    }

    /// Lines are always written whole.
    fn end(&mut self) {
        let offset = self.base + u64::from(self.tail & self.mask) * self.line.len() as u64;
        self.function.bar_write_bytes(BAR, offset, &self.line);
        self.tail = self.tail.wrapping_add(1);
    }
}

/// A transmit ring of either kind.
pub(crate) enum TxRing<P: PciFunction> {
    Host(Submission<P>),
    Lines(LineRing<P>),
}

impl<P: PciFunction + Clone> TxRing<P> {
    /// The number of free places. One place is never used, so that a full ring differs from an
    /// empty one.
    pub fn free(&self) -> u16 {
        match self {
            TxRing::Host(ring) => ring.free(),
            TxRing::Lines(ring) => ring.mask - ring.tail.wrapping_sub(ring.done),
        }
    }

    /// Places that a packet of this many descriptors takes.
    pub fn places(&self, descs: usize) -> usize {
        match self {
            TxRing::Host(_) => descs,
            TxRing::Lines(ring) => {
                1 + descs.saturating_sub(llq::DESCS_BEFORE).div_ceil(ring.line.len() / DESC_LEN)
            }
        }
    }

    /// Bytes of a packet that can be pushed.
    pub fn max_push(&self) -> usize {
        match self {
            TxRing::Host(_) => 0,
            TxRing::Lines(ring) => ring.line.len() - HEADER_AT,
        }
    }

    /// Begins a packet.
    pub fn begin(&mut self, header: &[u8]) {
        match self {
            TxRing::Host(_) => debug_assert!(header.is_empty()),
            TxRing::Lines(ring) => ring.begin(header),
        }
    }

    /// The phase bit of the next descriptor.
    pub fn phase(&self) -> bool {
        match self {
            TxRing::Host(ring) => ring.phase(),
            TxRing::Lines(ring) => ring.phase(),
        }
    }

    pub fn push(&mut self, desc: [u8; DESC_LEN]) {
        match self {
            TxRing::Host(ring) => ring.push(desc),
            TxRing::Lines(ring) => ring.push(desc),
        }
    }

    /// Ends a packet.
    pub fn end(&mut self) {
        if let TxRing::Lines(ring) = self {
            ring.end();
        }
    }

    /// Rings the doorbell for what was pushed.
    pub fn ring(&mut self) {
        match self {
            TxRing::Host(ring) => ring.ring(),
            TxRing::Lines(ring) => {
                if ring.told != ring.tail {
                    ring.function.bar_write(0, ring.doorbell, ring.tail.into());
                    ring.told = ring.tail;
                    ring.doorbells += 1;
                }
            }
        }
    }

    /// Frees `count` places that the card has finished with.
    pub fn release(&mut self, count: u16) {
        match self {
            TxRing::Host(ring) => ring.release(count),
            TxRing::Lines(ring) => ring.done = ring.done.wrapping_add(count),
        }
    }

    pub fn doorbells(&self) -> u64 {
        match self {
            TxRing::Host(ring) => ring.doorbells,
            TxRing::Lines(ring) => ring.doorbells,
        }
    }
}
