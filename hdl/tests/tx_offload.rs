//! Checksums and headers of segments, written into frames between stalling streams.

mod tx_support;

use nitor_block::bitvec::prelude::BitVec;
use nitor_block::stream::{cycle, Ports, Sink, Source, Stalls};
use nitor_block::{lint, Block, Model};
use nitor_hdl::tx::offload::TxOffload;
use nitor_hdl::tx::words::{OffloadWord, Offloads};
use nitor_rtl::prelude::{lit, Record, Synth};
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
type Given = (Vec<u8>, OffloadWord);

struct Bench {
    block: Block,
    k: usize,
    source: Source<Beat>,
    sink: Sink<(Vec<u8>, bool, u64, bool)>,
    want: Vec<Vec<u8>>,
    got: Vec<Vec<u8>>,
    /// Frames, their bytes without padding and packets refused, as they should be counted, and as
    /// they are.
    counts: [u64; 3],
    counted: [u64; 3],
    /// Cycles in which no beat is taken, most in a row.
    shut: u64,
    frame: Vec<u8>,
    /// Cycles of the first and the last beat out.
    span: Option<(u64, u64)>,
}

impl Bench {
    fn new(model: &Model, k: usize, seed: u64, rough: bool) -> Bench {
        let block = start(model, seed, 3);
        let fields = ["beat_data", "beat_last", "beat_bytes", "beat_word"];
        let ports = Ports::named(&block, "beat_valid", "beat_ready", &fields);
        Bench {
            source: Source::new(&block, ports, stalls(seed ^ 1, rough)),
            sink: Sink::new(&block, "mac", stalls(seed ^ 2, rough)),
            block,
            k,
            want: vec![],
            got: vec![],
            counts: [0; 3],
            counted: [0; 3],
            shut: 0,
            frame: vec![],
            span: None,
        }
    }

    fn push(&mut self, given: Given, want: Vec<u8>) {
        self.counts[0] += 1;
        self.counts[1] += want.len() as u64;
        let mut want = want;
        want.resize(want.len().max(60), 0);
        self.want.push(want);
        self.give(given);
    }

    /// A frame that is not to come out.
    fn push_refused(&mut self, given: Given) {
        self.counts[2] += u64::from(given.1.offloads.first);
        self.give(given);
    }

    fn give(&mut self, (mut bytes, word): Given) {
        bytes.resize(bytes.len().max(60), 0);
        let word = word.to_bits::<{ OffloadWord::BITS }>();
        let word: BitVec = (0..OffloadWord::BITS).map(|i| word.get_bit(i)).collect();
        let beats = bytes.chunks(self.k).count();
        for (i, chunk) in bytes.chunks(self.k).enumerate() {
            let mut data = chunk.to_vec();
            data.resize(self.k, 0);
            let last = i + 1 == beats;
            let n = if last { chunk.len() } else { self.k };
            self.source.push((data, last, n as u64, word.clone()));
        }
    }

    fn count(&mut self) {
        let frame = self.block.get("stat_frame");
        self.counted[0] += frame;
        self.counted[1] += frame * self.block.get("stat_bytes");
        self.counted[2] += self.block.get("stat_bad");
    }

    fn run(&mut self) {
        let begin = self.block.cycles();
        let mut quiet = 0;
        let mut shut = 0;
        // What is refused may be the last.
        while self.got.len() < self.want.len() || !self.source.is_empty() || quiet < 1500 {
            let now = self.block.cycles();
            quiet = if self.counted == self.counts { quiet + 1 } else { 0 };
            shut = if self.block.get("beat_ready") == 1 { 0 } else { shut + 1 };
            self.shut = self.shut.max(shut);
            cycle(&mut self.block, &mut [&mut self.source, &mut self.sink]);
            self.count();
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
            assert!(self.block.cycles() - begin < 400_000, "stuck: {:?}", self.counted);
        }
        assert_eq!(self.counted, self.counts);
    }
}

/// The word of a packet's only frame; all but what only segments have.
fn known(wish: &Wish, len: usize) -> OffloadWord {
    let tso = wish.tso();
    let (ip, l4) = (tso || wish.word1 & IP_CSUM != 0, tso || wish.word1 & L4_CSUM != 0);
    let v6 = wish.word1 & 15 == V6;
    let sized = match wish.word1 & 15 {
        V4 => (20..=60).contains(&wish.l3_len) && wish.l3_len.is_multiple_of(4),
        V6 => wish.l3_len >= 40 && wish.l3_len.is_multiple_of(2),
        _ => false,
    };
    let offloads = Offloads {
        ip: ip && !v6,
        l4,
        full: l4 && (tso || wish.word1 & PARTIAL == 0),
        udp: wish.word1 & 0x1f00 == UDP,
        v6,
        tso,
        first: true,
        last: true,
        l3_off: lit::<8>(wish.l3_off),
        l3_len: lit::<8>(wish.l3_len),
        hdr: lit::<9>(sized && !tso),
    };
    OffloadWord { offloads, len: lit::<16>(len), seq: lit::<17>(0), num: lit::<16>(0) }
}

