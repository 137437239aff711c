//! The receiving half of the host link, with a host that sends faster than the card works.

mod tx_support;

use std::sync::LazyLock;

use nitor_block::{Block, Model};
use nitor_hdl::link::receive::LinkReceive;
use nitor_hdl::link::{BOARD_READ, BOARD_WRITE, BUS_READ, BUS_WRITE, DATA, MOST_WORDS, OPEN, TLP};
use proptest::prelude::*;
use tx_support::{model, start, Rng};

static RECEIVE: LazyLock<Model> =
    LazyLock::new(|| model::<LinkReceive<128, 2, 11>>("link_receive"));
const SESSION: u64 = 7;

/// The bus takes what it is asked in few cycles; what it was told is kept.
fn cycle(block: &mut Block, rng: &mut Rng, busy: u64, written: &mut Vec<u64>) {
    let ready = !rng.percent(busy);
    block.set("bus_ready", u64::from(ready));
    block.clock_low();
    if ready && block.get("bus_valid") == 1 {
        assert_eq!(block.get("bus_write"), 1);
        written.push(block.get("bus_wdata"));
    }
    block.clock_high();
    block.set("word_valid", 0);
}

/// A frame, a word a cycle.
fn give(block: &mut Block, frame: &[u64], mut cycle: impl FnMut(&mut Block)) {
    for (i, &word) in frame.iter().enumerate() {
        block.set("word_valid", 1);
        block.set("word", u64::from(i + 1 == frame.len()) << 32 | word);
        cycle(block);
    }
    for _ in 0..4 {
        cycle(block);
    }
}

/// Frames of more words than there may be, and than are kept, count as damaged; the next is as ever.
#[test]
fn frames_that_are_too_long() {
    let mut rng = Rng(1);
    let mut block = start(&RECEIVE, 1, 2);
    let (mut written, mut damaged) = (vec![], 0);
    let mut cycle = |block: &mut Block| {
        damaged += block.get("stat_damaged");
        cycle(block, &mut rng, 0, &mut written);
    };
    give(&mut block, &[OPEN, SESSION << 16], &mut cycle);
    for (round, words) in [MOST_WORDS + 1, 510, 511, 520, 1200].into_iter().enumerate() {
        let mut frame = vec![DATA | (round as u64) << 8, SESSION << 16 | words as u64];
        frame.extend((0..words as u64 / 2).flat_map(|n| [BUS_WRITE | 0x100, n]));
        give(&mut block, &frame, &mut cycle);
        assert_eq!(block.get("expected"), round as u64, "{words}");
        let good = [frame[0], SESSION << 16 | 2, BUS_WRITE | 0x100, 1000 + round as u64];
        give(&mut block, &good, &mut cycle);
        assert_eq!(block.get("expected"), round as u64 + 1, "{words}");
        (0..40).for_each(|_| cycle(&mut block));
    }
    assert_eq!(damaged, 5);
    assert_eq!(written, [1000, 1001, 1002, 1003, 1004]);
}

