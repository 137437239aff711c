//! Accesses a card without the driver: registers, rings and descriptors are bare words, right or
//! wrong.
//!
//! The layouts are written out here again, independent of the crates, on purpose.

#![allow(dead_code)] // Each test binary uses its part.

use std::cell::RefCell;
use std::rc::Rc;

use nitor_driver::dma::DmaBuf;
use nitor_driver::pci::PciFunction;
use nitor_fw::Settings;
use nitor_sim::firmware::standard;
use nitor_sim::function::HostMemory;
use nitor_sim::wire::WireConfig;
use nitor_sim::{HostConfig, HostFunction, World};

pub type Memory = DmaBuf<HostMemory>;
pub const MAC: [u8; 6] = [2, 0x4e, 0x49, 0x54, 0, 1];

/// Registers in BAR 0.
pub mod reg {
    pub const VERSION: u16 = 0x00;
    pub const CONTROLLER_VERSION: u16 = 0x04;
    pub const CAPS: u16 = 0x08;
    pub const AQ_BASE: u16 = 0x10;
    pub const AQ_CAPS: u16 = 0x18;
    pub const ACQ_BASE: u16 = 0x20;
    pub const ACQ_CAPS: u16 = 0x28;
    pub const AQ_DB: u16 = 0x2c;
    pub const AENQ_CAPS: u16 = 0x34;
    pub const AENQ_BASE: u16 = 0x38;
    pub const AENQ_HEAD_DB: u16 = 0x40;
    pub const INTR_MASK: u16 = 0x4c;
    pub const DEV_CTL: u16 = 0x54;
    pub const DEV_STS: u16 = 0x58;
    pub const MMIO_REG_READ: u16 = 0x5c;
    pub const MMIO_RESP: u16 = 0x60;
}

pub const CREATE_SQ: u8 = 1;
pub const DESTROY_SQ: u8 = 2;
pub const CREATE_CQ: u8 = 3;
pub const DESTROY_CQ: u8 = 4;
pub const GET_FEATURE: u8 = 8;
pub const SET_FEATURE: u8 = 9;
pub const GET_STATS: u8 = 11;

pub const TX: u8 = 1;
pub const RX: u8 = 2;

const READY: u32 = 1;
const RESET_IN_PROGRESS: u32 = 8;
/// The timeout of every wait, in cycles. A wait beyond it fails the test.
pub const PATIENCE: u64 = 2_000_000;

pub type Entry = [u8; 64];

pub struct Raw {
    pub world: Rc<RefCell<World>>,
    pub function: HostFunction,
    pub admin: Option<Admin>,
}

/// The management rings.
pub struct Admin {
    pub depth: u16,
    pub commands: Memory,
    pub answers: Memory,
    pub events: Memory,
    pub event_depth: u16,
    pub submitted: u16,
    pub answered: u16,
    pub taken: u16,
}

/// A completion queue or the submission queue that uses it, of either direction.
pub struct Queue {
    pub direction: u8,
    pub depth: u16,
    pub ring: Memory,
    /// The offset in `ring` at which the queue begins.
    pub offset: usize,
    pub id: u16,
    pub doorbell: u32,
    pub tail: u16,
    pub cq: Memory,
    pub cq_id: u16,
    pub unmask: u32,
    pub head: u16,
}

impl Raw {
    /// A card whose wire is looped back. Nothing is set up yet.
    pub fn new(width: u32, seed: u64) -> Raw {
        Raw::with(width, seed, |host| host)
    }

    pub fn with(width: u32, seed: u64, host: impl FnOnce(HostConfig) -> HostConfig) -> Raw {
        Raw::with_settings(width, seed, Settings::new(MAC), host)
    }

    pub fn with_settings(
        width: u32,
        seed: u64,
        settings: Settings,
        host: impl FnOnce(HostConfig) -> HostConfig,
    ) -> Raw {
        let mut world = World::new(seed);
        let ordinary = HostConfig::new(width).with_firmware(standard(settings));
        let number = world.add_host(host(ordinary)).unwrap();
        world.connect(number, number, WireConfig::default());
        let world = Rc::new(RefCell::new(world));
        let function = HostFunction::open(&world, number).unwrap();
        Raw { world, function, admin: None }
    }

