//! The DMA read engine between four clients and a completer that answers as it likes.

mod pcie_support;

use pcie_support::reads::{completion, model, read_of, requests, Bench, Request, Setup, REQUESTER};
use pcie_support::{cases, Rng, READ128, READ512, READ_SMALL, TIMEOUT};
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases(40))]

    /// Everything arrives in its place, once, whatever the order; what fails is said to.
    #[test]
    fn any_requests(
        seed: u64,
        wide: bool,
        mrrs in 0u64..6,
        ext_tag: bool,
        idle in 0u64..90,
        stall in 0u64..80,
        gap in 0u64..80,
        split in 0u64..100,
        faulty: bool,
    ) {
        let (model, k) = model(wide);
        let mut rng = Rng(seed);
        let latency = (rng.range(1, 50), rng.range(50, 400));
        let faults = if faulty { [5, 5, 10, 0, 10] } else { [0; 5] };
        let setup = Setup { mrrs, ext_tag, latency, idle, stall, gap, split, faults, switching: 0 };
        let mut bench = Bench::new(model, k, setup, seed);
        for request in requests(&mut rng, 60, 5000) {
            bench.ask(request);
        }
        bench.run(200_000);
        bench.nothing_besides();
        prop_assert!(faulty || bench.failed == 0);
    }

    /// With 16 tags, and reads that take two cycles.
    #[test]
    fn small(
        seed: u64, idle in 0u64..90, stall in 0u64..80, split in 0u64..100,
        switching in 0u64..10,
    ) {
        let setup = Setup { idle, stall, split, latency: (20, 200), switching, ..Setup::fast() };
        let mut bench = Bench::new(&READ_SMALL, 16, setup, seed);
        for request in requests(&mut Rng(seed), 60, 3000) {
            bench.ask(request);
        }
        bench.run(200_000);
        bench.nothing_besides();
        prop_assert!(switching > 0 || bench.failed == 0);
    }

    /// Bus mastering goes and comes: what is not read ends with an error, at once; the rest as
    /// ever.
    #[test]
    fn bus_master_switches(seed: u64, wide: bool, switching in 1u64..20) {
        let (model, k) = model(wide);
        let setup = Setup { switching, stall: 40, split: 50, latency: (20, 200), ..Setup::fast() };
        let mut bench = Bench::new(model, k, setup, seed);
        for request in requests(&mut Rng(seed), 60, 2000) {
            bench.ask(request);
        }
        bench.run(20_000);
        bench.nothing_besides();
        prop_assert!(bench.failed > 0);
    }

    /// Answers that never come end their pieces after the time-out; the others are none the worse.
    #[test]
    fn lost_answers(seed: u64, wide: bool) {
        let (model, k) = model(wide);
        let faults = [2, 2, 2, 10, 5];
        let setup = Setup { faults, split: 50, latency: (20, 200), ..Setup::fast() };
        let mut bench = Bench::new(model, k, setup, seed);
        for request in requests(&mut Rng(seed), 60, 2000) {
            bench.ask(request);
        }
        bench.run(4 * TIMEOUT);
        bench.nothing_besides();
    }
}

/// All tags get into use, and no more: 256 with extended tags, else 32.
#[test]
fn tags_run_out() {
    for (ext_tag, tags) in [(true, 256), (false, 32)] {
        let setup = Setup { ext_tag, latency: (3000, 3000), ..Setup::fast() };
        let mut bench = Bench::new(&READ512, 64, setup, 3);
        for i in 0..400 {
            bench.ask(Request { dst: 64 * i, ..read_of(0, 0x1000 + 64 * i, 64) });
        }
        for _ in 0..1200 {
            bench.step();
        }
        assert_eq!(bench.outstanding.len(), tags);
        let mut used = bench.tags.clone();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), tags);
        let now = bench.block.cycles();
        bench.outstanding.values_mut().for_each(|(_, at)| *at = now);
        bench.setup.latency = (100, 100);
        bench.run(20_000);
        bench.nothing_besides();
    }
}

