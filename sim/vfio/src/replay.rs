//! Replays a trace on a card, and compares the card's reactions with those in the trace.
//!
//! Times are not compared: each step begins when the card is quiet after the one before, and has
//! raised the interrupts that it had raised by then in the recording. Each step compares the
//! frames, byte for byte, and the buffers and completions in host memory, without what a card may
//! report or not (checksums it has verified) and what belongs to an event (its time).

use std::io;
use std::path::{Path, PathBuf};

use nitor_abi::admin::{self, CommandHeader, CreateCq, Opcode};
use nitor_abi::bar;
use nitor_sim::iommu::Permission;
use nitor_sim::memory::Block;
use nitor_sim::stats::Event;
use nitor_sim::CardSpec;
use nitor_sim::{World, CARD_ID};

use crate::device::Device;
use crate::machine;
use crate::tap::Tap;
use crate::trace::{Cause, Reader, Step};

/// The result of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub about: String,
    pub card: &'static CardSpec,
    pub steps: u64,
    pub register_writes: u64,
    pub frames_in: u64,
    pub frames_out: u64,
    pub interrupts: u64,
    /// The number of completions compared.
    pub completions: u64,
    pub cycles: u64,
    /// A digest of every read, write, interrupt and frame of the card with its cycle: the same in
    /// each run with the same RTL.
    pub digest: u64,
    /// The first differences.
    pub differences: Vec<String>,
    pub violations: Vec<String>,
}

/// How a replay differs from the recording.
#[derive(Clone, Debug, Default)]
pub struct Variation {
    /// Another card.
    pub card: Option<&'static CardSpec>,
    /// Another seed, and so other stalls and latencies.
    pub seed: Option<u64>,
    /// Other latencies of memory, in cycles.
    pub latency: u64,
    /// The file for waves, and for how many cycles.
    pub waves: Option<(PathBuf, u64)>,
}

/// The most differences that are reported; then the replay ends.
const TOLD: usize = 20;
/// Cycles to wait for an interrupt: more than a moderation's delay.
const PATIENCE: u64 = 600_000;

/// A ring that the card writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ring {
    Answers,
    Events,
    Tx,
    Rx,
}

/// The rings in host memory, as registers and commands describe them.
#[derive(Default)]
struct Rings {
    registers: [u32; 32],
    submitted: u16,
    response: u64,
    known: Vec<(u64, u64, Ring)>,
}

impl Rings {
    fn register(&self, at: u32) -> u32 {
        self.registers[at as usize / 4]
    }

    fn base(&self, low: u32) -> u64 {
        u64::from(self.register(low)) | u64::from(self.register(low + 4)) << 32
    }

    fn forget(&mut self) {
        self.known.clear();
        self.submitted = 0;
    }

    fn add(&mut self, base: u64, len: u64, ring: Ring) {
        self.known.retain(|&(start, size, old)| {
            (old != ring || matches!(ring, Ring::Tx | Ring::Rx))
                && (start + size <= base || base + len <= start)
        });
        self.known.push((base, len, ring));
    }

    /// Notes a register write that is about to happen.
    fn written(&mut self, offset: u32, value: u32, world: &World) {
        let Some(register) = self.registers.get_mut(offset as usize / 4) else { return };
        *register = value;
        let entries = |caps: u32| u64::from(caps & 0xffff) * admin::ENTRY_LEN as u64;
        match offset {
            bar::DEV_CTL if value & 1 != 0 => self.forget(),
            bar::ACQ_CAPS => self.add(self.base(bar::ACQ_BASE_LO), entries(value), Ring::Answers),
            bar::AENQ_BASE_LO | bar::AENQ_BASE_HI | bar::AENQ_CAPS => {
                let (base, caps) = (self.base(bar::AENQ_BASE_LO), self.register(bar::AENQ_CAPS));
                self.add(base, entries(caps), Ring::Events);
            }
            bar::MMIO_RESP_LO | bar::MMIO_RESP_HI => self.response = self.base(bar::MMIO_RESP_LO),
            bar::AQ_DB => self.commands(value as u16, world),
            _ => {}
        }
    }

