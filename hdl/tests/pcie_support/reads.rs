//! A test bench around a DMA read engine: clients, a completer, and a checker of all they see.

use std::collections::{HashMap, VecDeque};

use nitor_block::{Block, Model};

use super::{start, Beat, Rng, Tlp, READ128, READ512};

pub const REQUESTER: u16 = 0x2b41;
const COMPLETER: u32 = 0x0008;

#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub client: usize,
    pub addr: u64,
    pub len: u64,
    pub dst: u64,
    pub op: u64,
    pub last: bool,
}

/// What becomes of a read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Answered,
    Unsupported,
    Aborted,
    Poisoned,
    /// No answer ever.
    Lost,
    /// A completion ends before its length says, if one is longer than a beat.
    Short,
}

/// A part of a request that became a read.
#[derive(Clone, Debug)]
pub struct Piece {
    pub request: Request,
    pub addr: u64,
    pub len: u64,
    pub dst: u64,
    pub last: bool,
    pub fate: Fate,
    /// Bytes answered so far.
    pub given: u64,
    /// A completion was short.
    pub short: bool,
}

/// The engine at either width, and its bytes a beat.
pub fn model(wide: bool) -> (&'static Model, u64) {
    if wide {
        (&READ512, 64)
    } else {
        (&READ128, 16)
    }
}

/// Requests to places of their own, from anywhere.
pub fn requests(rng: &mut Rng, count: usize, longest: u64) -> Vec<Request> {
    let mut free = [0u64; 4];
    (0..count)
        .map(|i| {
            let client = rng.below(4) as usize;
            let len = match rng.below(4) {
                0 => rng.range(1, 8),
                1 => rng.range(1, 256),
                _ => rng.range(1, longest),
            };
            let high = if rng.percent(50) { rng.range(1, 0xffff) << 32 } else { 0 };
            let addr = high | (client as u64) << 28 | rng.below(1 << 26);
            let dst = free[client] + rng.below(100);
            free[client] = dst + len;
            Request { client, addr, len, dst, op: i as u64 % 512, last: rng.percent(70) }
        })
        .collect()
}

/// A request of a place from `addr` on, last of its operation.
pub fn read_of(client: usize, addr: u64, len: u64) -> Request {
    let addr = addr | (client as u64) << 28;
    Request { client, addr, len, dst: 0x100 + addr % 64, op: 7, last: true }
}

/// How the other side behaves.
#[derive(Clone, Debug)]
pub struct Setup {
    pub mrrs: u64,
    pub ext_tag: bool,
    /// Cycles from a read to its first completion.
    pub latency: (u64, u64),
    /// Percent of cycles without a request, without readiness for a read, without a completion.
    pub idle: u64,
    pub stall: u64,
    pub gap: u64,
    /// Percent of completions that end at an earlier boundary than they could.
    pub split: u64,
    /// Percent of reads of each fate but the first.
    pub faults: [u64; 5],
    /// Percent of cycles in which bus mastering changes.
    pub switching: u64,
}

impl Setup {
    pub fn fast() -> Setup {
        Setup {
            mrrs: 2,
            ext_tag: true,
            latency: (100, 100),
            idle: 0,
            stall: 0,
            gap: 0,
            split: 0,
            faults: [0; 5],
            switching: 0,
        }
    }
}