/// Registers of the card's bus and of the board are read and written, each where it is.
#[test]
fn registers_of_both_kinds() {
    let mut block = start(&RECEIVE, 2, 2);
    let (mut replies, mut bus, mut board) = (vec![], vec![], vec![]);
    let mut cycle = |block: &mut Block| {
        block.set("bus_ready", 1);
        block.set("reply_ready", 1);
        block.clock_low();
        if block.get("bus_valid") == 1 {
            let addr = block.get("bus_addr");
            bus.push((addr, block.get("bus_write")));
            block.set("bus_rdata", addr ^ 0x5555);
        }
        block.set("board_value", block.get("board_addr") ^ 0xaaaa);
        board.extend((block.get("board_write") == 1).then(|| block.get("board_addr")));
        replies.extend((block.get("reply_valid") == 1).then(|| block.get("reply")));
        block.clock_high();
        block.set("word_valid", 0);
    };
    give(&mut block, &[OPEN, SESSION << 16], &mut cycle);
    let messages = [
        BUS_READ | 0x104 << 16,
        BOARD_READ | 0x20 << 16,
        BOARD_WRITE | 0x100 | 0x24 << 16,
        7,
        BUS_WRITE | 0x100 | 0x108 << 16,
        8,
        BOARD_READ | 0x28 << 16,
        BUS_READ | 0x10c << 16,
    ];
    let frame = [&[DATA, SESSION << 16 | messages.len() as u64], &messages[..]].concat();
    give(&mut block, &frame, &mut cycle);
    (0..200).for_each(|_| cycle(&mut block));
    assert_eq!(bus, [(0x104, 0), (0x108, 1), (0x10c, 0)]);
    // The value stays for some cycles.
    board.dedup();
    assert_eq!(board, [0x24]);
    let values = [0x104 ^ 0x5555, 0x20 ^ 0xaaaa, 0x28 ^ 0xaaaa, 0x10c ^ 0x5555];
    assert_eq!(replies, values);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each frame that counts is carried out once, whole and in order, also when a place gets free while one comes in.
    #[test]
    fn once_and_in_order(seed: u64, busy in 80u64..99) {
        let mut rng = Rng(seed);
        let mut block = start(&RECEIVE, seed, 2);
        let mut written = Vec::new();
        let (mut number, mut seen) = (0u64, 0u64);
        for n in 0..200 {
            let words = if n == 0 { 0 } else { 2 * rng.range(1, 6) };
            // A number for each message: the frame's, and which of it.
            let mut frame = vec![
                if n == 0 { OPEN } else { DATA | (number & 0xff) << 8 },
                SESSION << 16 | words,
            ];
            for message in 0..words / 2 {
                frame.extend([BUS_WRITE | 0x100, number << 8 | message]);
            }
            let before = number;
            for (i, &word) in frame.iter().enumerate() {
                let last = u64::from(i + 1 == frame.len());
                block.set("word_valid", 1);
                block.set("word", last << 32 | word);
                cycle(&mut block, &mut rng, busy, &mut written);
                for _ in 0..rng.below(6) {
                    cycle(&mut block, &mut rng, busy, &mut written);
                }
            }
            for _ in 0..4 {
                cycle(&mut block, &mut rng, busy, &mut written);
            }
            // A frame that had no place comes again.
            if n > 0 && block.get("expected") != number & 0xff {
                number += 1;
                seen += words / 2;
            }
            prop_assert_eq!(block.get("expected"), number & 0xff, "after {}", before);
        }
        for _ in 0..3000 {
            cycle(&mut block, &mut rng, busy, &mut written);
        }
        prop_assert!(number > 20 && number < 199, "{} frames taken", number);
        prop_assert_eq!(written.len() as u64, seen);
        prop_assert!(written.is_sorted_by(|a, b| a < b), "{:?}", written);
    }

    /// TLPs leave as they were sent, whatever their length and however often the card refuses.
    #[test]
    fn tlps_as_sent(seed: u64, busy in 0u64..80) {
        let mut rng = Rng(seed);
        let mut block = start(&RECEIVE, seed, 2);
        let mut sent = vec![];
        let mut got: Vec<Vec<u64>> = vec![];
        let mut cycle = |block: &mut Block, rng: &mut Rng| {
            let ready = !rng.percent(busy);
            block.set("tlp_ready", ready.into());
            block.clock_low();
            if ready && block.get("tlp_valid") == 1 {
                let dwords = |bytes: Vec<u8>| -> Vec<u64> {
                    let dword = |b: &[u8]| u32::from_le_bytes(b.try_into().unwrap()).into();
                    bytes.chunks(4).map(dword).collect()
                };
                if block.get("tlp_sop") == 1 {
                    got.push(dwords(block.get_bytes("tlp_hdr")));
                }
                let last = got.last_mut().unwrap();
                last.extend(dwords(block.get_bytes("tlp_data")));
                last.push(block.get("tlp_eop"));
            }
            block.clock_high();
            block.set("word_valid", 0);
        };
        give(&mut block, &[OPEN, SESSION << 16], |block| cycle(block, &mut rng));
        for number in 0..60u64 {
            let mut frame = vec![DATA | (number & 0xff) << 8, 0];
            for _ in 0..rng.range(1, 3) {
                let dwords = if rng.percent(30) { 0 } else { rng.range(1, 64) } as usize;
                let words: Vec<u64> = (0..4 + dwords).map(|_| rng.next() & 0xffff_ffff).collect();
                frame.push(TLP | (dwords as u64) << 8);
                frame.extend(&words);
                let mut beats = words[..4].to_vec();
                let count = dwords.div_ceil(4).max(1);
                for (i, beat) in words[4..].chunks(4).chain([&[][..]]).take(count).enumerate() {
                    beats.extend(beat);
                    // What is behind the end of the last beat is nobody's.
                    beats.extend(vec![u64::MAX; 4 - beat.len()]);
                    beats.push((i + 1 == count).into());
                }
                sent.push(beats);
            }
            frame[1] = SESSION << 16 | (frame.len() as u64 - 2);
            give(&mut block, &frame, |block| cycle(block, &mut rng));
            for _ in 0..600 {
                cycle(&mut block, &mut rng);
            }
            prop_assert_eq!(block.get("expected"), (number + 1) & 0xff);
        }
        prop_assert_eq!(got.len(), sent.len());
        for (got, sent) in got.iter().zip(&sent) {
            prop_assert_eq!(got.len(), sent.len());
            let right = got.iter().zip(sent).all(|(g, s)| g == s || *s == u64::MAX);
            prop_assert!(right, "{:x?}, not {:x?}", got, sent);
        }
    }
}
