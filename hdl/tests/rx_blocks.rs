//! The receive blocks one by one: hash, classification, intake, registers.

mod rx_support;

use nitor_block::{Block, Model};
use nitor_hdl::rx::hash::Toeplitz;
use nitor_hdl::rx::input::RxInput;
use nitor_hdl::rx::parse::RxParse;
use nitor_hdl::rx::steer::RxSteer;
use proptest::prelude::*;
use rx_support::frames::{self, classify, toeplitz, Flow};
use rx_support::{access, config, model, model_of, start, Rng};
use std::collections::VecDeque;
use std::sync::LazyLock;

/// By their steps.
static HASH: LazyLock<Vec<(usize, Model)>> = LazyLock::new(|| {
    let model = |steps| (steps, model_of(move || Toeplitz::new(steps), "rx_toeplitz"));
    [1, 3, 9].map(model).into()
});
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
/// 32 rows, 8 frames of 60 bytes.
type Input = RxInput<128, 16, 4, 3>;
/// By the cycles from frame to frame; the last one is for the serial classifier.
static INPUT: LazyLock<Vec<(Option<usize>, Model)>> = LazyLock::new(|| {
    let wide = |apart| (Some(apart), model_of(move || Input::new(apart), "rx_input_128"));
    let mut models: Vec<_> = [1, 3, 9].map(wide).into();
    models.push((None, model_of(Input::serial, "rx_input_serial")));
    models
});
static STEER: LazyLock<Model> = LazyLock::new(|| model::<RxSteer>("rx_steer"));

/// The key of Microsoft's verification suite.
const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// Source, its port, destination, its port, hash with ports and without.
type Vector = (&'static str, u16, &'static str, u16, u32, u32);

const SUITE: [Vector; 8] = [
    ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x51ccc178, 0x323e8fc2),
    ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xc626b0ea, 0xd718262a),
    ("24.19.198.95", 12898, "12.22.207.184", 38024, 0x5c2b394a, 0xd2d0a5de),
    ("38.27.205.30", 48228, "209.142.163.6", 2217, 0xafc7327f, 0x82989176),
    ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x10e828a2, 0x5d1809c5),
    ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x40207d3d, 0x2cc18cd5),
    ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0xdde51bbf, 0x0f0c461c),
    (
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
        44251,
        "fe80::200:f8ff:fe21:67cf",
        38024,
        0x02d1feef,
        0x4b61e985,
    ),
];

