//! TLPs from the link are sorted; every error in them is detected, counted, and does no harm.

mod pcie_support;

use std::collections::VecDeque;

use nitor_block::{Block, Model};
use pcie_support::streams::{Feed, Take};
use pcie_support::{cases, start, Beat, Rng, Tlp, RX128, RX512, RX_SMALL};
use proptest::prelude::*;

/// What a TLP is, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Write,
    WriteTooLong,
    WriteAcross4K,
    /// More or fewer beats than the length says.
    WriteWrongEnd,
    Completion,
    CompletionTooLong,
    CompletionTooShort,
    CompletionBeyondPayload,
    NonPosted,
    NonPostedAcross4K,
    ConfigOfTwo,
    /// Of no use to the card, as it may say.
    MessageIgnored,
    /// One that it would have to know.
    Message,
    /// Of a traffic class that its code does not have.
    MessageOfClass,
    Unknown,
}

const KINDS: [Kind; 19] = [
    Kind::Write,
    Kind::Write,
    Kind::Write,
    Kind::WriteTooLong,
    Kind::WriteAcross4K,
    Kind::WriteWrongEnd,
    Kind::Completion,
    Kind::Completion,
    Kind::CompletionTooLong,
    Kind::CompletionTooShort,
    Kind::CompletionBeyondPayload,
    Kind::NonPosted,
    Kind::NonPosted,
    Kind::NonPostedAcross4K,
    Kind::ConfigOfTwo,
    Kind::MessageIgnored,
    Kind::Message,
    Kind::MessageOfClass,
    Kind::Unknown,
];

/// Unlock, power management, hot plug, slot power, vendors' type 1.
const IGNORED: [u32; 12] = [0x00, 0x14, 0x19, 0x40, 0x41, 0x43, 0x44, 0x45, 0x47, 0x48, 0x50, 0x7f];

/// What a block is told, and how it is built: dwords of the largest payload, and whether it is
/// small.
#[derive(Clone, Copy)]
struct Limits {
    most: u64,
    small: bool,
}

fn make(rng: &mut Rng, kind: Kind, Limits { most, small }: Limits) -> Tlp {
    let wide = rng.percent(50);
    let high = if wide { rng.range(1, 0xffff) << 32 } else { 0 };
    let page = rng.below(1 << 16) << 12;
    let write = |rng: &mut Rng, dwords: u64, offset: u64| {
        let data = rng.bytes(4 * dwords as usize);
        Tlp::memory(true, 8, 0, 0xff, high | page | offset, data)
    };
    let with_header = |header: u32, rng: &mut Rng, dwords: usize| Tlp {
        hdr: [header | dwords as u32 & 0x3ff, rng.next() as u32, rng.next() as u32 & !0xfff, 0],
        data: rng.bytes(4 * dwords),
    };
    match kind {
        Kind::Write | Kind::WriteWrongEnd => {
            let dwords = rng.range(1, most);
            // Some end where the page does.
            let last = 1024 - dwords;
            let offset = 4 * if rng.percent(20) { last } else { rng.below(last) };
            write(rng, dwords, offset)
        }
        Kind::WriteTooLong => {
            let dwords = rng.range(most + 1, 400);
            write(rng, dwords, 0)
        }
        Kind::WriteAcross4K => {
            let dwords = rng.range(2, most);
            let offset = 4096 - 4 * rng.range(1, dwords - 1);
            write(rng, dwords, offset)
        }
        Kind::CompletionBeyondPayload => {
            let dwords = rng.range(most + 1, 400) as usize;
            with_header(0x4a00_0000, rng, dwords)
        }
        Kind::Completion | Kind::CompletionTooLong | Kind::CompletionTooShort => {
            let dwords = rng.range(1, most) as usize;
            match rng.below(4) {
                0 if kind == Kind::Completion => with_header(0x0a00_0000, rng, 0),
                _ => with_header(0x4a00_0000, rng, dwords),
            }
        }
        Kind::NonPosted => {
            let header = *rng.pick(&[0x00u32, 0x02, 0x04, 0x05, 0x42, 0x44, 0x45, 0x4c]) << 24;
            let dwords = usize::from(header >> 30 & 1 == 1);
            let mut tlp = with_header(header, rng, dwords);
            tlp.hdr[0] |= 1;
            tlp
        }
        Kind::NonPostedAcross4K => {
            let mut tlp = with_header(2, rng, 0);
            tlp.hdr[0] = 2;
            tlp.hdr[2] |= 0xffc;
            tlp
        }
        Kind::ConfigOfTwo => with_header(0x4400_0000, rng, 2),
        Kind::MessageIgnored | Kind::Message | Kind::MessageOfClass => {
            // A small block says of each message that it has data.
            let dwords = if small || rng.percent(50) { rng.range(1, most) } else { 0 } as usize;
            let header = if dwords == 0 { 0x3000_0000 } else { 0x7000_0000 };
            let routed = (rng.below(6) as u32) << 24;
            let mut tlp = with_header(header | routed, rng, dwords);
            let mut code = *rng.pick(&IGNORED);
            while kind == Kind::Message && IGNORED.contains(&code) {
                code = rng.below(256) as u32;
            }
            if kind == Kind::MessageOfClass {
                code = rng.pick(&[0u32, 0x10, 0x20, 0x30, 0x50]) | rng.below(16) as u32;
                tlp.hdr[0] |= (rng.range(1, 7) as u32) << 20;
            } else if ![0, 1, 2, 3, 5].contains(&(code >> 4)) {
                tlp.hdr[0] |= (rng.below(8) as u32) << 20;
            }
            tlp.hdr[1] = tlp.hdr[1] & !0xff | code;
            tlp.hdr[3] = rng.next() as u32;
            tlp
        }
        Kind::Unknown => with_header(*rng.pick(&[0x1b00_0000, 0x5f00_0000]), rng, 0),
    }
}

