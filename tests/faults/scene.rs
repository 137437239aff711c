//! A card with two queue pairs: faults are injected into A; all frames of B must come back.

use std::collections::VecDeque;

use nitor_driver::pci::PciFunction;
use nitor_sim::checker::Rule;
use nitor_sim::faults::{self, Fault, When};
use nitor_sim::HostConfig;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::support::raw::{received, sent_id, Memory, Queue, Raw, RX, TX};

pub const DEPTH: u16 = 64;
/// Bytes of a buffer.
pub const SLOT: usize = 2048;
/// Frames of B under way.
const WINDOW: usize = 12;

/// A queue pair and its memory: slots to send from, and as many to receive into.
pub struct Pair {
    pub tx: Queue,
    pub rx: Queue,
    pub sending: Memory,
    pub receiving: Memory,
    next: u16,
}

pub struct Scene {
    pub raw: Raw,
    pub a: Pair,
    pub b: Pair,
    pub rng: ChaCha8Rng,
    /// Of B's frames, so that they go to B.
    port: u16,
}

impl Pair {
    fn new(raw: &mut Raw, vector: u32) -> Pair {
        let tx = raw.queue(TX, DEPTH, vector);
        let mut rx = raw.queue(RX, DEPTH, vector);
        let bytes = usize::from(DEPTH) * SLOT;
        let (sending, receiving) = (raw.memory(bytes, 4096), raw.memory(bytes, 4096));
        for slot in 0..DEPTH - 1 {
            rx.post(slot, receiving.iova() + u64::from(slot) * SLOT as u64, SLOT);
        }
        rx.ring(raw);
        Pair { tx, rx, sending, receiving, next: 0 }
    }

    /// Where slot `slot` to send from is.
    pub fn from(&self, slot: u16) -> u64 {
        self.sending.iova() + u64::from(slot % DEPTH) * SLOT as u64
    }

    /// Puts a frame into the next slot; the slot.
    pub fn place(&mut self, frame: &[u8]) -> u16 {
        let slot = self.next % (DEPTH - 1);
        self.next += 1;
        let at = usize::from(slot) * SLOT;
        self.sending.as_mut_slice()[at..at + frame.len()].copy_from_slice(frame);
        slot
    }

    /// Sends a frame; its request id.
    pub fn send(&mut self, raw: &Raw, frame: &[u8]) -> u16 {
        let slot = self.place(frame);
        self.tx.send(slot, self.from(slot), frame.len());
        self.tx.ring(raw);
        slot
    }

    /// The next frame, if one has come; its buffer is posted again.
    pub fn receive(&mut self, raw: &Raw) -> Option<Vec<u8>> {
        let entry = received(&self.rx.poll()?);
        assert!(entry.first && entry.last, "a frame in one buffer");
        let at = usize::from(entry.req_id) * SLOT;
        let frame = self.receiving.as_slice()[at..at + entry.len].to_vec();
        self.rx.post(entry.req_id, self.receiving.iova() + at as u64, SLOT);
        self.rx.ring(raw);
        Some(frame)
    }
}

/// A frame of no protocol that is hashed: it goes to entry 0 of the table, and so to A.
pub fn plain(rng: &mut impl Rng, len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    rng.fill_bytes(&mut frame);
    if len >= 14 {
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    }
    frame
}

impl Scene {
    pub fn new(width: u32, seed: u64, host: fn(HostConfig) -> HostConfig) -> Scene {
        let mut raw = Raw::with(width, seed, host);
        raw.start();
        let (a, b) = Self::pairs(&mut raw);
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let mut scene = Scene { raw, a, b, rng, port: 1000 };
        scene.steer();
        scene
    }

    fn pairs(raw: &mut Raw) -> (Pair, Pair) {
        let a = Pair::new(raw, u32::MAX);
        (a, Pair::new(raw, u32::MAX))
    }

    /// Entry 0 of the table to A, all others to B; and a flow that goes there.
    fn steer(&mut self) {
        let (a, b) = (self.a.rx.id, self.b.rx.id);
        self.raw.steer(|entry| if entry == 0 { a } else { b });
        let (mut at_a, mut at_b) = (true, false);
        while at_a || !at_b {
            self.port += 1;
            let frame = self.udp(100);
            self.b.send(&self.raw, &frame);
            self.b.tx.next(&self.raw);
            let Scene { raw, a, b, .. } = self;
            (at_a, at_b) = raw.until("a frame", || {
                let came = (a.receive(raw).is_some(), b.receive(raw).is_some());
                (came.0 || came.1).then_some(came)
            });
        }
    }

