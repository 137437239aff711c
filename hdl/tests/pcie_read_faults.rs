//! The DMA read engine with rare events: of tags, of the link, of resets.

mod pcie_support;

use pcie_support::reads::{completion, model, read_of, Bench, Request, Setup, REQUESTER};
use pcie_support::{Rng, READ128, READ512, TIMEOUT};

/// A completion that ends early ends its piece with an error at once if it is the last one, else
/// with the last one.
#[test]
fn short_completions() {
    for wide in [false, true] {
        for split in [0, 100] {
            let (model, k) = model(wide);
            let setup =
                Setup { faults: [0, 0, 0, 0, 100], split, latency: (20, 60), ..Setup::fast() };
            let mut bench = Bench::new(model, k, setup, 1);
            for i in 0..50 {
                bench.ask(Request { dst: 700 * i, ..read_of(1, 0x1000 + 641 * i, 600) });
            }
            bench.run(10_000);
            bench.nothing_besides();
            assert!(bench.failed > 20);
        }
    }
}

/// A completion whose beats come so slowly that the time-out passes: what comes after the error is
/// not written.
#[test]
fn given_up_in_a_completion() {
    for wide in [false, true] {
        let (model, k) = model(wide);
        let setup = Setup { faults: [0, 0, 0, 100, 0], ..Setup::fast() };
        let mut bench = Bench::new(model, k, setup, 2);
        bench.ask(read_of(2, 0x1000, 512));
        while bench.tags.is_empty() {
            bench.step();
        }
        let tag = bench.tags[0];
        bench.inject(completion(tag, REQUESTER, 0, false, 2 << 28 | 0x1000, 256, 512));
        for _ in 0..2 {
            bench.step();
        }
        bench.setup.gap = 100;
        let begin = bench.block.cycles();
        while bench.failed == 0 {
            bench.step();
            assert!(bench.block.cycles() - begin < 2 * TIMEOUT);
        }
        bench.setup.gap = 0;
        bench.run(100);
        bench.nothing_besides();
        // Another one is none the worse, and the rest of the late one is swallowed.
        bench.setup.faults = [0; 5];
        bench.ask(read_of(2, 0x5000, 512));
        bench.inject(completion(tag, REQUESTER, 0, false, 2 << 28 | 0x1100, 256, 256));
        bench.expected.unexpected += 1;
        bench.run(1000);
        bench.nothing_besides();
        assert_eq!((bench.failed, bench.done[2]), (1, 2));
        assert_eq!(bench.block.get("busy"), 0);
    }
}

/// A tag whose answer never comes rests for eight times the time-out, and is not used before.
#[test]
fn tags_rest() {
    let setup = Setup { faults: [0, 0, 0, 100, 0], ..Setup::fast() };
    let mut bench = Bench::new(&READ128, 16, setup, 3);
    bench.ask(read_of(0, 0x2000, 64));
    bench.run(2 * TIMEOUT);
    bench.setup.faults = [0; 5];
    let tag = bench.tags[0];
    for i in 0..100 {
        bench.ask(Request { dst: 64 * i, ..read_of(0, 64 * i, 64) });
    }
    bench.run(20_000);
    assert!(!bench.tags[1..].contains(&tag));
    while bench.block.get("busy") == 1 {
        bench.step();
        assert!(bench.block.cycles() < 9 * TIMEOUT);
    }
    assert!(bench.block.cycles() > 8 * TIMEOUT);
    for i in 0..100 {
        bench.ask(Request { dst: 64 * i, ..read_of(0, 64 * i, 64) });
    }
    bench.run(20_000);
    bench.nothing_besides();
    assert!(bench.tags[101..].contains(&tag));
}

/// Extended tags come and go: none is lost, and 32 are as quick as they can be.
#[test]
fn extended_tags_switch() {
    let setup = Setup { latency: (8, 8), ..Setup::fast() };
    let mut bench = Bench::new(&READ512, 64, setup, 4);
    let mut at = 0;
    let mut ask = |bench: &mut Bench, count| {
        for _ in 0..count {
            bench.ask(Request { dst: at % 0x80000, ..read_of(0, 0x1000 + at, 64) });
            at += 64;
        }
    };
    for round in 0..10 {
        bench.setup.ext_tag = true;
        bench.block.set("ext_tag", 1);
        ask(&mut bench, 100 + 30 * round);
        bench.run(20_000);
        bench.setup.ext_tag = false;
        bench.block.set("ext_tag", 0);
        let begin = bench.block.cycles();
        ask(&mut bench, 300);
        bench.run(20_000);
        let cycles = bench.block.cycles() - begin;
        assert!(cycles < 350, "300 reads in {cycles} cycles");
    }
    bench.setup.ext_tag = true;
    bench.block.set("ext_tag", 1);
    bench.setup.latency = (2000, 2000);
    ask(&mut bench, 400);
    for _ in 0..1000 {
        bench.step();
    }
    assert_eq!(bench.outstanding.len(), 256);
    bench.run(20_000);
    bench.nothing_besides();
}