struct Expected {
    completions: Vec<Beat>,
    writes: VecDeque<Tlp>,
    /// With the number of writes before it.
    requests: VecDeque<(Tlp, usize)>,
    /// Headers of what is malformed.
    malformed: VecDeque<[u32; 4]>,
}

/// Adds a TLP to what goes in and to what should come out.
fn add(
    rng: &mut Rng,
    k: usize,
    kind: Kind,
    limits: Limits,
    feed: &mut VecDeque<Vec<Beat>>,
    expected: &mut Expected,
) {
    let tlp = make(rng, kind, limits);
    let header = tlp.hdr;
    let mut beats = tlp.beats(k, rng);
    let whole = beats.len();
    let noise = |rng: &mut Rng| (false, true, rng.bytes(16), rng.bytes(k));
    match kind {
        Kind::WriteWrongEnd | Kind::CompletionTooShort if whole > 1 && rng.percent(50) => {
            beats.truncate(rng.range(1, whole as u64 - 1) as usize);
        }
        Kind::WriteWrongEnd | Kind::CompletionTooLong | Kind::CompletionTooShort => {
            for _ in 0..rng.range(1, 3) {
                beats.last_mut().unwrap().1 = false;
                beats.push(noise(rng));
            }
        }
        _ => {}
    }
    beats.last_mut().unwrap().1 = true;
    let fine = match kind {
        Kind::Write | Kind::Message => {
            let mut tlp = tlp;
            if limits.small {
                // What nobody needs of it is not kept.
                tlp.hdr[0] &= 0x7000_43ff;
                tlp.hdr[1] &= 0xff;
            }
            expected.writes.push_back(tlp);
            true
        }
        Kind::NonPosted => {
            expected.requests.push_back((tlp, expected.writes.len()));
            true
        }
        Kind::Completion | Kind::CompletionTooLong | Kind::CompletionTooShort => {
            let mut out = beats[..beats.len().min(whole)].to_vec();
            out.last_mut().unwrap().1 = true;
            expected.completions.extend(out);
            kind == Kind::Completion
        }
        Kind::MessageIgnored => true,
        _ => false,
    };
    if !fine {
        expected.malformed.push_back(header);
    }
    feed.push_back(beats);
}