/// Offloads of any kind at any place; bytes of any kind, and now and then all ones, which end sums
/// at their edges. Without `odd` none is refused.
fn packets(bench: &mut Bench, rng: &mut Rng, count: usize, odd: bool) {
    let limits = Limits { plain: 16384, off: LIMIT };
    let mut made = 0;
    while made < count {
        let v6 = rng.percent(50);
        let l3_len = if v6 { 40 + 8 * rng.below(8) } else { 20 + 4 * rng.below(11) };
        let l3_len = if v6 && rng.percent(10) { l3_len + 2 } else { l3_len };
        let mut wish = Wish {
            word1: if v6 { V6 } else { V4 },
            l3_len: l3_len as u16,
            l3_off: if rng.percent(70) { 14 } else { rng.below(120) as u16 },
            l4_words: rng.range(5, 15) as u16,
            mss: rng.range(8, 700) as u16,
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
        if odd {
            wish.vary(&mut packet, rng);
        } else {
            wish.dress(&mut packet, 0);
        }
        if wish.tso() && packet.len() / usize::from(wish.mss) > 40 {
            continue;
        }
        let Some(cuts) = wish.frames(&packet, 0, limits) else { continue };
        let refused = wish.refused(&packet);
        if refused && !odd {
            continue;
        }
        made += 1;
        let frames = cuts.len();
        let header = usize::from(wish.l3_off + wish.l3_len + 4 * wish.l4_words);
        let mut seq = 0;
        for (n, cut) in cuts.into_iter().enumerate() {
            let mut told = known(&wish, cut.frame.len());
            (told.offloads.first, told.offloads.last) = (n == 0, n + 1 == frames);
            let mut bytes = packet[cut.bytes.clone()].to_vec();
            if wish.tso() {
                told.offloads.hdr = lit::<9>(header);
                (told.seq, told.num) = (lit::<17>(seq), lit::<16>(n));
                seq += cut.frame.len() - header;
                if n > 0 {
                    // What is in the header's place is of no consequence.
                    bytes = [rng.bytes(header), bytes].concat();
                }
            }
            if refused {
                bench.push_refused((bytes, told));
            } else {
                bench.push((bytes, told), cut.frame);
            }
        }
    }
}

fn any(model: &Model, k: usize, seed: u64) {
    let mut rng = Rng(seed);
    let mut bench = Bench::new(model, k, seed, true);
    packets(&mut bench, &mut rng, 60, true);
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
            wish.dress(&mut packet, 0);
            let at = 34 + if protocol == UDP { 6 } else { 16 };
            let limits = Limits { plain: LIMIT, off: LIMIT };
            let sum = wish.frames(&packet, 0, limits).unwrap().remove(0).frame[at..at + 2].to_vec();
            packet[98..].copy_from_slice(&sum);
            let frame = wish.frames(&packet, 0, limits).unwrap().remove(0).frame;
            let zero = if protocol == UDP { [0xff; 2] } else { [0; 2] };
            assert_eq!(frame[at..at + 2], zero);
            bench.push((packet, known(&wish, 100)), frame);
        }
        bench.run();
    }
}

/// A beat a cycle, with checksums and without, also of the shortest frames; and how long a frame
/// takes.
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
                let mut packet = Rng(3).bytes(len);
                wish.dress(&mut packet, 0);
                let limits = Limits { plain: LIMIT, off: LIMIT };
                let frame = wish.frames(&packet, 0, limits).unwrap().remove(0).frame;
                let word = known(&wish, len);
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
                let latency = if checksum { beats + 17 } else { 9 };
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
            let mut packet = Rng(seed).bytes(len - (seed as usize & 1));
            wish.dress(&mut packet, 0);
            let limits = Limits { plain: 16384, off: len as u64 };
            let frame = wish.frames(&packet, 0, limits).unwrap().remove(0).frame;
            let word = known(&wish, packet.len());
            bench.push((packet, word), frame);
        }
        bench.run();
    }
}

