//! `rx/write` alone: any piece of the buffer to any address, at full speed.

mod rx_support;

use nitor_block::bitvec::prelude::*;
use nitor_block::stream::{cycle, End, Sink, Source, Stalls};
use nitor_block::{Block, Model};
use nitor_hdl::rx::words::{Kind, Report, Segment, Sums};
use nitor_hdl::rx::write::RxWrite;
use nitor_rtl::prelude::{lit, Record};
use proptest::prelude::*;
use rx_support::{bits, config, model, start, Rng};
use std::collections::VecDeque;
use std::sync::LazyLock;

static WRITE128: LazyLock<Model> =
    LazyLock::new(|| model::<RxWrite<128, 16, 4, 4>>("rx_write_128"));
static WRITE512: LazyLock<Model> =
    LazyLock::new(|| model::<RxWrite<512, 64, 6, 4>>("rx_write_512"));
const ROWS: usize = 32;

#[derive(Clone, Debug)]
enum Item {
    Piece {
        addr: u64,
        len: usize,
        src: usize,
        first: bool,
        last: bool,
        cq: u64,
        id: u64,
        free: u64,
    },
    Drop {
        free: u64,
    },
    Marker {
        cq: u64,
    },
}

impl Item {
    fn word(&self) -> BitVec {
        bits(match *self {
            Item::Piece { addr, len, src, first, last, cq, id, free } => Segment {
                addr: lit::<48>(addr),
                src: lit::<24>(src),
                free: lit::<16>(free),
                drop: false,
                report: Report {
                    len: lit::<16>(len),
                    req_id: lit::<16>(id),
                    hash: lit::<32>(id * 0x10001),
                    queue: lit::<8>(cq ^ 0xff),
                    cq: lit::<8>(cq),
                    kind: Kind { l3: lit::<4>(11), l4: lit::<5>(13), frag: id & 1 != 0 },
                    sums: Sums::from_bits(lit::<3>(id >> 1 & 7)),
                    first,
                    last,
                    marker: false,
                },
            },
            Item::Drop { free } => {
                Segment { free: lit::<16>(free), drop: true, ..Default::default() }
            }
            Item::Marker { cq } => Segment {
                report: Report { cq: lit::<8>(cq), marker: true, ..Default::default() },
                ..Default::default()
            },
        })
    }
}

/// A block whose buffer holds noise, and that noise.
fn filled(k: usize, seed: u64) -> (Block, Vec<u8>) {
    let mut block = start(if k == 16 { &WRITE128 } else { &WRITE512 }, seed);
    let noise = Rng(seed).bytes(ROWS * k);
    block.set("row_we", 1);
    for (i, row) in noise.chunks(k).enumerate() {
        block.set("row", i as u64);
        block.set_bytes("row_data", row);
        block.tick();
    }
    block.set("row_we", 0);
    block.set("requester", 0x1234);
    (block, noise)
}

type Beat = (bool, bool, Vec<u8>, Vec<u8>);

/// The beats one piece must make.
fn beats(k: usize, mps: u64, noise: &[u8], item: &Item) -> Vec<Beat> {
    let Item::Piece { addr, len, src, .. } = *item else { return Vec::new() };
    let (mut addr, end, mut src) = (addr, addr + len as u64, src);
    let mut all = Vec::new();
    while addr < end {
        let n = (mps - addr % mps).min(end - addr) as usize;
        let skip = (addr % 4) as usize;
        let mut payload = vec![0; skip];
        payload.extend((src..src + n).map(|i| noise[i % noise.len()]));
        let enabled: Vec<bool> =
            (0..(skip + n).next_multiple_of(4)).map(|i| (skip..skip + n).contains(&i)).collect();
        payload.resize((skip + n).next_multiple_of(4).next_multiple_of(k), 0);
        let nibble = |dw: &[bool]| dw.iter().rev().fold(0u32, |be, &on| be << 1 | u32::from(on));
        let dwords = enabled.len() / 4;
        let first = nibble(&enabled[..4]);
        let last = if dwords == 1 { 0 } else { nibble(&enabled[4 * dwords - 4..]) };
        let long = addr >> 32 != 0;
        let low = addr as u32 & !3;
        let mut hdr = vec![
            if long { 0x6000_0000 } else { 0x4000_0000 } | (dwords as u32 & 0x3ff),
            0x1234_0000 | last << 4 | first,
        ];
        hdr.extend(if long { [(addr >> 32) as u32, low] } else { [low, 0] });
        let hdr: Vec<u8> = hdr.iter().flat_map(|dw: &u32| dw.to_le_bytes()).collect();
        let count = payload.len() / k;
        for (i, data) in payload.chunks(k).enumerate() {
            let hdr = if i == 0 { hdr.clone() } else { Vec::new() };
            all.push((i == 0, i + 1 == count, hdr, data.to_vec()));
        }
        addr += n as u64;
        src += n;
    }
    all
}