/// The header of what is wrong.
fn header(block: &Block) -> [u32; 4] {
    let bytes = block.get_bytes("err_hdr");
    let dws = bytes.as_chunks::<4>().0.iter().map(|dw| u32::from_le_bytes(*dw));
    Vec::from_iter(dws).try_into().unwrap()
}

fn sorts(
    model: &Model,
    k: usize,
    seed: u64,
    [idle, stall]: [u64; 2],
    kinds: &[Kind],
    count: usize,
    mps: u64,
) -> u64 {
    let limits = Limits { most: 32 << mps, small: std::ptr::eq(model, &*RX_SMALL) };
    let mut rng = Rng(seed);
    let mut block = start(model, seed);
    block.set("mps", mps);
    let mut tlps = VecDeque::new();
    let mut expected = Expected {
        completions: vec![],
        writes: VecDeque::new(),
        requests: VecDeque::new(),
        malformed: VecDeque::new(),
    };
    for _ in 0..count {
        let kind = *rng.pick(kinds);
        add(&mut rng, k, kind, limits, &mut tlps, &mut expected);
    }
    let mut link = Feed::new("link", k);
    let [mut cpl, mut posted, mut np] = ["cpl", "posted", "np"].map(Take::new);
    let (mut requests, mut taken_writes) = (0u64, 0);
    let mut completions = expected.completions.into_iter();
    let begin = block.cycles();
    let mut quiet = 0;
    while quiet < 200 {
        assert!(block.cycles() - begin < 500_000, "{} TLPs are stuck", tlps.len());
        quiet += 1;
        // Non-posted requests only as far as they are allowed.
        let limit = block.get("rx_np_limit");
        if link.beats.is_empty() {
            if let Some(beats) = tlps.front() {
                let kind = beats[0].2[3];
                let message = matches!(kind & 0xf8, 0x30 | 0x70);
                let non_posted =
                    !message && !matches!(kind, 0x40 | 0x60 | 0x0a | 0x4a | 0x1b | 0x5f);
                let may = !non_posted || (limit.wrapping_sub(requests + 1) & 0xff) < 128;
                if may {
                    requests += u64::from(non_posted);
                    link.beats.extend(tlps.pop_front().unwrap());
                }
            }
        }
        link.drive(&mut block, !rng.percent(idle));
        let [a, b, c] = [0; 3].map(|_| !rng.percent(stall));
        cpl.drive(&mut block, a);
        posted.drive(&mut block, b);
        np.drive(&mut block, c);
        block.clock_low();
        if link.sample(&block).is_some() || !tlps.is_empty() {
            quiet = 0;
        }
        assert_eq!(block.get("err_overflow"), 0);
        assert_eq!(block.get("stat_malformed"), block.get("err_malformed"));
        if block.get("err_malformed") == 1 {
            assert_eq!(Some(header(&block)), expected.malformed.pop_front());
        }
        if let Some((sop, eop, hdr, data)) = cpl.beat(&block) {
            quiet = 0;
            let wanted = completions.next().expect("a completion that came");
            assert_eq!((sop, eop, &data), (wanted.0, wanted.1, &wanted.3));
            assert!(!sop || hdr == wanted.2);
        }
        // One that is taken in the same cycle does not count yet.
        if let Some(tlp) = np.sample(&block) {
            quiet = 0;
            let (wanted, after) = expected.requests.pop_front().expect("a request that came");
            assert_eq!(tlp, wanted);
            assert!(taken_writes >= after, "a request passed a write");
        }
        if let Some(tlp) = posted.sample(&block) {
            quiet = 0;
            taken_writes += 1;
            assert_eq!(Some(tlp), expected.writes.pop_front());
        }
        block.clock_high();
    }
    assert_eq!((expected.writes.len(), expected.requests.len()), (0, 0));
    assert_eq!(completions.next(), None);
    assert!(expected.malformed.is_empty(), "{:x?}", expected.malformed);
    block.cycles() - begin - 200
}

