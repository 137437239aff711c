//! The host's requests, on the register buses and in the completions that answer them.

mod pcie_support;

use std::collections::VecDeque;

use nitor_block::{Block, Model};
use pcie_support::streams::{Feed, Take};
use pcie_support::{cases, start, Rng, Tlp, TARGET128, TARGET512};
use proptest::prelude::*;

const BAR0: u64 = 0xfebd_4000;
const BAR2: u64 = 0x12_3450_0000;
const BAR2_LEN: usize = 1 << 20;
const BDF: u32 = 0x0500;
const HOST: u32 = 0x0018;

/// An access on a register bus: address, and what is written where.
#[derive(Clone, Debug, PartialEq)]
struct Access {
    addr: u64,
    write: Option<(u32, u64)>,
    be: u64,
}

/// A register bus that answers when it likes, with what it likes.
struct Bus {
    prefix: &'static str,
    wait: u64,
    seen: VecDeque<(Access, u32)>,
    rdata: u32,
}

impl Bus {
    fn new(prefix: &'static str) -> Bus {
        Bus { prefix, wait: 0, seen: VecDeque::new(), rdata: 0 }
    }

    fn port(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }

    fn drive(&mut self, block: &mut Block, rng: &mut Rng) {
        self.rdata = rng.next() as u32;
        block.set(self.port("ready").as_str(), u64::from(self.wait == 0));
        block.set(self.port("rdata").as_str(), self.rdata.into());
    }

    fn sample(&mut self, block: &Block, rng: &mut Rng) {
        let prefix = self.prefix;
        let get = |name: &str| block.get(format!("{prefix}_{name}").as_str());
        if get("valid") == 0 {
            return;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        self.wait = rng.below(4);
        let write = (get("write") == 1).then(|| (get("wdata") as u32, get("be")));
        self.seen.push_back((Access { addr: get("addr"), write, be: get("be") }, self.rdata));
    }
}

/// Byte Count and the offset of the first byte: specification, section 2.3.1.1.
fn span(be: u32, dwords: u32) -> (u32, u32) {
    let (first, last) = (be & 15, be >> 4);
    if first == 0 && dwords == 1 {
        return (1, 0);
    }
    let begin = first.trailing_zeros();
    let top = if dwords == 1 { first } else { last };
    (4 * dwords - (top.leading_zeros() - 28) - begin, begin)
}

struct Bench {
    rng: Rng,
    writes: VecDeque<Access>,
    /// What each non-posted request reads or writes, and its answer but for the data.
    answers: VecDeque<(Vec<Access>, [u32; 3])>,
    refused: u64,
    malformed: u64,
    /// What is said of posted and of other requests, and their headers.
    errors: [VecDeque<(u64, [u32; 4])>; 2],
}

// What an error is: unsupported, aborted, poisoned, answered.
const UNSUPPORTED: u64 = 8;
const ABORTED: u64 = 4;
const POISONED: u64 = 2;
const ANSWERED: u64 = 1;

/// The error of this cycle.
fn error(block: &Block) -> (u64, [u32; 4]) {
    let bits = ["err_unsupported", "err_aborted", "err_poisoned", "err_answered"];
    let what = bits.into_iter().fold(0, |what, port| what << 1 | block.get(port));
    let hdr = block.get_bytes("err_hdr");
    let dws = hdr.as_chunks::<4>().0.iter().map(|dw| u32::from_le_bytes(*dw));
    (what, Vec::from_iter(dws).try_into().unwrap())
}

impl Bench {
    /// A memory write, to BAR0 or elsewhere, or a message that the card does not know.
    fn write(&mut self) -> Tlp {
        let rng = &mut self.rng;
        let message = rng.percent(10);
        let ours = !message && rng.percent(85);
        let poisoned = rng.percent(5);
        let dwords = if rng.percent(70) { 1 } else { rng.range(1, 128) };
        let offset = rng.below(4096 - dwords) * 4;
        let base =
            if ours || message { BAR0 } else { *rng.pick(&[BAR0 + 0x4000, 0, BAR0 | 1 << 32]) };
        let (first, last) = (rng.below(16), if dwords == 1 { 0 } else { rng.range(1, 15) });
        let mut tlp = Tlp::memory(
            true,
            HOST as u16,
            0,
            (first | last << 4) as u8,
            base + offset,
            rng.bytes(4 * dwords as usize),
        );
        tlp.hdr[0] |= u32::from(poisoned) << 14;
        if message {
            tlp.hdr[0] |= 0x3400_0000;
            tlp.hdr[1] |= 0x7e;
        }
        if !ours || poisoned {
            let what = if ours { POISONED } else { UNSUPPORTED };
            self.errors[0].push_back((what, tlp.hdr));
        }
        self.refused += u64::from(!ours);
        self.malformed += u64::from(poisoned);
        for i in 0..dwords {
            let be = if i == 0 {
                first
            } else if i + 1 == dwords {
                last
            } else {
                15
            };
            let at = 4 * i as usize;
            let value = u32::from_le_bytes(tlp.data[at..at + 4].try_into().unwrap());
            if be != 0 && ours && !poisoned {
                self.writes.push_back(Access {
                    addr: offset + 4 * i,
                    write: Some((value, be)),
                    be,
                });
            }
        }
        tlp
    }