/// A packet that a checksum is asked for, to be sent with that, or not.
fn judged(bench: &mut Bench, wish: &Wish, packet: &[u8], sent: bool) {
    let limits = Limits { plain: LIMIT, off: LIMIT };
    let frame = wish.frames(packet, 0, limits).unwrap().remove(0).frame;
    let given = (packet.to_vec(), known(wish, packet.len()));
    assert_eq!(wish.refused(packet), !sent, "{:02x?}", &packet[..80.min(packet.len())]);
    if sent {
        bench.push(given, frame);
    } else {
        bench.push_refused(given);
    }
}

/// What is behind a datagram is not summed up: here 5 bytes of UDP, padded with aa to 60 bytes. So
/// it is in both modes, wherever the packet ends.
#[test]
fn trailer() {
    for (model, k) in [(&*OFF128, 16), (&*OFF512, 64)] {
        let mut bench = Bench::new(model, k, 6, false);
        let wish = Wish { word1: V4 | UDP | L4_CSUM, l3_off: 14, l3_len: 20, ..Wish::default() };
        let mut packet = vec![0xaa; 60];
        packet[14..42].copy_from_slice(&[
            0x45, 0, 0, 33, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
            0x12, 0x34, 0x56, 0x78, 0, 13, 0, 0, // UDP
        ]);
        packet[42..47].copy_from_slice(b"hello");
        let mut bare = packet.clone();
        bare[47..].fill(0);
        let limits = Limits { plain: LIMIT, off: LIMIT };
        let sum = |packet: &[u8]| wish.frames(packet, 0, limits).unwrap()[0].frame[40..42].to_vec();
        assert_eq!(sum(&packet), sum(&bare));
        judged(&mut bench, &wish, &packet, true);
        for mode in [0, PARTIAL] {
            for (l3, l3_len) in [(V4, 20), (V6, 40)] {
                for l4 in [TCP, UDP] {
                    let wish = Wish { word1: l3 | l4 | L4_CSUM | mode, l3_len, ..wish };
                    for trailer in 0..70 {
                        let mut packet = Rng(trailer).bytes(150);
                        wish.dress(&mut packet, trailer as usize);
                        judged(&mut bench, &wish, &packet, true);
                    }
                }
            }
        }
        bench.run();
    }
}

/// A length that can't be: refused where the card makes the pseudo header, else the sum goes to the
/// frame's end.
#[test]
fn lengths() {
    for (model, k) in [(&*OFF128, 16), (&*OFF512, 64)] {
        let mut bench = Bench::new(model, k, 7, false);
        for (l3, l3_len, at) in [(V4, 20, 16), (V6, 40, 18)] {
            for (l4, least) in [(TCP, 18), (UDP, 8)] {
                let full = Wish { word1: l3 | l4 | L4_CSUM, l3_off: 14, l3_len, ..Wish::default() };
                let partial = Wish { word1: full.word1 | PARTIAL, ..full };
                let mut packet = Rng(9).bytes(200);
                full.dress(&mut packet, 0);
                let right = u16::from_be_bytes([packet[at], packet[at + 1]]);
                let without = 200 - 14 - right;
                let shortest = l3_len - without + least;
                for len in [0, shortest - 1, shortest, right, right + 1, 0x7fff, 0xffff] {
                    packet[at..at + 2].copy_from_slice(&len.to_be_bytes());
                    let agrees = l4 == TCP || len == right;
                    judged(&mut bench, &full, &packet, (shortest..=right).contains(&len) && agrees);
                    judged(&mut bench, &partial, &packet, true);
                }
            }
        }
        bench.run();
    }
}

