//! `tx/gather` against a model of the frames it makes of packets.

mod tx_support;

use nitor_abi::tx::l3;
use nitor_block::stream::{cycle, End, Sink, Source, Stalls};
use nitor_block::Model;
use nitor_hdl::tx::gather::TxGather;
use nitor_hdl::tx::words::{Headers, Meta, Offloads};
use nitor_rtl::prelude::{lit, Record, Synth};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::LazyLock;
use tx_support::streams::{meta, owner, stalls, word, Ask, Info, Packet, Push, Seg};
use tx_support::{model, start, Rng};

static GATHER: LazyLock<Model> = LazyLock::new(|| model::<TxGather<16, 4, 3, 6>>("tx_gather"));

/// TCP over IPv4, to be cut: where its headers are.
fn cut(l3_off: u64, words: u64, mss: u64) -> Meta {
    Meta {
        l3_proto: lit::<4>(l3::IPV4),
        tso_en: true,
        headers: Headers {
            l3_hdr_len: lit::<8>(20),
            l3_hdr_off: lit::<8>(l3_off),
            l4_hdr_words: lit::<6>(words),
            mss: lit::<14>(mss),
        },
        ..Meta::default()
    }
}

/// The word of a frame without offloads.
fn plain(first: bool, last: bool) -> Offloads {
    Offloads { first, last, ..Offloads::default() }
}

/// Whether a frame is its packet's last.
fn ends(info: &Info) -> bool {
    Offloads::from_bits(lit::<{ Offloads::BITS }>(info.word)).last
}