    /// A card after a reset, with bus mastering on and its management rings set up, for polling.
    pub fn ready(width: u32, seed: u64) -> Raw {
        let mut raw = Raw::new(width, seed);
        raw.start();
        raw
    }

    pub fn start(&mut self) {
        self.set_bus_master(true);
        self.reset(0);
        self.set_up_admin(32, 16);
    }

    pub fn get(&self, register: u16) -> u32 {
        self.function.bar_read(0, register.into())
    }

    pub fn set(&self, register: impl Into<u64>, value: u32) {
        self.function.bar_write(0, register.into(), value);
    }

    /// Writes an address to two registers, low half first.
    pub fn set_address(&self, register: u16, address: u64) {
        self.set(register, address as u32);
        self.set(register + 4, (address >> 32) as u32);
    }

    pub fn step(&self, cycles: u64) {
        self.world.borrow_mut().step(cycles);
    }

    pub fn now(&self) -> u64 {
        self.world.borrow().now()
    }

    /// Runs the world until `done`; fails after the timeout.
    pub fn until<T>(&self, what: &str, done: impl FnMut() -> Option<T>) -> T {
        self.within(PATIENCE, done).unwrap_or_else(|| panic!("{what}: nothing came"))
    }

    pub fn within<T>(&self, cycles: u64, mut done: impl FnMut() -> Option<T>) -> Option<T> {
        let end = self.now() + cycles;
        loop {
            if let Some(result) = done() {
                return Some(result);
            }
            if self.now() >= end {
                return None;
            }
            self.step(32);
        }
    }

    pub fn memory(&self, len: usize, align: usize) -> Memory {
        self.function.alloc_dma(len, align).unwrap()
    }

    pub fn set_bus_master(&self, on: bool) {
        let command = self.function.config_read(4) & 0xffff;
        self.function.config_write(4, if on { command | 6 } else { command & !4 });
    }

    /// Performs the whole reset handshake.
    pub fn reset(&mut self, reason: u32) {
        assert_eq!(self.get(reg::DEV_STS) & READY, READY);
        self.set(reg::DEV_CTL, 1 | reason << 28);
        self.until("a reset begins", || {
            (self.get(reg::DEV_STS) & RESET_IN_PROGRESS != 0).then_some(())
        });
        self.set(reg::DEV_CTL, 0);
        self.until("a reset ends", || {
            (self.get(reg::DEV_STS) & RESET_IN_PROGRESS == 0).then_some(())
        });
        assert_eq!(self.get(reg::DEV_STS) & READY, READY);
        self.admin = None;
    }

    /// Sets up management rings of these depths, for polling, without credit for events.
    pub fn set_up_admin(&mut self, depth: u16, event_depth: u16) {
        let ring = |depth: u16| self.memory(usize::from(depth) * 64, 4096);
        let (commands, answers, events) = (ring(depth), ring(depth), ring(event_depth));
        self.set_address(reg::AQ_BASE, commands.iova());
        self.set_address(reg::ACQ_BASE, answers.iova());
        self.set(reg::AQ_CAPS, 64 << 16 | u32::from(depth));
        self.set(reg::ACQ_CAPS, 64 << 16 | u32::from(depth));
        self.set_address(reg::AENQ_BASE, events.iova());
        self.set(reg::AENQ_CAPS, 64 << 16 | u32::from(event_depth));
        self.set(reg::INTR_MASK, 1);
        self.admin = Some(Admin {
            depth,
            commands,
            answers,
            events,
            event_depth,
            submitted: 0,
            answered: 0,
            taken: 0,
        });
    }

    pub fn admin(&mut self) -> &mut Admin {
        self.admin.as_mut().expect("the management rings")
    }