fn address(text: &str) -> Vec<u8> {
    match text.parse().expect("an address") {
        std::net::IpAddr::V4(a) => a.octets().to_vec(),
        std::net::IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// The suite's inputs, padded, and their hashes.
fn suite() -> Vec<(Vec<u8>, u32)> {
    let mut all = Vec::new();
    for (source, sp, destination, dp, with, without) in SUITE {
        let addresses = [address(source), address(destination)].concat();
        let ports = [sp.to_be_bytes(), dp.to_be_bytes()].concat();
        for (mut input, hash) in [([addresses.clone(), ports].concat(), with), (addresses, without)]
        {
            input.resize(36, 0);
            all.push((input, hash));
        }
    }
    all
}

/// Inputs as fast as they may come, now and then one early; their hashes.
fn hashes(steps: usize, model: &Model, key: &[u8; 40], inputs: &[Vec<u8>]) -> Vec<u32> {
    let mut block = start(model, 1);
    block.set_bytes("key", key);
    let mut got = Vec::new();
    let mut at: Vec<usize> = (0..inputs.len()).map(|i| i * steps).collect();
    for i in (2..at.len()).step_by(3) {
        at[i] -= steps - 1;
    }
    for cycle in 0..(inputs.len() + 2) * steps + 4 {
        let input = at.iter().position(|&c| c == cycle);
        block.set("in_valid", input.is_some().into());
        block.set_bytes("data", input.map_or(&[0; 36][..], |i| &inputs[i][..]));
        block.set("tag", input.unwrap_or(0) as u64);
        block.tick();
        if block.get("valid") == 1 {
            assert_eq!(block.get("tag_out"), got.len() as u64);
            got.push(block.get("hash") as u32);
        }
    }
    got
}

#[test]
fn toeplitz_suite() {
    let (inputs, expected): (Vec<_>, Vec<_>) = suite().into_iter().unzip();
    let model: Vec<u32> = inputs.iter().map(|input| toeplitz(&KEY, input)).collect();
    assert_eq!(model, expected, "the reference");
    for (steps, model) in HASH.iter() {
        assert_eq!(hashes(*steps, model, &KEY, &inputs), expected, "{steps} steps");
    }
}

proptest! {
    #![proptest_config(config(20))]

    #[test]
    fn toeplitz_random(seed: u64) {
        let mut rng = Rng(seed);
        let key = rng.bytes(40).try_into().unwrap();
        let inputs: Vec<Vec<u8>> = (0..50).map(|_| rng.bytes(36)).collect();
        let expected: Vec<u32> = inputs.iter().map(|input| toeplitz(&key, input)).collect();
        for (steps, model) in HASH.iter() {
            prop_assert_eq!(&hashes(*steps, model, &key, &inputs), &expected);
        }
    }
}

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

fn steer(block: &mut Block, flow: &Flow) -> (u64, bool, u32) {
    block.set("in_valid", 1);
    block.set("in_l3", flow.l3);
    block.set("in_l4", flow.l4);
    block.set("in_frag", flow.frag.into());
    block.set_bytes("in_tuple", &flow.tuple);
    block.tick();
    block.set("in_valid", 0);
    for _ in 0..4 {
        assert_eq!(block.get("flow_valid"), 0);
        block.tick();
    }
    assert_eq!(block.get("flow_valid"), 1);
    let word = block.get("flow_");
    assert_eq!(word >> 41, flow.l3 | flow.l4 << 4 | u64::from(flow.frag) << 9);
    (word >> 32 & 0xff, word >> 40 & 1 == 1, word as u32)
}

#[test]
fn steer_registers_and_lookup() {
    let mut block = start(&STEER, 3);
    let mut rng = Rng(3);
    assert_eq!(access(&mut block, false, 0x130, 0, 15).0, 0xffff);
    assert_eq!(access(&mut block, false, 0x130, 0, 15).1, 2, "cycles of an access");
    assert!((0..128).all(|i| access(&mut block, false, 0x400 + 4 * i, 0, 15).0 == 0));
    // Any register, any byte enables, and what is not a register.
    let mut model = std::collections::BTreeMap::new();
    for addr in (0x130..0x134).chain(0x200..0x228).chain(0x400..0x600).step_by(4) {
        model.insert(addr, access(&mut block, false, addr, 0, 15).0);
    }
    for _ in 0..3000 {
        let addr = 4 * rng.below(0x200);
        let (write, data, be) = (rng.below(2) == 0, rng.next() & 0xffff_ffff, rng.below(16));
        let (rdata, _) = access(&mut block, write, addr, data, be);
        let Some(held) = model.get_mut(&addr) else {
            assert!(write || rdata == 0);
            continue;
        };
        if !write {
            assert_eq!(rdata, *held, "{addr:#x}");
            continue;
        }
        let mask = (0..4).filter(|i| be >> i & 1 == 1).fold(0, |mask, i| mask | 0xff << (8 * i));
        let width = match addr {
            0x130 => 0xffff,
            0x400.. => 0x1ff,
            _ => 0xffff_ffff,
        };
        *held = (*held & !mask | data & mask) & width;
    }
    // Hash and queue of packets under what is there now, and with every kind's ports off and on.
    for i in 0..10 {
        access(
            &mut block,
            true,
            0x200 + 4 * i,
            u32::from_le_bytes(KEY[4 * i as usize..][..4].try_into().unwrap()).into(),
            15,
        );
    }
    for ctrl in (0..16).chain([0xffff]) {
        access(&mut block, true, 0x130, ctrl, 15);
        block.reset(2); // the registers stay
        for _ in 0..30 {
            let (frame, _) = frames::packet(&mut rng, 40);
            let flow = classify(&frame);
            let kind = [(8, 12), (8, 13), (11, 12), (11, 13)]
                .iter()
                .position(|&k| k == (flow.l3, flow.l4));
            let ports = kind.is_some_and(|kind| ctrl >> kind & 1 == 1);
            let hash =
                toeplitz(&KEY, &if ports { flow.tuple.clone() } else { flow.without_ports() });
            let entry = model[&(0x400 + 4 * u64::from(hash & 127))];
            assert_eq!(steer(&mut block, &flow), (entry & 0xff, entry & 0x100 != 0, hash));
        }
        assert_eq!(
            steer(&mut block, &Flow::unknown()),
            (model[&0x400] & 0xff, model[&0x400] & 0x100 != 0, 0)
        );
    }
}

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
