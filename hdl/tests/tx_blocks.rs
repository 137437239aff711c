//! The blocks of the transmit path one by one, against models of what they do; `tx/parse` has a
//! file of its own.

mod tx_support;

use nitor_abi::tx::l3;
use nitor_block::stream::{cycle, End, Ports, Sink, Source, Stalls};
use nitor_block::{Block, Model};
use nitor_hdl::tx::gather::TxGather;
use nitor_hdl::tx::out::TxOut;
use nitor_hdl::tx::sched::TxSched;
use nitor_hdl::tx::words::{Headers, Meta, OffloadWord, Offloads};
use nitor_rtl::prelude::{lit, Record, Synth};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::LazyLock;
use tx_support::dma::{Dma, DmaSetup, Request};
use tx_support::streams::{
    meta, owner, stalls, word, Ask, Batch, Bell, Command, Done, Info, Packet, Push, Seg,
};
use tx_support::{model, start, Rng};

static SCHED: LazyLock<Model> = LazyLock::new(|| model::<TxSched<4, 0>>("tx_sched"));
static GATHER: LazyLock<Model> = LazyLock::new(|| model::<TxGather<16, 4, 3, 6>>("tx_gather"));
static OUT128: LazyLock<Model> = LazyLock::new(|| model::<TxOut<128, 16, 4, 5, 7>>("tx_out_128"));
static OUT512: LazyLock<Model> = LazyLock::new(|| model::<TxOut<512, 64, 6, 5, 5>>("tx_out_512"));

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

// ---- gather

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

// ---- out

fn sends(model: &Model, k: usize, seed: u64) {
    let mut rng = Rng(seed);
    let mut block = start(model, seed, 3);
    let setup = DmaSetup {
        seed,
        k,
        latency: (2, 2 + rng.below(150)),
        max_read: 256,
        tags: 32,
        issue_gap: rng.below(50),
        data_gap: rng.below(50),
    };
    let mut dma = Dma::new(&block, setup);
    let mut infos = Source::<Info>::new(&block, "info", stalls(seed ^ 1, true));
    let ports = ["beat_data", "beat_last", "beat_bytes", "beat_word"];
    let ports = Ports::named(&block, "beat_valid", "beat_ready", &ports);
    let mut mac = Sink::<(Vec<u8>, bool, u64, Vec<u8>)>::new(&block, ports, stalls(seed ^ 2, true));
    let mut dones = Sink::<Done>::new(&block, "done", stalls(seed ^ 3, true));
    let rows = (4096 / k) as u64;
    let (mut row, mut op, mut rows_used, mut slots_used) = (0, 0x100, 0, 0);
    let mut pending: VecDeque<Option<Request>> = VecDeque::new();
    let (mut frames, mut want_dones) = (Vec::new(), Vec::new());
    let (mut lost, mut bad, mut bytes, mut sent) = (0, 0, 0, 0);
    let mut counts = [0; 4];
    let mut frame: Vec<u8> = Vec::new();
    let mut left = 150;
    let mut next: Option<u64> = None;
    // Of a packet of several frames: those to come, those gone, their payload, and whether the
    // first or any was lost.
    let mut cut: Option<(u64, u64, u64, bool, bool)> = None;
    let mut moved = block.cycles();
    while left > 0
        || cut.is_some()
        || dones.received().len() < want_dones.len()
        || sent < frames.len()
    {
        let longest = [130, 130, 1514][rng.below(3) as usize];
        let len = *next.get_or_insert_with(|| rng.range(1, longest));
        let need = len.div_ceil(k as u64);
        let more = left > 0 || cut.is_some();
        if more && rows_used + need <= rows && slots_used < 32 && rng.percent(50) {
            next = None;
            let (cq, req_id) = (rng.below(256), rng.below(65536));
            let mut info = Info { row, len, owner: owner(cq, req_id), ..Info::default() };
            let mut done = Some(Done { cq, req_id, marker: 0 });
            let begins = cut.is_none();
            let (to_come, number, payload, headless, counted) = cut.take().unwrap_or_else(|| {
                left -= 1;
                (if rng.percent(20) { rng.range(1, 6) } else { 0 }, 0, 0, false, false)
            });
            let hdr = rng.below(len + 1).min(256);
            let mut offloads = Offloads::from_bits(lit::<{ Offloads::BITS }>(rng.below(1 << 24)));
            offloads.hdr = lit::<9>(hdr);
            (offloads.first, offloads.last) = (begins, to_come == 0);
            info.word = word(offloads);
            if to_come > 0 {
                done = None;
            }
            let tells = OffloadWord {
                offloads,
                len: lit::<16>(len),
                seq: lit::<17>(payload),
                num: lit::<16>(number),
            };
            match if begins && to_come == 0 { rng.below(20) } else { 9 } {
                0 => (info.bad, bad) = (1, bad + 1),
                1 => (info.marker, done) = (1, Some(Done { cq, req_id, marker: 1 })),
                2 => (info.dma, info.silent, lost, done) = (1, 1, lost + 1, None),
                3 => (info.bad, info.silent, bad, done) = (1, 1, bad + 1, None),
                _ => (info.read, info.slot) = (1, 1),
            }
            want_dones.extend(done);
            pending.push_back(None);
            if info.read == 1 {
                let data = rng.bytes(len as usize);
                let fails = rng.percent(8);
                if fails || headless {
                    lost += u64::from(!counted);
                } else {
                    bytes += len;
                    let mut frame = data.clone();
                    frame.resize(frame.len().max(60), 0);
                    frames.push((frame, tells));
                }
                if to_come > 0 {
                    let headless = headless || (fails && begins);
                    let counted = counted || fails || headless;
                    cut = Some((to_come - 1, number + 1, payload + len - hdr, headless, counted));
                }
                let dst = row * k as u64;
                let data = (!fails).then_some(data);
                let addr = rng.below(4096);
                *pending.back_mut().unwrap() =
                    Some(Request { client: 3, addr, len, dst, op, last: true, data });
                row = (row + need) % rows;
                rows_used += need;
                slots_used += 1;
                op = if op & 31 == 31 { (op & 0x100) ^ 0x100 } else { op + 1 };
            }
            infos.push(info);
        }
        let before = infos.sent();
        dma.drive(&mut block);
        cycle(&mut block, &mut [&mut infos, &mut mac, &mut dones]);
        for _ in before..infos.sent() {
            if let Some(request) = pending.pop_front().unwrap() {
                dma.request(request);
            }
        }
        block.eval();
        rows_used -= block.get("free_rows");
        slots_used -= block.get("free_slot");
        for (i, name) in ["stat_frame", "stat_drop_dma", "stat_bad"].iter().enumerate() {
            counts[i] += block.get(*name);
        }
        counts[3] += block.get("stat_frame") * block.get("stat_bytes");
        for (data, last, n, word) in mac.take() {
            let told = word.iter().rev().fold(0u128, |told, &byte| told << 8 | u128::from(byte));
            let told = OffloadWord::from_bits(lit::<{ OffloadWord::BITS }>(told));
            assert_eq!(told, frames[sent].1, "word of frame {sent}");
            let n = if last { n as usize } else { k };
            assert!(n <= k && data[n..].iter().all(|&byte| byte == 0));
            frame.extend(&data[..n]);
            if last {
                assert!(frame == frames[sent].0, "frame {sent}");
                sent += 1;
                frame.clear();
            }
        }
        // A wire does not wait for the host to take completions.
        assert!(frame.is_empty() || block.get("beat_valid") == 1, "a gap in frame {sent}");
        if !dma.idle() {
            moved = block.cycles();
        }
        assert!(block.cycles() - moved < 20_000, "stuck");
    }
    // Packets without a completion may be the last.
    for _ in 0..10 {
        cycle(&mut block, &mut [&mut infos, &mut mac, &mut dones]);
        block.eval();
        rows_used -= block.get("free_rows");
        slots_used -= block.get("free_slot");
        for (i, name) in ["stat_frame", "stat_drop_dma", "stat_bad"].iter().enumerate() {
            counts[i] += block.get(*name);
        }
    }
    assert_eq!((rows_used, slots_used), (0, 0));
    assert_eq!(counts, [frames.len() as u64, lost, bad, bytes]);
    assert_eq!(dones.take(), want_dones);
}