/// A reset forgets the tags; an answer from before it is unexpected, however early it comes.
#[test]
fn reset_in_the_middle() {
    for wide in [false, true] {
        for pause in [0, 1, 5, 20, 31, 200, 255, 300] {
            let (model, k) = model(wide);
            let setup = Setup { latency: (1 << 20, 1 << 20), ..Setup::fast() };
            let mut bench = Bench::new(model, k, setup.clone(), 5);
            for i in 0..20 {
                bench.ask(Request { dst: 128 * i, ..read_of(3, 128 * i, 128) });
            }
            for _ in 0..400 {
                bench.step();
            }
            let tags = bench.tags.clone();
            let mut block = bench.block;
            assert_eq!((tags.len(), block.get("busy")), (20, 1));
            block.reset(2);
            let mut bench = Bench::again(block, k, setup, 5);
            for _ in 0..pause {
                bench.step();
            }
            for (i, tag) in tags.into_iter().enumerate().rev() {
                let from = (3 << 28) | (128 * i as u64);
                bench.inject(completion(tag, REQUESTER, 0, false, from, 128, 128));
                bench.expected.unexpected += 1;
            }
            bench.run(1000);
            bench.setup.latency = (50, 50);
            for i in 0..300 {
                bench.ask(Request { dst: 128 * i, ..read_of(3, 128 * i, 128) });
            }
            bench.run(20_000);
            bench.nothing_besides();
            assert_eq!(bench.done[3], 300);
        }
    }
}

/// All tags in use: one is answered shortly before its time-out, and goes out again at once. The
/// read it is on then has a time-out of its own.
#[test]
fn answered_just_in_time() {
    // When the first read is given up, if it is not answered.
    let shows = just_in_time(None).0;
    let mut answered = 0;
    for early in 4..24 {
        let (_, ends) = just_in_time(Some(shows - early));
        assert!(!ends.contains(&(32, true)), "{early} cycles before: {ends:?}");
        // Too late, it is given up: that is no other's fault.
        answered += usize::from(ends.contains(&(0, false)));
    }
    assert!(answered > 10);
}

/// Asks for 33 reads, the first long before the others; answers it in this cycle, another one right
/// behind. Cycle of the first time-out; ends as {operation, error}.
fn just_in_time(answer: Option<u64>) -> (u64, Vec<(u64, bool)>) {
    let setup = Setup { latency: (1 << 30, 1 << 30), ..Setup::fast() };
    let mut bench = Bench::new(&READ128, 16, setup, 6);
    let at = |i: u64| 0x1000 * i;
    let ask = |bench: &mut Bench, i: u64| {
        let len = if i == 0 { 16 } else { 512 };
        bench.ask(Request { op: i, dst: 512 * i, ..read_of(1, at(i), len) });
    };
    ask(&mut bench, 0);
    (0..100).for_each(|_| bench.step());
    bench.sleep(TIMEOUT / 2);
    (1..33).for_each(|i| ask(&mut bench, i));
    (0..200).for_each(|_| bench.step());
    assert_eq!(bench.tags.len(), 32);
    let from = |i: u64| 1 << 28 | at(i);
    let first = completion(bench.tags[0], REQUESTER, 0, false, from(0), 16, 16);
    let behind = completion(bench.tags[1], REQUESTER, 0, false, from(1), 256, 512);
    let mut beats = first.beats(16, &mut Rng(1));
    beats.extend(behind.beats(16, &mut Rng(2)));
    let mut beats = beats.into_iter().peekable();
    bench.sleep(TIMEOUT - 100);
    let block = &mut bench.block;
    let (mut shows, mut ends) = (0, vec![]);
    while block.cycles() < TIMEOUT + 2000 {
        let offers =
            answer.is_some_and(|answer| block.cycles() >= answer) && beats.peek().is_some();
        block.set("cpl_valid", offers.into());
        if let (true, Some((sop, eop, hdr, data))) = (offers, beats.peek()) {
            block.set("cpl_sop", (*sop).into());
            block.set("cpl_eop", (*eop).into());
            block.set_bytes("cpl_hdr", hdr);
            block.set_bytes("cpl_data", data);
        }
        block.clock_low();
        if offers && block.get("cpl_ready") == 1 {
            beats.next();
        }
        if shows == 0 && block.get("cpl_timeout") == 1 {
            shows = block.cycles();
        }
        if block.get("bus_done_valid") == 1 {
            ends.push((block.get("bus_done_op"), block.get("bus_done_err") == 1));
        }
        block.clock_high();
    }
    (shows, ends)
}

