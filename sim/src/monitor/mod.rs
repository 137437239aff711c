//! Checks what an ENA card does to its host against what the host gave it: register writes,
//! commands and descriptors. The root complex passes all register writes and all DMA to the
//! monitor.
//!
//! Each descriptor completes exactly once and in order. The card reads and writes only posted
//! memory. A buffer's bytes are there before its completion, and a completion before its interrupt.
//! Rings are written entry by entry with the right phase. The monitor looks at TLPs and host memory
//! alone, never at what the card reports of itself.
//!
//! A queue is *wild* if its driver breaks the rules: a doorbell beyond the ring, descriptors that
//! make no packet, overlapping buffers. The order in which the card reads and completes the
//! descriptors of a wild queue is not checked. But even then the card touches only memory that
//! descriptors name which it has read, and other queues are checked as usual.
//!
//! From a reset to the first command after it the card may finish DMA in flight: it may touch the
//! memory that it was given before the reset.

mod answers;
mod posted;
mod queues;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;

use crate::iommu::Iommu;
use crate::rules::Rule;
use crate::CARD_ID;
use answers::{Answers, ENTRY};
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
    pub const MMIO_REG_READ: u64 = 0x5c;
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

/// Readless reads that the monitor remembers; the card keeps fewer.
const QUESTIONS: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub struct Monitor {
    off: bool,
    /// A reset was requested, and no command submitted since. [crate::quiet] checks that no DMA
    /// starts in this time.
    resetting: bool,
    commands: Answers,
    answers: Answers,
    events: Answers,
    event_limit: u16,
    submitted: u64,
    response: u64,
    /// The readless reads that the host has asked for and the card has not answered, newest first.
    questions: VecDeque<u32>,
    /// The state before the reset in progress.
    before: Option<Box<Monitor>>,
    /// Memory that pending commands name, each with its number, and the memory of the host
    /// attributes.
    lent: Vec<(u64, Range<u64>)>,
    attributes: Vec<Range<u64>>,
    cqs: BTreeMap<u16, Cq>,
    sqs: BTreeMap<(Direction, u16), Sq>,
    doorbells: HashMap<u64, (Direction, u16)>,
    posted: Posted,
    /// What the host wrote to BAR 2, and whether its lines are wide. The content survives resets,
    /// as far as a driver may rely on that.
    lines: Vec<u8>,
    wide_lines: bool,
    /// Interrupts that each vector may still raise. A completion allows two: one may be in flight
    /// already when the completion is written, decided on before it.
    told: Vec<u8>,
}

/// A broken rule, and how the card broke it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub rule: Rule,
    pub detail: String,
}

impl Breach {
    fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Breach { rule, detail: detail.into() }
    }

    fn in_front(self, what: impl std::fmt::Display) -> Self {
        Breach { detail: format!("{what}: {}", self.detail), ..self }
    }
}

