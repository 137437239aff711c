//! Counts of what crossed a card's link and wire, and time stamps of single events.

use crate::tlp::{Header, Kind};

/// TLPs of one kind. Link bytes are header (12 or 16), payload and 8 a TLP for sequence number,
/// LCRC and framing; DLLPs and ordered sets are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub tlps: u64,
    pub link_bytes: u64,
    pub payload_bytes: u64,
}

impl Count {
    fn add(&mut self, header: Header) {
        self.tlps += 1;
        self.link_bytes += header.link_bytes();
        self.payload_bytes += header.payload_len() as u64;
    }

    fn plus(self, other: Count) -> Count {
        Count {
            tlps: self.tlps + other.tlps,
            link_bytes: self.link_bytes + other.link_bytes,
            payload_bytes: self.payload_bytes + other.payload_bytes,
        }
    }
}

/// Counts of the TLPs in one direction. Each TLP is in exactly one count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub reads: Count,
    /// Memory writes other than interrupts and doorbells.
    pub writes: Count,
    pub interrupts: Count,
    pub doorbells: Count,
    pub completions: Count,
    /// Configuration requests, messages, and TLPs of any other kind.
    pub other: Count,
}

/// A memory write that has a meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    Interrupt,
    Doorbell,
}

impl Traffic {
    pub fn add(&mut self, header: Header, special: Option<Special>) {
        let count = match (header.kind(), special) {
            (Kind::MemWrite, Some(Special::Interrupt)) => &mut self.interrupts,
            (Kind::MemWrite, Some(Special::Doorbell)) => &mut self.doorbells,
            (Kind::MemWrite, None) => &mut self.writes,
            (Kind::MemRead, _) => &mut self.reads,
            (Kind::Completion | Kind::CompletionData, _) => &mut self.completions,
            _ => &mut self.other,
        };
        count.add(header);
    }

    pub fn total(&self) -> Count {
        let Traffic { reads, writes, interrupts, doorbells, completions, other } = *self;
        reads.plus(writes).plus(interrupts).plus(doorbells).plus(completions).plus(other)
    }
}

/// Everything counted about one card's link and wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// From the card to the host.
    pub upstream: Traffic,
    /// From the host to the card.
    pub downstream: Traffic,
    pub frames_out: u64,
    pub frame_bytes_out: u64,
    pub frames_in: u64,
    pub frame_bytes_in: u64,
    /// Reads of the card that the IOMMU refused and that were answered with an unsupported
    /// request, and writes that it refused and that were dropped.
    pub iommu_read_faults: u64,
    pub iommu_write_faults: u64,
}

/// What a [`Stamp`] marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host posted a register write (a doorbell, say) to this address of the card's BARs.
    RegisterPosted {
        address: u64,
        value: u32,
    },
    /// The card accepted a register write.
    RegisterWritten {
        address: u64,
        value: u32,
    },
    /// The card sent a read of host memory.
    Read {
        iova: u64,
        len: u32,
    },
    /// The card wrote host memory: data or a completion entry, depending on the address.
    Written {
        iova: u64,
        len: u32,
    },
    Interrupt {
        vector: u16,
    },
    /// The last beat of a frame went to the MAC, to leave it at cycle `left`.
    FrameOut {
        len: u32,
        left: u64,
    },
    /// The last beat of a frame came from the MAC.
    FrameIn {
        len: u32,
    },
}

/// An event and its cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub cycle: u64,
    pub event: Event,
}
