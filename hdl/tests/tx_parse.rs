//! Parsing of descriptors into packets, as the specification defines it.

mod tx_support;

use nitor_block::stream::{cycle, Sink, Source};
use nitor_block::Model;
use nitor_hdl::tx::parse::TxParse;
use nitor_hdl::tx::words::{Headers, Meta};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::LazyLock;
use tx_support::dma::{Dma, DmaSetup, Request};
use tx_support::streams::{meta, owner, stalls, Batch, Packet, Seg};
use tx_support::{model, start, Rng};

static PARSE128: LazyLock<Model> =
    LazyLock::new(|| model::<TxParse<128, 16, 4, 2, 7>>("tx_parse_128"));
static PARSE512: LazyLock<Model> =
    LazyLock::new(|| model::<TxParse<512, 64, 6, 2, 7>>("tx_parse_512"));

/// A queue as the specification reads its descriptors.
#[derive(Default)]
struct Grammar {
    broken: bool,
    open: Option<Open>,
    cache: Headers,
}

struct Open {
    bad: bool,
    /// The req_id, and what the first data descriptor asks for.
    data: Option<(u64, Meta)>,
    descs: usize,
    segs: Vec<Seg>,
    headers: Headers,
}

impl Open {
    fn ends(self, queue: u64, cq: u64) -> (Packet, Vec<Seg>) {
        let len: u64 = self.segs.iter().map(|seg| seg.len).sum();
        let bad = self.bad || len == 0;
        let (req_id, asked) = self.data.unwrap_or_default();
        let mut packet =
            Packet { queue, owner: owner(cq, req_id), bad: bad.into(), ..Packet::default() };
        packet.silent = self.data.is_none().into();
        if bad {
            return (packet, Vec::new());
        }
        packet.len = len;
        packet.count = self.segs.len() as u64;
        packet.meta = meta(Meta { headers: self.headers, ..asked });
        (packet, self.segs)
    }
}

impl Grammar {
    fn descriptor(&mut self, w: [u32; 4], queue: u64, cq: u64) -> Vec<(Packet, Vec<Seg>)> {
        let mut packets = Vec::new();
        let bits = |word: usize, high: u32, low: u32| {
            u64::from(w[word]) >> low & ((1 << (high - low + 1)) - 1)
        };
        let first = bits(0, 26, 26) == 1;
        if first {
            if let Some(mut cut) = self.open.take() {
                cut.bad = true;
                packets.push(cut.ends(queue, cq));
            }
        }
        let fresh = self.open.is_none();
        let open = self.open.get_or_insert_with(|| Open {
            bad: !first,
            data: None,
            descs: 0,
            segs: Vec::new(),
            headers: self.cache,
        });
        if bits(0, 23, 23) == 1 {
            open.bad |= !fresh;
            open.headers = Headers {
                l3_hdr_len: bits(2, 7, 0).into(),
                l3_hdr_off: bits(2, 15, 8).into(),
                l4_hdr_words: bits(2, 21, 16).into(),
                mss: (bits(0, 19, 16) << 10 | bits(2, 31, 22)).into(),
            };
            if bits(0, 21, 21) == 1 && !open.bad {
                self.cache = open.headers;
            }
        } else {
            let req_id = bits(0, 21, 16) << 10 | bits(1, 31, 22);
            let asked = Meta {
                l3_proto: bits(1, 3, 0).into(),
                tso_en: bits(1, 7, 7) == 1,
                l4_proto: bits(1, 12, 8).into(),
                l3_csum_en: bits(1, 13, 13) == 1,
                l4_csum_en: bits(1, 14, 14) == 1,
                l4_csum_partial: bits(1, 17, 17) == 1,
                header_length: bits(3, 31, 24).into(),
                headers: Headers::default(),
            };
            open.data.get_or_insert((req_id, asked));
            open.descs += 1;
            let len = bits(0, 15, 0);
            if len > 0 {
                open.segs.push(Seg { addr: bits(3, 15, 0) << 32 | bits(2, 31, 0), len });
            }
            let total: u64 = open.segs.iter().map(|seg| seg.len).sum();
            open.bad |= open.descs > 21 || total >= 1 << 17;
        }
        if bits(0, 27, 27) == 1 {
            packets.push(self.open.take().unwrap().ends(queue, cq));
        }
        packets
    }
}

/// A descriptor with nothing certain in it; `ends`: percent with `first`, percent with `last`.
fn descriptor(rng: &mut Rng, tame: bool, ends: u64) -> [u32; 4] {
    let mut w = [(); 4].map(|()| rng.next() as u32);
    w[0] &= !(1 << 23 | 3 << 26);
    w[0] |= u32::from(rng.percent(15)) << 23;
    w[0] |= u32::from(rng.percent(if tame { 100 } else { ends })) << 26;
    w[0] |= u32::from(rng.percent(if tame { 100 } else { ends })) << 27;
    if tame {
        w[0] &= !(1 << 23);
    }
    if rng.percent(80) {
        w[0] &= !0xff00;
    } else if rng.percent(30) {
        w[0] &= !0xffff;
    }
    w
}

