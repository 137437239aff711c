//! The submission and completion queues that the host has created, each with its checks.

use std::collections::VecDeque;
use std::ops::Range;

use super::posted::{Extent, Loose, Posted};
use super::{u16_at, u32_at, u48_at, Breach, Verdict};
use crate::iommu::Iommu;
use crate::rules::Rule;
use crate::CARD_ID;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    Tx,
    Rx,
}

impl Direction {
    pub fn of(code: u8) -> Self {
        if code == 1 {
            Direction::Tx
        } else {
            Direction::Rx
        }
    }
}

#[derive(Debug)]
pub struct Cq {
    base: u64,
    depth: u16,
    entry: usize,
    written: u16,
    /// The interrupt vector, if the queue has one.
    pub vector: Option<u16>,
}

impl Cq {
    pub fn created(command: &[u8]) -> Self {
        let interrupts = command[4] & 1 << 5 != 0;
        Cq {
            base: u48_at(command, 12),
            depth: u16_at(command, 6),
            entry: usize::from(command[5] & 31) * 4,
            written: 0,
            vector: u16::try_from(u32_at(command, 8)).ok().filter(|_| interrupts),
        }
    }

    pub fn ring(&self) -> Range<u64> {
        self.base..self.base + u64::from(self.depth) * self.entry as u64
    }

    pub fn contains(&self, address: u64) -> bool {
        self.ring().contains(&address)
    }

    /// Checks a write into the ring: it must be the next entries with the right phase. Returns the
    /// entries.
    pub fn take<'a>(
        &mut self,
        address: u64,
        bytes: &'a [u8],
    ) -> Result<impl Iterator<Item = &'a [u8]>, Breach> {
        let slot = self.written % self.depth;
        let expected = self.base + u64::from(slot) * self.entry as u64;
        let (len, count) = (bytes.len(), bytes.len() / self.entry);
        if address != expected || !len.is_multiple_of(self.entry) || count == 0 {
            let detail = format!("{len} bytes at {address:#x}, not entries from {expected:#x} on");
            return Err(Breach::new(Rule::EntryPlace, detail));
        }
        if usize::from(slot) + count > self.depth.into() {
            let detail = format!("{count} entries from {slot} on in a ring of {}", self.depth);
            return Err(Breach::new(Rule::EntriesEnd, detail));
        }
        let entries = bytes.chunks_exact(self.entry);
        let phase = u8::from((self.written / self.depth).is_multiple_of(2));
        self.written = self.written.wrapping_add(count as u16);
        if entries.clone().any(|entry| entry[3] & 1 != phase) {
            let detail = format!("{count} entries from {slot} on, not with phase {phase}");
            return Err(Breach::new(Rule::EntryPhase, detail));
        }
        Ok(entries)
    }
}

/// A packet to send, or a buffer to fill.
#[derive(Debug)]
struct Item {
    req_id: u16,
    descriptors: u16,
    /// Places that the item takes in the ring: descriptors, or lines.
    places: u16,
    /// Bytes of the packet that are in its first line.
    pushed: u32,
    extents: Vec<Extent>,
    /// Bytes written to the buffer. Of a packet to send, 1 once it has a data descriptor.
    filled: u32,
}

#[derive(Debug)]
pub struct Sq {
    pub direction: Direction,
    pub cq: u16,
    base: u64,
    /// Bytes of an LLQ line, if the ring is made of lines.
    line: Option<usize>,
    depth: u16,
    tail: u16,
    /// Descriptors that the card has read.
    fetched: u16,
    /// Places of completed items: the head pointer.
    head: u16,
    wild: bool,
    /// Memory that the descriptors name, if the queue is wild.
    loose: Loose,
    items: VecDeque<Item>,
    /// The packet whose last descriptor is not posted yet.
    open: Option<Item>,
    /// A received packet has begun and not ended.
    mid: bool,
}

/// How a write to a receive buffer fits the bytes that are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// The write follows them.
    Next,
    /// The write does not follow them; there are so many.
    Gap(u32),
    /// The card has not read the descriptor of the buffer.
    Unread,
}

const DESCRIPTOR: u64 = 16;
/// Descriptors before the header in a packet's first line.
const BEFORE_HEADER: usize = 2;
/// The most descriptors a packet may have.
const MOST_DESCRIPTORS: u16 = 21;

