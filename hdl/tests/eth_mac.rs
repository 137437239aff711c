//! The MAC, and the clock-domain crossing that it uses.

mod tx_support;

use std::collections::VecDeque;
use std::sync::LazyLock;

use nitor_block::bitvec::bitvec;
use nitor_block::{Block, Direction, Model};
use nitor_hdl::common::async_fifo::AsyncFifo;
use nitor_hdl::eth::gmii_rx::GmiiRx;
use nitor_hdl::eth::gmii_tx::GmiiTx;
use nitor_hdl::eth::mac::{event, Mac};
use nitor_rtl::prelude::Bits;
use proptest::prelude::*;
use tx_support::{model, start, Rng};

static FIFO: LazyLock<Model> = LazyLock::new(|| model::<AsyncFifo<Bits<16>, 4, 5>>("async_fifo"));
static TX: LazyLock<Model> = LazyLock::new(|| model::<GmiiTx>("gmii_tx"));
static RX: LazyLock<Model> = LazyLock::new(|| model::<GmiiRx>("gmii_rx"));
static MAC: LazyLock<Model> = LazyLock::new(|| model::<Mac>("mac"));

const LONGEST: usize = 9216 + 14 + 4 + 4;

/// Ethernet's CRC-32, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0;
    for &byte in bytes {
        for bit in 0..8 {
            let out = (crc ^ u32::from(byte) >> bit) & 1;
            crc = crc >> 1 ^ if out == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    !crc
}

#[test]
fn crc_vectors() {
    // The check value of CRC-32/ISO-HDLC, and an ARP request seen on a wire, which must leave the residue.
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32(b""), 0);
    assert_eq!(crc32(&[0; 32]), 0x190a_55ad);
    assert_eq!(crc32(&[0xff; 32]), 0xff6c_ab0b);
}

/// {err, last, bytes - 1, data}
fn words(frame: &[u8], err: bool) -> Vec<u64> {
    let count = frame.len().div_ceil(4);
    let word = |(i, bytes): (usize, &[u8])| {
        let data = bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b));
        let last = i + 1 == count;
        let side = (bytes.len() as u64 - 1) | u64::from(last) << 2 | u64::from(last && err) << 3;
        side << 32 | data
    };
    frame.chunks(4).enumerate().map(word).collect()
}

/// Words of frames put together; whether each ended with `err`.
#[derive(Default)]
struct Frames {
    open: Vec<u8>,
    done: Vec<(Vec<u8>, bool)>,
}

impl Frames {
    fn word(&mut self, word: u64) {
        let count = (word >> 32 & 3) as usize + 1;
        self.open.extend(&(word as u32).to_le_bytes()[..count]);
        if word >> 34 & 1 == 1 {
            self.done.push((std::mem::take(&mut self.open), word >> 35 == 1));
        } else {
            assert_eq!(count, 4);
        }
    }
}

/// On the wire: padded, with FCS.
fn wired(frame: &[u8]) -> Vec<u8> {
    let mut wired = frame.to_vec();
    wired.resize(frame.len().max(60), 0);
    let fcs = crc32(&wired);
    wired.extend(fcs.to_le_bytes());
    wired
}

fn quiet(block: &mut Block, model: &Model) {
    for port in model.ports() {
        if port.direction == Direction::In {
            block.set_bits(port.name.as_str(), &bitvec![0; port.width]);
        }
    }
}

/// Clocks whose edges come as `periods` say; calls `before` ahead of each rising edge.
fn clocks(
    block: &mut Block,
    names: &[&str],
    periods: &[u64],
    end: u64,
    mut before: impl FnMut(&mut Block, usize, u64),
) {
    let mut next: Vec<u64> = periods.iter().map(|p| p / 3).collect();
    loop {
        let (which, &now) = next.iter().enumerate().min_by_key(|&(_, t)| *t).unwrap();
        if now >= end {
            return;
        }
        before(block, which, now);
        block.set(names[which], 1);
        block.eval();
        block.set(names[which], 0);
        block.eval();
        next[which] += periods[which];
    }
}

