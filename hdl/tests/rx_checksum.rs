//! Checksums of received frames: parser and sums together, against a reference that works on whole frames.

mod rx_support;

use nitor_block::Model;
use nitor_hdl::rx::checksum::RxChecksum;
use nitor_hdl::rx::parse::RxParse;
use nitor_hdl::rx::words::{self, TapSnk};
use nitor_rtl::prelude::*;
use proptest::prelude::*;
use rx_support::frames::{self, check, classify, Sums};
use rx_support::{config, model, start, Rng};
use std::sync::LazyLock;

#[derive(LogicBlock, Default)]
pub struct Checked<const D: usize, const K: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tap: TapSnk<D>,
    pub valid: Signal<Out, Bit>,
    pub flags: Signal<Out, words::Sums>,
    parse: RxParse<D, K>,
    checksum: RxChecksum<D, K, L>,
}

impl<const D: usize, const K: usize, const L: usize> Logic for Checked<D, K, L> {
    /// Parser and checksums as the receive path has them.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; parse, checksum);
        self.parse.tap.put(self.tap.get());
        self.checksum.tap.put(self.tap.get());
        self.checksum.at.next = self.parse.at.val();
        self.checksum.is4.next = self.parse.is4.val();
        self.checksum.addrs.next = self.parse.addrs.val();
        self.checksum.tail.next = self.parse.tail.val();
        self.checksum.l3.next = self.parse.l3.val();
        self.checksum.l4.next = self.parse.l4.val();
        self.checksum.second.next = self.parse.second.val();
        self.checksum.routed.next = self.parse.routed.val();
        self.valid.next = self.checksum.valid.val();
        self.flags.next = self.checksum.flags.val();
    }
}

static CHECKED128: LazyLock<Model> =
    LazyLock::new(|| model::<Checked<128, 16, 4>>("rx_checked_128"));
static CHECKED512: LazyLock<Model> =
    LazyLock::new(|| model::<Checked<512, 64, 6>>("rx_checked_512"));

/// Cycles from a frame's last beat to its result.
const LATENCY: u64 = 18;

/// Sends frames, some of them not kept; the verdicts, each on time.
fn verdicts(k: usize, seed: u64, frames: &[(Vec<u8>, bool)], gaps: u64) -> Vec<Sums> {
    let mut rng = Rng(seed);
    let mut block = start(if k == 16 { &CHECKED128 } else { &CHECKED512 }, seed);
    let mut results = Vec::new();
    let mut due = std::collections::VecDeque::new();
    let mut beats = Vec::new();
    for (frame, keep) in frames {
        let count = frame.len().div_ceil(k);
        // A frame that is given up ends anywhere.
        let end = if *keep { count } else { rng.range(1, count as u64) as usize };
        for (i, chunk) in frame.chunks(k).take(end).enumerate() {
            while rng.below(100) < gaps {
                beats.push(None);
            }
            let mut data = chunk.to_vec();
            data.extend(rng.bytes(k - chunk.len()));
            beats.push(Some((data, chunk.len(), i + 1 == end, i + 1 == end && *keep)));
        }
    }
    beats.extend((0..LATENCY + 3).map(|_| None));
    for beat in beats {
        block.set("tap_valid", beat.is_some().into());
        let (data, bytes, end, keep) = beat.unwrap_or((rng.bytes(k), 1, rng.below(2) == 0, false));
        block.set_bytes("tap_data", &data);
        block.set("tap_bytes", bytes as u64);
        block.set("tap_end", end.into());
        block.set("tap_keep", keep.into());
        if keep {
            due.push_back(block.cycles() + LATENCY);
        }
        block.clock_low();
        let now = due.front() == Some(&block.cycles());
        assert_eq!(block.get("valid") == 1, now, "a result in its cycle");
        if now {
            due.pop_front();
            results.push(Sums::from_bits(block.get("flags")));
        }
        block.clock_high();
    }
    assert!(due.is_empty());
    results
}