    /// Writes the bytes of a command to the ring, with ID and phase, without a doorbell. Returns
    /// the ID.
    pub fn submit(&mut self, opcode: u8, bytes: &[u8]) -> u16 {
        let admin = self.admin();
        let slot = admin.submitted % admin.depth;
        let phase = u8::from((admin.submitted / admin.depth).is_multiple_of(2));
        let at = usize::from(slot) * 64;
        let entry = &mut admin.commands.as_mut_slice()[at..at + 64];
        entry[..bytes.len()].copy_from_slice(bytes);
        entry[..2].copy_from_slice(&slot.to_le_bytes());
        entry[2] = opcode;
        entry[3] = entry[3] & 0xfe | phase;
        admin.submitted = admin.submitted.wrapping_add(1);
        slot
    }

    pub fn ring_admin(&mut self) {
        let submitted = self.admin().submitted;
        self.set(reg::AQ_DB, submitted.into());
    }

    /// The next answer, if the card has written it.
    pub fn poll_answer(&mut self) -> Option<Entry> {
        let admin = self.admin();
        let at = usize::from(admin.answered % admin.depth) * 64;
        let phase = u8::from((admin.answered / admin.depth).is_multiple_of(2));
        let entry: Entry = admin.answers.as_slice()[at..at + 64].try_into().unwrap();
        if entry[3] & 1 != phase {
            return None;
        }
        admin.answered = admin.answered.wrapping_add(1);
        Some(entry)
    }

    /// The next event, if the card has written it.
    pub fn poll_event(&mut self) -> Option<Entry> {
        let admin = self.admin();
        let at = usize::from(admin.taken % admin.event_depth) * 64;
        let phase = u8::from((admin.taken / admin.event_depth).is_multiple_of(2));
        let entry: Entry = admin.events.as_slice()[at..at + 64].try_into().unwrap();
        if entry[4] & 1 != phase {
            return None;
        }
        admin.taken = admin.taken.wrapping_add(1);
        Some(entry)
    }

    pub fn answer(&mut self) -> Entry {
        let end = self.now() + PATIENCE;
        loop {
            if let Some(entry) = self.poll_answer() {
                return entry;
            }
            assert!(self.now() < end, "an answer does not come");
            self.step(32);
        }
    }

    /// Runs a command. Returns status and answer.
    pub fn command(&mut self, opcode: u8, bytes: &[u8]) -> (u8, Entry) {
        let id = self.submit(opcode, bytes);
        self.ring_admin();
        let answer = self.answer();
        assert_eq!(u16::from_le_bytes([answer[0], answer[1]]), id);
        (answer[2], answer)
    }

    /// Runs a GET_FEATURE or SET_FEATURE with this payload and this control buffer.
    pub fn feature(
        &mut self,
        opcode: u8,
        id: u8,
        version: u8,
        payload: &[u8],
        control: Option<(u64, u32)>,
    ) -> (u8, Entry) {
        let mut entry = [0; 64];
        if let Some((address, len)) = control {
            entry[3] = 4;
            entry[4..8].copy_from_slice(&len.to_le_bytes());
            entry[8..16].copy_from_slice(&address.to_le_bytes());
        }
        entry[17] = id;
        entry[18] = version;
        entry[20..20 + payload.len()].copy_from_slice(payload);
        self.command(opcode, &entry)
    }

    /// Runs CREATE_CQ as given. Returns the status, or the ID and the offset of the unmask
    /// register.
    pub fn create_cq(
        &mut self,
        words: u8,
        depth: u16,
        vector: u32,
        base: u64,
    ) -> Result<(u16, u32), u8> {
        let mut entry = [0; 20];
        entry[4] = 0x20;
        entry[5] = words;
        entry[6..8].copy_from_slice(&depth.to_le_bytes());
        entry[8..12].copy_from_slice(&vector.to_le_bytes());
        entry[12..20].copy_from_slice(&base.to_le_bytes());
        match self.command(CREATE_CQ, &entry) {
            (0, a) => Ok((
                u16::from_le_bytes([a[8], a[9]]),
                u32::from_le_bytes(a[20..24].try_into().unwrap()),
            )),
            (status, _) => Err(status),
        }
    }