/// Completions that nobody waits for, or that are not what was asked for, are swallowed and
/// counted; what was asked for comes.
#[test]
fn completions_out_of_place() {
    for wide in [false, true] {
        let (model, k) = model(wide);
        let setup = Setup { latency: (400, 400), ..Setup::fast() };
        let mut bench = Bench::new(model, k, setup, 4);
        bench.ask(read_of(1, 0x2000, 256));
        while bench.outstanding.is_empty() {
            bench.step();
        }
        let tag = *bench.outstanding.keys().next().unwrap();
        let from = 0x2000 | 1 << 28;
        let unused = tag.wrapping_add(1) % 32;
        // Of another tag, for another requester, a wrong byte count, a wrong lower address, with
        // more than is owed.
        bench.inject(completion(unused, REQUESTER, 0, false, from, 64, 256));
        bench.inject(completion(tag, REQUESTER ^ 0x100, 0, false, from, 64, 256));
        bench.inject(completion(tag, REQUESTER, 0, false, from, 64, 128));
        bench.inject(completion(tag, REQUESTER, 0, false, from + 64, 64, 256));
        bench.inject(completion(tag, REQUESTER, 0, false, from, 512, 256));
        bench.inject(completion(unused, REQUESTER, 1, false, from, 0, 4));
        // With 32 tags, others are nobody's, even if their low bits are.
        bench.inject(completion(tag + 32, REQUESTER, 0, false, from, 256, 256));
        bench.expected.unexpected = 7;
        bench.run(2000);
        bench.nothing_besides();
        assert_eq!((bench.done[1], bench.failed), (1, 0));
    }
}

/// The answer to a read that was given up meets nobody, however its tag is used by then.
#[test]
fn too_late() {
    let setup = Setup { faults: [0, 0, 0, 100, 0], ..Setup::fast() };
    let mut bench = Bench::new(&READ512, 64, setup, 5);
    bench.ask(read_of(2, 0x3000, 128));
    bench.run(4 * TIMEOUT);
    assert_eq!(bench.failed, 1);
    bench.setup.faults = [0; 5];
    let late = completion(bench.tags[0], REQUESTER, 0, false, 0x3000 | 2 << 28, 128, 128);
    for i in 0..300 {
        bench.ask(Request { dst: 64 * i, ..read_of(0, 64 * i, 64) });
        if i == 150 {
            // Its tag rests: the completion is known for what it is.
            bench.inject(late.clone());
            bench.expected.unexpected += 1;
        }
    }
    bench.run(20_000);
    bench.nothing_besides();
}

/// Without bus mastering pieces end at once, and no read goes out.
#[test]
fn no_bus_master() {
    let mut bench = Bench::new(&READ128, 16, Setup::fast(), 6);
    bench.block.set("bus_master", 0);
    let mut ends = 0;
    bench.block.set("req_3_len", 1000);
    bench.block.set("req_3_valid", 1);
    bench.block.set("req_3_op", 9);
    bench.block.set("req_3_last", 1);
    bench.block.set("np_ready", 1);
    let mut asked = false;
    for _ in 0..200 {
        bench.block.clock_low();
        let taken = !asked && bench.block.get("req_3_ready") == 1;
        assert_eq!(bench.block.get("np_valid"), 0);
        if bench.block.get("bus_done_valid") == 1 {
            let done = ["client", "op", "err"]
                .map(|port| bench.block.get(format!("bus_done_{port}").as_str()));
            assert_eq!(done, [3, 9, 1]);
            ends += 1;
        }
        bench.block.clock_high();
        if taken {
            asked = true;
            bench.block.set("req_3_valid", 0);
        }
    }
    // 1000 bytes from 0 on, 512 a piece.
    assert_eq!(ends, 2);
}