/// What the receiver makes of this line of {dv, er, byte}, its words taken in the cycles that `ready`
/// says; and how often each of `EVENTS` came.
fn receive(
    block: &mut Block,
    line: &[(u8, u8, u8)],
    mut ready: impl FnMut(usize) -> bool,
) -> (Vec<(Vec<u8>, bool)>, [u64; 5]) {
    let mut frames = Frames::default();
    let mut events = [0; 5];
    for (i, (dv, er, data)) in line.iter().enumerate() {
        block.set("dv", u64::from(*dv));
        block.set("er", u64::from(*er));
        block.set("rxd", u64::from(*data));
        block.set("word_ready", u64::from(ready(i)));
        block.clock_low();
        if block.get("word_valid") == 1 && block.get("word_ready") == 1 {
            frames.word(block.get("word"));
        }
        for (sum, name) in events.iter_mut().zip(EVENTS) {
            *sum += block.get(name);
        }
        block.clock_high();
    }
    assert!(frames.open.is_empty());
    (frames.done, events)
}

const EVENTS: [&str; 5] = ["good", "bad_fcs", "runt", "giant", "lost"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// All that goes in comes out once and in order, whatever the clocks.
    #[test]
    fn async_fifo_keeps_order(seed: u64, a in 1000u64..9000, b in 1000u64..9000, push in 1u64..=100, pop in 1u64..=100) {
        let mut rng = Rng(seed);
        let mut block = FIFO.block(seed);
        quiet(&mut block, &FIFO);
        block.set("in_reset", 1);
        block.set("out_reset", 1);
        clocks(&mut block, &["in_clock", "out_clock"], &[a, b], 60_000, |_, _, _| ());
        block.set("in_reset", 0);
        block.set("out_reset", 0);
        block.eval();
        let (mut given, mut taken) = (0u64, 0u64);
        let (mut refused, mut empty) = (0u64, 0);
        let mut offering = false;
        clocks(&mut block, &["in_clock", "out_clock"], &[a, b], 4_000_000, |block, which, now| {
            if which == 0 {
                // What is offered stays until it is taken.
                let offer = offering || rng.percent(push) && now < 3_000_000;
                block.set("in_valid", offer.into());
                block.set("in_data", given & 0xffff);
                block.eval();
                offering = offer && block.get("in_ready") == 0;
                given += u64::from(offer && !offering);
                refused += u64::from(offering);
            } else {
                block.set("out_ready", u64::from(rng.percent(pop) || now > 3_000_000));
                block.eval();
                if block.get("out_valid") == 0 { empty += 1 }
                if block.get("out_valid") == 1 && block.get("out_ready") == 1 {
                    assert_eq!(block.get("out_data"), taken & 0xffff);
                    taken += 1;
                }
            }
        });
        prop_assert_eq!(given, taken);
        prop_assert!(given > 0 && (refused > 0 || empty > 0));
    }

    /// What goes to the wire is preamble, frame, padding and FCS, 12 bytes apart; a frame that ends badly is spoilt.
    #[test]
    fn tx_makes_frames(seed: u64, late_percent in 0u64..3) {
        let mut rng = Rng(seed);
        let mut block = start(&TX, seed, 2);
        let frames: Vec<(Vec<u8>, bool)> = (0..30).map(|_| {
            let len = if rng.percent(50) { rng.range(1, 80) } else { rng.range(60, 400) } as usize;
            (rng.bytes(len), rng.percent(10))
        }).collect();
        let mut queue: VecDeque<u64> = frames.iter().flat_map(|(f, err)| words(f, *err)).collect();
        let (mut wire, mut gaps, mut spoilt) = (vec![], vec![], false);
        let (mut open, mut idle) = (vec![], 100);
        let (mut sent, mut aborted) = (0, 0);
        let mut late = 0;
        while wire.len() < frames.len() && idle < 2000 {
            let word = queue.front().copied();
            let hold = rng.percent(late_percent);
            block.set("word_valid", u64::from(word.is_some() && !hold));
            block.set("word", word.unwrap_or(0));
            block.clock_low();
            if word.is_some() && !hold && block.get("word_ready") == 1 {
                queue.pop_front();
            }
            if block.get("en") == 1 {
                if idle > 0 { gaps.push(idle); }
                idle = 0;
                open.push(block.get("txd") as u8);
                spoilt |= block.get("er") == 1;
            } else {
                prop_assert_eq!(block.get("er"), 0);
                if idle == 0 {
                    wire.push((std::mem::take(&mut open), std::mem::take(&mut spoilt)));
                }
                idle += 1;
            }
            sent += block.get("sent");
            aborted += block.get("aborted");
            block.clock_high();
        }
        prop_assert_eq!(wire.len(), frames.len());
        for ((got, spoilt), (frame, err)) in wire.iter().zip(&frames) {
            prop_assert_eq!(&got[..8], &[0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5]);
            let body = &got[8..];
            if *spoilt {
                late += u64::from(!err);
                prop_assert!(crc32(&body[..body.len() - 4]).to_le_bytes() != body[body.len() - 4..]);
            } else {
                prop_assert!(!err);
                prop_assert_eq!(body, wired(frame));
            }
        }
        prop_assert!(late_percent > 0 || late == 0);
        prop_assert!(gaps.iter().all(|&gap| gap >= 12), "{:?}", gaps);
        if late_percent == 0 {
            prop_assert!(gaps[1..].iter().all(|&gap| gap == 12), "{:?}", gaps);
        }
        prop_assert_eq!((sent, aborted), (wire.iter().filter(|w| !w.1).count() as u64, wire.iter().filter(|w| w.1).count() as u64));
    }

    /// Good frames come as they are, others are marked and counted by what is wrong with them; when nobody takes the words
    /// frames are lost, but no frame is ever taken for another.
    #[test]
    fn rx_takes_frames(seed: u64, slow in prop_oneof![Just(0u64), 0u64..90]) {
        let mut rng = Rng(seed);
        let mut block = start(&RX, seed, 2);
        let mut expected = vec![];
        let mut line: Vec<(u8, u8, u8)> = vec![]; // dv, er, data
        let mut count = [0u64; 4]; // good, bad, runt, giant
        for n in 0..40 {
            line.extend(vec![(0, 0, rng.next() as u8); rng.range(8, 30) as usize]);
            if rng.percent(5) {
                // A carrier that is no frame.
                line.extend(vec![(1, 0, 0x55); rng.range(0, 3) as usize]);
                line.extend(rng.bytes(20).iter().map(|b| (1, 0, if *b == 0xd5 { 0 } else { *b })));
                continue;
            }
            let len = match rng.below(20) {
                0..=5 => rng.range(1, 60),
                19 if n % 4 == 0 => LONGEST as u64 - rng.range(3, 8),
                _ => rng.range(60, 300),
            } as usize;
            let frame = rng.bytes(len);
            let mut bytes = frame.clone();
            bytes.extend(crc32(&frame).to_le_bytes());
            let damage = rng.percent(15);
            let error_at = if rng.percent(8) { rng.below(bytes.len() as u64) as usize } else { usize::MAX };
            if damage {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << rng.below(8);
            }
            line.extend(vec![(1, 0, 0x55); rng.range(0, 7) as usize]);
            line.push((1, 0, 0xd5));
            line.extend(bytes.iter().enumerate().map(|(i, b)| (1, u8::from(i == error_at), *b)));
            let bad = damage || error_at != usize::MAX;
            let kind = if bytes.len() > LONGEST { 3 } else if bytes.len() < 64 { 2 } else if bad { 1 } else { 0 };
            count[kind] += 1;
            let seen = bytes[..(bytes.len() - 4).min(LONGEST - 4)].to_vec();
            expected.push((seen, kind != 0));
        }
        line.extend(vec![(0, 0, 0); 200]);
        // So long that frames end and begin meanwhile.
        let mut stuck = 0;
        let (done, events) = receive(&mut block, &line, |i| {
            if slow > 60 && rng.below(500) == 0 {
                stuck = rng.range(50, 500);
            }
            stuck = stuck.saturating_sub(1);
            let slow = if stuck > 0 { 100 } else { slow };
            !rng.percent(slow) || i + 100 > line.len()
        });
        if events[4] == 0 {
            prop_assert_eq!(&events[..4], &count);
            prop_assert_eq!(done, expected);
        } else {
            prop_assert!(slow > 0);
            prop_assert_eq!(events.iter().sum::<u64>(), expected.len() as u64);
            // Each that is not marked is one that was sent, in order.
            let mut sent = expected.iter().filter(|e| !e.1);
            let good: Vec<_> = done.iter().filter(|f| !f.1).collect();
            prop_assert_eq!(good.len() as u64, events[0]);
            for frame in good {
                prop_assert!(sent.any(|e| e == frame));
            }
        }
    }
}