fn gathers(seed: u64, rough: bool) {
    let mut rng = Rng(seed);
    let mut block = start(&GATHER, seed, 3);
    let max_frame = if rough { rng.range(1, 5000) } else { 1514 };
    block.set("max_frame", max_frame);
    block.tick();
    // 128 rows of 16 bytes, 8 slots.
    let limit = max_frame.min(2048);
    let off_limit = max_frame.min(1024);
    let mut packets = Source::<Packet>::new(&block, "packet", stalls(seed ^ 1, rough));
    let mut segs = Source::<Seg>::new(&block, "seg", stalls(seed ^ 2, rough));
    let mut asks = Sink::<Ask>::new(&block, "data", stalls(seed ^ 3, rough));
    let mut infos = Sink::<Info>::new(&block, "info", stalls(seed ^ 4, rough));
    let mut pushes = Sink::<Push>::new(&block, "push", stalls(seed ^ 5, rough));
    let (mut want_infos, mut want_asks, mut want_pushes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut row, mut op) = (0, 0x100);
    let total = 200;
    for _ in 0..total {
        // Bytes pushed, to which there may be no segments.
        let push = if rough && rng.percent(40) { rng.range(1, 224) } else { 0 };
        let least = if push > 0 && rng.percent(50) { 0 } else { 1 };
        let count = if rough { rng.range(least, 21 * least) } else { 1 };
        let longest = [3, 100, 3000][if rough { rng.below(3) as usize } else { 0 }];
        let lens: Vec<u64> = (0..count).map(|_| rng.range(1, longest)).collect();
        let len: u64 = lens.iter().sum::<u64>() + push;
        let kind = if rough { rng.below(20) } else { 9 };
        let (cq, req_id) = (rng.below(256), rng.below(65536));
        let owner = owner(cq, req_id);
        let mut packet = Packet { owner, ..Packet::default() };
        let mut info = Info { row, owner, word: word(plain(true, true)), ..Info::default() };
        match kind {
            0 => (packet.bad, info.bad) = (1, 1),
            1 => (packet.marker, info.marker) = (1, 1),
            2 => (packet.dma, info.dma, packet.silent, info.silent) = (1, 1, 1, 1),
            3..9 => {
                // TCP over IPv4, to be cut.
                let (l3_off, words) = (rng.below(150), rng.range(5, 15));
                let header = l3_off + 20 + 4 * words;
                let mss = rng.range(6, 600);
                // Many frames of few bytes are one too many for this test.
                let mss = mss.max(len / 40);
                (packet.pushed, packet.line) = (u64::from(push > 0), rng.below(65536));
                let headers = cut(l3_off, words, mss);
                packet.meta = meta(Meta { header_length: lit::<8>(push), ..headers });
                (packet.len, packet.count) = (len, count);
                let first_len = len.min(header + mss);
                let bad = mss < 8 || header > len || first_len > off_limit || push > first_len;
                let mut pieces: VecDeque<Seg> =
                    lens.iter().map(|&len| Seg { addr: rng.below(1 << 47), len }).collect();
                segs.extend(pieces.iter().cloned());
                let segment = |first, last| {
                    word(Offloads {
                        ip: true,
                        l4: true,
                        full: true,
                        tso: true,
                        l3_off: lit::<8>(l3_off),
                        l3_len: lit::<8>(20usize),
                        hdr: lit::<9>(header),
                        ..plain(first, last)
                    })
                };
                info.word = segment(true, true);
                (info.len, info.bad) = (first_len & 0xffff, bad.into());
                let mut at = 0;
                while !bad && at < len {
                    let end = len.min(if at == 0 { header + mss } else { at + mss });
                    // Bytes of the frame before those that are read.
                    let skip = if at == 0 { push } else { header };
                    let frame = if at == 0 { end } else { header + end - at };
                    let mut dst = row * 16 + skip;
                    let mut left = frame - skip;
                    let pushes = at == 0 && push > 0;
                    if pushes {
                        want_pushes.push(Push { line: packet.line, row, len: push });
                    }
                    want_infos.push(Info {
                        row,
                        len: frame,
                        read: 1,
                        slot: u64::from(left > 0),
                        push: pushes.into(),
                        word: segment(at == 0, end == len),
                        ..info.clone()
                    });
                    while left > 0 {
                        let piece = pieces.front_mut().unwrap();
                        let len = piece.len.min(left);
                        left -= len;
                        let addr = piece.addr;
                        want_asks.push(Ask { addr, len, dst, op, last: u64::from(left == 0) });
                        dst += len;
                        (piece.addr, piece.len) = (addr + len, piece.len - len);
                        if piece.len == 0 {
                            pieces.pop_front();
                        }
                    }
                    row = (row + frame.div_ceil(16)) % 128;
                    if frame > skip {
                        op = if op & 7 == 7 { (op & 0x100) ^ 0x100 } else { op + 1 };
                    }
                    at = end;
                }
                if !bad {
                    packets.push(packet);
                    continue;
                }
            }
            _ => {
                (packet.len, packet.count, info.len) = (len, count, len & 0xffff);
                let fits = len <= limit;
                (info.read, info.bad) = (fits.into(), (!fits).into());
                packet.meta = meta(Meta { header_length: lit::<8>(push), ..Meta::default() });
                (packet.pushed, packet.line) = (u64::from(push > 0), rng.below(65536));
                info.slot = u64::from(fits && count > 0);
                info.push = u64::from(fits && push > 0);
                if info.push == 1 {
                    want_pushes.push(Push { line: packet.line, row, len: push });
                }
                let mut dst = row * 16 + push;
                for (i, &len) in lens.iter().enumerate() {
                    let addr = rng.next() >> 16;
                    segs.push(Seg { addr, len });
                    if fits {
                        let last = u64::from(i + 1 == lens.len());
                        want_asks.push(Ask { addr, len, dst, op, last });
                        dst += len;
                    }
                }
                if fits {
                    row = (row + len.div_ceil(16)) % 128;
                }
                if info.slot == 1 {
                    op = if op & 7 == 7 { (op & 0x100) ^ 0x100 } else { op + 1 };
                }
            }
        }
        packets.push(packet);
        want_infos.push(info);
    }
    // Packets told and not given back: rows, the requests that must have gone before, the slot.
    let mut inside: VecDeque<(u64, u64, u64)> = VecDeque::new();
    let (mut told, mut asked, mut begun) = (0, 0, 0);
    let begin = block.cycles();
    while infos.received().len() < want_infos.len()
        || asks.received().len() < want_asks.len()
        || pushes.received().len() < want_pushes.len()
    {
        // What is used is never more than there is.
        let rows: u64 = inside.iter().map(|packet| packet.0).sum();
        let slots: u64 = inside.iter().map(|packet| packet.2).sum();
        assert!(rows <= 128 && slots <= 8, "{rows} rows, {slots} slots");
        let (mut freed, mut slot) = (0, 0);
        // A packet's rows come back after its last request.
        let ready = inside.front().is_some_and(|packet| packet.1 <= asked);
        let gives = ready && rng.percent(if rough { 10 } else { 100 });
        if gives {
            (freed, _, slot) = inside.pop_front().unwrap();
        }
        block.set("free_rows", freed);
        block.set("free_slot", slot);
        let ends: [&mut dyn End; 5] = [&mut packets, &mut segs, &mut asks, &mut infos, &mut pushes];
        let mut ends = ends;
        cycle(&mut block, &mut ends);
        for info in &infos.received()[told..] {
            told += 1;
            if info.read == 1 {
                begun += info.slot;
                inside.push_back((info.len.div_ceil(16), begun, info.slot));
            }
        }
        asked = asks.received().iter().filter(|ask| ask.last == 1).count() as u64;
        assert!(block.cycles() - begin < 200_000, "stuck");
    }
    if !rough {
        let cycles = block.cycles() - begin;
        println!("{cycles} cycles for {total} packets");
        assert!(cycles <= 2 * total as u64 + 10);
    }
    for (info, want) in infos.take().into_iter().zip(want_infos) {
        // Who has no rows is nowhere, and as long as it likes.
        let (row, len) = if want.read == 1 { (want.row, want.len) } else { (info.row, info.len) };
        assert_eq!(info, Info { row, len, ..want });
    }
    assert_eq!(asks.take(), want_asks);
    assert_eq!(pushes.take(), want_pushes);
}

