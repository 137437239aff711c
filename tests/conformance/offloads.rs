//! Conformance cases of transmit offloads: checksums and segmentation as descriptors ask for them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::support::packets::{judge, judge_segments, Packet};
use super::support::raw::{sent_id, Raw, GET_FEATURE};
use super::{seed, Pair, WIDTHS};

const DF: u32 = 1 << 4;
const TSO: u32 = 1 << 7;
const IP_CSUM: u32 = 1 << 13;
const L4_CSUM: u32 = 1 << 14;
const PARTIAL: u32 = 1 << 17;

/// l3_proto_idx and l4_proto_idx.
fn protocols(packet: &Packet) -> u32 {
    (if packet.v6 { 11 } else { 8 }) | (if packet.udp { 13 } else { 12 }) << 8
}

/// A meta descriptor, to be remembered.
fn meta(pair: &mut Pair, l3_off: usize, l3_len: usize, l4_words: usize, mss: usize) {
    let word = 1 << 14 | (mss as u32 >> 10) << 16 | 0xb << 20 | pair.tx.phase() | 1 << 26;
    let fields =
        l3_len as u32 | (l3_off as u32) << 8 | (l4_words as u32) << 16 | (mss as u32) << 22;
    pair.tx.push([word, 0, fields, 0]);
}

/// The packet's data descriptors behind a meta descriptor, in pieces; and the doorbell.
fn data(raw: &Raw, pair: &mut Pair, req_id: u16, bytes: &[u8], flags: u32, piece: usize) {
    pair.memory.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
    let count = bytes.len().div_ceil(piece);
    for n in 0..count {
        let at = pair.memory.iova() + (n * piece) as u64;
        let len = piece.min(bytes.len() - n * piece);
        let last = u32::from(n + 1 == count) << 27;
        let first = if n == 0 { 1 << 28 | u32::from(req_id >> 10) << 16 } else { 0 };
        let word1 = if n == 0 { u32::from(req_id) << 22 | flags } else { 0 };
        pair.tx.push([
            len as u32 | first | last | pair.tx.phase(),
            word1,
            at as u32,
            (at >> 32) as u32,
        ]);
    }
    pair.tx.ring(raw);
}

#[test]
pub fn case_42_checksums_partial_and_full() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(42));
        let (status, answer) = raw.feature(GET_FEATURE, 11, 0, &[], None);
        assert_eq!((status, answer[8]), (0, 0xff));
        let mut rng = ChaCha8Rng::seed_from_u64(seed(42));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        for round in 0..120 {
            let (udp, payload) = (rng.random(), rng.random_range(0..1400));
            let packet = Packet::random(&mut rng, udp, payload);
            // As Linux, and as others do.
            let partial = round % 2 == 0;
            let ip = !partial && !packet.v6;
            let bytes = packet.raw(partial, ip, rng.random());
            let mode = if partial { PARTIAL } else { 0 } | if ip { IP_CSUM } else { 0 };
            meta(&mut pair, packet.l3_off, packet.l3_len, 0, 0);
            let flags = protocols(&packet) | L4_CSUM | mode;
            data(&raw, &mut pair, round, &bytes, flags, rng.random_range(100..2000));
            let (frame, _) = pair.receive(&raw);
            assert_eq!(sent_id(&pair.tx.next(&raw)), round);
            judge(&frame[..packet.bytes.len()]);
            assert!(frame[..packet.bytes.len()] == packet.bytes, "round {round}");
        }
        // A checksum of 0 is sent as 0xffff by UDP, and as 0 by TCP.
        for udp in [true, false] {
            let mut packet = Packet::random(&mut rng, udp, 30);
            let (sum_at, last) = (packet.l4_off() + if udp { 6 } else { 16 }, packet.header + 28);
            packet.bytes[last..].fill(0);
            for found in [false, true] {
                meta(&mut pair, packet.l3_off, packet.l3_len, 0, 0);
                let flags = protocols(&packet) | L4_CSUM;
                data(&raw, &mut pair, 1, &packet.bytes, flags, 2000);
                let (frame, _) = pair.receive(&raw);
                pair.tx.next(&raw);
                let sum: [u8; 2] = frame[sum_at..sum_at + 2].try_into().unwrap();
                assert!(!found || sum == if udp { [0xff; 2] } else { [0; 2] }, "{sum:x?}");
                packet.bytes[last..].copy_from_slice(&sum);
            }
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_43_segmentation() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(43));
        let mut rng = ChaCha8Rng::seed_from_u64(seed(43));
        let mut pair = Pair::new(&mut raw, 512, u32::MAX, 2048);
        for (round, mss) in [536, 1448, 8900, 9000, 1000].repeat(8).into_iter().enumerate() {
            let payload = match round % 3 {
                // One segment, full ones, a short last one.
                0 => rng.random_range(1..mss),
                1 => mss * rng.random_range(1..7),
                _ => rng.random_range(mss..60_000),
            };
            let packet = Packet::random(&mut rng, false, payload);
            let mut flags = protocols(&packet) | TSO | L4_CSUM | (DF * (round as u32 % 2));
            if !packet.v6 {
                flags |= IP_CSUM;
            }
            if round % 4 == 3 {
                // Only tso_en: it stands for the others.
                flags = protocols(&packet) & 0xf | TSO;
            }
            let bytes = packet.raw(round % 2 == 0, !packet.v6, rng.random());
            let words = (packet.header - packet.l4_off()) / 4;
            meta(&mut pair, packet.l3_off, packet.l3_len, words, mss);
            let piece = rng.random_range(4000..16_000);
            data(&raw, &mut pair, round as u16, &bytes, flags, piece);
            let count = payload.div_ceil(mss).max(1);
            let frames: Vec<_> = (0..count).map(|_| pair.receive(&raw).0).collect();
            assert_eq!(sent_id(&pair.tx.next(&raw)), round as u16);
            judge_segments(&packet, mss, &frames);
            assert_eq!(pair.tx.poll(), None, "one completion a packet");
        }
        raw.assert_clean();
    }
}