fn model(wide: bool) -> (&'static Model, usize) {
    if wide {
        (&RX512, 64)
    } else {
        (&RX128, 16)
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn good_and_bad(seed: u64, wide: bool, idle in 0u64..80, stall in 0u64..80) {
        let (model, k) = model(wide);
        sorts(model, k, seed, [idle, stall], &KINDS, 150, seed % 3);
    }

    #[test]
    fn good_and_bad_small(seed: u64, idle in 0u64..80, stall in 0u64..80) {
        sorts(&RX_SMALL, 16, seed, [idle, stall], &KINDS, 150, seed % 2);
    }
}

/// A beat a cycle, completions and writes; these wait until the last one is whole.
#[test]
fn full_speed() {
    for wide in [false, true] {
        let (model, k) = model(wide);
        for kind in [Kind::Completion, Kind::Write] {
            let limits = Limits { most: 128, small: false };
            let mut rng = Rng(3);
            let beats: usize = (0..300)
                .map(|_| {
                    let kind = *rng.pick(&[kind]);
                    let mut expected = Expected {
                        completions: vec![],
                        writes: VecDeque::new(),
                        requests: VecDeque::new(),
                        malformed: VecDeque::new(),
                    };
                    let mut feed = VecDeque::new();
                    add(&mut rng, k, kind, limits, &mut feed, &mut expected);
                    feed[0].len()
                })
                .sum();
            let cycles = sorts(model, k, 3, [0, 0], &[kind], 300, 2);
            assert!(cycles <= beats as u64 + 60, "{kind:?}: {cycles} cycles for {beats} beats");
        }
    }
}

/// Requests that nobody takes are passed by any number of writes, and come when they are taken:
/// those that were on offer, and those behind.
#[test]
fn requests_that_many_writes_pass() {
    for (model, k, most) in [(&*RX128, 16, 3), (&*RX512, 64, 3), (&*RX_SMALL, 16, 2)] {
        for writes in [0, 1, 31, 32, 33, 47, 63, 64, 65, 96, 200] {
            let mut rng = Rng(writes);
            let mut block = start(model, writes);
            let mut link = Feed::new("link", k);
            let requests: Vec<Tlp> =
                (0..most).map(|i| Tlp::memory(false, 9, i, 15, 64, vec![0; 4])).collect();
            let write = Tlp::memory(true, 8, 0, 15, 128, vec![1, 2, 3, 4]);
            link.push(&write, &mut rng);
            requests.iter().for_each(|tlp| link.push(tlp, &mut rng));
            (0..writes).for_each(|_| link.push(&write, &mut rng));
            let [mut posted, mut np] = ["posted", "np"].map(Take::new);
            let (mut passed, mut came) = (0, vec![]);
            for cycle in 0..600 {
                link.drive(&mut block, true);
                posted.drive(&mut block, true);
                np.drive(&mut block, cycle >= 500);
                block.clock_low();
                link.sample(&block);
                passed += u64::from(posted.sample(&block).is_some());
                came.extend(np.sample(&block));
                block.clock_high();
                assert!(cycle != 499 || passed == writes + 1, "{passed} writes passed");
            }
            assert_eq!(came, requests, "{writes} writes passed");
        }
    }
}

/// Requests beyond what was granted.
#[test]
fn requests_beyond_the_limit() {
    for (model, k, places) in [(&*RX128, 16, 17), (&*RX512, 64, 17), (&*RX_SMALL, 16, 2)] {
        let mut rng = Rng(1);
        let mut block = start(model, 1);
        let mut link = Feed::new("link", k);
        let request = |i| Tlp::memory(false, 9, i, 15, 64, vec![0; 4]);
        (0..20).for_each(|i| link.push(&request(i), &mut rng));
        let mut lost = vec![];
        for _ in 0..200 {
            link.drive(&mut block, true);
            block.clock_low();
            link.sample(&block);
            if block.get("err_overflow") == 1 {
                assert_eq!((block.get("stat_malformed"), block.get("err_malformed")), (1, 0));
                lost.push(header(&block));
            }
            block.clock_high();
        }
        let wanted: Vec<_> = (0..20).map(|i| request(i).hdr).collect();
        assert!(lost.ends_with(&wanted[places + 1..]) && lost.len() <= 20 - places, "{lost:x?}");
    }
}