/// Bits of a descriptor's first word.
const META: u32 = 1 << 23;
const FIRST: u32 = 1 << 26;
const LAST: u32 = 1 << 27;

impl Sq {
    /// `lines` is the offset of the lines in BAR 2, and `wide` their size, if the queue has lines.
    pub fn created(command: &[u8], lines: u32, wide: bool) -> Self {
        let pushed = command[6] & 0xf == 3;
        Sq {
            direction: Direction::of(command[4] >> 5),
            cq: u16_at(command, 8),
            base: if pushed { lines.into() } else { u48_at(command, 12) },
            line: pushed.then_some(if wide { 256 } else { 128 }),
            depth: u16_at(command, 10),
            tail: 0,
            fetched: 0,
            head: 0,
            wild: false,
            loose: Loose::default(),
            items: VecDeque::new(),
            open: None,
            mid: false,
        }
    }

    #[cfg(test)]
    pub fn is_wild(&self) -> bool {
        self.wild
    }

    /// Whether descriptors of a wild receive queue name these bytes.
    pub fn has_loose_buffer(&self, address: u64, end: u64) -> bool {
        self.direction == Direction::Rx && self.loose.has(address, end)
    }

    /// Whether descriptors of a wild queue name these bytes to be sent. Lines may have been written
    /// since the last doorbell.
    pub fn has_loose_packet(&mut self, address: u64, end: u64, lines: &[u8]) -> bool {
        if !self.wild || self.direction != Direction::Tx {
            return false;
        }
        if !self.loose.has(address, end) {
            self.loosen_lines(lines);
        }
        self.loose.has(address, end)
    }

    fn loosen(&mut self, descriptors: &[u8]) {
        for descriptor in descriptors.chunks_exact(DESCRIPTOR as usize) {
            let len = match (self.direction, u16_at(descriptor, 0)) {
                (Direction::Rx, 0) => 0x1_0000,
                (_, len) => len.into(),
            };
            self.loose.add(u48_at(descriptor, 8), len);
        }
    }

    fn loosen_lines(&mut self, lines: &[u8]) {
        let Some(len) = self.line else { return };
        let from = (self.base as usize).min(lines.len());
        let until = (from + usize::from(self.depth) * len).min(lines.len());
        self.loosen(&lines[from..until]);
    }

    pub fn outstanding(&self) -> usize {
        self.items.len()
    }

    pub fn ring(&self) -> Range<u64> {
        match self.line {
            // A ring of lines is not in host memory.
            Some(_) => 0..0,
            None => self.base..self.base + u64::from(self.depth) * DESCRIPTOR,
        }
    }

    /// Removes the memory of the queue from `posted`.
    pub fn forget(self, posted: &mut Posted) {
        for item in self.items.into_iter().chain(self.open) {
            item.extents.into_iter().for_each(|extent| posted.remove(extent));
        }
    }

    /// Handles a doorbell: places up to `tail` now belong to the card.
    pub fn doorbell(&mut self, tail: u16, iommu: &Iommu, lines: &[u8], posted: &mut Posted) {
        self.post(tail, iommu, lines, posted);
        if self.wild {
            // Memory that has been posted stays so, whatever completes.
            for item in self.items.iter().chain(&self.open) {
                item.extents.iter().for_each(|extent| self.loose.add(extent.address, extent.len));
            }
            self.loosen_lines(lines);
        }
    }

    fn post(&mut self, tail: u16, iommu: &Iommu, lines: &[u8], posted: &mut Posted) {
        if tail.wrapping_sub(self.head) > self.depth
            || tail.wrapping_sub(self.head) < self.tail.wrapping_sub(self.head)
        {
            self.wild = true;
        }
        while self.tail != tail && !self.wild {
            let slot = u64::from(self.tail & (self.depth - 1));
            self.tail = self.tail.wrapping_add(1);
            if let Some(len) = self.line {
                let at = self.base as usize + slot as usize * len;
                let legal =
                    lines.get(at..at + len).is_some_and(|line| self.post_line(line, posted));
                self.wild |= !legal;
                continue;
            }
            let mut descriptor = [0; DESCRIPTOR as usize];
            let there = iommu.read(CARD_ID, self.base + slot * DESCRIPTOR, &mut descriptor).is_ok();
            self.wild |= !there;
            let legal = match self.direction {
                Direction::Tx => self.post_tx(&descriptor, posted),
                Direction::Rx => self.post_rx(&descriptor, posted),
            };
            self.wild |= !legal;
        }
    }

