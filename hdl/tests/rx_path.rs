//! The whole receive path; `rx_support/bench.rs` has the checks of every cycle.

mod rx_support;

use nitor_block::Model;
use nitor_hdl::rx::Classifier;
use proptest::prelude::*;
use rx_support::bench::{Bench, Setup};
use rx_support::{config, frames, model_of, Path128, Rng, PATH128, PATH512};

/// A receive path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Path {
    /// Bytes a beat.
    k: usize,
    serial: bool,
}

const WIDE128: Path = Path { k: 16, serial: false };
const WIDE512: Path = Path { k: 64, serial: false };
const SERIAL128: Path = Path { k: 16, serial: true };
const PATHS: [Path; 3] = [WIDE128, WIDE512, SERIAL128];

impl Path {
    fn model(self) -> &'static Model {
        match self {
            SERIAL128 => &rx_support::SERIAL128,
            WIDE128 => &PATH128,
            _ => &PATH512,
        }
    }

    /// What the model has.
    fn queues(self) -> usize {
        match self.k {
            16 => 4,
            _ => 16,
        }
    }

    /// Of its RX buffer.
    fn rows(self) -> usize {
        match self.k {
            16 => 1024,
            _ => 512,
        }
    }

    /// Thousandths of bytes a cycle: 25 and 100 Gb/s at 250 MHz, a gigabit at 50.
    fn wire_rate(self) -> u64 {
        match self {
            WIDE128 => 12_500,
            WIDE512 => 50_000,
            _ => 2_500,
        }
    }

    fn fast(self, latency: u64) -> Setup {
        let Path { k, serial } = self;
        // A small card's wire is a gigabit: a beat in 6.4 cycles.
        let mac_gap = if serial { 85 } else { 0 };
        Setup { serial, mac_gap, checksums: !serial, ..Setup::fast(k, latency) }
    }
}

/// Frames of all kinds: packets, broken ones, minimum size, jumbo.
fn any_frame(rng: &mut Rng, longest: u64) -> Vec<u8> {
    let payload = match rng.below(8) {
        0 => rng.below(longest - 200),
        1 | 2 => rng.below(1400),
        _ => rng.below(120),
    };
    match rng.below(6) {
        0 => frames::broken(rng),
        1 => frames::damaged(rng, payload as usize),
        2 => frames::chained(rng),
        _ => frames::packet(rng, payload as usize).0,
    }
}

#[test]
fn one_frame() {
    for path in PATHS {
        let mut bench = Bench::new(path.model(), path.fast(100));
        bench.create(0, 4);
        bench.spread(&[0]);
        bench.post(0, 2048);
        bench.ring(0);
        bench.settle();
        let frame = frames::packet(&mut Rng(5), 50).0;
        bench.send(&frame);
        bench.finish();
        assert_eq!(bench.delivered(0), 1);
        assert_eq!(bench.bytes, frame.len() as u64);
        assert_eq!(bench.count("stat_doorbell"), 1);
    }
}

/// Built without checksums: whatever the frame, its header is not verified, and its payload not checked.
#[test]
fn without_checksums() {
    let classifier = Classifier::Wide { steps: 1, checksums: false };
    let model = model_of(move || Path128::new(classifier, false), "rx_path_plain");
    let mut bench = Bench::new(&model, Setup { checksums: false, ..WIDE128.fast(100) });
    let mut rng = Rng(12);
    bench.create(0, 4);
    bench.spread(&[0]);
    bench.refill(0, 15, 1, (1000, 2000));
    for _ in 0..100 {
        bench.send(&match rng.below(2) {
            0 => frames::packet(&mut rng, 60).0,
            _ => frames::damaged(&mut rng, 60),
        });
    }
    bench.finish();
    assert!(bench.delivered(0) > 80);
}

#[derive(Clone, Debug)]
struct Case {
    path: Path,
    setup: Setup,
    /// log2 of each queue's depth.
    logs: Vec<u32>,
    sizes: (u64, u64),
    target: usize,
    frames: u64,
}

