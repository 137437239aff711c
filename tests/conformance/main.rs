//! Conformance tests: what every ENA driver expects of a card, case by case. The numbers are those
//! of the list in docs/ena-conformance.md, which these tests write.
//!
//! The tests do not use the driver of this project. Registers, commands and descriptors are bare
//! words, as other drivers write them.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod aenq;
mod document;
mod features;
mod golden;
mod interrupts;
mod llq;
mod offloads;
mod pci;
mod queues;
mod reset;
mod rx;
mod soak;
mod stats;

use nitor_driver::pci::PciFunction;
use support::raw::{reg, Memory, Queue, Raw, RX, TX};

pub const WIDTHS: [u32; 2] = [128, 512];

pub fn seed(case: u64) -> u64 {
    support::seed(5000 + case)
}

/// Registers read without reading: by a request, and an answer in memory.
pub struct Readless {
    pub answer: Memory,
    id: u16,
}

impl Readless {
    pub fn new(raw: &Raw) -> Readless {
        let answer = raw.memory(64, 64);
        raw.set_address(reg::MMIO_RESP, answer.iova());
        Readless { answer, id: 0 }
    }

    /// The value, with id and offset checked.
    pub fn read(&mut self, raw: &Raw, register: u16) -> u32 {
        self.id = self.id.wrapping_add(1);
        self.answer.store::<u16>(0, self.id.wrapping_add(0xdead));
        raw.set(reg::MMIO_REG_READ, u32::from(register) << 16 | u32::from(self.id));
        raw.until("a readless answer", || (self.answer.load::<u16>(0) == self.id).then_some(()));
        assert_eq!(self.answer.load::<u16>(2), register);
        self.answer.load(4)
    }
}

/// A queue pair with buffers to send from and to receive into, all posted.
pub struct Pair {
    pub tx: Queue,
    pub rx: Queue,
    pub memory: Memory,
    pub buffers: Memory,
    pub buffer_len: usize,
}

impl Pair {
    pub fn new(raw: &mut Raw, depth: u16, vector: u32, buffer_len: usize) -> Pair {
        let tx = raw.queue(TX, depth, vector);
        let mut rx = raw.queue(RX, depth, vector);
        let memory = raw.memory(0x10000, 4096);
        let buffers = raw.memory(usize::from(depth) * buffer_len, 4096);
        for slot in 0..depth - 1 {
            rx.post(slot, buffers.iova() + u64::from(slot) * buffer_len as u64, buffer_len);
        }
        rx.ring(raw);
        let id = rx.id;
        raw.steer(|_| id);
        Pair { tx, rx, memory, buffers, buffer_len }
    }

    /// Sends `frame`, whose bytes lie at offset `at` of the memory.
    pub fn send(&mut self, raw: &Raw, req_id: u16, at: usize, frame: &[u8]) {
        self.memory.as_mut_slice()[at..at + frame.len()].copy_from_slice(frame);
        self.tx.send(req_id, self.memory.iova() + at as u64, frame.len());
        self.tx.ring(raw);
    }

    /// Receives a frame: its bytes and its last entry. Buffers are posted again.
    pub fn receive(&mut self, raw: &Raw) -> (Vec<u8>, support::raw::Received) {
        let mut frame = vec![];
        loop {
            let entry = support::raw::received(&self.rx.next(raw));
            assert_eq!(entry.first, frame.is_empty());
            let at = usize::from(entry.req_id) * self.buffer_len;
            frame.extend(&self.buffers.as_slice()[at..at + entry.len]);
            assert!(
                entry.last || entry.len == self.buffer_len,
                "a buffer is filled before the next"
            );
            self.rx.post(entry.req_id, self.buffers.iova() + at as u64, self.buffer_len);
            if entry.last {
                self.rx.ring(raw);
                return (frame, entry);
            }
        }
    }

    /// A frame out and back again.
    pub fn works(&mut self, raw: &Raw) {
        let frame = ethernet(300);
        self.send(raw, 1, 0, &frame);
        assert_eq!(support::raw::sent_id(&self.tx.next(raw)), 1);
        assert!(self.receive(raw).0 == frame);
    }
}

/// A frame that tells its bytes apart.
pub fn ethernet(len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
    frame[..12].copy_from_slice(&[2, 0x4e, 0x49, 0x54, 0, 1, 2, 0, 0, 0, 0, 9]);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}

/// UDP over IPv4 from this port.
pub fn udp(len: usize, port: u16) -> Vec<u8> {
    let mut frame = ethernet(len);
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    frame[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
    frame[18..24].copy_from_slice(&[0, 0, 0x40, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..36].copy_from_slice(&port.to_be_bytes());
    frame[36..38].copy_from_slice(&9u16.to_be_bytes());
    frame
}

/// TLPs with which the card has written or read memory, and interrupts.
pub fn dma(raw: &Raw) -> u64 {
    let world = raw.world.borrow();
    let up = world.host(raw.function.host()).root.stats.upstream;
    up.reads.tlps + up.writes.tlps + up.interrupts.tlps
}

/// Interrupts of this vector since the last look.
pub fn fired(raw: &Raw) -> Vec<u16> {
    raw.function.take_interrupts().iter().collect()
}

/// How often each vector fired, in all.
pub fn counts(raw: &Raw, vector: usize) -> u64 {
    let world = raw.world.borrow();
    world.host(raw.function.host()).root.interrupts.counts().get(vector).copied().unwrap_or(0)
}