    /// Finds completion queues in new commands.
    fn commands(&mut self, tail: u16, world: &World) {
        let depth = (self.register(bar::AQ_CAPS) & 0xffff) as u16;
        while self.submitted != tail && depth != 0 {
            let slot = u64::from(self.submitted % depth);
            self.submitted = self.submitted.wrapping_add(1);
            let at = self.base(bar::AQ_BASE_LO) + slot * admin::ENTRY_LEN as u64;
            let mut entry = [0; admin::ENTRY_LEN];
            if world.host(0).root.iommu.read(CARD_ID, at, &mut entry).is_err() {
                continue;
            }
            let opcode = CommandHeader::from_bytes(&admin::part(&entry, 0)).opcode;
            if opcode == Opcode::CreateCq as u8 {
                let cq = CreateCq::from_bytes(&entry);
                let ring = if cq.entry_words == 2 { Ring::Tx } else { Ring::Rx };
                let len = u64::from(cq.depth) * u64::from(cq.entry_words) * 4;
                self.add(cq.base, len, ring);
            }
        }
    }

    fn at(&self, address: u64) -> Option<Ring> {
        let ring = self.known.iter().find(|&&(base, len, _)| address.wrapping_sub(base) < len);
        ring.map(|&(.., ring)| ring)
    }

    /// The part of `bytes` at `address` that is compared.
    fn essence(&self, address: u64, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self.at(address) {
            Some(Ring::Events) => bytes.clear(),
            // Only command, status and phase are compared: what a card reports of itself may
            // change.
            Some(Ring::Answers) => bytes.truncate(4),
            Some(Ring::Tx) => {}
            // Protocols and checksums are the first 17 bits of the completion.
            Some(Ring::Rx) => bytes.chunks_mut(16).for_each(|entry| {
                entry[..2].fill(0);
                entry[2] &= !1;
            }),
            None if address == self.response => bytes.truncate(4),
            None => {}
        }
        bytes
    }
}

struct Replay {
    world: World,
    tap: Tap,
    device: Device,
    rings: Rings,
    /// The number of interrupts of each vector, in the trace and in the replay.
    recorded: Vec<u64>,
    raised: Vec<u64>,
    result: Replayed,
}

/// Replays the trace at `path`.
pub fn replay(path: &Path, variation: &Variation) -> io::Result<Replayed> {
    replay_while(path, variation, &mut || true)
}

fn no_such_card(name: &str) -> String {
    format!("it was recorded with a card called `{name}`, which is not built")
}

/// The same, until `go_on` says no: then what is told is of the steps until there.
pub fn replay_while(
    path: &Path,
    variation: &Variation,
    go_on: &mut dyn FnMut() -> bool,
) -> io::Result<Replayed> {
    let mut reader = Reader::open(path)?;
    let head = reader.head.clone();
    let recorded = || {
        let none = || io::Error::new(io::ErrorKind::InvalidData, no_such_card(&head.card));
        CardSpec::find(&head.card).ok_or_else(none)
    };
    let options = machine::Options {
        card: variation.card.map_or_else(recorded, Ok)?,
        guests: 1,
        seed: variation.seed.unwrap_or(head.seed),
        latency: variation.latency,
        waves: variation.waves.clone(),
        ..machine::Options::default()
    };
    let (mut world, mut taps) = machine::world(&options)?;
    let tap = taps.pop().unwrap_or_default();
    let device = Device::new(&mut world, 0).map_err(io::Error::other)?;
    let vectors = device.vectors();
    world.host_mut(0).root.keep_stamps(true);
    let result = Replayed { about: head.about, card: options.card, ..Replayed::default() };
    let mut replay = Replay {
        world,
        tap,
        device,
        rings: Rings::default(),
        recorded: vec![0; vectors],
        raised: vec![0; vectors],
        result,
    };
    replay.result.digest = 0xcbf2_9ce4_8422_2325;
    while let Some(step) = reader.step()? {
        replay.step(&step);
        if replay.result.differences.len() >= TOLD || !go_on() {
            break;
        }
    }
    let Replay { world, mut result, .. } = replay;
    result.cycles = world.now();
    result.violations = world.violations().map(|(_, violation)| format!("{violation:?}")).collect();
    Ok(result)
}