/// Cycles from the last `done` event of a packet to its first beat.
#[test]
fn out_latency() {
    let mut block = start(&OUT512, 1, 3);
    for _ in 0..40 {
        block.tick();
    }
    let values = [
        ("beat_ready", 1),
        ("done_ready", 1),
        ("info_len", 60),
        ("info_read", 1),
        ("info_slot", 1),
    ];
    for (port, value) in values {
        block.set(port, value);
    }
    let pulse = |block: &mut Block, ports: &[(&str, u64)]| {
        for &(port, value) in ports {
            block.set(port, value);
        }
        block.tick();
        for &(port, _) in ports {
            block.set(port, 0);
        }
    };
    pulse(&mut block, &[("info_valid", 1)]);
    let event = ("bus_issue_client", 3);
    pulse(
        &mut block,
        &[("bus_issue_valid", 1), event, ("bus_issue_op", 0x100), ("bus_issue_last", 1)],
    );
    for _ in 0..20 {
        block.tick();
    }
    pulse(&mut block, &[("bus_done_valid", 1), ("bus_done_client", 3), ("bus_done_op", 0x100)]);
    let mut cycles = 1;
    block.eval();
    while block.get("beat_valid") == 0 {
        block.tick();
        block.eval();
        cycles += 1;
        assert!(cycles < 50);
    }
    println!("{cycles} cycles");
    assert!(cycles <= 6, "{cycles}");
}

// ---- sched