/// A frame is cut since nobody takes its words; somebody does again in any cycle of the next one: that is whole
/// or lost, and so is the one behind it.
#[test]
fn an_end_that_is_owed_meets_the_next_frame() {
    let mut rng = Rng(7);
    let sent: Vec<Vec<u8>> = (0..3).map(|_| rng.bytes(80)).collect();
    for (preamble, again) in [0, 1, 7].iter().flat_map(|p| (100..300).map(move |a| (*p, a))) {
        let mut line = vec![];
        for frame in &sent {
            line.extend(vec![(1, 0, 0x55); preamble]);
            line.push((1, 0, 0xd5));
            line.extend(wired(frame).into_iter().map(|byte| (1, 0, byte)));
            line.extend([(0, 0, 0); 12]);
        }
        line.extend([(0, 0, 0); 100]);
        let mut block = start(&RX, again as u64, 2);
        let (done, events) = receive(&mut block, &line, |i| i < 40 || i >= again);
        let good: Vec<_> = done.iter().filter(|f| !f.1).map(|f| &f.0).collect();
        assert_eq!((events[0], events[4]), (good.len() as u64, 3 - good.len() as u64), "{again}");
        let third = 2 * (preamble + 97);
        assert!(good.contains(&&sent[2]) || again >= third, "{preamble}, {again}");
        assert!(good.iter().all(|frame| sent[1..].contains(frame)), "{preamble}, {again}");
    }
}

