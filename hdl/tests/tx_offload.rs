//! Checksums and headers of segments, written into frames between stalling streams.

mod tx_support;

use nitor_block::bitvec::prelude::BitVec;
use nitor_block::stream::{cycle, Ports, Sink, Source, Stalls};
use nitor_block::{lint, Block, Model};
use nitor_hdl::tx::offload::{word, TxOffload};
use proptest::prelude::*;
use std::sync::LazyLock;
use tx_support::offload::{Limits, Wish, IP_CSUM, L4_CSUM, PARTIAL, TCP, TSO, UDP, V4, V6};
use tx_support::streams::stalls;
use tx_support::{emitted, model, start, Rng};

type Off128 = TxOffload<128, 16, 4, 7>;
type Off512 = TxOffload<512, 64, 6, 6>;

/// 2 and 4 KiB, so that they are full now and then.
static OFF128: LazyLock<Model> = LazyLock::new(|| model::<Off128>("tx_offload_128"));
static OFF512: LazyLock<Model> = LazyLock::new(|| model::<Off512>("tx_offload_512"));
const LIMIT: u64 = 2048;

type Beat = (Vec<u8>, bool, u64, BitVec);

/// A frame as `tx/out` sends it: bytes, and the word.
type Given = (Vec<u8>, u128);

struct Bench {
    block: Block,
    k: usize,
    source: Source<Beat>,
    sink: Sink<(Vec<u8>, bool, u64, bool)>,
    want: Vec<Vec<u8>>,
    got: Vec<Vec<u8>>,
    frame: Vec<u8>,
    /// Cycles of the first and the last beat out.
    span: Option<(u64, u64)>,
}

impl Bench {
    fn new(model: &Model, k: usize, seed: u64, rough: bool) -> Bench {
        let block = start(model, seed, 3);
        let fields = ["beat_data", "beat_last", "beat_bytes", "word"];
        let ports = Ports::named(&block, "beat_valid", "beat_ready", &fields);
        Bench {
            source: Source::new(&block, ports, stalls(seed ^ 1, rough)),
            sink: Sink::new(&block, "mac", stalls(seed ^ 2, rough)),
            block,
            k,
            want: vec![],
            got: vec![],
            frame: vec![],
            span: None,
        }
    }

    fn push(&mut self, (mut bytes, word): Given, want: Vec<u8>) {
        bytes.resize(bytes.len().max(60), 0);
        let mut want = want;
        want.resize(want.len().max(60), 0);
        self.want.push(want);
        let word: BitVec = (0..word::BITS).map(|i| word >> i & 1 == 1).collect();
        let beats = bytes.chunks(self.k).count();
        for (i, chunk) in bytes.chunks(self.k).enumerate() {
            let mut data = chunk.to_vec();
            data.resize(self.k, 0);
            let last = i + 1 == beats;
            let n = if last { chunk.len() } else { self.k };
            self.source.push((data, last, n as u64, word.clone()));
        }
    }

    fn run(&mut self) {
        let begin = self.block.cycles();
        while self.got.len() < self.want.len() {
            let now = self.block.cycles();
            cycle(&mut self.block, &mut [&mut self.source, &mut self.sink]);
            for (data, last, n, err) in self.sink.take() {
                self.span = Some((self.span.map_or(now, |span| span.0), now));
                assert!(!err);
                let n = if last { n as usize } else { self.k };
                self.frame.extend(&data[..n]);
                if last {
                    let at = self.got.len();
                    let frame = std::mem::take(&mut self.frame);
                    let want = &self.want[at];
                    let differs = frame.iter().zip(want).position(|(a, b)| a != b);
                    assert!(
                        frame == *want,
                        "frame {at} of {} bytes, wanted {}, from {differs:?} on: {:02x?}",
                        frame.len(),
                        want.len(),
                        &frame[..60]
                    );
                    self.got.push(frame);
                }
            }
            assert!(self.block.cycles() - begin < 400_000, "stuck");
        }
    }
}