/// From a doorbell to its request, and what both say.
#[test]
fn sched_latency() {
    let mut block = start(&SCHED, 1, 3);
    block.set("batch_ready", 1);
    block.set("fetch_ready", 1);
    let mut commands = Source::<Command>::new(&block, "ctx", Stalls::none());
    commands.push(Command { idx: 9, base: 0x1240, log_depth: 5, cq: 27, ..Command::default() });
    let mut bells = Source::<Bell>::new(&block, "doorbell", Stalls::none());
    let mut asks = Sink::<Ask>::new(&block, "fetch", Stalls::none());
    let mut batches = Sink::<Batch>::new(&block, "batch", Stalls::none());
    while !commands.is_empty() {
        cycle(&mut block, &mut [&mut commands]);
    }
    bells.push(Bell { queue: 9, tail: 20 });
    let mut cycles = 0;
    while asks.received().len() < 2 {
        cycle(&mut block, &mut [&mut commands, &mut bells, &mut asks, &mut batches]);
        cycles += u64::from(asks.received().is_empty());
        assert!(cycles < 50);
    }
    println!("{cycles} cycles");
    assert!(cycles <= 8, "{cycles}");
    let ask = |op: u64, addr, len| Ask { addr, len, dst: op * 256, op: 0x100 | op, last: 1 };
    assert_eq!(asks.take(), [ask(0, 0x1240, 256), ask(1, 0x1340, 64)]);
    let batch =
        |op: u64, count| Batch { queue: 9, cq: 27, op: 0x100 | op, count, lines: 0, marker: 0 };
    assert_eq!(batches.take(), [batch(0, 16), batch(1, 4)]);
}

/// No more than 32 batches are under way, whoever has work.
#[test]
fn sched_slots() {
    let mut block = start(&SCHED, 2, 3);
    let mut commands = Source::<Command>::new(&block, "ctx", Stalls::none());
    let mut bells = Source::<Bell>::new(&block, "doorbell", Stalls::none());
    let mut asks = Sink::<Ask>::new(&block, "fetch", Stalls::none());
    let mut batches = Sink::<Batch>::new(&block, "batch", Stalls::none());
    for idx in 0..16 {
        commands.push(Command { idx, base: idx << 20, log_depth: 12, ..Command::default() });
    }
    for _ in 0..400 {
        cycle(&mut block, &mut [&mut commands, &mut asks, &mut batches]);
    }
    bells.extend((0..16).map(|queue| Bell { queue, tail: 4096 }));
    for round in 1..4 {
        for _ in 0..400 {
            cycle(&mut block, &mut [&mut commands, &mut bells, &mut asks, &mut batches]);
        }
        assert!(bells.is_empty());
        assert_eq!((asks.received().len(), batches.received().len()), (32 * round, 32 * round));
        // All queues take turns.
        for (i, batch) in batches.received().iter().enumerate() {
            assert!(i < 64 || batches.received()[i - 16].queue == batch.queue);
        }
        block.set("slot_free", 1);
        for _ in 0..32 {
            cycle(&mut block, &mut [&mut commands, &mut bells, &mut asks, &mut batches]);
        }
        block.set("slot_free", 0);
    }
}

/// A queue that is destroyed and created again while it waits for its turn waits there once.
#[test]
fn sched_recreated() {
    let mut block = start(&SCHED, 3, 3);
    let mut commands = Source::<Command>::new(&block, "ctx", Stalls::none());
    let mut bells = Source::<Bell>::new(&block, "doorbell", Stalls::none());
    let mut asks = Sink::<Ask>::new(&block, "fetch", Stalls::none());
    let mut batches = Sink::<Batch>::new(&block, "batch", Stalls::none());
    let create = |idx| Command { idx, base: idx << 20, log_depth: 12, ..Command::default() };
    commands.extend((0..16).map(create));
    for _ in 0..200 {
        cycle(&mut block, &mut [&mut commands, &mut batches]);
    }
    // No request gets out, so that all queues but a few wait.
    block.set("fetch_ready", 0);
    for round in 0..20 {
        bells.extend(
            (0..16)
                .map(|queue| Bell { queue, tail: if round == 0 || queue == 15 { 7 } else { 0 } }),
        );
        for _ in 0..200 {
            cycle(&mut block, &mut [&mut bells, &mut batches]);
        }
        commands.push(Command { destroy: 1, ..create(15) });
        commands.push(create(15));
        block.set("marker_ack", 1);
        for _ in 0..30 {
            cycle(&mut block, &mut [&mut commands, &mut batches]);
        }
        block.set("marker_ack", 0);
    }
    bells.push(Bell { queue: 15, tail: 9 });
    for _ in 0..400 {
        cycle(&mut block, &mut [&mut bells, &mut asks, &mut batches]);
    }
    let mut counts = [0; 16];
    for batch in batches.take() {
        counts[batch.queue as usize] += if batch.marker == 1 { 0 } else { batch.count };
    }
    let mut want = [7; 16];
    want[15] = 9;
    assert_eq!(counts, want);
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

    #[test]
    fn out_128(seed: u64) {
        sends(&OUT128, 16, seed);
    }

    #[test]
    fn out_512(seed: u64) {
        sends(&OUT512, 64, seed);
    }
}
