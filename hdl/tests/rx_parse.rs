//! `rx/parse` against the reference, which reads whole frames.

mod rx_support;

use nitor_block::{Block, Model};
use nitor_hdl::rx::parse::RxParse;
use proptest::prelude::*;
use rx_support::frames::{self, classify, Flow};
use rx_support::{config, model, model_of, start, Rng};
use std::sync::LazyLock;

/// Bytes of a beat, cycles from frame to frame.
static PARSE: LazyLock<Vec<((usize, u64), Model)>> = LazyLock::new(|| {
    let narrow = |apart| move || RxParse::<128, 16>::new(apart);
    vec![
        ((64, 1), model::<RxParse<512, 64>>("rx_parse_512")),
        ((16, 1), model_of(narrow(1), "rx_parse_128")),
        ((16, 3), model_of(narrow(3), "rx_parse_128")),
        ((16, 9), model_of(narrow(9), "rx_parse_128")),
    ]
});

/// Sends frames, some of them not kept, and gives the results with their cycles.
fn parse(which: usize, seed: u64, frames: &[(Vec<u8>, bool)], gaps: u64) -> Vec<(u64, Flow)> {
    let mut rng = Rng(seed);
    let ((k, apart), model) = &PARSE[which];
    let k = *k;
    let mut block = start(model, seed);
    let mut begin = 0;
    let mut results = Vec::new();
    let collect = |block: &mut Block, results: &mut Vec<(u64, Flow)>| {
        block.clock_low();
        if block.get("valid") == 1 {
            let flow = Flow {
                l3: block.get("l3"),
                l4: block.get("l4"),
                frag: block.get("frag") == 1,
                tuple: block.get_bytes("tuple"),
            };
            results.push((block.cycles(), flow));
        }
        block.clock_high();
    };
    for (frame, keep) in frames {
        let beats = frame.len().div_ceil(k);
        // A frame that is given up ends anywhere.
        let end = if *keep { beats } else { rng.range(1, beats as u64) as usize };
        for (i, chunk) in frame.chunks(k).take(end).enumerate() {
            while (i == 0 && block.cycles() < begin) || rng.below(100) < gaps {
                block.set("tap_valid", 0);
                block.set("tap_keep", 0);
                collect(&mut block, &mut results);
            }
            if i == 0 {
                begin = block.cycles() + apart;
            }
            let mut data = chunk.to_vec();
            data.extend(rng.bytes(k - chunk.len()));
            block.set("tap_valid", 1);
            block.set_bytes("tap_data", &data);
            block.set("tap_bytes", chunk.len() as u64);
            block.set("tap_end", u64::from(i + 1 == end));
            block.set("tap_keep", u64::from(i + 1 == end && *keep));
            collect(&mut block, &mut results);
        }
    }
    block.set("tap_valid", 0);
    block.set("tap_keep", 0);
    for _ in 0..10 {
        collect(&mut block, &mut results);
    }
    results
}

#[test]
fn reference_agrees_with_construction() {
    let mut rng = Rng(1);
    for _ in 0..5000 {
        let payload = rng.below(200) as usize;
        let (frame, mut truth) = frames::packet(&mut rng, payload);
        let found = classify(&frame);
        if found != truth && truth.l4 != 0 {
            // Behind the window, or in a datagram without room for a header.
            assert_eq!((found.l3, found.l4, found.frag), (truth.l3, 0, truth.frag));
            truth.tuple = truth.without_ports();
        } else {
            assert_eq!(found.l4, truth.l4);
        }
        assert_eq!(found.tuple, truth.tuple, "{frame:02x?}");
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn parse_random(seed: u64, which in 0..PARSE.len(), gaps in prop_oneof![Just(0u64), 0..80u64]) {
        let mut rng = Rng(seed);
        let list: Vec<(Vec<u8>, bool)> = (0..60).map(|_| {
            let payload = rng.below(300) as usize;
            let frame = match rng.below(3) {
                0 => frames::broken(&mut rng),
                1 => frames::chained(&mut rng),
                _ => frames::packet(&mut rng, payload).0,
            };
            // Also of less than a beat, behind a longer one.
            let frame = if rng.below(6) == 0 { frame[..14].to_vec() } else { frame };
            (frame, rng.below(8) != 0)
        }).collect();
        let found: Vec<Flow> = parse(which, seed, &list, gaps).into_iter().map(|(_, f)| f).collect();
        let expected: Vec<Flow> = list.iter().filter(|(_, keep)| *keep).map(|(frame, _)| classify(frame)).collect();
        prop_assert_eq!(found, expected);
    }
}

/// A result a cycle, for frames of one beat.
#[test]
fn parse_keeps_pace() {
    let mut rng = Rng(8);
    let list: Vec<(Vec<u8>, bool)> = (0..200)
        .map(|_| {
            let mut frame = frames::packet(&mut rng, 10).0;
            frame.resize(60, 0);
            (frame, true)
        })
        .collect();
    let found = parse(0, 8, &list, 0);
    assert_eq!(found.len(), 200);
    assert!(found.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
}