    /// Posts the descriptors of a line, up to the last of their packet or the end of the line.
    /// False if they are illegal.
    fn post_line(&mut self, line: &[u8], posted: &mut Posted) -> bool {
        let begins = self.open.is_none();
        let count = if begins { BEFORE_HEADER } else { line.len() / DESCRIPTOR as usize };
        let mut first = true;
        for descriptor in line.chunks_exact(DESCRIPTOR as usize).take(count) {
            let last = u32_at(descriptor, 0) & LAST != 0;
            if !self.post_tx(descriptor, posted) {
                return false;
            }
            let item = if last { self.items.back_mut() } else { self.open.as_mut() };
            let Some(item) = item else { return false };
            item.places += u16::from(std::mem::take(&mut first));
            if item.pushed as usize > line.len() - BEFORE_HEADER * DESCRIPTOR as usize {
                return false;
            }
            if last {
                return true;
            }
        }
        true
    }

    /// Posts a receive buffer. False if it overlaps another.
    fn post_rx(&mut self, descriptor: &[u8], posted: &mut Posted) -> bool {
        let len = match u16_at(descriptor, 0) {
            0 => 0x1_0000,
            len => u32::from(len),
        };
        let address = u48_at(descriptor, 8);
        // If buffers overlap, nothing tells to which a byte belongs.
        let apart = !posted.is_received_into(address, len);
        let extent = posted.add(address, len, Some(self.base));
        self.items.push_back(Item {
            req_id: u16_at(descriptor, 4),
            descriptors: 1,
            places: 1,
            pushed: 0,
            extents: vec![extent],
            filled: 0,
        });
        apart
    }

    /// Posts a descriptor of a packet to send. False if it is illegal in this place.
    fn post_tx(&mut self, descriptor: &[u8], posted: &mut Posted) -> bool {
        let word = u32_at(descriptor, 0);
        let fresh =
            Item { req_id: 0, descriptors: 0, places: 0, pushed: 0, extents: vec![], filled: 0 };
        let (mut packet, begins) = match self.open.take() {
            None => (fresh, true),
            Some(packet) => (packet, false),
        };
        if begins != (word & FIRST != 0) {
            self.open = Some(packet).filter(|_| !begins);
            return false;
        }
        packet.descriptors += 1;
        packet.places += u16::from(self.line.is_none());
        if word & META != 0 {
            self.open = Some(packet);
            return begins && word & LAST == 0;
        }
        if begins || (packet.descriptors == 2 && packet.extents.is_empty() && packet.filled == 0) {
            let high = (word >> 16 & 0x3f) as u16;
            packet.req_id = high << 10 | (u32_at(descriptor, 4) >> 22) as u16;
            if self.line.is_some() {
                packet.pushed = descriptor[15].into();
            }
        }
        // Notes that the packet has a data descriptor.
        packet.filled = 1;
        let len = word & 0xffff;
        if len != 0 {
            packet.extents.push(posted.add(u48_at(descriptor, 8), len, None));
        }
        if word & LAST == 0 {
            let legal = packet.descriptors <= MOST_DESCRIPTORS;
            self.open = Some(packet);
            return legal;
        }
        let bytes = packet.pushed + packet.extents.iter().map(|extent| extent.len).sum::<u32>();
        let legal = bytes > 0 && packet.descriptors <= MOST_DESCRIPTORS;
        self.items.push_back(packet);
        legal
    }

    /// Checks a read of the ring by the card: descriptors in order, and none beyond the doorbell.
    pub fn fetch(&mut self, address: u64, len: u32, iommu: &Iommu) -> Verdict {
        let (offset, size) = (address - self.base, u64::from(self.depth) * DESCRIPTOR);
        let count = (u64::from(len) / DESCRIPTOR) as u16;
        if offset + u64::from(len) > size {
            let detail = format!("{len} bytes at {offset:#x} of a ring of {size:#x}");
            return Err(Breach::new(Rule::RingEnd, detail));
        }
        if !offset.is_multiple_of(DESCRIPTOR) || !u64::from(len).is_multiple_of(DESCRIPTOR) {
            let detail = format!("{len} bytes at {offset:#x} of a ring");
            return Err(Breach::new(Rule::PartialDescriptor, detail));
        }
        if self.wild {
            let mut descriptors = vec![0; len as usize];
            if iommu.read(CARD_ID, address, &mut descriptors).is_ok() {
                self.loosen(&descriptors);
            }
            return Ok(());
        }
        let expected = u64::from(self.fetched & (self.depth - 1)) * DESCRIPTOR;
        let fetched = self.fetched.wrapping_add(count);
        if offset != expected {
            let detail = format!("descriptors at {offset:#x}, not at {expected:#x}");
            return Err(Breach::new(Rule::DescriptorOrder, detail));
        }
        if self.tail.wrapping_sub(self.fetched) < count {
            let detail = format!("descriptors up to {fetched} are read, posted are {}", self.tail);
            return Err(Breach::new(Rule::BeyondDoorbell, detail));
        }
        self.fetched = fetched;
        Ok(())
    }

