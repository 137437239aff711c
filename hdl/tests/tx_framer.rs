//! The framer keeps frames whole at the MAC, whatever is reset behind it.

mod tx_support;

use std::sync::LazyLock;

use nitor_block::Model;
use nitor_hdl::tx::framer::TxFramer;
use proptest::prelude::*;
use tx_support::{model, start, Rng};

static FRAMER: LazyLock<Model> = LazyLock::new(|| model::<TxFramer<64>>("tx_framer"));

/// What the MAC gets: numbers of beats of a frame, and whether it ended with `err`.
#[derive(Debug, Default, PartialEq)]
struct Taken {
    beats: Vec<u64>,
    err: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Frames come through as they are. One that is cut off comes as far as it got, and ends with
    /// `err`.
    #[test]
    fn frames_end(seed: u64, cut_percent in 0u64..4, stall_percent in 0u64..90) {
        let mut rng = Rng(seed);
        let mut block = start(&FRAMER, seed, 2);
        let mut next = 0;
        let mut left = 0;
        // What went in, and what came out.
        let (mut given, mut taken) = (vec![], vec![]);
        let (mut open, mut coming) = (Taken::default(), Taken::default());
        let mut cut_for = 0;
        let mut held = None;
        let mut offering = false;
        for n in 0..3000 {
            let draining = n >= 2900;
            if cut_for == 0 && !draining && rng.below(100) < cut_percent {
                cut_for = 1 + rng.below(16);
            }
            let cut = cut_for > 0;
            if !offering && !draining && rng.below(100) < 80 {
                offering = true;
                if left == 0 {
                    left = 1 + rng.below(6);
                }
            }
            block.set("beats_valid", u64::from(offering));
            block.set("beats_data", next);
            block.set("beats_last", u64::from(left == 1));
            block.set("beats_bytes", 8);
            block.set("cut", u64::from(cut));
            let ready = draining || rng.below(100) >= stall_percent;
            block.set("mac_ready", u64::from(ready));
            block.clock_low();
            if offering && block.get("beats_ready") == 1 {
                prop_assert!(!cut);
                open.beats.push(next);
                next += 1;
                left -= 1;
                offering = false;
                if left == 0 {
                    given.push(std::mem::take(&mut open));
                }
            }
            let now = (block.get("mac_valid") == 1).then(|| {
                ["mac_data", "mac_last", "mac_err", "mac_bytes"].map(|port| block.get(port))
            });
            if held.is_some() {
                prop_assert_eq!(held, now, "a beat changed before it was taken");
            }
            held = now.filter(|_| !ready);
            if let (Some([data, last, err, bytes]), true) = (now, ready) {
                if err == 1 {
                    prop_assert_eq!((last, bytes), (1, 1));
                    coming.err = true;
                } else {
                    prop_assert_eq!(bytes, 8);
                    coming.beats.push(data);
                }
                if last == 1 {
                    taken.push(std::mem::take(&mut coming));
                }
            }
            if cut {
                // The block behind is in reset: it offers nothing more of what it had.
                offering = false;
                left = 0;
                next += 100;
                if !open.beats.is_empty() {
                    open.err = true;
                    given.push(std::mem::take(&mut open));
                }
                cut_for -= 1;
            }
            block.clock_high();
        }
        if !open.beats.is_empty() {
            given.push(open);
        }
        if !coming.beats.is_empty() {
            taken.push(coming);
        }
        prop_assert!(given.len() > 20);
        let differs = (0..given.len().max(taken.len())).find(|&i| given.get(i) != taken.get(i));
        let differs = differs.map(|i| (i, given.get(i), taken.get(i)));
        prop_assert!(differs.is_none(), "{differs:?} of {} and {}", given.len(), taken.len());
    }
}