/// What makes no sense completes without a frame, and is counted; what comes after it is none the worse.
#[test]
pub fn offloads_that_make_no_sense() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(45));
        let mut rng = ChaCha8Rng::seed_from_u64(seed(45));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        let packet = loop {
            let packet = Packet::random(&mut rng, false, 3000);
            if !packet.v6 && packet.l3_off == 14 && packet.l3_len == 20 {
                break packet;
            }
        };
        let words = (packet.header - 34) / 4;
        let len = packet.bytes.len();
        let wishes: &[(u32, usize, usize, usize, usize, usize)] = &[
            // Flags; network header's place and length, TCP's words, mss; bytes of the packet.
            (8 | L4_CSUM, 14, 20, 0, 0, len),
            (8 | 1 << 8 | L4_CSUM | PARTIAL, 14, 20, 0, 0, len),
            (12 << 8 | L4_CSUM, 14, 20, 0, 0, len),
            (8 | 12 << 8 | L4_CSUM, 14, 16, 0, 0, len),
            (8 | 12 << 8 | L4_CSUM, 14, 20, 0, 0, 51),
            (8 | 13 << 8 | L4_CSUM | PARTIAL, 14, 20, 0, 0, 41),
            (8 | IP_CSUM, 14, 20, 0, 0, 33),
            (11 | 12 << 8 | L4_CSUM, 14, 38, 0, 0, len),
            (8 | 12 << 8 | TSO, 14, 20, words, 0, len),
            (8 | 13 << 8 | TSO, 14, 20, words, 1000, len),
            (8 | 12 << 8 | TSO, 14, 20, 4, 1000, len),
            (8 | 12 << 8 | TSO, 14, 20, 0, 1000, len),
            (8 | 12 << 8 | TSO, 255, 20, 15, 1000, len),
            (8 | 12 << 8 | TSO, 14, 20, 8, 1000, 60),
            (8 | 12 << 8 | TSO, 14, 20, words, 16_383, len * 6),
            (TSO, 14, 20, words, 1000, len),
        ];
        let before = raw.counters();
        for (n, &(flags, off, l3_len, words, mss, len)) in wishes.iter().enumerate() {
            meta(&mut pair, off, l3_len, words, mss);
            let bytes = packet.bytes.repeat(len.div_ceil(packet.bytes.len()));
            data(&raw, &mut pair, n as u16, &bytes[..len], flags, 5000);
            assert_eq!(sent_id(&pair.tx.next(&raw)), n as u16);
        }
        raw.step(5_000);
        assert_eq!(pair.rx.poll(), None);
        let bad = raw.counters().since(&before);
        let bad = bad.iter().find(|(name, _)| *name == "tx_drops_bad_descriptor").unwrap().1;
        assert_eq!(bad, wishes.len() as u64);
        pair.works(&raw);
        raw.assert_clean();
    }
}