fn parses(model: &Model, k: usize, seed: u64, rough: bool) -> f64 {
    let mut rng = Rng(seed);
    let mut block = start(model, seed, 3);
    let setup = DmaSetup {
        seed,
        k,
        latency: if rough { (2, 2 + rng.below(200)) } else { (20, 20) },
        max_read: 128,
        tags: 64,
        issue_gap: if rough { rng.below(60) } else { 0 },
        data_gap: if rough { rng.below(60) } else { 0 },
    };
    let mut dma = Dma::new(&block, setup);
    let mut batches = Source::<Batch>::new(&block, "batch", stalls(seed ^ 1, rough));
    let mut packets = Sink::<Packet>::new(&block, "packet", stalls(seed ^ 2, rough));
    let mut segs = Sink::<Seg>::new(&block, "seg", stalls(seed ^ 3, rough));
    let (free, broken) = (block.port("slot_free"), block.port("broken_valid"));
    let mut queues: [Grammar; 4] = Default::default();
    let mut expected = Vec::new();
    let mut expected_segs = Vec::new();
    let (mut expected_broken, mut breaks) = (0, 0);
    let (mut op, mut used, mut sent, mut descs) = (0x100, 0, 0, 0);
    let mut pending = VecDeque::new();
    let mut last = 0;
    let total = 120;
    // Short packets, or such that run into the limits.
    let ends = [35, 35, 4][rng.below(3) as usize];
    for _ in 0..60_000 {
        if sent < total && used < 32 && rng.percent(if rough { 30 } else { 100 }) {
            sent += 1;
            let queue = rng.below(if rough { 4 } else { 2 });
            let cq = queue * 2 + 1;
            let grammar = &mut queues[queue as usize];
            if rough && rng.percent(4) {
                *grammar = Grammar::default();
                batches.push(Batch { queue, cq, op, count: 3, lines: 0, marker: 1 });
                expected.push(Packet {
                    queue,
                    owner: owner(cq, 0),
                    marker: 1,
                    silent: 0,
                    ..Packet::default()
                });
            } else {
                used += 1;
                let count = if rough { rng.range(1, 16) } else { 16 };
                let fails = rough && rng.percent(4);
                let words: Vec<_> =
                    (0..count).map(|_| descriptor(&mut rng, !rough, ends)).collect();
                descs += count;
                if fails && !grammar.broken {
                    *grammar = Grammar { broken: true, ..Grammar::default() };
                    expected_broken += 1;
                    expected.push(Packet {
                        queue,
                        owner: owner(cq, 0),
                        dma: 1,
                        silent: 1,
                        ..Packet::default()
                    });
                } else if !grammar.broken {
                    for &word in &words {
                        for (packet, segs) in grammar.descriptor(word, queue, cq) {
                            expected.push(packet);
                            expected_segs.extend(segs);
                        }
                    }
                }
                batches.push(Batch { queue, cq, op, count, lines: 0, marker: 0 });
                let bytes: Vec<u8> = words.concat().iter().flat_map(|w| w.to_le_bytes()).collect();
                let addr = 0x1000 + 64 * rng.below(50) + 16 * rng.below(4);
                let data = (!fails).then_some(bytes);
                let dst = (op & 0xff) * 256;
                pending.push_back(Request {
                    client: 2,
                    addr,
                    len: 16 * count,
                    dst,
                    op,
                    last: true,
                    data,
                });
                op = if op & 31 == 31 { (op & 0x100) ^ 0x100 } else { op + 1 };
            }
        }
        // A request never comes before the block is ready.
        if batches.sent() > 0 {
            pending.drain(..).for_each(|request| dma.request(request));
        }
        dma.drive(&mut block);
        let before = packets.received().len();
        cycle(&mut block, &mut [&mut batches, &mut packets, &mut segs]);
        if packets.received().len() != before {
            last = block.cycles();
        }
        block.eval();
        used -= block.get(free);
        breaks += block.get(broken);
    }
    assert_eq!(used, 0);
    assert_eq!(breaks, expected_broken);
    assert_eq!(segs.received(), &expected_segs);
    assert_eq!(packets.received().len(), expected.len());
    for (mut packet, want) in packets.take().into_iter().zip(expected) {
        // Where no data descriptor was, there is no req_id.
        let cq = |packet: &Packet| packet.owner & 0xff;
        if want.silent == 1 || want.marker == 1 {
            packet.owner = cq(&packet);
        }
        if want.count == 0 {
            packet.meta = 0;
        }
        assert_eq!(
            packet,
            Packet { owner: if want.silent == 1 { cq(&want) } else { want.owner }, ..want }
        );
    }
    last as f64 / descs as f64
}

#[test]
fn parse_speed() {
    for (model, k) in [(&*PARSE128, 16), (&*PARSE512, 64)] {
        let cycles = parses(model, k, 7, false);
        println!("{cycles:.2} cycles a packet of one descriptor");
        assert!(cycles < 1.4, "{cycles}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn parse_128(seed: u64) {
        parses(&PARSE128, 16, seed, true);
    }

    #[test]
    fn parse_512(seed: u64) {
        parses(&PARSE512, 64, seed, true);
    }
}
