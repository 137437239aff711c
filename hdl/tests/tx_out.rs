//! `tx/out` against a model of the frames it sends and the completions it makes.

mod tx_support;

use nitor_block::stream::{cycle, Ports, Sink, Source};
use nitor_block::{Block, Model};
use nitor_hdl::tx::out::TxOut;
use nitor_hdl::tx::words::{OffloadWord, Offloads};
use nitor_rtl::prelude::{lit, Record, Synth};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::LazyLock;
use tx_support::dma::{Dma, DmaSetup, Request};
use tx_support::streams::{owner, stalls, word, Done, Info};
use tx_support::{model, start, Rng};

static OUT128: LazyLock<Model> = LazyLock::new(|| model::<TxOut<128, 16, 4, 5, 7>>("tx_out_128"));
static OUT512: LazyLock<Model> = LazyLock::new(|| model::<TxOut<512, 64, 6, 5, 5>>("tx_out_512"));

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

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn out_128(seed: u64) {
        sends(&OUT128, 16, seed);
    }

    #[test]
    fn out_512(seed: u64) {
        sends(&OUT512, 64, seed);
    }
}