impl Replay {
    fn differ(&mut self, what: String) {
        let at = self.result.steps;
        self.result.differences.push(format!("step {at}: {what}"));
    }

    fn digest(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.result.digest =
                (self.result.digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// Lets time pass; where the card has written meanwhile.
    fn advance(&mut self, writes: &mut Vec<(u64, u32)>) {
        self.world.step(32);
        for stamp in self.world.host_mut(0).root.take_stamps() {
            let (kind, address, len) = match stamp.event {
                Event::Read { iova, len } => (1, iova, len),
                Event::Written { iova, len } => {
                    writes.push((iova, len));
                    (2, iova, len)
                }
                Event::Interrupt { vector } => {
                    self.result.interrupts += 1;
                    self.raised[usize::from(vector)] += 1;
                    (3, vector.into(), 0)
                }
                Event::FrameOut { len, left } => (4, left, len),
                _ => continue,
            };
            self.digest(&stamp.cycle.to_le_bytes());
            self.digest(&[kind]);
            self.digest(&address.to_le_bytes());
            self.digest(&len.to_le_bytes());
            if kind == 2 {
                let mut bytes = vec![0; len as usize];
                if self.world.host(0).root.iommu.read(CARD_ID, address, &mut bytes).is_ok() {
                    self.digest(&bytes);
                }
            }
        }
        self.device.deliver(&mut self.world, |_| {});
    }

    /// Waits for the interrupts that had come before the next step in the recording.
    fn catch_up(&mut self) {
        let deadline = self.world.now() + PATIENCE;
        let mut writes = Vec::new();
        while let Some(vector) =
            (0..self.raised.len()).find(|&vector| self.raised[vector] < self.recorded[vector])
        {
            if self.world.now() >= deadline {
                self.differ(format!("vector {vector} has not interrupted"));
                self.raised[vector] = self.recorded[vector];
                return;
            }
            self.advance(&mut writes);
        }
    }

    fn step(&mut self, step: &Step) {
        self.result.steps += 1;
        self.catch_up();
        for (iova, bytes) in &step.memory {
            // What the trace says of memory that it has not mapped, the card cannot have read.
            let _ = self.world.host(0).root.iommu.write(CARD_ID, *iova, bytes);
        }
        self.cause(&step.cause);
        let mut writes = Vec::new();
        let begin = self.world.now();
        while self.world.now() < begin + PATIENCE
            && self.world.now() < self.world.active().max(begin) + machine::QUIET
        {
            self.advance(&mut writes);
        }
        for &vector in &step.interrupts {
            if let Some(count) = self.recorded.get_mut(usize::from(vector)) {
                *count += 1;
            }
        }
        let frames: Vec<_> =
            self.world.take_outside().into_iter().map(|(_, frame)| frame).collect();
        for frame in &frames {
            self.digest(frame);
        }
        self.compare_frames(&step.frames, &frames);
        self.compare_memory(step, &writes);
    }

    fn cause(&mut self, cause: &Cause) {
        let Replay { world, device, .. } = self;
        match cause {
            Cause::Map { iova, len, read, write } => {
                let permission = match (read, write) {
                    (true, true) => Permission::ReadWrite,
                    (true, false) => Permission::Read,
                    _ => Permission::Write,
                };
                let Ok(size) = usize::try_from(*len) else { return };
                let block = Block::new(size, 4096);
                let iommu = &mut world.host_mut(0).root.iommu;
                if !iommu.map_at(CARD_ID, *iova, &block, 0, size, permission) {
                    self.differ(format!("{len} bytes at {iova:#x} are mapped already"));
                }
            }
            Cause::Unmap { iova, len } => {
                let iommu = &mut world.host_mut(0).root.iommu;
                iommu.unmap_range(CARD_ID, *iova, *len);
            }
            Cause::Config { offset, bytes } => device.config_write(world, *offset, bytes),
            Cause::Read { region, offset, len } => {
                let mut bytes = vec![0; (*len).min(4096) as usize];
                device.bar_read(world, *region, *offset, &mut bytes);
            }
            Cause::Write { region, offset, bytes } => {
                self.result.register_writes += 1;
                if let (0, Ok(at), Ok(word)) =
                    (region, u32::try_from(*offset), bytes[..].try_into())
                {
                    self.rings.written(at, u32::from_le_bytes(word), world);
                }
                device.bar_write(world, *region, *offset, bytes);
            }
            Cause::Frame(frame) => {
                self.result.frames_in += 1;
                if !frame.is_empty() {
                    world.send_in(0, frame);
                }
            }
            Cause::Tick(microseconds) => {
                self.tap.forward(*microseconds);
                world.host_mut(0).wake_firmware();
            }
            // A world of one card has one wire.
            Cause::Link(up) => world.set_link(0, *up),
            Cause::Reset => {
                self.rings.forget();
                if let Err(error) = device.reset(world) {
                    self.differ(format!("a reset: {error}"));
                }
            }
        }
    }

    fn compare_frames(&mut self, recorded: &[Vec<u8>], sent: &[Vec<u8>]) {
        self.result.frames_out += sent.len() as u64;
        if recorded.len() != sent.len() {
            self.differ(format!("{} frames sent, not {}", sent.len(), recorded.len()));
        }
        for (recorded, sent) in recorded.iter().zip(sent) {
            if recorded != sent {
                let at = recorded.iter().zip(sent).position(|(a, b)| a != b);
                let at = at.unwrap_or(recorded.len().min(sent.len()));
                let (long, longer) = (sent.len(), recorded.len());
                self.differ(format!("a frame of {long} bytes, not {longer}, or not at byte {at}"));
            }
        }
    }

    /// Each byte that the card had written then, it has written now, and no other.
    fn compare_memory(&mut self, step: &Step, writes: &[(u64, u32)]) {
        let touched = |address: u64| {
            writes.iter().any(|&(start, len)| address.wrapping_sub(start) < u64::from(len))
        };
        for (address, recorded) in &step.writes {
            if matches!(self.rings.at(*address), Some(Ring::Tx | Ring::Rx)) {
                self.result.completions += 1;
            }
            let mut bytes = vec![0; recorded.len()];
            let _ = self.world.host(0).root.iommu.read(CARD_ID, *address, &mut bytes);
            let (recorded, bytes) =
                (self.rings.essence(*address, recorded), self.rings.essence(*address, &bytes));
            if recorded != bytes {
                let at = recorded.iter().zip(&bytes).position(|(a, b)| a != b).unwrap_or(0);
                let ring = self.rings.at(*address);
                self.differ(format!(
                    "memory at {:#x} ({ring:?}) is {:02x}, not {:02x}",
                    address + at as u64,
                    bytes[at],
                    recorded[at]
                ));
            } else if !recorded.is_empty() && !touched(*address) {
                self.differ(format!("memory at {address:#x} is not written"));
            }
        }
        for &(address, len) in writes {
            let then = step.writes.iter().any(|(start, bytes)| {
                address.wrapping_sub(*start) < bytes.len() as u64
                    || start.wrapping_sub(address) < u64::from(len)
            });
            if !then && self.rings.at(address) != Some(Ring::Events) {
                self.differ(format!("{len} bytes at {address:#x} are written, which were not"));
            }
        }
    }
}
