//! The admin queue: sends commands to the card one at a time, and waits for each answer by polling
//! or by interrupt.

use std::sync::atomic::{fence, Ordering};
use std::time::Duration;

use nitor_abi::admin::{
    self, AnswerHeader, CommandHeader, ControlBuffer, Entry, Opcode, Status, ANSWER, ENTRY_LEN,
};
use nitor_abi::bar::{self, QueueCaps};

use crate::dma::{self, DmaBuf};
use crate::error::{Error, Result};
use crate::pci::{PciFunction, VectorSet};
use crate::regs::Regs;

const DEPTH: u16 = 32;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const FIRST_POLL: Duration = Duration::from_micros(8);
const LAST_POLL: Duration = Duration::from_millis(5);
/// The interrupt vector of the admin and event queues.
pub(crate) const VECTOR: u16 = 0;

/// The body of an answer.
pub(crate) type Body = [u8; ENTRY_LEN - ANSWER];

/// Counts of commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdminStats {
    pub submitted: u64,
    pub completed: u64,
    pub refused: u64,
    pub timed_out: u64,
    /// Answers that polling found without their interrupt.
    pub missed_interrupts: u64,
}

impl AdminStats {
    pub(crate) fn add(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.completed += other.completed;
        self.refused += other.refused;
        self.timed_out += other.timed_out;
        self.missed_interrupts += other.missed_interrupts;
    }
}

pub(crate) struct AdminQueue<P: PciFunction> {
    function: P,
    commands: DmaBuf<P::Memory>,
    answers: DmaBuf<P::Memory>,
    /// The number of commands submitted, which is the doorbell's value. As many answers have been
    /// taken.
    submitted: u16,
    timeout: Duration,
    running: bool,
    interrupts: bool,
    /// Vectors that fired while the queue waited for an answer.
    pub fired: VectorSet,
    pub stats: AdminStats,
}

impl<P: PciFunction + Clone> AdminQueue<P> {
    /// Sets up both rings. The queue polls at first.
    pub fn start(regs: &Regs<P>, timeout: Duration) -> Result<Self> {
        let function = regs.function().clone();
        let bytes = usize::from(DEPTH) * ENTRY_LEN;
        let commands = dma::alloc(&function, bytes, 4096)?;
        let answers = dma::alloc(&function, bytes, 4096)?;
        let caps = QueueCaps { depth: DEPTH, entry_size: ENTRY_LEN as u16 };
        regs.write_address(bar::AQ_BASE_LO, commands.iova());
        regs.write_address(bar::ACQ_BASE_LO, answers.iova());
        regs.write(bar::AQ_CAPS, caps.into());
        regs.write(bar::ACQ_CAPS, caps.into());
        Ok(AdminQueue {
            function,
            commands,
            answers,
            submitted: 0,
            timeout: if timeout.is_zero() { DEFAULT_TIMEOUT } else { timeout },
            running: true,
            interrupts: false,
            fired: VectorSet::new(),
            stats: AdminStats::default(),
        })
    }

    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Makes the queue wait for vector 0 from now on.
    pub fn use_interrupts(&mut self) {
        self.interrupts = true;
    }

    /// Refuses further commands: a reset is in progress.
    pub fn stop(&mut self) {
        self.running = false;
    }

    pub fn running(&self) -> bool {
        self.running
    }

    /// Runs a command and returns its answer; `what` names it in errors.
    pub fn command(
        &mut self,
        what: &'static str,
        opcode: Opcode,
        entry: Entry,
        control: Option<&DmaBuf<P::Memory>>,
    ) -> Result<Body> {
        if !self.running {
            return Err(Error::AdminStopped);
        }
        let result = self.submit_and_wait(opcode, entry, control);
        match result {
            Ok((Status::Success, body)) => {
                self.stats.completed += 1;
                Ok(body)
            }
            Ok((status, _)) => {
                self.stats.completed += 1;
                self.stats.refused += 1;
                Err(Error::Command { what, status })
            }
            Err(error) => {
                // A late answer would be mistaken for that of the next command.
                self.running = false;
                Err(error)
            }
        }
    }

    fn submit_and_wait(
        &mut self,
        opcode: Opcode,
        mut entry: Entry,
        control: Option<&DmaBuf<P::Memory>>,
    ) -> Result<(Status, Body)> {
        let slot = self.submitted % DEPTH;
        let phase = (self.submitted / DEPTH).is_multiple_of(2);
        let header = CommandHeader {
            command_id: slot,
            opcode: opcode as u8,
            phase,
            ctrl_data_indirect: control.is_some(),
            ..Default::default()
        };
        entry[..CommandHeader::LEN].copy_from_slice(&header.to_bytes());
        if let Some(buffer) = control {
            let record = ControlBuffer { length: buffer.len() as u32, address: buffer.iova() };
            let range = admin::CONTROL_BUFFER..admin::CONTROL_BUFFER + ControlBuffer::LEN;
            entry[range].copy_from_slice(&record.to_bytes());
        }
        let at = usize::from(slot) * ENTRY_LEN;
        for (word, offset) in entry.as_chunks::<8>().0.iter().zip((at..).step_by(8)) {
            self.commands.store(offset, u64::from_le_bytes(*word));
        }
        self.submitted = self.submitted.wrapping_add(1);
        self.stats.submitted += 1;
        self.function.bar_write(0, bar::AQ_DB.into(), self.submitted.into());

        let answer = self.wait(opcode, at, phase)?;
        let (header, body) = answer.split_at(ANSWER);
        let header: &[u8; ANSWER] = header.try_into().expect("split there");
        let header = AnswerHeader::from_bytes(header);
        if header.command_id != slot {
            return Err(Error::Nonsense("answer to a command that was not given"));
        }
        let status = Status::try_from(header.status).unwrap_or(Status::UnknownError);
        Ok((status, body.try_into().expect("the rest")))
    }

    /// Waits until the entry at byte `at` has the phase of this lap.
    fn wait(&mut self, opcode: Opcode, at: usize, phase: bool) -> Result<Entry> {
        let start = self.function.now();
        let mut step = FIRST_POLL;
        let mut called = false;
        loop {
            let waited = self.function.now() - start;
            let expired = waited >= self.timeout;
            if let Some(answer) = self.take(at, phase) {
                if self.interrupts && expired && !called {
                    self.stats.missed_interrupts += 1;
                }
                return Ok(answer);
            }
            if expired {
                self.stats.timed_out += 1;
                return Err(Error::AdminTimeout(opcode));
            }
            if self.interrupts {
                self.function.wait(self.timeout - waited);
                let fired = self.function.take_interrupts();
                called |= fired.contains(VECTOR);
                self.fired.extend(fired.iter());
            } else {
                self.function.wait(step);
                step = (2 * step).min(LAST_POLL);
            }
        }
    }

    fn take(&mut self, at: usize, phase: bool) -> Option<Entry> {
        let first = self.answers.load::<u32>(at);
        if AnswerHeader::from_bytes(&u64::from(first).to_le_bytes()).phase != phase {
            return None;
        }
        fence(Ordering::Acquire);
        let mut entry = [0; ENTRY_LEN];
        for (word, offset) in entry.as_chunks_mut::<8>().0.iter_mut().zip((at..).step_by(8)) {
            *word = self.answers.load::<u64>(offset).to_le_bytes();
        }
        Some(entry)
    }

    /// Allocates a control buffer of `len` bytes.
    pub fn control_buffer(&self, len: usize) -> Result<DmaBuf<P::Memory>> {
        dma::alloc(&self.function, len, 64)
    }
}