fn cases(path: Path) -> impl Strategy<Value = Case> {
    let setup = (
        any::<u64>(),
        0..6u64,
        prop_oneof![Just((1, 1)), Just((100, 120)), Just((250, 700)), Just((20, 1500))],
        prop_oneof![Just(64u64), Just(128), Just(512)],
        prop_oneof![Just(0u64), 0..95u64],
        (
            prop_oneof![Just(0u64), 0..90u64],
            prop_oneof![Just(0u64), 0..90u64],
            prop_oneof![Just(0u64), 0..90u64],
        ),
    );
    let setup = setup.prop_map(
        move |(seed, mps, latency, max_read, mac_gap, (tx_stall, done_stall, fetch_stall))| Setup {
            seed,
            mps,
            latency,
            max_read,
            mac_gap,
            tx_stall,
            done_stall,
            fetch_stall,
            ..path.fast(0)
        },
    );
    let sizes = prop_oneof![
        Just((1u64, 80u64)),
        Just((64, 64)),
        Just((1664, 3712)),
        Just((2048, 2048)),
        Just((600, 65536)),
    ];
    (setup, prop::collection::vec(0..9u32, 1..5), sizes, 1..200usize, 1..150u64).prop_map(
        move |(setup, logs, sizes, target, frames)| Case {
            path,
            setup,
            logs,
            sizes,
            target,
            frames,
        },
    )
}