    /// Runs CREATE_SQ as given. Returns the ID and the offset of the doorbell.
    pub fn create_sq(
        &mut self,
        direction: u8,
        depth: u16,
        cq: u16,
        base: u64,
    ) -> Result<(u16, u32), u8> {
        let mut entry = [0; 36];
        entry[4] = direction << 5;
        entry[6] = 1;
        entry[7] = 1;
        entry[8..10].copy_from_slice(&cq.to_le_bytes());
        entry[10..12].copy_from_slice(&depth.to_le_bytes());
        entry[12..20].copy_from_slice(&base.to_le_bytes());
        match self.command(CREATE_SQ, &entry) {
            (0, a) => Ok((
                u16::from_le_bytes([a[8], a[9]]),
                u32::from_le_bytes(a[12..16].try_into().unwrap()),
            )),
            (status, _) => Err(status),
        }
    }

    pub fn destroy_sq(&mut self, direction: u8, id: u16) -> u8 {
        let [low, high] = id.to_le_bytes();
        self.command(DESTROY_SQ, &[0, 0, 0, 0, low, high, direction << 5, 0]).0
    }

    pub fn destroy_cq(&mut self, id: u16) -> u8 {
        let [low, high] = id.to_le_bytes();
        self.command(DESTROY_CQ, &[0, 0, 0, 0, low, high, 0, 0]).0
    }

    /// Creates a queue with its completion queue.
    pub fn queue(&mut self, direction: u8, depth: u16, vector: u32) -> Queue {
        self.queue_at(direction, depth, vector, 0)
    }

    /// Creates a queue whose ring is `offset` bytes into a page.
    pub fn queue_at(&mut self, direction: u8, depth: u16, vector: u32, offset: usize) -> Queue {
        let words = if direction == TX { 2 } else { 4 };
        let cq = self.memory(usize::from(depth) * usize::from(words) * 4, 4096);
        let ring = self.memory(offset + usize::from(depth) * 16, 4096);
        let (cq_id, unmask) = self.create_cq(words, depth, vector, cq.iova()).unwrap();
        let base = ring.iova() + offset as u64;
        let (id, doorbell) = self.create_sq(direction, depth, cq_id, base).unwrap();
        let (tail, head) = (0, 0);
        Queue { direction, depth, ring, offset, id, doorbell, tail, cq, cq_id, unmask, head }
    }

    pub fn destroy(&mut self, queue: Queue) {
        assert_eq!(self.destroy_sq(queue.direction, queue.id), 0);
        assert_eq!(self.destroy_cq(queue.cq_id), 0);
    }

    /// Sets the indirection table: `queue(entry)` is the receive queue of each entry.
    pub fn steer(&mut self, queue: impl Fn(usize) -> u16) {
        let mut table = self.memory(512, 64);
        for (i, entry) in table.as_mut_slice().chunks_exact_mut(4).enumerate() {
            entry[..2].copy_from_slice(&queue(i).to_le_bytes());
        }
        let mut payload = [0; 12];
        payload[4] = 7;
        payload[8..].fill(0xff);
        let (status, _) = self.feature(SET_FEATURE, 12, 0, &payload, Some((table.iova(), 512)));
        assert_eq!(status, 0);
    }

    /// The card's counters, by name.
    pub fn counters(&mut self) -> Counters {
        let names = nitor_abi::mgmt::Counter::ALL;
        let buffer = self.memory(8 * names.len(), 64);
        let mut entry = [0; 32];
        entry[4..8].copy_from_slice(&(buffer.len() as u32).to_le_bytes());
        entry[8..16].copy_from_slice(&buffer.iova().to_le_bytes());
        entry[16] = 1;
        assert_eq!(self.command(GET_STATS, &entry).0, 0);
        let values = buffer.as_slice().as_chunks::<8>().0.iter().map(|v| u64::from_le_bytes(*v));
        Counters(names.iter().map(|counter| counter.name()).zip(values).collect())
    }