fn entry(item: &Item) -> (u64, Vec<u8>, bool) {
    match *item {
        Item::Piece { len, first, last, cq, id, .. } => {
            let status = 1 << 30
                | (id as u32 >> 1 & 3) << 13
                | (id as u32 >> 3 & 1) << 16
                | 11
                | 13 << 8
                | (id as u32 & 1) << 15
                | u32::from(first) << 26
                | u32::from(last) << 27;
            let words =
                [status, len as u32 | (id as u32) << 16, id as u32 * 0x10001, cq as u32 ^ 0xff];
            (cq, words.iter().flat_map(|word| word.to_le_bytes()).collect(), false)
        }
        Item::Marker { cq } => (cq, vec![0; 16], true),
        Item::Drop { .. } => unreachable!("drops complete nothing"),
    }
}

/// Runs the items and gives the cycles from the first beat to the last.
fn run(k: usize, seed: u64, log_mps: u64, items: &[Item], stalls: [Stalls; 3]) -> u64 {
    let (mut block, noise) = filled(k, seed);
    block.set("mps", log_mps);
    let mps = 128 << log_mps.min(5);
    let [a, b, c] = stalls;
    let mut source = Source::new(&block, "seg", a);
    source.extend(items.iter().map(Item::word));
    let mut tx = Sink::<(bool, bool, Vec<u8>, Vec<u8>)>::new(&block, "tx", b);
    let mut done = Sink::<(u64, Vec<u8>, bool)>::new(&block, "done", c);
    let mut expected: VecDeque<(usize, Beat)> = items
        .iter()
        .enumerate()
        .flat_map(|(i, item)| beats(k, mps, &noise, item).into_iter().map(move |b| (i, b)))
        .collect();
    let mut reports: VecDeque<(usize, _)> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| !matches!(item, Item::Drop { .. }))
        .map(|(i, item)| (i, entry(item)))
        .collect();
    // How many items' beats are all accepted.
    let (mut begun, mut ended) = (0, 0);
    let last_free = items.iter().rev().find_map(|item| match item {
        Item::Piece { last: true, free, .. } | Item::Drop { free } => Some(*free),
        Item::Piece { src, len, .. } => Some(((src + len) / k) as u64),
        Item::Marker { .. } => None,
    });
    loop {
        cycle(&mut block, &mut [&mut source, &mut tx, &mut done]);
        for (sop, eop, hdr, data) in tx.take() {
            let (item, beat) = expected.pop_front().expect("a beat more");
            let hdr = if sop { hdr } else { Vec::new() };
            assert_eq!((sop, eop, hdr, data), beat, "of {:?}", items[item]);
            begun = if begun == 0 { block.cycles() } else { begun };
            ended = block.cycles();
        }
        for report in done.take() {
            let (item, expect) = reports.pop_front().expect("a report more");
            assert_eq!(report, expect, "of {:?}", items[item]);
            assert!(
                expected.front().is_none_or(|&(next, _)| next > item),
                "reported before its last beat"
            );
        }
        if expected.is_empty()
            && reports.is_empty()
            && source.is_empty()
            && last_free.is_none_or(|free| block.get("free_row") == free)
        {
            break;
        }
        assert!(
            block.cycles() < 200_000,
            "{} beats, {} reports missing",
            expected.len(),
            reports.len()
        );
    }
    for _ in 0..50 {
        let mut ends: [&mut dyn End; 3] = [&mut source, &mut tx, &mut done];
        cycle(&mut block, &mut ends);
    }
    assert!(tx.received().is_empty() && done.received().is_empty());
    ended - begun + 1
}