/// What stands between IP header and L4 and makes the pseudo header another, one by one; nothing
/// waits longer than that takes to read.
#[test]
fn routes() {
    for (model, k) in [(&*OFF128, 16), (&*OFF512, 64)] {
        let mut bench = Bench::new(model, k, 8, false);
        let v4: [(&[u8], bool); 18] = [
            (&[1, 1, 1, 0], true),
            // Source routes with addresses left, and used up.
            (&[131, 7, 4, 10, 0, 0, 9, 0], false),
            (&[137, 7, 4, 10, 0, 0, 9, 0], false),
            (&[1, 131, 7, 4, 10, 0, 0, 9], false),
            (&[131, 7, 8, 10, 0, 0, 9, 0], true),
            (&[131, 7, 7, 10, 0, 0, 9, 0], false),
            (&[137, 2, 1, 1], false),
            // Record route and time stamps, with what looks like a source route inside, and behind
            // the end.
            (&[7, 7, 4, 131, 7, 4, 9, 0], true),
            (&[68, 8, 5, 0, 131, 7, 4, 9], true),
            (&[0, 131, 7, 4], true),
            // Router alert, and options of no length.
            (&[148, 4, 0, 0], true),
            (&[148, 0, 0, 0], false),
            (&[148, 1, 1, 1], false),
            // Options that end with the header, and that go on.
            (&[1, 7, 3, 0], true),
            (&[1, 1, 148, 4], false),
            (&[7, 9, 4, 1, 1, 1, 1, 0], false),
            (&[1, 1, 1, 131], false),
            (&[0, 1, 148, 4], true),
        ];
        let v6: [(u8, &[u8], bool); 16] = [
            // Hop-by-hop and destination options: padding, router alert, home address, jumbo
            // payload.
            (0, &[6, 0, 0, 0, 0, 0, 0, 0], true),
            (0, &[6, 0, 5, 2, 0, 0, 1, 0], true),
            (60, &[6, 0, 1, 4, 0xc9, 0xc2, 0xc9, 0xc2], true),
            (
                60,
                &[6, 2, 1, 2, 0, 0, 0xc9, 16, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8],
                false,
            ),
            (0, &[6, 0, 0xc2, 4, 0, 1, 0, 0], false),
            // Routing of types 0, 2 and 4, with segments left and without.
            (43, &[6, 2, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8], false),
            (43, &[6, 2, 2, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8], false),
            (43, &[6, 2, 4, 2, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8], false),
            (43, &[6, 2, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8], true),
            (0, &[43, 0, 1, 4, 0, 0, 0, 0, 6, 0, 9, 1, 0, 0, 0, 0], false),
            // A fragment, and a whole packet in one.
            (44, &[6, 0, 0, 1, 0, 0, 0, 9], false),
            (44, &[6, 255, 0, 6, 0, 0, 0, 9], true),
            (44, &[6, 0, 9, 0, 0, 0, 0, 9], false),
            // What leads elsewhere, or is not as long as it says.
            (51, &[6, 4, 0, 0, 0, 0, 0, 0], false),
            (60, &[58, 0, 0, 0, 0, 0, 0, 0], false),
            (60, &[6, 1, 0, 0, 0, 0, 0, 0], false),
        ];
        let mut check = |l3: u32, next: u8, area: &[u8], sent: bool| {
            let fixed = if l3 == V6 { 40 } else { 20 };
            for (l3_off, len) in [(14, 110), (18, 300), (31, 1500)] {
                let l3_len = (fixed + area.len()) as u16;
                for flags in [TCP | L4_CSUM, UDP | L4_CSUM, TCP | L4_CSUM | PARTIAL] {
                    let wish = Wish { word1: l3 | flags, l3_off, l3_len, ..Wish::default() };
                    let mut packet = Rng(len as u64).bytes(len);
                    wish.dress(&mut packet, 0);
                    let at = usize::from(l3_off) + fixed;
                    packet[at..at + area.len()].copy_from_slice(area);
                    if l3 == V6 {
                        packet[usize::from(l3_off) + 6] = next;
                    }
                    judged(&mut bench, &wish, &packet, sent || flags & PARTIAL != 0);
                }
            }
        };
        for (area, sent) in v4 {
            check(V4, 0, area, sent);
        }
        for (next, area, sent) in v6 {
            check(V6, next, area, sent);
        }
        // A fragment of IPv4: more to come, or not the first; DF is no such thing.
        for (flags, sent) in
            [([0x20, 0], false), ([0, 1], false), ([1, 0], false), ([0x40, 0], true)]
        {
            let wish =
                Wish { word1: V4 | TCP | L4_CSUM, l3_off: 14, l3_len: 20, ..Wish::default() };
            let mut packet = Rng(4).bytes(100);
            wish.dress(&mut packet, 0);
            packet[20..22].copy_from_slice(&flags);
            judged(&mut bench, &wish, &packet, sent);
        }
        bench.run();
        // The longest is 24 bytes behind 34 of IPv6's header.
        assert!(bench.shut <= 80, "shut for {} cycles", bench.shut);
    }
}

/// Full, `beat_ready` is low and nothing is lost; then all goes on.
#[test]
fn standstill() {
    for (model, k) in [(&*OFF128, 16), (&*OFF512, 64)] {
        let mut bench = Bench::new(model, k, 1, false);
        let mut rng = Rng(8);
        packets(&mut bench, &mut rng, 100, false);
        let mut none = Sink::<(Vec<u8>, bool, u64, bool)>::new(&bench.block, "mac", Stalls::none());
        for _ in 0..2000 {
            bench.block.set("mac_ready", 0);
            cycle(&mut bench.block, &mut [&mut bench.source]);
            bench.count();
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