/// The word of a frame of a packet; all but what only segments have.
fn known(wish: &Wish, len: usize) -> u128 {
    let bit = |on: bool, at: usize| u128::from(on) << at;
    let tso = wish.tso();
    let (ip, l4) = (tso || wish.word1 & IP_CSUM != 0, tso || wish.word1 & L4_CSUM != 0);
    let v6 = wish.word1 & 15 == V6;
    bit(ip && !v6, word::IP)
        | bit(l4, word::L4)
        | bit(l4 && (tso || wish.word1 & PARTIAL == 0), word::FULL)
        | bit(wish.word1 & 0x1f00 == UDP, word::UDP)
        | bit(v6, word::V6)
        | bit(tso, word::TSO)
        | u128::from(wish.l3_off) << word::L3_OFF
        | u128::from(wish.l3_len) << word::L3_LEN
        | (len as u128) << word::LEN
}

/// Offloads of any kind at any place; bytes of any kind, and now and then all ones, which end sums at their edges.
fn packets(bench: &mut Bench, rng: &mut Rng, count: usize) {
    let limits = Limits { plain: 16384, off: LIMIT };
    let mut made = 0;
    while made < count {
        let v6 = rng.percent(50);
        let l3_len = if v6 { 40 + 2 * rng.below(12) } else { 20 + 4 * rng.below(11) };
        let mut wish = Wish {
            word1: if v6 { V6 } else { V4 },
            l3_len: l3_len as u16,
            l3_off: if rng.percent(70) { 14 } else { rng.below(120) as u16 },
            l4_words: rng.range(5, 15) as u16,
            mss: rng.range(1, 700) as u16,
        };
        wish.word1 |= match rng.below(5) {
            0 => 0,
            1 => IP_CSUM,
            2 => L4_CSUM | PARTIAL,
            3 => L4_CSUM | IP_CSUM,
            _ => TSO,
        };
        wish.word1 |= if wish.tso() || rng.percent(50) { TCP } else { UDP };
        let most =
            if wish.word1 & (IP_CSUM | L4_CSUM | TSO) == 0 || wish.tso() { 9000 } else { 2048 };
        let least = rng.range(1, most);
        let mut packet = rng.bytes(rng.clone().range(1, least) as usize);
        if rng.percent(10) {
            packet.fill(0xff);
        }
        if wish.tso() && packet.len() / usize::from(wish.mss) > 40 {
            continue;
        }
        let Some(cuts) = wish.frames(&packet, 0, limits) else { continue };
        made += 1;
        let frames = cuts.len();
        let header = usize::from(wish.l3_off + wish.l3_len + 4 * wish.l4_words);
        let mut seq = 0;
        for (n, cut) in cuts.into_iter().enumerate() {
            let mut told = known(&wish, cut.frame.len());
            told |= u128::from(n == 0) << word::FIRST | u128::from(n + 1 == frames) << word::LAST;
            let mut bytes = packet[cut.bytes.clone()].to_vec();
            if wish.tso() {
                told |= (header as u128) << word::HDR
                    | (seq as u128) << word::SEQ
                    | (n as u128) << word::NUM;
                seq += cut.frame.len() - header;
                if n > 0 {
                    // What is in the header's place is of no consequence.
                    bytes = [rng.bytes(header), bytes].concat();
                }
            }
            bench.push((bytes, told), cut.frame);
        }
    }
}

fn any(model: &Model, k: usize, seed: u64) {
    let mut rng = Rng(seed);
    let mut bench = Bench::new(model, k, seed, true);
    packets(&mut bench, &mut rng, 60);
    bench.run();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_128(seed: u64) {
        any(&OFF128, 16, seed);
    }

    #[test]
    fn any_512(seed: u64) {
        any(&OFF512, 64, seed);
    }
}

