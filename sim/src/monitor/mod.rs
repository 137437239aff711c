//! What an ENA card may do to its host, known from what the host told it: register writes, commands and descriptors.
//!
//! Each descriptor completes exactly once and in order; nothing is read or written that is not posted; a buffer's bytes are
//! there before its completion, and a completion before its interrupt; rings are written entry by entry with the right
//! phase. It looks at TLPs and host memory alone, never at what the card says of itself.
//!
//! A queue whose driver breaks the rules (a doorbell beyond the ring, descriptors that make no packet, buffers within each other) is *wild*: what
//! the card makes of that is not judged here, only that other queues don't suffer. The IOMMU still guards the memory.

mod posted;
mod queues;

use std::collections::HashMap;
use std::ops::Range;

use crate::iommu::Iommu;
use crate::CARD_ID;
use posted::Posted;
use queues::{Cq, Direction, Sq};

/// Offsets in BAR 0.
mod reg {
    pub const AQ_BASE: u64 = 0x10;
    pub const AQ_CAPS: u64 = 0x18;
    pub const ACQ_BASE: u64 = 0x20;
    pub const AQ_DB: u64 = 0x2c;
    pub const AENQ_CAPS: u64 = 0x34;
    pub const AENQ_BASE: u64 = 0x38;
    pub const AENQ_HEAD_DB: u64 = 0x40;
    pub const DEV_CTL: u64 = 0x54;
    pub const MMIO_RESP: u64 = 0x60;
}

mod opcode {
    pub const CREATE_SQ: u8 = 1;
    pub const DESTROY_SQ: u8 = 2;
    pub const CREATE_CQ: u8 = 3;
    pub const DESTROY_CQ: u8 = 4;
    pub const GET_FEATURE: u8 = 8;
    pub const SET_FEATURE: u8 = 9;
    pub const GET_STATS: u8 = 11;
}
const HOST_ATTRIBUTES: u8 = 28;
const LLQ: u8 = 4;

/// A ring of 64-byte entries that the card writes.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    base: u64,
    depth: u16,
    written: u16,
}

const ENTRY: usize = 64;

impl Answers {
    fn contains(&self, address: u64) -> bool {
        address.wrapping_sub(self.base) < u64::from(self.depth) * ENTRY as u64
    }

    /// Takes a write into the ring: it is the next entry, whole, with the right phase.
    fn take(&mut self, address: u64, bytes: &[u8], phase_at: usize) -> Result<(), String> {
        let slot = self.written % self.depth;
        let expected = self.base.wrapping_add(u64::from(slot) * ENTRY as u64);
        let phase = u8::from((self.written / self.depth).is_multiple_of(2));
        if address != expected || bytes.len() != ENTRY {
            let len = bytes.len();
            return Err(format!("{len} bytes at {address:#x}, not the entry at {expected:#x}"));
        }
        self.written = self.written.wrapping_add(1);
        if bytes[phase_at] & 1 != phase {
            return Err(format!("entry {slot} with phase {}", 1 - phase));
        }
        Ok(())
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Monitor {
    off: bool,
    /// A reset was asked for and no command given since: [crate::quiet] watches.
    resetting: bool,
    commands: Answers,
    answers: Answers,
    events: Answers,
    event_limit: u16,
    submitted: u16,
    response: u64,
    /// Memory that commands under way, and the host's attributes, give to the card.
    lent: Vec<(u16, Range<u64>)>,
    attributes: Vec<Range<u64>>,
    cqs: HashMap<u16, Cq>,
    sqs: HashMap<(Direction, u16), Sq>,
    doorbells: HashMap<u64, (Direction, u16)>,
    posted: Posted,
    /// What the host wrote to BAR 2, and whether its lines are wide. Survives resets, as far as anybody may count on it.
    lines: Vec<u8>,
    wide_lines: bool,
    /// Interrupts that each vector may still raise for what was completed: two after a completion, since one may be on
    /// its way already, decided on before that completion, when it is written.
    told: Vec<u8>,
}

/// What is wrong with what the card did.
pub type Verdict = Result<(), String>;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u48_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u16_at(bytes, at + 4)) << 32
}

impl Monitor {
    /// Judges no more: for tests whose host writes anything anywhere.
    pub fn switch_off(&mut self) {
        self.off = true;
    }

    /// Packets and buffers the card has and hasn't completed.
    pub fn outstanding(&self) -> usize {
        self.sqs.values().map(Sq::outstanding).sum()
    }