    /// Descriptors that the card has read and not completed. Of lines that is unknown: no limit.
    fn read_ahead(&self) -> u16 {
        match self.line {
            Some(_) => u16::MAX,
            None => self.fetched.wrapping_sub(self.head),
        }
    }

    /// Checks a write of the card to buffer `number`.
    pub fn fill(&mut self, number: u64, offset: u32, len: u32) -> Fill {
        if self.wild {
            return Fill::Next;
        }
        let read = usize::from(self.read_ahead());
        // The buffer being filled is the oldest, or follows those of the same packet.
        let mut items = self.items.iter_mut().take(32).enumerate();
        match items.find(|(_, item)| item.extents[0].number == number) {
            Some((at, _)) if at >= read => Fill::Unread,
            Some((_, item)) if item.filled == offset => {
                item.filled += len;
                Fill::Next
            }
            found => Fill::Gap(found.map_or(0, |(_, item)| item.filled)),
        }
    }

    fn req_id(&self, entry: &[u8]) -> u16 {
        match self.direction {
            Direction::Tx => u16_at(entry, 0),
            Direction::Rx => u16_at(entry, 6),
        }
    }

    /// Whether this entry completes the oldest item.
    pub fn awaits(&self, entry: &[u8]) -> bool {
        self.items.front().is_some_and(|item| item.req_id == self.req_id(entry))
    }

    /// Checks a completion entry that the card has written.
    pub fn complete(&mut self, entry: &[u8], posted: &mut Posted) -> Verdict {
        let word = u32_at(entry, 0);
        let reserved = match self.direction {
            // The status, and bits that drivers expect to be 0.
            Direction::Tx => word & 0xc0ff_0000,
            Direction::Rx => word & 0x0002_0080,
        };
        if reserved != 0 {
            return Err(Breach::new(Rule::EntryReserved, format!("first word {word:#x}")));
        }
        let req_id = self.req_id(entry);
        let at = self.items.iter().position(|item| item.req_id == req_id);
        let Some((at, item)) = at.and_then(|at| Some((at, self.items.remove(at)?))) else {
            return if self.wild {
                Ok(())
            } else {
                let detail = format!("request {req_id:#x} is completed and is not the card's");
                Err(Breach::new(Rule::UnknownRequest, detail))
            };
        };
        item.extents.iter().for_each(|extent| posted.remove(*extent));
        let read = self.read_ahead();
        self.head = self.head.wrapping_add(item.places);
        if self.wild {
            return Ok(());
        }
        if at != 0 {
            let detail = format!("request {req_id:#x} is completed before {at} older ones");
            return Err(Breach::new(Rule::CompletionOrder, detail));
        }
        if item.places > read {
            let detail = format!("request {req_id:#x} is completed, {read} descriptors were read");
            return Err(Breach::new(Rule::CompletedUnread, detail));
        }
        if self.direction == Direction::Tx {
            return Ok(());
        }
        let (len, begun) = (u32::from(u16_at(entry, 4)), self.mid);
        self.mid = word & LAST == 0;
        if len & 0xffff != item.filled & 0xffff || item.filled == 0 {
            let detail = format!("{len} bytes are completed, {} were written", item.filled);
            return Err(Breach::new(Rule::ReceivedLength, detail));
        }
        if begun == (word & FIRST != 0) {
            let detail = format!("request {req_id:#x}: first or last is wrong ({word:#x})");
            return Err(Breach::new(Rule::ReceivedEnds, detail));
        }
        if self.mid && item.filled != item.extents[0].len {
            let detail = format!("request {req_id:#x} isn't full and the next one is begun");
            return Err(Breach::new(Rule::ReceivedShort, detail));
        }
        Ok(())
    }
}
