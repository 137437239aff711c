//! Fuzz target: frames on the wire. Good frames arrive once, byte for byte and in order; the rest
//! is counted.
#![no_main]

#[path = "harness/mod.rs"]
mod harness;
#[path = "../support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::collections::VecDeque;

use harness::{counting, Input, Shared, SEED};
use libfuzzer_sys::fuzz_target;
use support::raw::{received, Memory, Queue, Raw, RX};

const QUEUES: usize = 4;
const DEPTH: u16 = 64;
/// Bytes of a buffer: of a size that no frame is a multiple of.
const SLOT: usize = 1000;
/// MTU, Ethernet header, two VLAN tags.
const LONGEST: usize = 9216 + 14 + 8;

/// Headers to begin with.
const TEMPLATES: [&[u8]; 8] = [
    b"",
    b"\xff\xff\xff\xff\xff\xff\x02\x4e\x49\x54\x00\x01\x08\x06\x00\x01",
    b"\x02\x4e\x49\x54\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00\x45\x00\x00\x2e\x00\x00\x40\x00\x40\x11\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02",
    b"\x02\x4e\x49\x54\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00\x46\x00\x00\x32\x00\x00\x20\x00\x40\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02\x01\x01\x01\x01",
    b"\x02\x4e\x49\x54\x00\x01\x02\x00\x00\x00\x00\x02\x86\xdd\x60\x00\x00\x00\x00\x20\x06\x40\x20\x01",
    b"\x02\x4e\x49\x54\x00\x01\x02\x00\x00\x00\x00\x02\x86\xdd\x60\x00\x00\x00\x00\x20\x00\x40\x20\x01",
    b"\x02\x4e\x49\x54\x00\x01\x02\x00\x00\x00\x00\x02\x81\x00\x00\x07\x08\x00\x45\x00\x00\x2e",
    b"\x02\x4e\x49\x54\x00\x01\x02\x00\x00\x00\x00\x02\x88\xa8\x00\x07\x81\x00\x00\x08\x86\xdd\x60\x00",
];

struct Bench {
    raw: Raw,
    /// With their buffers, and what has come of a frame so far.
    queues: Vec<(Queue, Memory, Vec<u8>)>,
}

impl Bench {
    fn new() -> Bench {
        let mut raw = Raw::with(128, SEED, counting);
        raw.start();
        let mut queues = vec![];
        for _ in 0..QUEUES {
            let mut queue = raw.queue(RX, DEPTH, u32::MAX);
            let memory = raw.memory(usize::from(DEPTH) * SLOT, 64);
            for slot in 0..DEPTH - 1 {
                queue.post(slot, memory.iova() + u64::from(slot) * SLOT as u64, SLOT);
            }
            queue.ring(&raw);
            queues.push((queue, memory, vec![]));
        }
        let ids: Vec<u16> = queues.iter().map(|(queue, ..)| queue.id).collect();
        raw.steer(|entry| ids[entry % QUEUES]);
        raw.step(5_000);
        Bench { raw, queues }
    }

    /// Takes what has come; each frame is the next of those expected that has not come yet, whatever its queue.
    fn take(&mut self, missing: &mut VecDeque<Vec<u8>>) {
        let Bench { raw, queues } = self;
        for (queue, memory, frame) in queues {
            while let Some(entry) = queue.poll() {
                let entry = received(&entry);
                assert_eq!(entry.first, frame.is_empty());
                let at = usize::from(entry.req_id) * SLOT;
                frame.extend(&memory.as_slice()[at..at + entry.len]);
                queue.post(entry.req_id, memory.iova() + at as u64, SLOT);
                if entry.last {
                    let at = missing.iter().position(|wanted| wanted == frame);
                    assert!(at.is_some(), "{} bytes that were not sent: {frame:x?}", frame.len());
                    missing.remove(at.unwrap());
                    frame.clear();
                }
            }
            queue.ring(raw);
        }
    }
}

thread_local! {
    static FUZZ: RefCell<(Bench, Shared)> = RefCell::new((Bench::new(), Shared::new()));
}

// The card's model may have to be made first: longer than an input may take.
fuzz_target!(init: FUZZ.with(|_| ()), |data: &[u8]| {
    FUZZ.with_borrow_mut(|(bench, shared)| {
        let world = bench.raw.world.clone();
        shared.run(&world, || {
            let host = bench.raw.function.host();
            let before = bench.raw.counters();
            let mut input = Input(data);
            let mut missing = VecDeque::new();
            let mut bad = 0;
            while !input.is_empty() {
                let mut frame = input.pick(&TEMPLATES).to_vec();
                let changes = input.byte();
                for _ in 0..changes & 3 {
                    if !frame.is_empty() {
                        let at = usize::from(input.byte()) % frame.len();
                        frame[at] = input.byte();
                    }
                }
                let own = usize::from(changes >> 2 & 15) * 4;
                frame.extend(input.bytes(own));
                let len = match changes >> 6 {
                    0 => frame.len(),
                    1 => usize::from(input.byte()),
                    2 => 60,
                    _ => usize::from(input.half() % 10_000),
                };
                frame.resize(len.max(1), changes);
                let damaged = input.byte() == 0;
                bench.raw.world.borrow_mut().inject(host, 40, &frame, damaged);
                if damaged || frame.len() < 14 || frame.len() > LONGEST {
                    bad += 1;
                } else {
                    missing.push_back(frame.clone());
                }
                bench.raw.step(frame.len() as u64 / 8 + u64::from(input.byte() & 63));
                bench.take(&mut missing);
            }
            for _ in 0..80 {
                bench.raw.step(100);
                bench.take(&mut missing);
                if missing.is_empty() {
                    break;
                }
            }
            assert!(missing.is_empty(), "{} frames are lost", missing.len());
            let now = bench.raw.counters();
            let counted = now.of("rx_drops_bad_frame") - before.of("rx_drops_bad_frame");
            assert_eq!(counted, bad, "frames that had to be dropped");
            bench.raw.assert_clean();
        });
    });
});