fn items(rng: &mut Rng, k: usize, count: u64) -> Vec<Item> {
    let mut free = 0;
    let mut all = Vec::new();
    for _ in 0..count {
        free += 1 + rng.below(3);
        all.push(match rng.below(10) {
            0 => Item::Drop { free },
            1 => Item::Marker { cq: rng.below(256) },
            _ => {
                let longest = ((ROWS - 1) * k) as u64;
                let len = if rng.below(2) == 0 { rng.range(1, 9) } else { rng.range(1, longest) }
                    as usize;
                let region =
                    [0x1000, 0xffff_f000, 0x12_3456_0000, 0xffff_0000_0000][rng.below(4) as usize];
                Item::Piece {
                    addr: region + rng.below(5000),
                    len,
                    src: rng.below((ROWS * k) as u64) as usize,
                    first: rng.below(2) == 0,
                    last: rng.below(2) == 0,
                    cq: rng.below(256),
                    id: rng.below(65536),
                    free,
                }
            }
        });
    }
    all
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn any_piece(seed: u64, wide: bool, mps in 0..8u64, stalled: bool) {
        let mut rng = Rng(seed);
        let k = if wide { 64 } else { 16 };
        let list = items(&mut rng, k, 40);
        let mut stalls = || if stalled { Stalls::seeded(rng.next()) } else { Stalls::none() };
        run(k, seed, mps, &list, [stalls(), stalls(), stalls()]);
    }
}

/// While the host takes nothing, two TLPs of 8 beats are read, and their rows free; the rest of the frame's follow as it is taken.
#[test]
fn rows_are_free_once_read() {
    let (mut block, _) = filled(16, 1);
    let item = |free, src, last| Item::Piece {
        addr: 0x5000,
        len: 200,
        src,
        first: true,
        last,
        cq: 1,
        id: 2,
        free,
    };
    let mut source = Source::new(&block, "seg", Stalls::none());
    source.extend([item(30, 16 * 3, false), item(30, 16 * 3 + 200, true)].iter().map(Item::word));
    let free_after = |block: &mut Block, source: &mut Source<BitVec>, ready: u64, cycles| {
        block.set("tx_ready", ready);
        for _ in 0..cycles {
            cycle(block, &mut [&mut *source]);
        }
        block.get("free_row")
    };
    // 128 bytes and 72 of the first segment are 13 beats, which leaves 3 of the first TLP of the second.
    assert_eq!(free_after(&mut block, &mut source, 0, 60), (48 + 200) / 16);
    // 5 more.
    assert_eq!(free_after(&mut block, &mut source, 1, 5), (48 + 200) / 16);
    assert_eq!(free_after(&mut block, &mut source, 0, 40), (48 + 200 + 128) / 16);
    assert_eq!(free_after(&mut block, &mut source, 1, 40), 30);
}

fn none() -> [Stalls; 3] {
    [Stalls::none(), Stalls::none(), Stalls::none()]
}

/// A beat a cycle within and across pieces, whatever the alignment of the source.
#[test]
fn a_beat_a_cycle() {
    for mps in 0..3 {
        let list: Vec<Item> = (0..60)
            .map(|i| Item::Piece {
                addr: 0x5000 + 1024 * i as u64,
                len: 1024,
                src: 37 * i,
                first: true,
                last: true,
                cq: 1,
                id: 2,
                free: i as u64,
            })
            .collect();
        assert_eq!(run(64, 1, mps, &list, none()), 60 * 16);
    }
}

/// Pieces of one beat: a cut every 2 cycles.
#[test]
fn a_small_piece_every_two_cycles() {
    let list: Vec<Item> = (0..100)
        .map(|i| Item::Piece {
            addr: 0x5000 + 64 * i as u64,
            len: 60,
            src: 64 * i,
            first: true,
            last: true,
            cq: 1,
            id: 2,
            free: i as u64,
        })
        .collect();
    assert!(run(64, 1, 1, &list, none()) <= 200);
}