/// The host changes the max read request size while a request is cut: no read is of more than was
/// ever allowed, none crosses 4 KB, and together they are the request.
#[test]
fn max_read_request_changes() {
    for moment in 0..40 {
        let mut rng = Rng(moment);
        let mut bench = Bench::new(&READ128, 16, Setup::fast(), moment);
        let sizes = [2, rng.below(6), rng.below(6)];
        let (from, len) = (64 * rng.below(64) + 0x1000, 3900);
        let fields = [("addr", from), ("len", len), ("last", 1), ("valid", 1)];
        fields.into_iter().for_each(|(port, value)| {
            bench.block.set(format!("req_0_{port}").as_str(), value);
        });
        let (mut at, mut most) = (from, 2);
        for cycle in 0..2000 {
            // After the walk of the tags.
            let mrrs = sizes[[300 + moment, 303 + moment].iter().filter(|&&m| cycle >= m).count()];
            if cycle > 290 {
                bench.block.set("np_ready", (cycle % 3 == 0).into());
            }
            most = most.max(mrrs);
            bench.block.set("mrrs", mrrs);
            bench.block.clock_low();
            let taken = bench.block.get("req_0_ready") == 1;
            if bench.block.get("np_valid") == 1 && cycle > 290 && cycle % 3 == 0 {
                let hdr = bench.block.get_bytes("np_hdr");
                let word = |i: usize| u32::from_le_bytes(hdr[4 * i..][..4].try_into().unwrap());
                let bytes = u64::from((word(0) & 0x3ff).wrapping_sub(1) % 1024 + 1) * 4;
                assert_eq!(u64::from(word(2)), at, "in order");
                assert!(at / 4096 == (at + bytes - 1) / 4096, "{bytes} bytes at {at:#x}: 4 KB");
                assert!(bytes <= 128 << most, "{bytes} bytes");
                at += bytes;
            }
            bench.block.clock_high();
            if taken {
                bench.block.set("req_0_valid", 0);
            }
        }
        assert_eq!(at, from + len, "sizes {sizes:?} in cycle {moment}");
    }
}

/// A flush forgets what is asked for and swallows what is answered; then all is as new.
#[test]
fn flush_in_the_middle() {
    for seed in 0..20 {
        let (model, k) = model(seed % 2 == 0);
        let setup = Setup { latency: (50, 300), split: 50, ..Setup::fast() };
        let mut bench = Bench::new(model, k, setup.clone(), seed);
        for request in requests(&mut Rng(seed), 40, 3000) {
            bench.ask(request);
        }
        for _ in 0..100 + 17 * seed {
            bench.step();
        }
        bench.block.set("flush", 1);
        // What is asked for now is forgotten, too.
        for _ in 0..seed {
            bench.flushed();
        }
        for c in 0..4 {
            bench.block.set(format!("req_{c}_valid").as_str(), 0);
        }
        // What is under way is finished, then the answers to all that went out come.
        bench.flushed();
        let mut open: Vec<_> = std::mem::take(&mut bench.outstanding).into_iter().collect();
        open.sort_by_key(|(tag, _)| *tag);
        for (tag, (piece, _)) in open {
            assert_eq!(bench.block.get("busy"), 1);
            let left = piece.len - piece.given;
            bench.inject(completion(
                tag,
                REQUESTER,
                0,
                false,
                piece.addr + piece.given,
                left,
                left,
            ));
            bench.flushed();
        }
        for _ in 0..20 {
            bench.flushed();
        }
        assert_eq!(bench.block.get("busy"), 0);
        bench.block.set("flush", 0);
        let block = bench.block;

        let mut bench = Bench::again(block, k, setup, seed);
        for request in requests(&mut Rng(seed + 100), 30, 3000) {
            bench.ask(request);
        }
        bench.run(100_000);
        bench.nothing_besides();
    }
}

/// Bytes of long reads come a beat a cycle; short ones a read a cycle.
#[test]
fn full_speed() {
    for wide in [false, true] {
        let (model, k) = model(wide);
        for (len, most) in [(4096, 1.03), (64, 1.05)] {
            let setup = Setup { latency: (60, 60), ..Setup::fast() };
            let mut bench = Bench::new(model, k, setup, 9);
            let total = 64 * 4096;
            for i in 0..total / len {
                bench.ask(Request { dst: len * i, ..read_of(3, len * i, len) });
            }
            bench.run(100_000);
            // Without the walk after reset.
            let cycles = bench.block.cycles() - 300;
            let rate = cycles as f64 / (total / k) as f64;
            println!("{} bits, reads of {len} bytes: {rate:.3} cycles a beat", 8 * k);
            assert!(rate <= most, "{rate} cycles a beat");
            assert_eq!(bench.failed, 0);
        }
    }
}
