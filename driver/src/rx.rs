//! The receive queue: owns its buffers and lends received frames to the caller.

use std::ops::Range;

use nitor_abi::rx::{RxCompletion, RxDesc};
use nitor_abi::tx::{l3, l4};

use crate::dma::{self, DmaBuf};
use crate::error::{QueueFault, Result};
use crate::pci::PciFunction;
use crate::ring::{Completion, Submission};

/// The distance between buffers is a multiple of this.
const BUFFER_ALIGN: usize = 64;
/// A doorbell is rung for at least this many buffers, or an eighth of the ring.
const REFILL_BATCH: u16 = 256;

/// The card's verdict on a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    Good,
    Bad,
    /// The card did not verify the checksum.
    Unknown,
}

/// What the card reports of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxInfo {
    /// See [nitor_abi::tx::l3].
    pub l3_proto: u8,
    /// See [nitor_abi::tx::l4].
    pub l4_proto: u8,
    pub l3_checksum: Checksum,
    pub l4_checksum: Checksum,
    pub fragment: bool,
    pub hash: u32,
}

impl RxInfo {
    /// `verifies`: the card verifies IPv4 headers. A card that does not sets the error flag of all
    /// of them.
    fn new(completion: &RxCompletion, verifies: bool) -> Self {
        let c = completion;
        let l4 = matches!(c.l4_proto, l4::TCP | l4::UDP) && !c.ipv4_frag;
        RxInfo {
            l3_proto: c.l3_proto,
            l4_proto: c.l4_proto,
            l3_checksum: match c.l3_proto {
                l3::IPV4 if !c.l3_csum_err => Checksum::Good,
                l3::IPV4 if verifies => Checksum::Bad,
                _ => Checksum::Unknown,
            },
            l4_checksum: match (l4, c.l4_csum_err, c.l4_csum_checked) {
                (true, true, _) => Checksum::Bad,
                (true, false, true) => Checksum::Good,
                _ => Checksum::Unknown,
            },
            fragment: c.ipv4_frag,
            hash: c.hash,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxStats {
    pub packets: u64,
    pub bytes: u64,
    pub doorbells: u64,
    pub buffers: u64,
    pub csum_good: u64,
    pub csum_bad: u64,
    pub csum_unchecked: u64,
    /// How often a poll found no buffer posted.
    pub empty_ring: u64,
    pub bad_req_id: u64,
    pub bad_desc_num: u64,
    pub bad_desc: u64,
}

/// A part of a frame: its bytes in the memory of the buffers.
#[derive(Clone, Debug)]
struct Part {
    req_id: u16,
    bytes: Range<usize>,
}

pub struct RxQueue<P: PciFunction> {
    ring: Submission<P>,
    completions: Completion<P, { RxCompletion::LEN }>,
    buffers: DmaBuf<P::Memory>,
    buffer_len: usize,
    /// Bytes from one buffer to the next.
    stride: usize,
    max_parts: usize,
    verifies: bool,
    depth: u16,
    /// Whether the card has the buffer, by request ID.
    posted: Vec<bool>,
    free: Vec<u16>,
    /// The parts of the frame whose completions are being taken.
    parts: Vec<Part>,
    fault: Option<QueueFault>,
    stats: RxStats,
}

impl<P: PciFunction + Clone> RxQueue<P> {
    /// Allocates memory for the buffers of a ring.
    pub(crate) fn alloc(function: &P, depth: u16, buffer_len: u16) -> Result<DmaBuf<P::Memory>> {
        let stride = usize::from(buffer_len).next_multiple_of(BUFFER_ALIGN);
        dma::alloc(function, usize::from(depth) * stride, 4096)
    }

    pub(crate) fn new(
        depth: u16,
        ring: Submission<P>,
        completions: Completion<P, { RxCompletion::LEN }>,
        buffers: DmaBuf<P::Memory>,
        buffer_len: u16,
        max_parts: u16,
        verifies: bool,
    ) -> Self {
        let buffer_len = usize::from(buffer_len);
        RxQueue {
            ring,
            completions,
            buffers,
            buffer_len,
            stride: buffer_len.next_multiple_of(BUFFER_ALIGN),
            // A frame that takes all buffers could never end.
            max_parts: max_parts.min(depth).into(),
            verifies,
            depth,
            posted: vec![false; depth.into()],
            free: (0..depth).rev().collect(),
            parts: Vec::new(),
            fault: None,
            stats: RxStats::default(),
        }
    }

    pub(crate) fn inherit(&mut self, old: &Self) {
        self.stats = old.stats();
    }

    /// Posts every free buffer and rings the doorbell.
    pub fn refill(&mut self) {
        while self.ring.free() > 0 {
            let Some(req_id) = self.free.pop() else { break };
            let at = usize::from(req_id) * self.stride;
            let desc = RxDesc {
                length: self.buffer_len as u16,
                phase: self.ring.phase(),
                first: true,
                last: true,
                comp_req: true,
                req_id,
                address: self.buffers.iova() + at as u64,
            };
            self.ring.push(desc.to_bytes());
            self.posted[usize::from(req_id)] = true;
        }
        self.ring.ring();
    }

    fn refill_if_worth_it(&mut self) {
        if self.ring.free() >= (self.depth / 8).clamp(1, REFILL_BATCH) {
            self.refill();
        }
    }

    /// The next frame, borrowed until it is dropped.
    pub fn receive(&mut self) -> Result<Option<RxFrame<'_, P>>, QueueFault> {
        self.refill_if_worth_it();
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        loop {
            let Some(entry) = self.completions.take() else {
                // The next call continues a frame whose end has not arrived.
                let none_left = self.ring.free() == self.depth - 1;
                self.stats.empty_ring += u64::from(none_left);
                return Ok(None);
            };
            let completion = RxCompletion::from_bytes(&entry);
            if let Err(fault) = self.take_part(&completion) {
                self.fault = Some(fault);
                return Err(fault);
            }
            if completion.last {
                let info = RxInfo::new(&completion, self.verifies);
                let frame = RxFrame { queue: self, info };
                frame.queue.count(frame.len(), &info);
                return Ok(Some(frame));
            }
        }
    }

    fn take_part(&mut self, completion: &RxCompletion) -> Result<(), QueueFault> {
        let req_id = usize::from(completion.req_id);
        if self.posted.get(req_id) != Some(&true) {
            self.stats.bad_req_id += 1;
            return Err(QueueFault::RxReqId);
        }
        let first = self.parts.is_empty();
        // Cards may leave out bytes at the start of a frame only.
        let offset = if first { usize::from(completion.offset) } else { 0 };
        let end = offset + usize::from(completion.length);
        if completion.first != first || end > self.buffer_len {
            self.stats.bad_desc += 1;
            return Err(QueueFault::RxMalformed);
        }
        if self.parts.len() + 1 >= self.max_parts && !completion.last {
            self.stats.bad_desc_num += 1;
            return Err(QueueFault::TooManyBuffers);
        }
        self.posted[req_id] = false;
        self.ring.release(1);
        let at = req_id * self.stride;
        self.parts.push(Part { req_id: completion.req_id, bytes: at + offset..at + end });
        Ok(())
    }

    fn count(&mut self, bytes: usize, info: &RxInfo) {
        self.stats.packets += 1;
        self.stats.bytes += bytes as u64;
        self.stats.buffers += self.parts.len() as u64;
        match info.l4_checksum {
            Checksum::Good => self.stats.csum_good += 1,
            Checksum::Bad => self.stats.csum_bad += 1,
            Checksum::Unknown => self.stats.csum_unchecked += 1,
        }
    }

    pub fn fault(&self) -> Option<QueueFault> {
        self.fault
    }

    pub fn stats(&self) -> RxStats {
        RxStats { doorbells: self.stats.doorbells + self.ring.doorbells, ..self.stats }
    }
}

/// A received frame. Dropping it frees its buffers for the card.
pub struct RxFrame<'a, P: PciFunction + Clone> {
    queue: &'a mut RxQueue<P>,
    info: RxInfo,
}

impl<P: PciFunction + Clone> RxFrame<'_, P> {
    pub fn info(&self) -> RxInfo {
        self.info
    }