    /// What the block says is wrong is, and in that order.
    fn hear(&mut self, block: &Block) {
        let error = error(block);
        if error.0 != 0 {
            let whose = self.errors.iter_mut().find(|errors| errors.front() == Some(&error));
            whose.unwrap_or_else(|| panic!("{error:x?}")).pop_front();
        }
    }

    /// A request that is answered.
    fn request(&mut self) -> Tlp {
        let rng = &mut self.rng;
        let tag = rng.below(256) as u32;
        let kind = *rng.pick(&[
            0x00u32, 0x00, 0x20, 0x04, 0x44, 0x44, 0x02, 0x42, 0x05, 0x45, 0x01, 0x21, 0x4c,
        ]);
        let memory = matches!(kind, 0x00 | 0x20);
        let locked = matches!(kind, 0x01 | 0x21);
        let config = matches!(kind, 0x04 | 0x44);
        let dwords =
            if (memory || locked) && rng.percent(50) { *rng.pick(&[2, 2, 3, 16]) } else { 1 };
        let function = u32::from(config && rng.percent(20)) * rng.range(1, 7) as u32;
        let poisoned = kind & 0x40 != 0 && rng.percent(20);
        let ours = !memory || rng.percent(80);
        let first = if dwords == 1 { rng.below(16) } else { rng.range(1, 15) } as u32;
        let last = if dwords == 1 { 0 } else { rng.range(1, 15) as u32 };
        let offset = if config { rng.below(1024) * 4 } else { rng.below(4000) * 4 } as u32;
        let low = match (memory || locked, config, ours) {
            (_, true, _) => (BDF + function) << 16 | offset,
            (true, _, true) => BAR0 as u32 + offset,
            _ => 0x1000_0000 + offset,
        };
        let wide = kind & 0x20 != 0;
        // Traffic class and attributes come back.
        let class = (rng.below(8) as u32) << 20 | (rng.below(4) as u32) << 12;
        let tlp = Tlp {
            hdr: [
                kind << 24 | class | u32::from(poisoned) << 14 | dwords,
                HOST << 16 | tag << 8 | last << 4 | first,
                if wide { 0 } else { low },
                if wide { low } else { 0 },
            ],
            data: if kind & 0x40 != 0 { rng.bytes(4) } else { vec![] },
        };
        let served = ours && dwords <= 2 && function == 0 && (memory || (config && !poisoned));
        let mut accesses = vec![];
        if served && !(memory && first == 0) {
            for i in 0..dwords {
                let be = if i == 0 { first } else { last }.into();
                let write = (kind == 0x44)
                    .then(|| (u32::from_le_bytes(tlp.data[..].try_into().unwrap()), be));
                accesses.push(Access { addr: u64::from(offset + 4 * i), write, be });
            }
        }
        let sized = memory || locked;
        let (count, begin) = if sized { span(last << 4 | first, dwords) } else { (4, 0) };
        let status = match served {
            true => 0,
            false if memory && ours => 4,
            false => 1,
        };
        self.refused += u64::from(!served);
        self.malformed += u64::from(poisoned);
        if !served {
            let what = match () {
                _ if memory && ours => ABORTED | ANSWERED,
                _ if kind == 0x44 && poisoned && function == 0 => POISONED,
                _ if poisoned => UNSUPPORTED,
                _ => UNSUPPORTED | ANSWERED,
            };
            self.errors[1].push_back((what, tlp.hdr));
        }
        let with_data = served && kind != 0x44;
        let lower = if sized { (low & 0x7c) + begin } else { 0 };
        let answer = [
            if with_data { 0x4a00_0000 | dwords } else { 0x0a00_0000 }
                | class
                | u32::from(locked) << 24,
            BDF << 16 | status << 13 | count,
            HOST << 16 | tag << 8 | lower,
        ];
        self.answers.push_back((accesses, answer));
        tlp
    }
}

fn serves(model: &Model, k: usize, seed: u64, idle: u64, stall: u64) {
    let mut block = start(model, seed);
    block.set("bar0_base", BAR0);
    block.set("bar2_base", BAR2);
    block.set("mem_enable", 1);
    let mut bench = Bench {
        rng: Rng(seed),
        writes: VecDeque::new(),
        answers: VecDeque::new(),
        refused: 0,
        malformed: 0,
        errors: Default::default(),
    };
    let mut rng = Rng(!seed);
    let mut posted = Feed::new("posted", k);
    let mut np = Feed::new("np", k);
    let mut cpl = Take::new("cpl");
    let (mut cfg, mut bar) = (Bus::new("cfg"), Bus::new("bar"));
    // The card learns its number from the first configuration write.
    let hello = Tlp { hdr: [0x4400_0001, HOST << 16 | 0xf, BDF << 16 | 0x3c, 0], data: vec![0; 4] };
    np.push(&hello, &mut rng);
    let access = Access { addr: 0x3c, write: Some((0, 15)), be: 15 };
    bench.answers.push_back((vec![access], [0x0a00_0000, BDF << 16 | 4, HOST << 16]));
    for _ in 0..80 {
        let tlp = bench.request();
        np.push(&tlp, &mut rng);
        let tlp = bench.write();
        posted.push(&tlp, &mut rng);
    }
    let (mut refused, mut malformed) = (0, 0);
    while !bench.answers.is_empty() || !bench.writes.is_empty() || !posted.beats.is_empty() {
        assert!(block.cycles() < 100_000, "{} answers are missing", bench.answers.len());
        // Nothing is refused before the card knows its number.
        posted.drive(&mut block, !rng.percent(idle));
        np.drive(&mut block, !rng.percent(idle));
        cpl.drive(&mut block, !rng.percent(stall));
        cfg.drive(&mut block, &mut rng);
        bar.drive(&mut block, &mut rng);
        block.clock_low();
        posted.sample(&block);
        np.sample(&block);
        cfg.sample(&block, &mut rng);
        bar.sample(&block, &mut rng);
        // Writes to BAR0, in order; its reads are looked at with their completion.
        while bar.seen.front().is_some_and(|(access, _)| access.write.is_some()) {
            let (access, _) = bar.seen.pop_front().unwrap();
            assert_eq!(Some(access), bench.writes.pop_front());
        }
        if let Some(tlp) = cpl.sample(&block) {
            let (accesses, header) = bench.answers.pop_front().expect("an answer to nothing");
            assert_eq!(tlp.hdr[..3], header);
            let mut data = vec![];
            for wanted in accesses {
                let bus = if cfg.seen.is_empty() { &mut bar } else { &mut cfg };
                let at = bus.seen.iter().position(|(access, _)| access.write == wanted.write);
                let (access, value) = at.and_then(|at| bus.seen.remove(at)).expect("an access");
                assert_eq!(access, wanted);
                data.extend(value.to_le_bytes());
            }
            let len = tlp.data.len();
            // A read without enabled bytes reads 0.
            data.resize(len, 0);
            assert_eq!(tlp.data, data);
        }
        bench.hear(&block);
        refused += block.get("stat_unsupported");
        malformed += block.get("stat_poisoned");
        block.clock_high();
    }
    for _ in 0..600 {
        block.clock_low();
        bench.hear(&block);
        refused += block.get("stat_unsupported");
        malformed += block.get("stat_poisoned");
        block.clock_high();
    }
    assert_eq!((refused, malformed), (bench.refused, bench.malformed));
    assert_eq!(block.get("bdf"), u64::from(BDF));
    assert!(cfg.seen.is_empty() && bar.seen.is_empty());
    assert_eq!(bench.errors, [const { VecDeque::new() }; 2]);
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn any_requests(seed: u64, wide: bool, idle in 0u64..80, stall in 0u64..80) {
        let (model, k) = if wide { (&*TARGET512, 64) } else { (&*TARGET128, 16) };
        serves(model, k, seed, idle, stall);
    }

    #[test]
    fn any_lines(seed: u64, wide: bool, idle in 0u64..80, stall in 0u64..80) {
        let (model, k) = if wide { (&*TARGET512, 64) } else { (&*TARGET128, 16) };
        lines(model, k, seed, idle, stall);
    }
}

/// Writes to BAR2 of all sizes and enables, between writes to BAR0 and reads of BAR2, which are
/// zeros: in the end the memory is as the host wrote it.
fn lines(model: &Model, k: usize, seed: u64, idle: u64, stall: u64) {
    let mut block = start(model, seed);
    block.set("bar0_base", BAR0);
    block.set("bar2_base", BAR2);
    block.set("mem_enable", 1);
    let mut rng = Rng(seed);
    let (mut posted, mut np) = (Feed::new("posted", k), Feed::new("np", k));
    let mut cpl = Take::new("cpl");
    let mut bar = Bus::new("bar");
    let (mut want, mut got) = (vec![0u8; BAR2_LEN], vec![0u8; BAR2_LEN]);
    let (mut bells, mut reads) = (0, VecDeque::new());
    for _ in 0..200 {
        let dwords = [1, 2, 16, rng.range(1, 128)][rng.below(4) as usize];
        let at = (rng.below(BAR2_LEN as u64 / 4096) * 4096 + rng.below(1025 - dwords) * 4) as usize;
        let (first, last) = (rng.below(16), if dwords == 1 { 0 } else { rng.range(1, 15) });
        let data = rng.bytes(4 * dwords as usize);
        let poisoned = rng.percent(5);
        let be = (first | last << 4) as u8;
        let mut tlp = Tlp::memory(true, HOST as u16, 0, be, BAR2 + at as u64, data.clone());
        tlp.hdr[0] |= u32::from(poisoned) << 14;
        posted.push(&tlp, &mut rng);
        for (i, byte) in data.into_iter().enumerate() {
            let enables = match i / 4 {
                0 => first,
                n if n as u64 + 1 == dwords => last,
                _ => 15,
            };
            if enables >> (i % 4) & 1 == 1 && !poisoned {
                want[at + i] = byte;
            }
        }
        if rng.percent(20) {
            let bell = Tlp::memory(true, HOST as u16, 0, 15, BAR0 + 0x1000, rng.bytes(4));
            posted.push(&bell, &mut rng);
            bells += 1;
        }
        if rng.percent(30) {
            let dwords = [1, 1, 2, rng.range(1, 1024)][rng.below(4) as usize];
            let at = rng.below(1025 - dwords) * 4;
            let first = if dwords == 1 { rng.below(16) } else { rng.range(1, 15) } as u32;
            let last = if dwords == 1 { 0 } else { rng.range(1, 15) as u32 };
            let tag = rng.below(256) as u32;
            let (hi, lo) = ((BAR2 >> 32) as u32, (BAR2 + at) as u32);
            let length = dwords as u32 & 0x3ff;
            let hdr = [0x2000_0000 | length, HOST << 16 | tag << 8 | last << 4 | first, hi, lo];
            np.push(&Tlp { hdr, data: vec![] }, &mut rng);
            reads.push_back((at as u32, dwords as u32, last << 4 | first, tag));
        }
    }
    // Of the read at the head: bytes and dwords still to come.
    let mut open: Option<(u32, u32)> = None;
    while !posted.beats.is_empty() || !reads.is_empty() || bells > 0 {
        assert!(block.cycles() < 200_000, "stuck");
        posted.drive(&mut block, !rng.percent(idle));
        np.drive(&mut block, !rng.percent(idle));
        cpl.drive(&mut block, !rng.percent(stall));
        bar.drive(&mut block, &mut rng);
        block.clock_low();
        posted.sample(&block);
        np.sample(&block);
        bar.sample(&block, &mut rng);
        bells -= bar.seen.drain(..).count();
        take_line(&block, k, &mut got);
        if let Some(tlp) = cpl.sample(&block) {
            let &(at, dwords, be, tag) = reads.front().expect("an answer to nothing");
            let (bytes, begin) = span(be, dwords);
            let (left, dwords_left) = open.unwrap_or((bytes, dwords));
            let done = dwords - dwords_left;
            let now = dwords_left.min(32 - (at / 4 + done) % 32);
            let low = if done == 0 { at + begin } else { at + 4 * done } & 0x7f;
            assert_eq!(tlp.hdr[0], 0x4a00_0000 | now);
            assert_eq!(tlp.hdr[1], left & 0xfff);
            assert_eq!(tlp.hdr[2], HOST << 16 | tag << 8 | low);
            assert_eq!(tlp.data, vec![0; 4 * now as usize]);
            let skipped = if done == 0 { begin } else { 0 };
            open = Some((left.wrapping_sub(4 * now - skipped), dwords_left - now));
            if dwords_left == now {
                open = None;
                reads.pop_front();
            }
        }
        block.clock_high();
    }
    block.set("posted_valid", 0);
    for _ in 0..4 {
        block.clock_low();
        take_line(&block, k, &mut got);
        block.clock_high();
    }
    assert!(got == want, "{:?}", got.iter().zip(&want).position(|(a, b)| a != b));
}

/// What the card's line memory makes of the beat.
fn take_line(block: &Block, k: usize, memory: &mut [u8]) {
    if block.get("line_valid") == 0 {
        return;
    }
    let dwords = block.get("line_dwords") as usize;
    let (at, data) = (block.get("line_addr") as usize, block.get_bytes("line_data"));
    assert!(dwords >= 1 && 4 * dwords <= k && at % 4 == 0);
    for i in 0..4 * dwords {
        let mut be = 15;
        if i < 4 {
            be &= block.get("line_first_be");
        }
        if i / 4 + 1 == dwords {
            be &= block.get("line_last_be");
        }
        if be >> (i % 4) & 1 == 1 {
            memory[at + i] = data[i];
        }
    }
}

/// Beats of lines are taken as they come, without a gap between TLPs.
#[test]
fn lines_full_rate() {
    for (model, k) in [(&*TARGET128, 16), (&*TARGET512, 64)] {
        let mut block = start(model, 1);
        block.set("bar2_base", BAR2);
        block.set("mem_enable", 1);
        let mut rng = Rng(1);
        let mut posted = Feed::new("posted", k);
        for i in 0..100 {
            let tlp = Tlp::memory(true, HOST as u16, 0, 0xff, BAR2 + 64 * i, rng.bytes(64));
            posted.push(&tlp, &mut rng);
        }
        let begin = block.cycles();
        while !posted.beats.is_empty() {
            posted.drive(&mut block, true);
            block.clock_low();
            posted.sample(&block);
            block.clock_high();
        }
        assert_eq!(block.cycles() - begin, 100 * 64 / k as u64);
    }
}