/// The time-out of reads that are out runs on while another one waits to be sent, and that one's
/// begins when it is.
#[test]
fn waiting_for_credits() {
    for wide in [false, true] {
        let (model, k) = model(wide);
        let setup = Setup { faults: [0, 0, 0, 100, 0], ..Setup::fast() };
        let mut bench = Bench::new(model, k, setup, 7);
        bench.ask(read_of(2, 0x1000, 512));
        while bench.tags.is_empty() {
            bench.step();
        }
        let begin = bench.block.cycles();
        bench.setup.stall = 100;
        bench.ask(Request { op: 8, ..read_of(3, 0x2000, 512) });
        (0..100).for_each(|_| bench.step());
        bench.sleep(begin + TIMEOUT - 100);
        while bench.failed == 0 {
            bench.step();
            assert!(bench.block.cycles() - begin < TIMEOUT + 1000, "time stands still");
        }
        bench.sleep(begin + 3 * TIMEOUT);
        assert_eq!((bench.failed, bench.tags.len()), (1, 1));
        bench.setup.stall = 0;
        let begin = bench.block.cycles();
        (0..100).for_each(|_| bench.step());
        bench.sleep(begin + TIMEOUT - 100);
        while bench.failed == 1 {
            bench.step();
        }
        let took = bench.block.cycles() - begin;
        assert!((TIMEOUT..TIMEOUT + 1000).contains(&took), "{took} cycles");
        bench.nothing_besides();
    }
}

/// The host chooses when a read is given up, or that it never is. Its tag rests, and is no
/// transaction then.
#[test]
fn the_time_out_is_chosen() {
    const DISABLE: u64 = 1 << 4;
    let wait = |bench: &mut Bench, cycles| (0..cycles).for_each(|_| bench.step());
    for (value, least, most) in [
        (0b0000, TIMEOUT, TIMEOUT + 2000),
        (0b0001, TIMEOUT / 2, TIMEOUT * 9 / 10),
        (0b0010, 20 * TIMEOUT, 40 * TIMEOUT),
        // What is reserved is the default.
        (0b0011, TIMEOUT, TIMEOUT + 2000),
    ] {
        let setup = Setup { faults: [0, 0, 0, 100, 0], ..Setup::fast() };
        let mut bench = Bench::new(&READ128, 16, setup, 12);
        bench.block.set("read_timeout", value);
        let begin = bench.block.cycles();
        bench.ask(read_of(0, 0x2000, 64));
        wait(&mut bench, 100);
        assert_eq!(bench.block.get("pending"), 1);
        bench.sleep(begin + least);
        assert_eq!((bench.failed, bench.block.get("pending")), (0, 1), "{value:#b}");
        while bench.failed == 0 {
            bench.step();
            assert!(bench.block.cycles() - begin < most, "{value:#b}");
        }
        wait(&mut bench, 10);
        assert_eq!((bench.block.get("pending"), bench.block.get("busy")), (0, 1));
    }
    let setup = Setup { faults: [0, 0, 0, 100, 0], ..Setup::fast() };
    let mut bench = Bench::new(&READ128, 16, setup, 13);
    bench.block.set("read_timeout", DISABLE);
    bench.ask(read_of(0, 0x2000, 64));
    wait(&mut bench, 100);
    bench.sleep(5 * TIMEOUT);
    wait(&mut bench, 100);
    assert_eq!((bench.failed, bench.block.get("pending")), (0, 1));
    // A reset waits no longer than by default.
    bench.block.set("flush", 1);
    bench.sleep(bench.block.cycles() + 9 * TIMEOUT);
    bench.flushed();
    assert_eq!((bench.block.get("pending"), bench.block.get("busy")), (0, 0));
}

/// Once a read is given up nobody waits for its completions: whatever they say, they are
/// unexpected, and nothing else.
#[test]
fn too_late_is_unexpected() {
    for wide in [false, true] {
        for (status, poison) in [(0, false), (0, true), (1, false), (4, false)] {
            let (model, k) = model(wide);
            let setup = Setup { faults: [0, 0, 0, 100, 0], ..Setup::fast() };
            let mut bench = Bench::new(model, k, setup, 14);
            bench.ask(read_of(2, 0x1000, 256));
            bench.run(2 * TIMEOUT);
            let tag = bench.tags[0];
            let late = |from: u64, left| {
                completion(tag, REQUESTER, status, poison, 2 << 28 | from, 128, left)
            };
            bench.inject(late(0x1000, 256));
            bench.expected.unexpected += 1;
            if status == 0 {
                bench.inject(late(0x1080, 128));
                bench.expected.unexpected += 1;
            }
            // They are no transaction while they come, either.
            bench.setup.gap = 50;
            for _ in 0..100 {
                bench.step();
                assert_eq!(bench.block.get("pending"), 0);
            }
            bench.run(1000);
            bench.nothing_besides();
            // Its tag is free all the same.
            assert_eq!(bench.block.get("busy"), 0);
        }
    }
}

/// A completion that says success and has no data tells of nobody who would report it: it is
/// unexpected, and its read times out.
#[test]
fn success_without_data() {
    for wide in [false, true] {
        let (model, k) = model(wide);
        let setup = Setup { faults: [0, 0, 0, 100, 0], ..Setup::fast() };
        let mut bench = Bench::new(model, k, setup, 15);
        bench.ask(read_of(2, 0x1000, 64));
        while bench.tags.is_empty() {
            bench.step();
        }
        let mut empty = completion(bench.tags[0], REQUESTER, 1, false, 0, 0, 64);
        empty.hdr[1] &= !(7 << 13);
        bench.inject(empty);
        bench.expected.unexpected += 1;
        bench.run(2 * TIMEOUT);
        bench.nothing_besides();
    }
}