    /// Bytes without FCS. The card may report 0.
    pub fn len(&self) -> usize {
        self.queue.parts.iter().map(|part| part.bytes.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame's bytes, buffer by buffer.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let memory = self.queue.buffers.ptr();
        self.queue.parts.iter().map(move |part| {
            // SAFETY: the part is within the buffers' memory, as `take_part` checked. The card has
            // completed the buffer, and the borrow of the queue prevents posting it again. A slice
            // of the whole memory would also cover buffers that the card has.
            unsafe {
                std::slice::from_raw_parts(memory.as_ptr().add(part.bytes.start), part.bytes.len())
            }
        })
    }

    /// The bytes of the frame, if they are in one buffer.
    pub fn contiguous(&self) -> Option<&[u8]> {
        let mut segments = self.segments();
        let only = segments.next()?;
        segments.next().is_none().then_some(only)
    }

    /// Copies the frame to the start of `to`, as far as it fits. Returns the length of the whole
    /// frame.
    pub fn copy_to(&self, to: &mut [u8]) -> usize {
        let mut at = 0;
        for segment in self.segments() {
            if let Some(rest) = to.get_mut(at..) {
                let len = segment.len().min(rest.len());
                rest[..len].copy_from_slice(&segment[..len]);
            }
            at += segment.len();
        }
        at
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        self.segments().for_each(|segment| bytes.extend_from_slice(segment));
        bytes
    }
}

impl<P: PciFunction + Clone> Drop for RxFrame<'_, P> {
    fn drop(&mut self) {
        let RxQueue { parts, free, .. } = &mut *self.queue;
        free.extend(parts.drain(..).map(|part| part.req_id));
    }
}