/// The frames on this line of {dv, byte} that are good, for somebody who takes every word; and the
/// counts of those that are not.
fn good(line: &[(u8, u8)]) -> (Vec<Vec<u8>>, [u64; 4]) {
    let line: Vec<_> = line.iter().chain(&[(0, 0); 100]).map(|&(dv, byte)| (dv, 0, byte)).collect();
    let (done, [_, others @ ..]) = receive(&mut start(&RX, 1, 2), &line, |_| true);
    (done.into_iter().filter(|f| !f.1).map(|f| f.0).collect(), others)
}

#[test]
fn frames_behind_the_longest() {
    let mut rng = Rng(3);
    for (size, giants) in [(LONGEST - 1, 0), (LONGEST, 0), (LONGEST + 1, 1)] {
        let sent = [rng.bytes(size - 4), rng.bytes(60), rng.bytes(61)];
        let line = sent.iter().flat_map(|frame| {
            let bytes = [vec![0xd5], wired(frame)].concat();
            bytes.into_iter().map(|b| (1, b)).chain([(0, 0)])
        });
        let (good, events) = good(&line.collect::<Vec<_>>());
        assert_eq!(good, sent[giants..], "{size}");
        assert_eq!(events, [0, 0, giants as u64, 0], "{size}");
    }
}