fn compare(
    k: usize,
    seed: u64,
    frames: &[(Vec<u8>, bool)],
    gaps: u64,
) -> Result<(), TestCaseError> {
    let found = verdicts(k, seed, frames, gaps);
    let kept: Vec<&Vec<u8>> = frames.iter().filter(|f| f.1).map(|f| &f.0).collect();
    prop_assert_eq!(found.len(), kept.len());
    for (found, frame) in found.iter().zip(kept) {
        prop_assert_eq!(*found, check(frame), "{:02x?}", frame);
    }
    Ok(())
}

/// Packets that etherparse made are right, by the reference too; with a bit turned over they are not.
#[test]
fn reference_agrees_with_construction() {
    let mut rng = Rng(2);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..5000 {
        let payload = rng.below(400) as usize;
        let (mut frame, truth) = frames::packet(&mut rng, payload);
        let found = check(&frame);
        assert!(!found.l3_err && !found.l4_err);
        let known = classify(&frame).l4 != 0;
        assert_eq!(found.l4_checked, known);
        good += usize::from(known);
        // In the addresses: of the pseudo header, and of IPv4's own.
        let tags = 4 * frame[12..]
            .chunks(4)
            .take_while(|c| [0x8100, 0x88a8].contains(&u16::from_be_bytes([c[0], c[1]])))
            .count();
        let at =
            14 + tags + if truth.l3 == 11 { 8 + rng.below(32) } else { 12 + rng.below(8) } as usize;
        frame[at] ^= 1 << rng.below(8);
        let found = check(&frame);
        assert_eq!((found.l3_err, found.l4_err), (truth.l3 == 8, known));
        bad += usize::from(known);
    }
    assert!(good > 1000 && bad > 1000);
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn random(seed: u64, wide: bool, gaps in prop_oneof![Just(0u64), 0..80u64]) {
        let mut rng = Rng(seed);
        let list: Vec<(Vec<u8>, bool)> = (0..60).map(|_| {
            let payload = match rng.below(12) {
                0 => rng.below(9000),
                1 | 2 => rng.below(1500),
                _ => rng.below(200),
            } as usize;
            let frame = match rng.below(8) {
                0 => frames::broken(&mut rng),
                1..=4 => frames::damaged(&mut rng, payload),
                _ => frames::packet(&mut rng, payload).0,
            };
            (frame, rng.below(8) != 0)
        }).collect();
        compare(if wide { 64 } else { 16 }, seed, &list, gaps)?;
    }
}

/// Every verdict comes up, and sums that are all ones or all zeros.
#[test]
fn every_verdict() {
    let mut rng = Rng(5);
    let mut list = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..3000 {
        let payload = rng.below(120) as usize;
        let frame = frames::damaged(&mut rng, payload);
        let (flow, sums) = (classify(&frame), check(&frame));
        *seen.entry((flow.l3, flow.l4, sums.l3_err, sums.l4_err, sums.l4_checked)).or_insert(0) +=
            1;
        list.push((frame, true));
    }
    for l4 in [12, 13] {
        for (l3, bad3) in [(8, false), (8, true), (11, false)] {
            for (bad4, checked) in [(false, false), (false, true), (true, true)] {
                assert!(
                    seen.contains_key(&(l3, l4, bad3, bad4, checked)),
                    "{l3} {l4} {bad3} {bad4} {checked}"
                );
            }
        }
    }
    // UDP in which all that is summed but the numbers is zero: the sum is as large as they are.
    for sum in [0u16, 0xffff, 0xffd3, 0xffdd] {
        let mut frame = vec![0u8; 60];
        frame[12] = 0x08;
        frame[14] = 0x45;
        frame[17] = 20 + 14;
        frame[23] = 17;
        frame[39] = 14;
        frame[40..42].copy_from_slice(&sum.to_be_bytes());
        list.push((frame, true));
    }
    for k in [16, 64] {
        compare(k, 5, &list, 0).unwrap();
    }
}