pub type Verdict = Result<(), Breach>;

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
    /// Turns the checks off, for tests whose host writes anything anywhere.
    pub fn switch_off(&mut self) {
        self.off = true;
    }

    /// The number of packets and buffers that are posted and not completed.
    pub fn outstanding(&self) -> usize {
        self.sqs.values().map(Sq::outstanding).sum()
    }

    /// The number of send and receive queues.
    pub fn queues(&self) -> usize {
        self.sqs.len()
    }

    /// The host has reset the card, or is about to.
    pub fn reset(&mut self) {
        let mut old = std::mem::take(self);
        let (response, questions) = (old.response, old.questions.clone());
        let lines = std::mem::take(&mut old.lines);
        *self = Monitor {
            off: old.off,
            resetting: true,
            response,
            questions,
            lines,
            ..Monitor::default()
        };
        self.before = old.before.take().or_else(|| Some(Box::new(old)));
    }

    /// A function-level reset: as [`Self::reset`], and the card forgets its readless response
    /// address and pending readless reads.
    pub fn function_reset(&mut self) {
        self.reset();
        self.response = 0;
        self.questions.clear();
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
            reg::MMIO_REG_READ => {
                self.questions.truncate(QUESTIONS - 1);
                self.questions.push_front(value);
            }
            reg::AQ_DB => {
                self.resetting = false;
                self.before = None;
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

    /// The card has accepted a byte of its LLQ lines, in BAR 2.
    pub fn line_byte(&mut self, offset: u64, byte: u8) {
        let offset = offset as usize;
        if self.lines.len() <= offset {
            self.lines.resize((offset + 1).next_multiple_of(4096), 0);
        }
        self.lines[offset] = byte;
    }

    /// Whether `offset` is the doorbell of a queue. A doorbell takes a write of its lower half
    /// alone, too.
    pub fn is_doorbell(&self, offset: u64) -> bool {
        self.doorbells.contains_key(&offset)
    }

    /// Notes the memory that commands up to `tail` name.
    fn lend(&mut self, tail: u16, iommu: &Iommu) {
        let depth = self.commands.depth;
        if depth == 0 || tail.wrapping_sub(self.answers.written as u16) > depth {
            return;
        }
        while self.submitted as u16 != tail {
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
            self.submitted += 1;
        }
    }

    fn command(&self, number: u64, entry: &mut [u8; ENTRY], iommu: &Iommu) -> bool {
        let slot = number % u64::from(self.commands.depth);
        let address = self.commands.base.wrapping_add(slot * ENTRY as u64);
        iommu.read(CARD_ID, address, entry).is_ok()
    }

    /// Checks a read of `len` bytes by the card.
    pub fn read(&mut self, address: u64, len: u32, iommu: &Iommu) -> Verdict {
        if self.off {
            return Ok(());
        }
        let end = address.saturating_add(len.into());
        let verdict = if self.resetting {
            Err(Breach::new(Rule::UnpostedRead, "after a reset, of what the card never knew"))
        } else if self.commands.contains(address) {
            self.fetch_commands(address, end)
        } else if let Some(sq) = self.sqs.values_mut().find(|sq| sq.ring().contains(&address)) {
            sq.fetch(address, len, iommu)
        } else {
            Err(Breach::new(Rule::UnpostedRead, "nobody posted that"))
        };
        if verdict.is_ok() || self.may_read(address, end) {
            return Ok(());
        }
        verdict.map_err(|breach| breach.in_front(format!("read of {len} bytes at {address:#x}")))
    }

    /// Whether a packet or a command names these bytes. A queue from before a reset has its ring,
    /// too.
    fn may_read(&mut self, address: u64, end: u64) -> bool {
        let lines = std::mem::take(&mut self.lines);
        let may = self.knows(address, end, &lines);
        self.lines = lines;
        may
    }

    fn knows(&mut self, address: u64, end: u64, lines: &[u8]) -> bool {
        self.posted.may_read(address, end)
            || self.is_lent(address, end)
            || self.sqs.values_mut().any(|sq| sq.has_loose_packet(address, end, lines))
            || self.before.as_mut().is_some_and(|before| {
                before.commands.holds(address, end)
                    || before.sqs.values().any(|sq| holds(&sq.ring(), address, end))
                    || before.knows(address, end, lines)
            })
    }

    /// Checks a read of commands: they must be submitted and not answered.
    fn fetch_commands(&self, address: u64, end: u64) -> Verdict {
        let Answers { base, depth, .. } = self.commands;
        let from = address.wrapping_sub(base);
        let (slot, until) = (from / ENTRY as u64, (from + (end - address)).div_ceil(ENTRY as u64));
        let oldest = self.answers.written;
        let waiting = self.submitted.saturating_sub(oldest);
        let depth = u64::from(depth);
        let ahead = (slot + depth - oldest % depth) % depth;
        let count = until - slot;
        if until > depth || ahead + count > waiting {
            let detail = format!("commands {waiting} from {oldest} on are waiting");
            return Err(Breach::new(Rule::CommandFetch, detail));
        }
        Ok(())
    }

    fn is_lent(&self, address: u64, end: u64) -> bool {
        let lent = self.lent.iter().map(|(_, range)| range);
        lent.chain(&self.attributes).any(|range| holds(range, address, end))
    }

    /// Checks a write of `bytes` by the card.
    pub fn write(&mut self, address: u64, bytes: &[u8], iommu: &Iommu) -> Verdict {
        if self.off {
            return Ok(());
        }
        if self.response != 0 && address == self.response && bytes.len() == RESPONSE {
            return self.responded(u32_at(bytes, 0));
        }
        let len = bytes.len() as u32;
        let end = address.saturating_add(len.into());
        if self.resetting {
            return match &self.before {
                Some(before) if before.may_write(address, end) => Ok(()),
                _ => Err(Breach::new(
                    Rule::UnpostedWrite,
                    format!("{len} bytes at {address:#x} after a reset, which the card never knew"),
                )),
            };
        }
        if self.answers.contains(address) {
            let rules = [Rule::AnswerPlace, Rule::AnswerPhase];
            let Some(answer) = self.answers.take(address, bytes, 3, rules)? else { return Ok(()) };
            self.tell(0);
            return self.answered(&answer, iommu);
        }
        if self.events.contains(address) {
            if self.events.written as u16 == self.event_limit {
                return Err(Breach::new(Rule::EventRoom, "the host has no room for an event"));
            }
            let rules = [Rule::EventPlace, Rule::EventPhase];
            if self.events.take(address, bytes, 4, rules)?.is_some() {
                self.tell(0);
            }
            return Ok(());
        }
        if let Some((&number, cq)) = self.cqs.iter_mut().find(|(_, cq)| cq.contains(address)) {
            let named = |breach: Breach| breach.in_front(format!("CQ {number}"));
            let entries = cq.take(address, bytes).map_err(named)?;
            if let Some(vector) = cq.vector {
                self.tell(vector);
            }
            for entry in entries {
                self.completed(number, entry).map_err(named)?;
            }
            return Ok(());
        }
        let verdict = self.posted.wrote(address, len, &mut self.sqs);
        if verdict.is_ok()
            || self.is_lent(address, end)
            || self.sqs.values().any(|sq| sq.has_loose_buffer(address, end))
        {
            return Ok(());
        }
        verdict.map_err(|breach| breach.in_front(format!("{len} bytes at {address:#x}")))
    }

    /// Whether the card may have begun to write these bytes before a reset.
    fn may_write(&self, address: u64, end: u64) -> bool {
        let response = self.response..self.response.saturating_add(RESPONSE as u64);
        (self.response != 0 && holds(&response, address, end))
            || self.answers.holds(address, end)
            || self.events.holds(address, end)
            || self.cqs.values().any(|cq| holds(&cq.ring(), address, end))
            || self.posted.may_write(address, end)
            || self.is_lent(address, end)
            || self.sqs.values().any(|sq| sq.has_loose_buffer(address, end))
    }

    /// Checks a readless response: it must answer a read that the host has asked for. Older reads
    /// count as dropped by the card.
    fn responded(&mut self, question: u32) -> Verdict {
        match self.questions.iter().rposition(|&asked| asked == question) {
            Some(at) => {
                self.questions.truncate(at);
                Ok(())
            }
            None => {
                let detail = format!("the reading {question:#x} of a register was not asked for");
                Err(Breach::new(Rule::Response, detail))
            }
        }
    }

    fn completed(&mut self, cq: u16, entry: &[u8]) -> Verdict {
        let mut users: Vec<_> = self.sqs.values_mut().filter(|sq| sq.cq == cq).collect();
        let which = users.iter().position(|sq| sq.awaits(entry)).unwrap_or(0);
        let Some(sq) = users.get_mut(which) else {
            return Err(Breach::new(Rule::EntryOfNoQueue, "a completion of no queue"));
        };
        sq.complete(entry, &mut self.posted)
    }

    /// Handles the answer to the oldest pending command.
    fn answered(&mut self, answer: &[u8], iommu: &Iommu) -> Verdict {
        let number = self.answers.written - 1;
        if number == self.submitted {
            return Err(Breach::new(Rule::AnswerUnasked, format!("there is no command {number}")));
        }
        let mut entry = [0; ENTRY];
        if !self.command(number, &mut entry, iommu) {
            return Ok(());
        }
        self.lent.retain(|(n, _)| *n != number);
        if u16_at(answer, 0) & 0xfff != u16_at(&entry, 0) & 0xfff {
            let detail = format!("the answer to command {number} carries another id");
            return Err(Breach::new(Rule::AnswerId, detail));
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

    /// Checks an interrupt that the card has raised.
    pub fn interrupt(&mut self, vector: u16) -> Verdict {
        if self.off {
            return Ok(());
        }
        let told = self.before.as_mut().map_or(&mut self.told, |before| &mut before.told);
        match told.get_mut(usize::from(vector)) {
            None | Some(0) => {
                let detail = format!("interrupt {vector}, and nothing was completed before it");
                Err(Breach::new(Rule::InterruptForNothing, detail))
            }
            Some(told) => {
                *told -= 1;
                Ok(())
            }
        }
    }
}

/// Bytes of a readless response.
const RESPONSE: usize = 8;

/// Whether all bytes from `address` to `end` are in `range`.
fn holds(range: &Range<u64>, address: u64, end: u64) -> bool {
    range.start <= address && end <= range.end
}

#[cfg(test)]
mod tests;