    /// The card was reset by its host, or will be.
    pub fn reset(&mut self) {
        let response = self.response;
        let lines = std::mem::take(&mut self.lines);
        *self = Monitor { off: self.off, resetting: true, response, lines, ..Monitor::default() };
    }

    /// The card has accepted a write to a register.
    pub fn register(&mut self, offset: u64, value: u32, iommu: &Iommu) -> Verdict {
        let half = |old: u64, high: bool| match high {
            false => old & !0xffff_ffff | u64::from(value),
            true => old & 0xffff_ffff | u64::from(value) << 32,
        };
        let depth = value as u16;
        match offset & !4 {
            reg::AQ_BASE => self.commands.base = half(self.commands.base, offset & 4 != 0),
            reg::ACQ_BASE => self.answers.base = half(self.answers.base, offset & 4 != 0),
            reg::MMIO_RESP => self.response = half(self.response, offset & 4 != 0),
            _ => {}
        }
        match offset {
            reg::AQ_CAPS => {
                self.commands.depth = depth;
                self.answers.depth = depth;
            }
            reg::AENQ_CAPS => self.events.depth = depth,
            reg::AENQ_BASE => self.events.base = half(self.events.base, false),
            o if o == reg::AENQ_BASE + 4 => self.events.base = half(self.events.base, true),
            reg::AENQ_HEAD_DB => self.event_limit = value as u16,
            reg::DEV_CTL if value & 1 != 0 => self.reset(),
            reg::AQ_DB => {
                self.resetting = false;
                self.lend(value as u16, iommu);
            }
            _ => {}
        }
        if let Some(&key) = self.doorbells.get(&offset) {
            let sq = self.sqs.get_mut(&key).expect("doorbells go with their queues");
            sq.doorbell(value as u16, iommu, &self.lines, &mut self.posted);
        }
        Ok(())
    }

    /// The card has accepted a byte for its lines, in BAR 2.
    pub fn line_byte(&mut self, offset: u64, byte: u8) {
        let offset = offset as usize;
        if self.lines.len() <= offset {
            self.lines.resize((offset + 1).next_multiple_of(4096), 0);
        }
        self.lines[offset] = byte;
    }

    /// A doorbell of a queue, which takes its lower half alone too.
    pub fn is_doorbell(&self, offset: u64) -> bool {
        self.doorbells.contains_key(&offset)
    }

    /// Notes the memory that commands up to `tail` name.
    fn lend(&mut self, tail: u16, iommu: &Iommu) {
        let depth = self.commands.depth;
        if depth == 0 || tail.wrapping_sub(self.answers.written) > depth {
            return;
        }
        while self.submitted != tail {
            let mut entry = [0; ENTRY];
            if self.command(self.submitted, &mut entry, iommu) {
                let (op, feature) = (entry[2], entry[17]);
                let (len, address) = (u32_at(&entry, 4), u48_at(&entry, 8));
                let has = [opcode::GET_FEATURE, opcode::SET_FEATURE, opcode::GET_STATS];
                if has.contains(&op) && address != 0 {
                    self.lent.push((self.submitted, address..address + u64::from(len)));
                }
                if op == opcode::SET_FEATURE && feature == HOST_ATTRIBUTES {
                    let (info, debug) = (u48_at(&entry, 20), u48_at(&entry, 28));
                    self.attributes.push(info..info + 4096);
                    self.attributes.push(debug..debug + u64::from(u32_at(&entry, 36)));
                }
            }
            self.submitted = self.submitted.wrapping_add(1);
        }
    }

    fn command(&self, number: u16, entry: &mut [u8; ENTRY], iommu: &Iommu) -> bool {
        let slot = u64::from(number % self.commands.depth);
        let address = self.commands.base.wrapping_add(slot * ENTRY as u64);
        iommu.read(CARD_ID, address, entry).is_ok()
    }

    /// The card reads `len` bytes.
    pub fn read(&mut self, address: u64, len: u32) -> Verdict {
        if self.off || self.resetting || self.commands.contains(address) {
            return Ok(());
        }
        let end = address + u64::from(len);
        let ring = self.sqs.values_mut().find(|sq| sq.ring().contains(&address));
        if let Some(sq) = ring {
            return sq.fetch(address, len);
        }
        if self.posted.may_read(address, end) || self.is_lent(address, end) {
            return Ok(());
        }
        if self.sqs.values().any(Sq::is_wild) {
            return Ok(());
        }
        Err(format!("read of {len} bytes at {address:#x}, which nobody posted"))
    }