    pub fn assert_clean(&self) {
        self.world.borrow().assert_clean();
    }
}

/// Counters by name.
#[derive(Clone, Debug)]
pub struct Counters(Vec<(&'static str, u64)>);

impl Counters {
    pub fn of(&self, name: &str) -> u64 {
        self.0.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// The counters that differ from `before`, with the difference.
    pub fn since(&self, before: &Counters) -> Vec<(&'static str, u64)> {
        let differences = self.0.iter().zip(&before.0).map(|(now, then)| (now.0, now.1 - then.1));
        differences.filter(|(_, difference)| *difference != 0).collect()
    }
}

impl Queue {
    /// Writes a descriptor at the tail, without a doorbell.
    pub fn push(&mut self, words: [u32; 4]) {
        let at = self.offset + usize::from(self.tail % self.depth) * 16;
        // The word with the phase is written last.
        for i in [1, 2, 3, 0] {
            self.ring.store(at + 4 * i, words[i]);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    pub fn phase(&self) -> u32 {
        u32::from((self.tail / self.depth).is_multiple_of(2)) << 24
    }

    /// Pushes a packet in one piece.
    pub fn send(&mut self, req_id: u16, address: u64, len: usize) {
        self.send_pieces(req_id, &[(address, len)]);
    }

    pub fn send_pieces(&mut self, req_id: u16, pieces: &[(u64, usize)]) {
        let last = pieces.len() - 1;
        for (i, (address, len)) in pieces.iter().enumerate() {
            let mut word = *len as u32 | self.phase();
            let mut next = 0;
            if i == 0 {
                word |= u32::from(req_id >> 10) << 16 | 1 << 26 | 1 << 28;
                next = u32::from(req_id) << 22;
            }
            if i == last {
                word |= 1 << 27;
            }
            self.push([word, next, *address as u32, (*address >> 32) as u32]);
        }
    }

    /// Pushes a buffer for frames.
    pub fn post(&mut self, req_id: u16, address: u64, len: usize) {
        let word = len as u16 as u32 | 0x1c << 24 | self.phase();
        self.push([word, req_id.into(), address as u32, (address >> 32) as u32]);
    }

    /// Rings the doorbell for what was pushed.
    pub fn ring(&self, raw: &Raw) {
        raw.set(self.doorbell, self.tail.into());
    }

    /// The next completion entry, if the card has written it: 2 or 4 words.
    pub fn poll(&mut self) -> Option<Vec<u32>> {
        let words = if self.direction == TX { 2 } else { 4 };
        let at = usize::from(self.head % self.depth) * words * 4;
        let phase = u32::from((self.head / self.depth).is_multiple_of(2)) << 24;
        if self.cq.load::<u32>(at) & 1 << 24 != phase {
            return None;
        }
        self.head = self.head.wrapping_add(1);
        Some((0..words).map(|i| self.cq.load(at + 4 * i)).collect())
    }

    pub fn next(&mut self, raw: &Raw) -> Vec<u32> {
        let what = if self.direction == TX { "a TX completion" } else { "an RX completion" };
        raw.until(what, || self.poll())
    }
}

/// The request ID of a TX completion.
pub fn sent_id(entry: &[u32]) -> u16 {
    entry[0] as u16
}

/// The fields of an RX completion.
pub struct Received {
    pub req_id: u16,
    pub len: usize,
    pub first: bool,
    pub last: bool,
    pub hash: u32,
    pub flags: u32,
}

pub fn received(entry: &[u32]) -> Received {
    Received {
        req_id: (entry[1] >> 16) as u16,
        len: entry[1] as u16 as usize,
        first: entry[0] & 1 << 26 != 0,
        last: entry[0] & 1 << 27 != 0,
        hash: entry[2],
        flags: entry[0],
    }
}