#[test]
fn gather_speed() {
    gathers(3, false);
}

/// What is allowed of a packet that is cut is decided once, whenever the limit falls; the next
/// packet is judged by the new one.
#[test]
fn gather_limit_lowered() {
    for moment in 0..60 {
        let mut block = start(&GATHER, moment, 3);
        block.set("max_frame", 1000);
        let mut packets = Source::<Packet>::new(&block, "packet", Stalls::none());
        let mut segs = Source::<Seg>::new(&block, "seg", Stalls::none());
        let mut asks = Sink::<Ask>::new(&block, "data", Stalls::none());
        let mut infos = Sink::<Info>::new(&block, "info", Stalls::none());
        // TCP over IPv4: 54 bytes of header, four frames of 754 bytes and a shorter one.
        let meta = meta(cut(14, 5, 700));
        for req_id in 0..3 {
            packets.push(Packet {
                owner: owner(0, req_id),
                len: 3000,
                count: 2,
                meta,
                ..Packet::default()
            });
            segs.extend([Seg { addr: 0, len: 1500 }, Seg { addr: 0x10000, len: 1500 }]);
        }
        packets.push(Packet { owner: owner(0, 3), len: 100, count: 1, ..Packet::default() });
        segs.push(Seg { addr: 0x20000, len: 100 });
        let mut told = 0;
        for now in 0..400 {
            if now == moment {
                block.set("max_frame", 600);
            }
            cycle(&mut block, &mut [&mut packets, &mut segs, &mut asks, &mut infos]);
            let frames = &infos.received()[told..];
            block.set("free_rows", frames.iter().map(|i| i.read * i.len.div_ceil(16)).sum());
            block.set("free_slot", frames.iter().map(|i| i.slot).sum());
            told += frames.len();
        }
        assert!(packets.is_empty() && segs.is_empty(), "lowered in cycle {moment}: it stands");
        let (infos, asks) = (infos.take(), asks.take());
        let mut bad = 0;
        for req_id in 0..4 {
            let frames: Vec<_> = infos.iter().filter(|i| i.owner == owner(0, req_id)).collect();
            let ends = frames.iter().filter(|info| ends(info)).count();
            assert_eq!(ends, 1, "lowered in cycle {moment}: packet {req_id}");
            let whole = if req_id == 3 { 1 } else { 5 };
            if frames.len() == 1 && frames[0].bad == 1 {
                bad += 1;
            } else {
                assert_eq!(frames.iter().filter(|info| info.read == 1).count(), whole);
                assert!(bad == 0 || req_id == 3, "the limit rose again");
            }
        }
        let asked: u64 = asks.iter().map(|ask| ask.len).sum();
        assert_eq!(asked, 3000 * (3 - bad) + 100, "lowered in cycle {moment}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn gather(seed: u64) {
        gathers(seed, true);
    }
}
