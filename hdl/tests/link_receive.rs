//! The host link's receiving half under a host that sends faster than the card works.

mod tx_support;

use std::sync::LazyLock;

use nitor_block::{Block, Model};
use nitor_hdl::link::receive::LinkReceive;
use nitor_hdl::link::{BUS_WRITE, DATA, OPEN};
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
}