    fn udp(&mut self, len: usize) -> Vec<u8> {
        let mut frame = plain(&mut self.rng, len);
        frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
        frame[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
        frame[20..24].copy_from_slice(&[0x40, 0, 64, 17]);
        frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        frame[34..36].copy_from_slice(&self.port.to_be_bytes());
        frame[36..40].copy_from_slice(&[0, 9, ((len - 34) >> 8) as u8, (len - 34) as u8]);
        frame
    }

    /// B sends `count` frames and gets all of them back, whole and in order.
    pub fn others_go_on(&mut self, count: usize) {
        let mut missing: VecDeque<Vec<u8>> = VecDeque::new();
        let (mut sent, mut completed, mut came) = (0, 0, 0);
        let mut last = self.raw.now();
        while came < count || completed < count {
            while sent < count && missing.len() < WINDOW {
                let len = self.rng.random_range(60..1500);
                let frame = self.udp(len);
                self.b.send(&self.raw, &frame);
                missing.push_back(frame);
                sent += 1;
            }
            self.raw.step(32);
            while self.b.tx.poll().is_some() {
                completed += 1;
                last = self.raw.now();
            }
            while let Some(frame) = self.b.receive(&self.raw) {
                assert!(Some(frame) == missing.pop_front(), "B's frame number {came} is another");
                came += 1;
                last = self.raw.now();
            }
            let idle = self.raw.now() - last;
            assert!(idle < 500_000, "B stands still: {came} of {sent} came, {completed} completed");
        }
    }

    /// A frame goes out on A and comes back.
    pub fn a_works(&mut self) {
        let frame = plain(&mut self.rng, 777);
        let id = self.a.send(&self.raw, &frame);
        assert_eq!(sent_id(&self.a.tx.next(&self.raw)), id);
        let Scene { raw, a, .. } = self;
        let back = raw.until("A's frame", || a.receive(raw));
        assert!(back == frame, "A's frame is another");
    }

    /// A is destroyed and made again.
    pub fn make_a_anew(&mut self) {
        let fresh = Pair::new(&mut self.raw, u32::MAX);
        let old = std::mem::replace(&mut self.a, fresh);
        self.raw.destroy(old.tx);
        self.raw.destroy(old.rx);
        let (a, b) = (self.a.rx.id, self.b.rx.id);
        self.raw.steer(|entry| if entry == 0 { a } else { b });
    }

    /// The card is reset, and all is set up again.
    pub fn reset(&mut self) {
        self.raw.start();
        (self.a, self.b) = Self::pairs(&mut self.raw);
        // What was on the wire may still arrive, and be lost.
        self.raw.step(20_000);
        self.steer();
    }

    /// Answers to reads in A's memory to send from go wrong.
    pub fn fault_in_payload(&mut self, fault: Fault, when: When) {
        let start = self.a.sending.iova();
        self.fault(fault, when, start..start + self.a.sending.len() as u64);
    }

    pub fn fault(&mut self, fault: Fault, when: When, addresses: std::ops::Range<u64>) {
        let mut world = self.raw.world.borrow_mut();
        let host = self.raw.function.host();
        world.host_mut(host).root.faults.add(faults::Rule { fault, when, addresses });
    }

    pub fn no_more_faults(&mut self) {
        let mut world = self.raw.world.borrow_mut();
        world.host_mut(self.raw.function.host()).root.faults.clear();
    }

    /// A sends a frame, which completes, and is lost or not.
    pub fn send_on_a(&mut self, len: usize, arrives: bool) {
        let frame = plain(&mut self.rng, len);
        let id = self.a.send(&self.raw, &frame);
        self.others_go_on(6);
        assert_eq!(sent_id(&self.a.tx.next(&self.raw)), id);
        let Scene { raw, a, .. } = self;
        let back = raw.within(2_000, || a.receive(raw));
        let mut wanted = frame;
        wanted.resize(wanted.len().max(60), 0);
        assert!(back == arrives.then_some(wanted), "the frame should arrive: {arrives}");
    }

    pub fn root<T>(&self, with: impl FnOnce(&mut nitor_sim::root::RootComplex, u64) -> T) -> T {
        let mut world = self.raw.world.borrow_mut();
        let now = world.now();
        with(&mut world.host_mut(self.raw.function.host()).root, now)
    }

    pub fn assert_clean_but(&self, allowed: &[Rule]) {
        self.root(|root, _| {
            let others = root.checker.take();
            let others: Vec<_> = others.iter().filter(|v| !allowed.contains(&v.rule)).collect();
            assert!(others.is_empty(), "{others:#?}");
        });
    }

    pub fn bar(&self) -> u64 {
        self.root(|root, _| root.function.bars[0].expect("BAR 0").base)
    }

    pub fn function_level_reset(&mut self) {
        self.raw.function.reset().unwrap();
    }
}