/// Of what begins with another preamble nothing is a frame, a start delimiter within it neither.
#[test]
fn a_preamble_is_clean() {
    let frame = Rng(4).bytes(60);
    for (preamble, clean) in [
        (&[0x55, 0x55][..], true),
        (&[], true),
        (&[0x55, 0x54], false),
        (&[0x55, 0x55, 0x57, 0x55], false),
        (&[0x5d], false),
        (&[0x54, 0x55], false),
    ] {
        let bytes = [preamble, &[0xd5], &wired(&frame)].concat();
        let line: Vec<_> = bytes.into_iter().map(|byte| (1, byte)).collect();
        let (good, events) = good(&line);
        assert_eq!(good.len(), usize::from(clean), "{preamble:x?}");
        assert_eq!(events, [0; 4], "{preamble:x?}");
    }
}

/// A carrier that ends within its preamble is no frame, and the next frame is one.
#[test]
fn a_preamble_alone_is_nothing() {
    let frame = Rng(5).bytes(60);
    for length in 1..9 {
        let bytes = [vec![0xd5], wired(&frame)].concat();
        let line: Vec<_> = [(1, 0x55)]
            .repeat(length)
            .into_iter()
            .chain([(0, 0x55)])
            .chain(bytes.iter().map(|b| (1, *b)))
            .collect();
        assert_eq!(good(&line), (vec![frame.clone()], [0; 4]), "{length}");
    }
}

/// Frames of 64 bytes and others at the wire's full rate, at the slowest core clock: none is lost either way.
#[test]
fn mac_loses_nothing_at_line_rate() {
    for (core, size) in [(25_000, 60), (25_000, 1514), (10_000, 60), (8_001, 61), (20_000, 9000)] {
        let mut rng = Rng(core);
        let mut block = MAC.block(1);
        quiet(&mut block, &MAC);
        let names = ["clock", "tx_clock", "rx_clock"];
        let periods = [core, 8_000, 8_000];
        for reset in ["reset", "tx_reset", "rx_reset"] {
            block.set(reset, 1);
        }
        clocks(&mut block, &names, &periods, 1_000_000, |_, _, _| ());
        for reset in ["reset", "tx_reset", "rx_reset"] {
            block.set(reset, 0);
        }
        block.eval();
        let total = if size > 1000 { 40 } else { 400 };
        let frames: Vec<Vec<u8>> = (0..total).map(|_| rng.bytes(size)).collect();
        let mut queue: VecDeque<u64> = frames.iter().flat_map(|f| words(f, false)).collect();
        let mut got = Frames::default();
        let mut events = [0u64; event::COUNT];
        let mut wire = VecDeque::new();
        let (mut busy, mut first, mut last) = (0u64, None, 0);
        let end = (total as u64 + 4) * (size as u64 + 24) * 8_000 + 4_000_000;
        clocks(&mut block, &names, &periods, end, |block, which, now| match which {
            0 => {
                block.set("in_valid", u64::from(!queue.is_empty()));
                block.set("in_word", queue.front().copied().unwrap_or(0));
                block.set("out_ready", 1);
                block.eval();
                if block.get("in_ready") == 1 {
                    queue.pop_front();
                }
                if block.get("out_valid") == 1 {
                    got.word(block.get("out_word"));
                }
                let bits = block.get("events");
                for (i, sum) in events.iter_mut().enumerate() {
                    *sum += bits >> i & 1;
                }
            }
            1 => {
                wire.push_back((block.get("en"), block.get("er"), block.get("txd")));
                if block.get("en") == 1 {
                    busy += 1;
                    first.get_or_insert(now);
                    last = now;
                }
            }
            _ => {
                let (dv, er, data) = wire.pop_front().unwrap_or_default();
                block.set("dv", dv);
                block.set("rx_er", er);
                block.set("rxd", data);
            }
        });
        assert_eq!(got.done.len(), frames.len(), "{size} bytes, core {core} ps: {events:?}");
        for (frame, (bytes, err)) in frames.iter().zip(got.done) {
            assert!(!err && bytes == wired(frame)[..wired(frame).len() - 4]);
        }
        assert_eq!(events, [total as u64, 0, total as u64, 0, 0, 0, 0]);
        // The wire was full: 12 idle bytes between frames and no more.
        let span = (last - first.unwrap()) / 8_000 + 1;
        assert_eq!(span, busy + 12 * (total as u64 - 1));
    }
}