    fn is_lent(&self, address: u64, end: u64) -> bool {
        let lent = self.lent.iter().map(|(_, range)| range);
        lent.chain(&self.attributes).any(|range| range.start <= address && end <= range.end)
    }

    /// The card has written `bytes`.
    pub fn write(&mut self, address: u64, bytes: &[u8], iommu: &Iommu) -> Verdict {
        if self.off || self.resetting || (address == self.response && bytes.len() == 8) {
            return Ok(());
        }
        if self.answers.contains(address) {
            self.answers.take(address, bytes, 3).map_err(|e| format!("admin completion: {e}"))?;
            self.tell(0);
            return self.answered(bytes, iommu);
        }
        if self.events.contains(address) {
            if self.events.written == self.event_limit {
                return Err("an event beyond what the host has room for".into());
            }
            self.events.take(address, bytes, 4).map_err(|e| format!("event: {e}"))?;
            self.tell(0);
            return Ok(());
        }
        if let Some((&number, cq)) = self.cqs.iter_mut().find(|(_, cq)| cq.contains(address)) {
            let entries = cq.take(address, bytes).map_err(|e| format!("CQ {number}: {e}"))?;
            if let Some(vector) = cq.vector {
                self.tell(vector);
            }
            for entry in entries {
                self.completed(number, entry).map_err(|e| format!("CQ {number}: {e}"))?;
            }
            return Ok(());
        }
        if self.posted.wrote(address, bytes.len() as u32, &mut self.sqs)
            || self.is_lent(address, address + bytes.len() as u64)
            || self.sqs.values().any(|sq| sq.is_wild() && sq.direction == Direction::Rx)
        {
            return Ok(());
        }
        Err(format!("write of {} bytes at {address:#x}, which nobody posted", bytes.len()))
    }

    fn completed(&mut self, cq: u16, entry: &[u8]) -> Verdict {
        let Some(sq) = self.sqs.values_mut().find(|sq| sq.cq == cq) else {
            return Err("a completion, and no queue is there that uses it".into());
        };
        sq.complete(entry, &mut self.posted)
    }

    /// The card has answered the oldest command.
    fn answered(&mut self, answer: &[u8], iommu: &Iommu) -> Verdict {
        let number = self.answers.written.wrapping_sub(1);
        let mut entry = [0; ENTRY];
        if !self.command(number, &mut entry, iommu) {
            return Ok(());
        }
        self.lent.retain(|(n, _)| *n != number);
        if u16_at(answer, 0) & 0xfff != u16_at(&entry, 0) & 0xfff {
            return Err(format!("the answer to command {number} carries another id"));
        }
        if answer[2] != 0 {
            return Ok(());
        }
        match entry[2] {
            opcode::CREATE_CQ => {
                let cq = Cq::created(&entry);
                self.cqs.insert(u16_at(answer, 8), cq);
            }
            opcode::DESTROY_CQ => _ = self.cqs.remove(&u16_at(&entry, 4)),
            opcode::CREATE_SQ => {
                let sq = Sq::created(&entry, u32_at(answer, 16), self.wide_lines);
                let key = (sq.direction, u16_at(answer, 8));
                self.doorbells.insert(u32_at(answer, 12).into(), key);
                self.sqs.insert(key, sq);
            }
            opcode::SET_FEATURE if entry[17] == LLQ => {
                self.wide_lines = u16_at(&entry, 20 + 14) == 4;
            }
            opcode::DESTROY_SQ => {
                let key = (Direction::of(entry[6] >> 5), u16_at(&entry, 4));
                self.doorbells.retain(|_, of| *of != key);
                if let Some(sq) = self.sqs.remove(&key) {
                    sq.forget(&mut self.posted);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn tell(&mut self, vector: u16) {
        let vector = usize::from(vector);
        if self.told.len() <= vector {
            self.told.resize(vector + 1, 0);
        }
        self.told[vector] = 2;
    }

    /// The card has raised an interrupt.
    pub fn interrupt(&mut self, vector: u16) -> Verdict {
        if self.off || self.resetting {
            return Ok(());
        }
        match self.told.get_mut(usize::from(vector)) {
            None | Some(0) => {
                Err(format!("interrupt {vector}, and nothing was completed before it"))
            }
            Some(told) => {
                *told -= 1;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