/// A UDP datagram of 30 bytes, its sum left out, over IPv4 or IPv6, and if `segments` says so behind a routing header with that many left.
fn sumless(v6: bool, segments: Option<u8>) -> Vec<u8> {
    let mut frame = vec![2; 12];
    if v6 {
        let routing = segments.map_or(vec![], |left| vec![17, 0, 4, left, 0, 0, 0, 0]);
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 30 + routing.len() as u8]);
        frame.extend([if routing.is_empty() { 17 } else { 43 }, 64]);
        frame.extend([0x20; 32]);
        frame.extend(routing);
    } else {
        frame.extend([8, 0, 0x45, 0, 0, 50, 0, 0, 0x40, 0, 64, 17, 0x26, 0xb9, 10, 0, 0, 1, 10, 0]);
        frame.extend([0, 2]);
    }
    frame.extend([4, 0, 0, 9, 0, 30, 0, 0]);
    frame.extend([0x55; 22]);
    frame
}

/// Left out, the sum is an error over IPv6 and of no meaning over IPv4; but a datagram that can't be judged is not judged for that either.
#[test]
fn sums_left_out() {
    let unjudged = Sums::default();
    let wrong = Sums { l4_err: true, l4_checked: true, ..unjudged };
    let altered = |v6: bool, from_end: usize, value: u8| {
        let mut frame = sumless(v6, None);
        let at = frame.len() - from_end;
        frame[at] = value;
        frame
    };
    let cut = |v6: bool| {
        let frame = sumless(v6, None);
        frame[..frame.len() - 1].to_vec()
    };
    // The last word such that all adds up with 0 as the sum.
    let mut fitting = sumless(true, None);
    let end = fitting.len();
    fitting[end - 2..].copy_from_slice(&[0xa4, 0x52]);
    let mut list = vec![
        (sumless(true, None), wrong),
        (fitting, wrong),
        (sumless(true, Some(0)), wrong),
        (sumless(true, Some(1)), unjudged),
        (cut(true), unjudged),
        (sumless(false, None), unjudged),
        (cut(false), unjudged),
    ];
    // UDP's length: 0, of a header alone, less than IP's, more.
    for length in [0, 8, 29, 31, 40, 255] {
        list.push((altered(true, 25, length), unjudged));
        list.push((altered(false, 25, length), unjudged));
    }
    for k in [16, 64] {
        let frames: Vec<_> = list.iter().map(|(frame, _)| (frame.clone(), true)).collect();
        for (found, (frame, told)) in verdicts(k, 3, &frames, 20).iter().zip(&list) {
            assert_eq!(found, told, "{frame:02x?}");
            assert_eq!(check(frame), *told, "the reference: {frame:02x?}");
        }
    }
}

/// A frame a beat, each verdict its own.
#[test]
fn keeps_pace() {
    let mut rng = Rng(8);
    let list: Vec<(Vec<u8>, bool)> = (0..300)
        .map(|i| {
            let mut frame = frames::packet(&mut rng, 4).0;
            frame.resize(64, 0);
            if i % 3 == 0 {
                frame[30 + i % 20] ^= 0x10;
            }
            (frame, true)
        })
        .collect();
    compare(64, 8, &list, 0).unwrap();
}

/// Every length there is about the edges of beats, every padding, at the longest too.
#[test]
fn lengths() {
    let mut rng = Rng(9);
    let mut list = Vec::new();
    for payload in (0..150).chain(9000 - 70..9000).chain([65_400]) {
        let mut frame = frames::packet(&mut rng, payload).0;
        if rng.below(2) == 0 {
            let more = rng.below(40) as usize;
            frame.extend(rng.bytes(more));
        }
        list.push((frame, true));
    }
    for k in [16, 64] {
        compare(k, 9, &list, 0).unwrap();
    }
}
