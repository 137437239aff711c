//! Frames that wait for buffers, and the FIFO in block RAM that they wait in.

mod rx_support;

use nitor_block::bitvec::prelude::*;
use nitor_block::Model;
use nitor_hdl::common::block_fifo::BlockFifo;
use nitor_hdl::common::fifo::Fifo;
use nitor_hdl::rx::waiting::RxWaiting;
use nitor_hdl::rx::words::{Flow, Frame, Sums};
use nitor_rtl::prelude::{lit, Bits, Record, Synth};
use proptest::prelude::*;
use rx_support::{bits, config, model, model_of, start, Rng};
use std::collections::VecDeque;
use std::sync::LazyLock;

static FIFO: LazyLock<Model> = LazyLock::new(|| model::<BlockFifo<Bits<9>, 4>>("block_fifo"));

/// FIFOs of 16 places at most: of all, of 4, of 2.
static SHALLOW: LazyLock<Vec<(usize, Model)>> = LazyLock::new(|| {
    let of = |log| (1usize << log, model_of(move || Fifo::<Bits<9>, 4>::of_depth(log), "fifo"));
    vec![of(4), of(2), of(1)]
});

/// 32 rows of 16 bytes: 8 frames.
type Waiting = RxWaiting<4, 3>;
const PLACES: usize = 8;
const FLOW_BITS: usize = <Flow as Synth>::BITS;

#[derive(Clone, Copy, Debug)]
struct Kind {
    checksums: bool,
    small: bool,
}

static WAITING: LazyLock<Vec<(Kind, Model)>> = LazyLock::new(|| {
    [(true, false), (false, false), (false, true)]
        .map(|(checksums, small)| {
            let make = move || Waiting::new(checksums, small);
            (Kind { checksums, small }, model_of(make, "rx_waiting"))
        })
        .into()
});

/// Words in and out at random against a queue: all come, in order, as many as there are places, `delay`
/// cycles later.
fn fifo((model, places, delay): (&Model, usize, u64), seed: u64, push: u64, pop: u64) {
    let mut rng = Rng(seed);
    let mut block = start(model, seed);
    let mut held: VecDeque<(u64, u64)> = VecDeque::new();
    block.tick();
    let mut most = 0;
    for _ in 0..600 {
        let word = rng.below(512);
        let (push, pop) = (rng.below(100) < push, rng.below(100) < pop);
        block.set("in_valid", push.into());
        block.set("in_data", word);
        block.set("out_ready", pop.into());
        block.clock_low();
        let now = block.cycles();
        assert_eq!(block.get("in_ready") == 1, held.len() < places);
        let shown = held.front().is_some_and(|&(_, at)| now >= at + delay);
        assert_eq!(block.get("out_valid") == 1, shown);
        let room = held.len() < places;
        if shown {
            assert_eq!(block.get("out_data"), held[0].0);
            if pop {
                held.pop_front();
            }
        }
        if push && room {
            held.push_back((word, now));
        }
        most = most.max(held.len());
        block.clock_high();
    }
    assert!(most == places || push <= pop);
}

/// Frames whose parts come when their classifier's would; each is given whole and in its turn.
fn waiting(kind: Kind, model: &Model, seed: u64, gaps: u64, takes: u64) {
    let mut rng = Rng(seed);
    let mut block = start(model, seed);
    // Cycles from a frame's length to its flow and to its checksums, as the receive path has them.
    let (to_flow, to_sums) = (if kind.small { 5 } else { 14 }, 17);
    let mut lens: VecDeque<(u64, u64)> = VecDeque::new();
    let mut flows: VecDeque<(u64, u64)> = VecDeque::new();
    let mut sums: VecDeque<(u64, u64)> = VecDeque::new();
    let mut held: VecDeque<BitVec> = VecDeque::new();
    let (mut next, mut sent, mut given, mut most) = (8, 0, 0, 0);
    while given < 200 {
        let now = block.cycles();
        assert!(now < 20_000, "{given} of {sent} frames are given");
        // Never more than there are places.
        if sent < 200 && now >= next && held.len() < PLACES && rng.below(100) >= gaps {
            let (len, steer, verdict) =
                (rng.below(1 << 16), rng.next() >> (64 - FLOW_BITS), rng.below(8));
            lens.push_back((now, len));
            flows.push_back((now + to_flow, steer));
            sums.push_back((now + to_sums, verdict));
            let sums = if kind.checksums { verdict } else { 1 };
            held.push_back(bits(Frame {
                flow: Flow::from_bits(lit::<FLOW_BITS>(steer)),
                sums: Sums::from_bits(lit::<3>(sums)),
                len: lit::<16>(len),
            }));
            sent += 1;
            most = most.max(held.len());
            next = now + if kind.small { 6 } else { 1 };
        }
        for (parts, valid, data) in [
            (&mut lens, "len_valid", "len"),
            (&mut flows, "flow_valid", "flow_"),
            (&mut sums, "sums_valid", "sums"),
        ] {
            let due = parts.front().is_some_and(|&(at, _)| at <= now);
            let part = if due { parts.pop_front() } else { None };
            block.set(valid, part.is_some().into());
            block.set(data, part.map_or_else(|| rng.next(), |(_, word)| word) & mask(data));
        }
        let ready = rng.below(100) < takes;
        block.set("frame_ready", ready.into());
        block.clock_low();
        if ready && block.get("frame_valid") == 1 {
            assert_eq!(Some(block.get_bits("frame_data")), held.pop_front(), "frame {given}");
            given += 1;
        }
        block.clock_high();
    }
    assert!(most == PLACES || gaps > 0 || takes > 20);
}

fn mask(port: &str) -> u64 {
    match port {
        "len" => 0xffff,
        "flow_" => (1 << FLOW_BITS) - 1,
        _ => 7,
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn block_fifo_random(seed: u64, push in 1..101u64, pop in 1..101u64) {
        fifo((&FIFO, 16, 2), seed, push, pop);
    }

    /// Also one whose configuration asks for fewer places than its addresses have.
    #[test]
    fn fifo_random(seed: u64, push in 1..101u64, pop in 1..101u64) {
        for (places, model) in SHALLOW.iter() {
            fifo((model, *places, 1), seed, push, pop);
        }
    }

    #[test]
    fn waiting_random(seed: u64, gaps in prop_oneof![Just(0u64), 0..90u64], takes in 5..101u64) {
        for (kind, model) in WAITING.iter() {
            waiting(*kind, model, seed, gaps, takes);
        }
    }
}

/// A frame a cycle in and out.
#[test]
fn block_fifo_keeps_pace() {
    let mut block = start(&FIFO, 1);
    block.tick();
    for (name, value) in [("in_valid", 1), ("out_ready", 1)] {
        block.set(name, value);
    }
    for i in 0..100u64 {
        block.set("in_data", i);
        block.clock_low();
        assert_eq!(block.get("in_ready"), 1);
        assert_eq!(block.get("out_valid"), u64::from(i >= 2));
        assert!(i < 2 || block.get("out_data") == i - 2);
        block.clock_high();
    }
}