/// What memory holds.
pub fn byte(addr: u64) -> u8 {
    (addr.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub reads: u64,
    pub poisoned: u64,
    pub refused: u64,
    pub timeouts: u64,
    pub unexpected: u64,
}

pub struct Bench {
    pub block: Block,
    pub setup: Setup,
    pub rng: Rng,
    k: u64,
    waiting: [VecDeque<Request>; 4],
    offering: [bool; 4],
    /// Pieces to come, of each client.
    to_read: [VecDeque<Piece>; 4],
    to_issue: [VecDeque<(u64, bool)>; 4],
    /// By tag, and when its first completion may go.
    pub outstanding: HashMap<u8, (Piece, u64)>,
    beats: VecDeque<Beat>,
    bus_master: bool,
    /// Cycles in a flush.
    flushed: u64,
    /// Which tag and piece the completion under way ends.
    ending: Option<(u8, Piece)>,
    presented: bool,
    /// Pieces whose last completion is in, in that order; their `done` is to come.
    ended: VecDeque<Piece>,
    pub lost: Vec<Piece>,
    written: HashMap<(usize, u64), u8>,
    issued: [u64; 4],
    pub done: [u64; 4],
    pub failed: u64,
    /// What the pulses of the engine add up to, and what they should.
    pub counted: Counts,
    pub expected: Counts,
    pub data_beats: u64,
    /// The tags of the reads, in order.
    pub tags: Vec<u8>,
}

impl Bench {
    pub fn new(model: &Model, k: u64, setup: Setup, seed: u64) -> Bench {
        Bench::again(start(model, seed), k, setup, seed)
    }

    /// Around an engine that has been running.
    pub fn again(mut block: Block, k: u64, setup: Setup, seed: u64) -> Bench {
        block.set("requester", REQUESTER.into());
        block.set("mrrs", setup.mrrs);
        block.set("ext_tag", setup.ext_tag.into());
        block.set("bus_master", 1);
        Bench {
            block,
            setup,
            rng: Rng(seed),
            k,
            waiting: Default::default(),
            offering: [false; 4],
            to_read: Default::default(),
            to_issue: Default::default(),
            outstanding: HashMap::new(),
            beats: VecDeque::new(),
            bus_master: true,
            flushed: 0,
            ending: None,
            presented: false,
            ended: VecDeque::new(),
            lost: vec![],
            written: HashMap::new(),
            issued: [0; 4],
            done: [0; 4],
            failed: 0,
            counted: Counts::default(),
            expected: Counts::default(),
            data_beats: 0,
            tags: vec![],
        }
    }

    /// The client is in bits 29:28 of the address, so that the referee knows whose a read is.
    pub fn ask(&mut self, request: Request) {
        assert_eq!(request.addr >> 28 & 3, request.client as u64);
        self.waiting[request.client].push_back(request);
        let limit = 128 << self.setup.mrrs;
        let (mut addr, mut dst, mut left) = (request.addr, request.dst, request.len);
        while left > 0 {
            let len = left.min(limit - addr % limit);
            left -= len;
            let last = request.last && left == 0;
            let dice = self.rng.below(100);
            let fates = [Fate::Unsupported, Fate::Aborted, Fate::Poisoned, Fate::Lost, Fate::Short];
            let mut bound = 0;
            let fate = fates.into_iter().zip(self.setup.faults).find(|(_, percent)| {
                bound += percent;
                dice < bound
            });
            let fate = fate.map_or(Fate::Answered, |(fate, _)| fate);
            let piece = Piece { request, addr, len, dst, last, fate, given: 0, short: false };
            self.to_read[request.client].push_back(piece);
            self.to_issue[request.client].push_back((request.op, last));
            addr += len;
            dst += len;
        }
    }

    /// Nothing is asked for, under way or to be reported, but what is lost.
    pub fn idle(&self) -> bool {
        self.to_read.iter().all(VecDeque::is_empty)
            && self.outstanding.is_empty()
            && self.beats.is_empty()
            && self.ended.is_empty()
            && self.lost.is_empty()
    }

    pub fn run(&mut self, limit: u64) {
        let begin = self.block.cycles();
        while !self.idle() {
            assert!(
                self.block.cycles() - begin < limit,
                "{:x?} are open, {:x?} to be reported",
                self.outstanding,
                self.ended
            );
            self.step();
        }
        // What comes when nothing should.
        for _ in 0..20 {
            self.step();
        }
        assert_eq!(self.counted, self.expected);
        // A tag that timed out may rest.
        assert!(self.block.get("busy") == 0 || self.counted.timeouts > 0);
    }

    pub fn step(&mut self) {
        for c in 0..4 {
            let set = |block: &mut Block, port: &str, value: u64| {
                block.set(format!("req_{c}_{port}").as_str(), value);
            };
            let idle = self.rng.percent(self.setup.idle);
            self.offering[c] |= !self.waiting[c].is_empty() && !idle;
            set(&mut self.block, "valid", self.offering[c].into());
            if let Some(r) = self.waiting[c].front() {
                let fields = [
                    ("addr", r.addr),
                    ("len", r.len),
                    ("dst", r.dst),
                    ("op", r.op),
                    ("last", r.last.into()),
                ];
                fields.into_iter().for_each(|(port, value)| set(&mut self.block, port, value));
            }
        }
        self.bus_master ^= self.rng.percent(self.setup.switching);
        self.block.set("bus_master", self.bus_master.into());
        let np_ready = !self.rng.percent(self.setup.stall);
        self.block.set("np_ready", np_ready.into());
        if self.beats.is_empty() {
            self.complete();
        }
        self.presented |= !self.beats.is_empty() && !self.rng.percent(self.setup.gap);
        self.block.set("cpl_valid", self.presented.into());
        if let Some((sop, eop, hdr, data)) = self.beats.front() {
            self.block.set("cpl_sop", (*sop).into());
            self.block.set("cpl_eop", (*eop).into());
            self.block.set_bytes("cpl_hdr", hdr);
            self.block.set_bytes("cpl_data", data);
        }
        self.block.clock_low();
        for c in 0..4 {
            let ready = self.block.get(format!("req_{c}_ready").as_str()) == 1;
            if self.offering[c] && ready {
                self.offering[c] = false;
                self.waiting[c].pop_front();
            }
        }
        self.watch_bus();
        if np_ready && self.block.get("np_valid") == 1 {
            self.read();
        }
        if self.presented && self.block.get("cpl_ready") == 1 {
            self.presented = false;
            let (_, eop, ..) = self.beats.pop_front().unwrap();
            if eop {
                self.ended.extend(self.ending.take().map(|(_, piece)| piece));
            }
        }
        for (port, count) in [
            ("stat_read", &mut self.counted.reads),
            ("cpl_poisoned", &mut self.counted.poisoned),
            ("cpl_ur_ca", &mut self.counted.refused),
            ("cpl_timeout", &mut self.counted.timeouts),
            ("cpl_unexpected", &mut self.counted.unexpected),
        ] {
            *count += self.block.get(port);
        }
        self.block.clock_high();
    }

    /// Cycles in which nothing is to happen, much faster than steps.
    pub fn sleep(&mut self, until: u64) {
        while self.block.cycles() < until {
            self.block.clock_low();
            assert_eq!(self.block.get("bus_done_valid"), 0, "a piece ended");
            self.block.clock_high();
        }
    }

    /// The read that the engine offers.
    fn offered(block: &Block) -> Option<Tlp> {
        let hdr = block.get_bytes("np_hdr");
        let dw = |i: usize| u32::from_le_bytes(hdr[4 * i..4 * i + 4].try_into().unwrap());
        let tlp = Tlp { hdr: [dw(0), dw(1), dw(2), dw(3)], data: vec![] };
        (block.get("np_valid") == 1).then_some(tlp)
    }

    /// The engine sends a read: the next piece of its client, as the specification wants it.
    fn read(&mut self) {
        let tlp = Self::offered(&self.block).unwrap();
        let client = (tlp.addr() >> 28 & 3) as usize;
        let mut piece = self.to_read[client].pop_front().expect("a read nobody asked for");
        while self.setup.switching > 0 && piece.addr & !3 != tlp.addr() {
            // Refused while it could not be read; to be said later.
            self.lost.push(Piece { fate: Fate::Lost, ..piece });
            piece = self.to_read[client].pop_front().expect("a read nobody asked for");
        }
        let skip = piece.addr % 4;
        let dwords = (skip + piece.len).div_ceil(4);
        let first = 15 << skip & 15u8;
        let last = 15 >> ((4 - (skip + piece.len) % 4) % 4);
        let be = if dwords == 1 { first & last } else { first | last << 4 };
        let wanted =
            Tlp::memory(false, REQUESTER, tlp.tag(), be, piece.addr, vec![0; dwords as usize * 4]);
        assert_eq!(tlp, wanted, "{piece:x?}");
        assert!(piece.addr / 4096 == (piece.addr + piece.len - 1) / 4096);
        assert!(self.setup.ext_tag || tlp.tag() < 32, "tag {}", tlp.tag());
        let ending = self.ending.as_ref().map(|(tag, _)| *tag);
        assert_ne!(ending, Some(tlp.tag()), "a tag whose last beat is not in");
        let low = self.setup.latency;
        let at = self.block.cycles() + self.rng.range(low.0, low.1);
        self.expected.reads += 1;
        self.tags.push(tlp.tag());
        if !self.bus_master {
            // Taken, but it does not go out.
            self.lost.push(Piece { fate: Fate::Lost, ..piece });
            return;
        }
        if piece.fate == Fate::Lost {
            self.expected.timeouts += 1;
            self.lost.push(piece);
            return;
        }
        let before = self.outstanding.insert(tlp.tag(), (piece, at));
        assert!(before.is_none(), "tag {} is in use", tlp.tag());
    }

    /// Makes a completion of any read that is due.
    fn complete(&mut self) {
        let now = self.block.cycles();
        let mut due: Vec<(u64, u8)> = self
            .outstanding
            .iter()
            .map(|(tag, (_, at))| (*at, *tag))
            .filter(|(at, _)| *at <= now)
            .collect();
        due.sort_unstable();
        // None waits for ever.
        due.truncate(6);
        if due.is_empty() {
            return;
        }
        let (_, tag) = *self.rng.pick(&due);
        let (mut piece, at) = self.outstanding.remove(&tag).unwrap();
        let from = piece.addr + piece.given;
        let left = piece.len - piece.given;
        let status = match piece.fate {
            Fate::Unsupported => 1,
            Fate::Aborted => 4,
            _ => 0,
        };
        let mut len = 0;
        if status == 0 {
            let whole = left.min(256 - from % 256);
            len = if self.rng.percent(self.setup.split) {
                let first = 64 - from % 64;
                left.min(first + 64 * self.rng.below(4))
            } else {
                whole
            };
        }
        let ends = status != 0 || len == left;
        // One completion is poisoned: the first, or the last.
        let poison = piece.fate == Fate::Poisoned
            && if piece.addr % 8 < 4 { ends } else { piece.given == 0 };
        self.expected.poisoned += u64::from(poison);
        self.expected.refused += u64::from(status != 0);
        let tlp = completion(tag, REQUESTER, status, poison, from, len, left);
        let mut beats = tlp.beats(self.k as usize, &mut self.rng);
        if piece.fate == Fate::Short && !piece.short && beats.len() > 1 {
            piece.short = true;
            beats.truncate(self.rng.range(1, beats.len() as u64 - 1) as usize);
            beats.last_mut().unwrap().1 = true;
        }
        if piece.fate == Fate::Short && !piece.short && ends {
            piece.fate = Fate::Answered;
        }
        self.beats.extend(beats);
        piece.given += len;
        if ends {
            self.ending = Some((tag, piece));
        } else {
            self.outstanding.insert(tag, (piece, at));
        }
    }

    /// Presents a TLP of the test's own, after what is under way.
    pub fn inject(&mut self, tlp: Tlp) {
        let beats = tlp.beats(self.k as usize, &mut self.rng);
        self.beats.extend(beats);
    }

    /// A cycle, or more to present what there is to present, in a flush: nothing reaches a client
    /// but what was on its way.
    pub fn flushed(&mut self) {
        self.block.set("np_ready", 1);
        loop {
            self.block.set("cpl_valid", (!self.beats.is_empty()).into());
            if let Some((sop, eop, hdr, data)) = self.beats.front() {
                self.block.set("cpl_sop", (*sop).into());
                self.block.set("cpl_eop", (*eop).into());
                self.block.set_bytes("cpl_hdr", hdr);
                self.block.set_bytes("cpl_data", data);
            }
            self.block.clock_low();
            if self.block.get("cpl_ready") == 1 {
                self.beats.pop_front();
            }
            self.flushed += 1;
            for port in ["bus_data_valid", "bus_done_valid", "bus_issue_valid"] {
                assert!(self.flushed < 6 || self.block.get(port) == 0, "{port} in a flush");
            }
            self.block.clock_high();
            if self.beats.is_empty() {
                break;
            }
        }
    }

    fn watch_bus(&mut self) {
        let block = &self.block;
        if block.get("bus_issue_valid") == 1 {
            let client = block.get("bus_issue_client") as usize;
            let issue = (block.get("bus_issue_op"), block.get("bus_issue_last") == 1);
            assert_eq!(Some(issue), self.to_issue[client].pop_front());
            self.issued[client] += 1;
        }
        if block.get("bus_data_valid") == 1 {
            self.data_beats += 1;
            let client = block.get("bus_data_client") as usize;
            let row = block.get("bus_data_row");
            let data = block.get_bytes("bus_data");
            let [lo, hi] = ["bus_be_lo", "bus_be_hi"].map(|port| block.get_bits(port));
            for lane in 0..self.k as usize {
                assert!(!(lo[lane] && hi[lane]));
                for (enabled, row) in [(lo[lane], row), (hi[lane], row + 1)] {
                    if enabled {
                        // A row before the first is the last.
                        let at = (row * self.k + lane as u64) % (1 << 20);
                        let before = self.written.insert((client, at), data[lane]);
                        assert!(before.is_none(), "byte {at} of client {client} written twice");
                    }
                }
            }
        }
        if block.get("bus_done_valid") == 1 {
            let client = block.get("bus_done_client") as usize;
            let op = block.get("bus_done_op");
            let err = block.get("bus_done_err") == 1;
            let same = |piece: &Piece| piece.request.client == client && piece.request.op == op;
            // Pieces end in the order of their last completions; what is late comes in between.
            // While bus mastering goes on and off one that was refused may overtake one of its
            // operation that was answered.
            let next_ends = |piece: &Piece| {
                same(piece) && (self.setup.switching == 0 || err == (piece.fate != Fate::Answered))
            };
            let piece = match self.ended.front().is_some_and(next_ends) {
                true => self.ended.pop_front().unwrap(),
                false => match self.lost.iter().position(same) {
                    Some(at) => self.lost.swap_remove(at),
                    // Refused before it became a read.
                    None => {
                        // The one on offer as a read is none of those.
                        let offered = Self::offered(block).map(|tlp| tlp.addr());
                        let next = &mut self.to_read[client];
                        let refused =
                            |piece: &Piece| same(piece) && Some(piece.addr & !3) != offered;
                        let at = next.iter().take(4).position(refused);
                        let piece = at.and_then(|at| next.remove(at));
                        assert!(self.setup.switching > 0 && piece.is_some(), "done of nothing");
                        Piece { fate: Fate::Lost, ..piece.unwrap() }
                    }
                },
            };
            assert_eq!(err, piece.fate != Fate::Answered, "{piece:x?}");
            self.failed += u64::from(err);
            self.done[client] += 1;
            assert!(self.done[client] <= self.issued[client]);
            for i in 0..piece.len {
                let got = self.written.remove(&(client, piece.dst + i));
                let right = Some(byte(piece.addr + i));
                let fits = match piece.fate {
                    Fate::Answered | Fate::Poisoned => got == right,
                    Fate::Unsupported | Fate::Aborted => got.is_none(),
                    Fate::Lost | Fate::Short => got.is_none() || got == right,
                };
                assert!(fits, "byte {i} is {got:x?}, not {right:x?}, of {piece:x?}");
            }
        }
    }

    /// No byte was written that belongs to no piece.
    pub fn nothing_besides(&self) {
        assert!(self.written.is_empty(), "{:x?}", self.written);
    }
}

/// A completion of `len` bytes from `from` on, when `left` are still owed.
pub fn completion(
    tag: u8,
    requester: u16,
    status: u32,
    poison: bool,
    from: u64,
    len: u64,
    left: u64,
) -> Tlp {
    let begin = from & !3;
    let end = (from + len).next_multiple_of(4);
    let with_data = status == 0;
    let dwords = if with_data { (end - begin) / 4 } else { 0 } as u32;
    let low = if with_data { from & 0x7f } else { 0 } as u32;
    Tlp {
        hdr: [
            if with_data { 0x4a00_0000 } else { 0x0a00_0000 }
                | u32::from(poison) << 14
                | dwords & 0x3ff,
            COMPLETER << 16 | status << 13 | left as u32 & 0xfff,
            u32::from(requester) << 16 | u32::from(tag) << 8 | low,
            0,
        ],
        // What was not asked for may be anything.
        data: (begin..begin + u64::from(dwords) * 4)
            .map(|at| if (from..from + len).contains(&at) { byte(at) } else { !byte(at) })
            .collect(),
    }
}
