//! `rx/input` against a model of its buffer, whose rows are freed at random.

mod rx_support;

use nitor_block::Model;
use nitor_hdl::rx::input::RxInput;
use proptest::prelude::*;
use rx_support::{config, model_of, start, Rng};
use std::collections::VecDeque;
use std::sync::LazyLock;

/// 32 rows, 8 frames of 60 bytes.
type Input = RxInput<128, 16, 4, 3>;
/// By the cycles from frame to frame; the last one is for the serial classifier.
static INPUT: LazyLock<Vec<(Option<usize>, Model)>> = LazyLock::new(|| {
    let wide = |apart| (Some(apart), model_of(move || Input::new(apart), "rx_input_128"));
    let mut models: Vec<_> = [1, 3, 9].map(wide).into();
    models.push((None, model_of(Input::serial, "rx_input_serial")));
    models
});

#[derive(Clone, Debug, PartialEq)]
enum Fate {
    Kept,
    Bad,
    NoRoom,
}

/// Intake against a model of the ring that frees rows at random.
fn intake(apart: Option<usize>, model: &Model, seed: u64, gaps: u64, frees: u64) {
    const K: usize = 16;
    const ROWS: usize = 32;
    const PLACES: usize = 8;
    let mut rng = Rng(seed);
    let mut block = start(model, seed);
    let max_frame = rng.range(60, 250);
    block.set("max_frame", max_frame);
    let mut rows = vec![vec![0; K]; ROWS];
    let (mut kept, mut free) = (VecDeque::<Vec<u8>>::new(), 0u16);
    let (mut sent, mut fates) = (VecDeque::new(), Vec::new());
    let mut wire = VecDeque::new();
    for _ in 0..200 {
        let len = match rng.below(4) {
            0 => rng.range(1, 20),
            1 => rng.range(max_frame - 3, max_frame + 40),
            _ => rng.range(14, 100),
        };
        let frame = rng.bytes(len as usize);
        let err = rng.below(10) == 0;
        let good = !err && len >= 14 && len <= max_frame;
        let beats = frame.len().div_ceil(K);
        for (i, chunk) in frame.chunks(K).enumerate() {
            let mut data = chunk.to_vec();
            data.resize(K, 0xee);
            wire.push_back((data, i + 1 == beats, chunk.len(), err && i + 1 == beats));
        }
        sent.push_back((frame, good));
    }
    let mut tap = Vec::new();
    let mut quiet = 0;
    // Where a frame began and ended, and whether the last beat waits.
    let (mut begun, mut ended, mut inside, mut held) = (None, None, false, None);
    // The classifier's `hold`, and whether it was down since it counted.
    let (mut hold, mut open) = (false, true);
    while quiet < 60 {
        let beat =
            held.take().or_else(|| if rng.below(100) < gaps { None } else { wire.pop_front() });
        quiet = if beat.is_some() || !wire.is_empty() { 0 } else { quiet + 1 };
        block.set("mac_valid", beat.is_some().into());
        if let Some((data, last, bytes, err)) = &beat {
            block.set_bytes("mac_data", data);
            block.set("mac_last", u64::from(*last));
            block.set("mac_bytes", *bytes as u64);
            block.set("mac_err", u64::from(*err));
        }
        block.set("free_row", free.into());
        hold = apart.is_none() && hold != (rng.below(8) == 0);
        block.set("hold", hold.into());
        let take = (wire.is_empty() || rng.below(100) < frees) && !kept.is_empty();
        block.set("taken", take.into());
        block.clock_low();
        let ready = block.get("mac_ready") == 1;
        assert!(ready || apart != Some(1));
        let now = block.cycles();
        if let Some((_, last, ..)) = &beat {
            if ready {
                let mark = if apart.is_some() { begun } else { ended };
                let after = mark.map_or(u64::MAX, |at| now - at);
                if !inside {
                    assert!(after >= apart.unwrap_or(4) as u64, "begins after {after} cycles");
                    assert!(open || apart.is_some(), "begins against `hold`");
                    begun = Some(now);
                }
                inside = !last;
                if *last {
                    (ended, open) = (Some(now), false);
                }
            } else {
                assert!(!inside, "only the beginning of a frame waits");
                held = beat;
            }
        }
        open |= !hold && ended.is_some_and(|at| now >= at + 3);
        if block.get("row_we") == 1 {
            let row = block.get("row") as u16;
            assert!(usize::from(row.wrapping_sub(free)) < ROWS, "row {row} is in use");
            rows[usize::from(row) % ROWS] = block.get_bytes("row_data");
        }
        if block.get("tap_valid") == 1 {
            let bytes = block.get("tap_bytes") as usize;
            tap.extend_from_slice(&block.get_bytes("tap_data")[..bytes.min(K)]);
            if block.get("tap_end") == 1 {
                if block.get("tap_keep") == 1 {
                    assert_eq!(block.get("tap_len") as usize, tap.len());
                    kept.push_back(std::mem::take(&mut tap));
                    assert!(kept.len() <= PLACES);
                }
                tap.clear();
            }
        }
        for (name, fate) in [("stat_drop_bad", Fate::Bad), ("stat_drop_no_room", Fate::NoRoom)] {
            if block.get(name) == 1 {
                fates.push(fate);
            }
        }
        if take {
            // The first of those that were kept before this cycle.
            let data = kept.pop_front().expect("a frame that waits");
            let count = data.len().div_ceil(K);
            let stored: Vec<u8> =
                (0..count).flat_map(|i| rows[(usize::from(free) + i) % ROWS].clone()).collect();
            assert_eq!(stored[..data.len()], data, "stored as tapped, in ring order");
            // Frames passed over were dropped, in order.
            loop {
                let (frame, good) = sent.pop_front().expect("a frame that was sent");
                if frame == data {
                    assert!(good, "a bad frame is kept");
                    fates.push(Fate::Kept);
                    break;
                }
            }
            free = free.wrapping_add(count as u16);
            quiet = 0;
        }
        block.clock_high();
    }
    assert_eq!(fates.len(), 200, "every frame has one fate: {fates:?}");
    if frees == 99 && gaps > 60 {
        assert!(!fates.contains(&Fate::NoRoom));
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn input_random(seed: u64, gaps in prop_oneof![Just(0u64), 0..90u64], frees in prop_oneof![Just(99u64), 1..99u64]) {
        for (apart, model) in INPUT.iter() {
            intake(*apart, model, seed, gaps, frees);
        }
    }
}