/// The PHY's clock stands while the core is reset: what was received before is not seen afterwards, and the next frame is.
#[test]
fn a_reset_while_the_phys_clock_stands() {
    let mut rng = Rng(7);
    for (running_before, stands_for) in [(40, 100), (400, 1000), (900, 3)] {
        let mut block = MAC.block(running_before);
        quiet(&mut block, &MAC);
        let mut wire: VecDeque<(u64, u64)> = VecDeque::new();
        let line = |frame: &[u8], wire: &mut VecDeque<(u64, u64)>| {
            wire.extend([(1, 0x55); 7]);
            wire.push_back((1, 0xd5));
            wire.extend(wired(frame).iter().map(|b| (1, u64::from(*b))));
            wire.extend([(0, 0); 20]);
        };
        // A reset of the receive clock begins when that clock sees that it is wanted.
        let mut rx_reset = 0u64;
        let mut got = Frames::default();
        let mut phase = |block: &mut Block,
                         wire: &mut VecDeque<(u64, u64)>,
                         got: &mut Frames,
                         reset: u64,
                         phy_runs: bool,
                         take: u64,
                         cycles: u64| {
            block.set("reset", reset);
            block.set("tx_reset", reset);
            let mut names = vec!["clock", "tx_clock"];
            let mut periods = vec![20_000, 8_000];
            if phy_runs {
                names.push("rx_clock");
                periods.push(8_000);
            }
            clocks(block, &names, &periods, cycles * 20_000, |block, which, _| match which {
                0 => {
                    block.set("out_ready", take);
                    block.eval();
                    if block.get("out_valid") == 1 && take == 1 && reset == 0 {
                        got.word(block.get("out_word"));
                    }
                }
                2 => {
                    rx_reset = if reset == 1 || block.get("rx_hold") == 1 {
                        16
                    } else {
                        rx_reset.saturating_sub(1)
                    };
                    block.set("rx_reset", u64::from(rx_reset > 0));
                    let (dv, data) = wire.pop_front().unwrap_or_default();
                    block.set("dv", dv);
                    block.set("rxd", data);
                }
                _ => {}
            });
        };
        block.set("phy_link", 1);
        phase(&mut block, &mut wire, &mut got, 1, true, 0, 40);
        phase(&mut block, &mut wire, &mut got, 0, true, 0, 40);
        // The receive FIFO fills, then the clock stands and the core is reset.
        line(&rng.bytes(1000), &mut wire);
        phase(&mut block, &mut wire, &mut got, 0, true, 0, running_before);
        phase(&mut block, &mut wire, &mut got, 1, false, 0, stands_for);
        phase(&mut block, &mut wire, &mut got, 0, false, 1, 200);
        assert!(got.open.is_empty() && got.done.is_empty(), "old words leave");
        assert_eq!(block.get("link_up"), 0);
        // The clock runs again, with a new frame after a while.
        wire.clear();
        wire.extend([(0, 0); 60]);
        let frame = rng.bytes(100);
        line(&frame, &mut wire);
        phase(&mut block, &mut wire, &mut got, 0, true, 1, 300);
        assert_eq!(got.done, [(frame, false)]);
        assert_eq!(block.get("link_up"), 1);
    }
}