/// Random everything; whatever can't be stored or covered is counted, the rest arrives.
fn traffic(case: Case) {
    let path = case.path;
    let mut rng = Rng(case.setup.seed ^ 1);
    let mut bench = Bench::new(path.model(), case.setup.clone());
    let all: Vec<usize> = (0..case.logs.len()).map(|i| i * 5 % path.queues()).collect();
    for (&queue, &log) in all.iter().zip(&case.logs) {
        bench.create(queue, log);
        let depth = 1usize << log;
        let target = case.target.min(depth);
        let batch = rng.range(1, target as u64) as usize;
        bench.refill(queue, target, batch, case.sizes);
    }
    bench.spread(&all);
    for _ in 0..case.frames {
        let frame = any_frame(&mut rng, 9000);
        let err = rng.below(30) == 0;
        bench.send_as(&frame, err);
        if rng.below(10) == 0 {
            let pause = rng.below(2000);
            bench.run(pause);
        }
    }
    bench.finish();
    assert_eq!(bench.count("stat_doorbell_illegal"), 0);
    assert_eq!(bench.count("stat_fetch_error"), 0);
    for &queue in &all {
        bench.destroy(queue);
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn traffic_128(case in cases(WIDE128)) {
        traffic(case);
    }

    #[test]
    fn traffic_serial(case in cases(SERIAL128)) {
        traffic(case);
    }

    #[test]
    fn traffic_512(case in cases(WIDE512)) {
        traffic(case);
    }
}

/// With buffers enough and a wire not faster than the host nothing is lost.
#[test]
fn nothing_is_lost() {
    for path in PATHS {
        let mut rng = Rng(77);
        let mut bench = Bench::new(
            path.model(),
            Setup { mac_gap: if path.serial { 90 } else { 85 }, ..path.fast(300) },
        );
        let all: Vec<usize> = (0..path.queues()).collect();
        for &queue in &all {
            bench.create(queue, 8);
            bench.refill(queue, 255, 16, (1664, 3712));
        }
        bench.spread(&all);
        bench.settle();
        for _ in 0..1000 {
            let frame = any_frame(&mut rng, 9000);
            bench.send(&frame);
        }
        bench.finish();
        assert_eq!(bench.count("stat_frame"), 1000);
        assert!(all.iter().all(|&queue| bench.delivered(queue) > 0));
    }
}

/// A frame of 60 bytes.
fn least(rng: &mut Rng) -> Vec<u8> {
    let mut frame = frames::packet(rng, 10).0;
    frame.resize(60, 0);
    frame
}

/// While the host takes nothing, frames wait until the buffer has no row left for them: small ones alone, behind long ones, all lengths mixed.
/// Only what comes then is dropped.
#[test]
fn as_many_wait_as_the_buffer_holds() {
    for path in PATHS {
        for long in [&[][..], &[9000], &[9216, 5000], &[4000, 1514, 61, 2000]] {
            let mut rng = Rng(50);
            let mut bench = Bench::new(path.model(), path.fast(250));
            bench.create(0, 9);
            bench.refill(0, 511, 16, (2048, 2048));
            bench.spread(&[0]);
            bench.settle();
            bench.setup.tx_stall = 100;
            let rows = |len: usize| len.div_ceil(path.k);
            let mut left = path.rows();
            for &len in long {
                bench.send(&rng.bytes(len));
                left -= rows(len);
                while long.len() > 2 && left % 5 != 0 {
                    let len = rng.range(60, 250) as usize;
                    bench.send(&rng.bytes(len));
                    left -= rows(len);
                }
            }
            for _ in 0..left / rows(60) {
                bench.send(&least(&mut rng));
            }
            bench.run_until("all came", |b| b.wire_len() == 0);
            bench.run(100);
            assert_eq!(bench.count("stat_drop_no_room"), 0, "{path:?} {long:?}");
            // Some are in front of the host already, and their rows free.
            for _ in 0..60 {
                bench.send(&least(&mut rng));
            }
            bench.run_until("all came", |b| b.wire_len() == 0);
            bench.run(100);
            let over = bench.count("stat_drop_no_room");
            assert!((30..=60).contains(&over), "{path:?} {long:?}: {over} of 60");
            bench.setup.tx_stall = 0;
            bench.finish();
            assert_eq!(bench.delivered(0), bench.sent - over);
        }
    }
}

/// Any mix of lengths at the wire's rate, runs of short frames behind long ones above all: nothing is lost.
#[test]
fn any_mix_at_the_wires_rate() {
    for path in PATHS {
        for seed in 0..3 {
            let mut rng = Rng(70 + seed);
            let setup =
                Setup { seed, mac_gap: 0, wire_rate: path.wire_rate(), mps: 2, ..path.fast(250) };
            let mut bench = Bench::new(path.model(), setup);
            bench.create(0, 9);
            bench.refill(0, 511, 16, (3712, 3712));
            bench.spread(&[0]);
            bench.settle();
            let mut left: u64 = if path.serial { 100_000 } else { 400_000 };
            while left > 0 {
                let (count, lens) = match rng.below(3) {
                    0 => (rng.range(1, 3), (4000, 9216)),
                    1 => (rng.range(1, 200), (60, 64)),
                    _ => (rng.range(1, 16), (60, 1514)),
                };
                for _ in 0..count {
                    let len = rng.range(lens.0, lens.1);
                    bench.send(&rng.bytes(len as usize));
                    left = left.saturating_sub(len);
                }
            }
            bench.finish();
            assert_eq!(bench.count("stat_drop_no_room"), 0, "{path:?} {seed}");
            assert_eq!(bench.delivered(0), bench.sent);
        }
    }
}

/// Frames shorter than the wire allows use up the places before the rows: what is beyond is dropped and counted, the rest in its order.
#[test]
fn tiny_frames_without_end() {
    for path in PATHS {
        let mut rng = Rng(51);
        let mut bench = Bench::new(path.model(), Setup { mac_gap: 0, ..path.fast(100) });
        bench.create(0, 9);
        bench.refill(0, 511, 16, (128, 128));
        bench.spread(&[0]);
        bench.settle();
        bench.setup.tx_stall = 90;
        for _ in 0..4 * path.rows() {
            let len = rng.range(14, 16) as usize;
            bench.send(&rng.bytes(len));
        }
        bench.run_until("all came", |b| b.wire_len() == 0);
        bench.setup.tx_stall = 0;
        bench.finish();
        let over = bench.count("stat_drop_no_room");
        assert!(over > 0);
        assert_eq!(bench.delivered(0), bench.sent - over);
    }
}

/// Case 46: no buffer, a drop that is counted; with buffers again, frames again.
#[test]
fn case_46_out_of_descriptors_and_back() {
    for path in PATHS {
        let mut rng = Rng(3);
        let mut bench = Bench::new(path.model(), path.fast(250));
        bench.create(1, 3);
        bench.spread(&[1]);
        for round in 0..5 {
            for _ in 0..7 {
                bench.post(1, 128);
            }
            bench.ring(1);
            bench.settle();
            for _ in 0..20 {
                bench.send(&frames::packet(&mut rng, 100).0[..120]);
            }
            bench.finish();
            assert_eq!(bench.delivered(1), 7 * (round + 1));
            assert_eq!(bench.count("stat_drop_no_descriptor"), 13 * (round + 1));
        }
        // Not enough of them is none of them.
        for _ in 0..3 {
            bench.post(1, 500);
        }
        bench.ring(1);
        bench.settle();
        bench.send(&rng.bytes(1501));
        bench.send(&rng.bytes(1500));
        bench.finish();
        assert_eq!(bench.delivered(1), 36);
    }
}

/// A frame that needs two buffers waits for the second, which is on its way to the card.
#[test]
fn a_frame_waits_for_its_second_buffer() {
    for path in PATHS {
        let mut rng = Rng(5);
        let mut bench = Bench::new(path.model(), path.fast(400));
        bench.create(0, 6);
        bench.spread(&[0]);
        for round in 1..=5 {
            bench.post(0, 100);
            bench.ring(0);
            bench.settle();
            bench.post(0, 100);
            bench.ring(0);
            bench.run(100);
            bench.send(&rng.bytes(150));
            bench.finish();
            assert_eq!(bench.delivered(0), round, "{path:?}");
        }
        assert_eq!(bench.count("stat_drop_no_descriptor"), 0);
    }
}

/// Case 49: a frame that needs more buffers than the limit is dropped, one that needs as many is not.
#[test]
fn case_49_no_more_buffers_than_the_limit() {
    for path in PATHS {
        let mut rng = Rng(4);
        let mut bench = Bench::new(path.model(), path.fast(250));
        bench.create(0, 6);
        bench.spread(&[0]);
        for _ in 0..40 {
            bench.post(0, 70);
        }
        bench.ring(0);
        bench.settle();
        bench.send(&rng.bytes(16 * 70 + 1));
        bench.send(&rng.bytes(16 * 70));
        bench.finish();
        assert_eq!((bench.delivered(0), bench.posted(0)), (1, 24));
        assert_eq!(bench.count("stat_drop_no_descriptor"), 1);
    }
}

/// Frames without a queue, or without a valid table entry.
#[test]
fn no_queue() {
    for path in PATHS {
        let mut rng = Rng(9);
        let mut bench = Bench::new(path.model(), path.fast(50));
        let frame = frames::packet(&mut rng, 80).0;
        bench.send(&frame); // no entry is valid out of reset
        bench.finish();
        bench.spread(&[2]);
        bench.send(&frame); // no such queue
        bench.spread(&[200]);
        bench.send(&frame); // beyond what there can be
        bench.finish();
        assert_eq!(bench.count("stat_drop_no_queue"), 3);
    }
}

/// Doorbells that no driver rings, each followed by proof that the queue still works.
#[test]
fn illegal_doorbells() {
    for path in PATHS {
        let mut bench = Bench::new(path.model(), path.fast(50));
        bench.create(3, 3);
        bench.spread(&[3]);
        bench.raw_bell(2, 1); // absent
        bench.raw_bell(255, 1); // beyond what there can be
        bench.settle();
        let mut illegal = 2;
        assert_eq!(bench.count("stat_doorbell_illegal"), illegal);
        for round in 0..4u16 {
            for _ in 0..4 {
                bench.post(3, 256);
            }
            bench.ring(3);
            let tail = bench.tail(3);
            for wrong in [
                tail.wrapping_add(5),
                tail.wrapping_sub(1),
                tail ^ 0x8000,
                tail.wrapping_sub(round + 2),
            ] {
                bench.raw_bell(3, wrong);
                illegal += 1;
            }
            bench.ring(3); // again the same: legal
            bench.settle();
            assert_eq!(bench.count("stat_doorbell_illegal"), illegal);
            for _ in 0..4 {
                bench.send(&frames::packet(&mut Rng(1), 100).0);
            }
            bench.finish();
            assert_eq!(bench.delivered(3), 4 * (u64::from(round) + 1));
        }
    }
}

/// Case 37: the free-running tail wraps at 65536, at every depth.
#[test]
fn case_37_tail_wraps() {
    for log in [0, 2, 9] {
        let mut rng = Rng(12);
        let mut bench = Bench::new(WIDE512.model(), WIDE512.fast(10));
        bench.create(0, log);
        bench.spread(&[0]);
        let (depth, sent) = (1 << log, if log == 0 { 300 } else { 66_000 });
        bench.refill(0, depth, (depth / 2).max(1), (64, 64));
        for _ in 0..sent / 10 {
            for _ in 0..10 {
                bench.send(&rng.bytes(60));
            }
            bench.run_until("there is room", |b| b.wire_len() < 20);
        }
        bench.finish();
        assert_eq!(bench.count("stat_doorbell_illegal"), 0);
    }
}

/// A failed fetch breaks its queue and no other; created again it works.
#[test]
fn dma_error_breaks_one_queue() {
    for path in PATHS {
        let mut rng = Rng(21);
        let mut bench =
            Bench::new(path.model(), Setup { mac_gap: 70, max_read: 64, ..path.fast(200) });
        bench.poison = Some(1);
        for queue in [0, 1] {
            bench.create(queue, 6);
            bench.refill(queue, 60, 10, (2048, 2048));
        }
        bench.spread(&[0, 1]);
        for _ in 0..400 {
            bench.send(&frames::packet(&mut rng, 60).0);
        }
        bench.finish();
        assert!(bench.count("stat_fetch_error") > 0);
        assert_eq!(bench.delivered(1), 0);
        assert_eq!(bench.delivered(0) + bench.count("stat_drop_dma_error"), 400);
        assert!(bench.delivered(0) > 100);
        bench.poison = None;
        bench.destroy(1);
        bench.create(1, 5);
        bench.refill(1, 30, 10, (2048, 2048));
        bench.settle();
        let before = bench.count("stat_frame");
        for _ in 0..100 {
            bench.send(&frames::packet(&mut rng, 60).0);
        }
        bench.finish();
        assert_eq!(bench.count("stat_frame"), before + 100);
        assert!(bench.delivered(1) > 0);
    }
}

/// A fetch that never ends costs its queue's frames and one wait, and the other queues nothing more.
#[test]
fn lost_fetch_stalls_one_queue() {
    for path in PATHS {
        let mut rng = Rng(22);
        let mac_gap = if path.k == 16 { 50 } else { 90 };
        let mut bench = Bench::new(path.model(), Setup { mac_gap, ..path.fast(200) });
        for queue in [0, 1] {
            bench.create(queue, 7);
        }
        bench.spread(&[0, 1]);
        bench.lose = Some(1);
        for queue in [0, 1] {
            bench.refill(queue, 127, 10, (2048, 2048));
        }
        bench.settle();
        bench.send(&frames::packet(&mut rng, 60).0);
        bench.send(&frames::packet(&mut rng, 60).0);
        bench.send(&frames::packet(&mut rng, 60).0);
        bench.finish();
        let start = bench.block.cycles();
        for _ in 0..1000 {
            bench.send(&frames::packet(&mut rng, 60).0);
        }
        bench.finish();
        assert_eq!(bench.delivered(0) + bench.count("stat_drop_no_descriptor"), 1003);
        assert_eq!(bench.count("stat_drop_no_room"), 0);
        assert!(bench.delivered(0) > 300);
        assert!(bench.block.cycles() - start < 40_000);
    }
}

/// A queue destroyed and created again under traffic for it and for another.
#[test]
fn destroy_under_traffic() {
    for path in PATHS {
        let mut rng = Rng(31);
        let mut bench =
            Bench::new(path.model(), Setup { mac_gap: 60, tx_stall: 20, ..path.fast(300) });
        bench.create(0, 7);
        bench.refill(0, 120, 8, (256, 2048));
        bench.spread(&[0, 1]);
        for round in 0..12 {
            bench.create(1, 3 + round % 5);
            bench.refill(1, 8, 4, (256, 2048));
            for _ in 0..60 {
                bench.send(&frames::packet(&mut rng, 60).0);
            }
            let pause = rng.below(3000);
            bench.run(pause);
            bench.destroy(1);
        }
        bench.finish();
        assert!(bench.delivered(0) > 200);
        let done = bench.count("stat_frame")
            + bench.count("stat_drop_no_queue")
            + bench.count("stat_drop_no_descriptor");
        assert_eq!(done + bench.count("stat_drop_no_room"), 720);
    }
}

/// A queue created in the cycle in which another's descriptors arrive.
#[test]
fn create_while_fetches_arrive() {
    for path in PATHS {
        let mut rng = Rng(32);
        let mut bench = Bench::new(path.model(), path.fast(60));
        bench.create(0, 9);
        bench.refill(0, 500, 4, (256, 2048));
        bench.spread(&[0]);
        for _ in 0..300 {
            for _ in 0..8 {
                bench.send(&frames::packet(&mut rng, 60).0);
            }
            bench.create(1, 5);
            bench.destroy(1);
        }
        bench.finish();
        assert_eq!(bench.delivered(0), 2400);
    }
}

/// Reset in the middle of frames, fetches and writes; the table and the key stay.
#[test]
fn reset_under_traffic() {
    for path in PATHS {
        let mut rng = Rng(41);
        let mut bench =
            Bench::new(path.model(), Setup { tx_stall: 30, mac_gap: 30, ..path.fast(200) });
        bench.spread(&[0, 1]);
        for _ in 0..10 {
            for queue in [0, 1] {
                bench.create(queue, 6);
                bench.refill(queue, 60, 10, (300, 2048));
            }
            for _ in 0..50 {
                bench.send(&any_frame(&mut rng, 4000));
            }
            let pause = 500 + rng.below(3000);
            bench.run(pause);
            bench.core_reset();
            // What is left on the wire finds no queue, the rest of a frame is none.
            bench.run_until("the wire is empty", |b| b.wire_len() == 0);
            bench.settle();
            let settled = bench.settled();
            bench.sent = settled;
        }
        for queue in [0, 1] {
            bench.create(queue, 6);
            bench.refill(queue, 60, 10, (2048, 2048));
        }
        bench.settle();
        let before = bench.count("stat_frame");
        for _ in 0..20 {
            bench.send(&frames::packet(&mut rng, 60).0);
        }
        bench.finish();
        assert_eq!(bench.count("stat_frame"), before + 20);
        assert_eq!(bench.read(0x400), bench.table[0]);
    }
}

/// Case 45: one ring of mixed sizes, 9 KB frames.
#[test]
fn case_45_mixed_buffers() {
    let mut rng = Rng(45);
    let mut bench = Bench::new(WIDE512.model(), Setup { mac_gap: 70, ..WIDE512.fast(300) });
    bench.create(0, 8);
    bench.refill(0, 255, 16, (1664, 3712));
    bench.spread(&[0]);
    bench.settle();
    for _ in 0..200 {
        bench.send(&rng.bytes(9000));
    }
    bench.finish();
    assert_eq!(bench.delivered(0), 200);
}

/// Cycles between the middle deliveries, a frame; the wire is never idle.
fn cycles_a_frame(latency: u64, queue_count: usize, frames: u64) -> f64 {
    let mut rng = Rng(60);
    let mut bench = Bench::new(WIDE512.model(), WIDE512.fast(latency));
    let all: Vec<usize> = (0..queue_count).collect();
    for &queue in &all {
        bench.create(queue, 9);
        bench.refill(queue, 511, 16, (2048, 2048));
    }
    bench.spread(&all);
    bench.settle();
    for _ in 0..frames {
        let mut frame = frames::packet(&mut rng, 10).0;
        frame.resize(60, 0);
        bench.send(&frame);
        // Fast enough to keep it busy, not so fast that all is dropped.
        bench.run(2);
    }
    bench.finish();
    let d = &bench.deliveries;
    let (a, b) = (d.len() / 3, d.len() * 9 / 10);
    let tlps = bench.tlps as f64 / d.len() as f64;
    let rate = (d[b] - d[a]) as f64 / (b - a) as f64;
    println!("60 bytes, {queue_count} queues, latency {latency}: {rate:.2} cycles a frame, {tlps:.2} writes, \
        {:.3} fetches, {} of {frames} delivered", bench.fetches as f64 / d.len() as f64, d.len());
    rate
}

#[test]
fn small_frames_are_fast() {
    for latency in [250, 500] {
        for queues in [1, 4, 16] {
            let rate = cycles_a_frame(latency, queues, 6000);
            assert!(rate <= 5.0, "{rate} cycles a frame at {latency} cycles over {queues} queues");
        }
    }
}

#[test]
fn large_frames_are_fast() {
    for (mps, size, align) in
        [(1, 2048, 0), (2, 2048, 0), (1, 9216, 2), (2, 4096, 64 + 2), (2, 3712, 64)]
    {
        let mut rng = Rng(90);
        let mut bench = Bench::new(WIDE512.model(), Setup { mps, ..WIDE512.fast(500) });
        bench.create(0, 9);
        bench.spread(&[0]);
        for i in 0..511u64 {
            bench.post_at(0, 0x40_0000_0000 + i * 16384 + align, size);
        }
        bench.ring(0);
        bench.settle();
        let frames = 80;
        for _ in 0..frames {
            bench.send(&rng.bytes(9000));
        }
        bench.finish();
        let d = &bench.deliveries;
        let (a, b) = (d.len() / 5, d.len() - 1);
        let rate = (9000 * (b - a)) as f64 / (d[b] - d[a]) as f64;
        println!("9000 bytes, {size}-byte buffers at +{align}, payload {}: {rate:.1} bytes a cycle, {} of {frames}",
            128 << mps, d.len());
        assert!(rate >= 55.0, "{rate} bytes a cycle");
    }
}