/// A UDP checksum of 0 is sent as 0xffff, one of TCP as 0.
#[test]
fn zero() {
    for (model, k) in [(&*OFF128, 16), (&*OFF512, 64)] {
        let mut bench = Bench::new(model, k, 1, false);
        for (protocol, mode) in [(UDP, 0), (TCP, 0), (UDP, PARTIAL), (TCP, PARTIAL)] {
            let wish = Wish {
                word1: V4 | protocol | L4_CSUM | mode,
                l3_off: 14,
                l3_len: 20,
                ..Wish::default()
            };
            let mut packet = Rng(3).bytes(100);
            packet[98..].fill(0);
            let at = 34 + if protocol == UDP { 6 } else { 16 };
            let limits = Limits { plain: LIMIT, off: LIMIT };
            let sum = wish.frames(&packet, 0, limits).unwrap().remove(0).frame[at..at + 2].to_vec();
            packet[98..].copy_from_slice(&sum);
            let frame = wish.frames(&packet, 0, limits).unwrap().remove(0).frame;
            let zero = if protocol == UDP { [0xff; 2] } else { [0; 2] };
            assert_eq!(frame[at..at + 2], zero);
            bench.push((packet, known(&wish, 100) | 1 << word::FIRST | 1 << word::LAST), frame);
        }
        bench.run();
    }
}

/// A beat a cycle, with checksums and without, also of the shortest frames; and how long a frame takes.
#[test]
fn speed() {
    for (model, k) in [(&*OFF128, 16), (&*OFF512, 64)] {
        for checksum in [false, true] {
            for len in [60, 1514] {
                let mut bench = Bench::new(model, k, 1, false);
                let wish = Wish {
                    word1: if checksum { V4 | TCP | L4_CSUM | IP_CSUM } else { 0 },
                    l3_off: 14,
                    l3_len: 20,
                    ..Wish::default()
                };
                let packet = Rng(3).bytes(len);
                let limits = Limits { plain: LIMIT, off: LIMIT };
                let frame = wish.frames(&packet, 0, limits).unwrap().remove(0).frame;
                let word = known(&wish, len) | 1 << word::FIRST | 1 << word::LAST;
                // `beat_ready` is there a cycle after reset.
                let begin = bench.block.cycles() + 1;
                for _ in 0..100 {
                    bench.push((packet.clone(), word), frame.clone());
                }
                bench.run();
                let (first, last) = bench.span.unwrap();
                let beats = len.div_ceil(k) as u64;
                println!("{k}: {len} bytes, checksum {checksum}: first after {}", first - begin);
                assert_eq!(last - first + 1, 100 * beats, "a beat is missing");
                let latency = if checksum { beats + 16 } else { 9 };
                assert!(first - begin <= latency, "{} cycles", first - begin);
            }
        }
    }
}

/// Frames that fill the RAM to its last row.
#[test]
fn longest() {
    for (model, k, len) in [(&*OFF128, 16, 2048), (&*OFF512, 64, 4096)] {
        let mut bench = Bench::new(model, k, 5, true);
        let wish = Wish { word1: V6 | UDP | L4_CSUM, l3_off: 14, l3_len: 40, ..Wish::default() };
        for seed in 0..20 {
            let packet = Rng(seed).bytes(len - (seed as usize & 1));
            let limits = Limits { plain: 16384, off: len as u64 };
            let frame = wish.frames(&packet, 0, limits).unwrap().remove(0).frame;
            let word = known(&wish, packet.len()) | 1 << word::FIRST | 1 << word::LAST;
            bench.push((packet, word), frame);
        }
        bench.run();
    }
}

/// Full, `beat_ready` is low and nothing is lost; then all goes on.
#[test]
fn standstill() {
    for (model, k) in [(&*OFF128, 16), (&*OFF512, 64)] {
        let mut bench = Bench::new(model, k, 1, false);
        let mut rng = Rng(8);
        packets(&mut bench, &mut rng, 100);
        let mut none = Sink::<(Vec<u8>, bool, u64, bool)>::new(&bench.block, "mac", Stalls::none());
        for _ in 0..2000 {
            bench.block.set("mac_ready", 0);
            cycle(&mut bench.block, &mut [&mut bench.source]);
        }
        assert!(none.take().is_empty());
        let sent = bench.source.sent();
        assert!(sent < [128, 64][k / 64] + 20, "{sent} beats taken");
        bench.run();
    }
}

#[test]
fn lints() {
    for (verilog, top, _) in
        [emitted::<Off128>("tx_offload_128"), emitted::<Off512>("tx_offload_512")]
    {
        lint(verilog, &top).unwrap_or_else(|words| panic!("{words}"));
    }
}
