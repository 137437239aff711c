//! A test bench for the whole transmit path: a host, a wire and a completion queue, each with
//! checks.
//!
//! The host posts packets as descriptors in rings. The DMA engine is [Dma]. `mac`, `done`, `fetch`
//! and `data` stall at random. In every cycle the bench checks: descriptors are read in ring order
//! and only up to the doorbell; payload is read only from buffers of packets not yet completed;
//! frames arrive byte for byte, padded with zeros; each packet completes exactly once, in the order
//! of its queue, after its frame; a marker follows everything of its queue.

mod check;
mod post;

use super::dma::{Dma, DmaSetup, Request};
use super::lines::{Beat, Layout};
use super::{start, Rng};
use nitor_block::{Block, Model, PortId};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What a test varies.
#[derive(Clone, Debug)]
pub struct Setup {
    pub dma: DmaSetup,
    pub max_frame: u64,
    /// The card was built with offloads.
    pub offloads: bool,
    /// Batch slots: 32, or 16 of a small card.
    pub batches: u64,
    /// Percent of cycles in which each of these refuses.
    pub mac_stall: u64,
    pub done_stall: u64,
    pub fetch_stall: u64,
    pub data_stall: u64,
}

impl Setup {
    /// Everything as fast as it can be, after `latency` cycles.
    pub fn fast(k: usize, latency: u64) -> Setup {
        let latency = (latency, latency);
        let dma =
            DmaSetup { seed: 1, k, latency, max_read: 512, tags: 256, issue_gap: 0, data_gap: 0 };
        Setup {
            dma,
            max_frame: 9216,
            offloads: true,
            batches: 32,
            mac_stall: 0,
            done_stall: 0,
            fetch_stall: 0,
            data_stall: 0,
        }
    }
}

/// What must become of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// Its frames, and whether others of it were lost.
    Frames(Vec<Vec<u8>>, bool),
    Bad,
    /// Read, and not sent; some of it may be lost besides.
    Refused(bool),
    /// Its payload can't be read.
    Lost,
    /// Bad, and without a req_id.
    Silent,
}

/// A packet as a driver would hand it over.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    pub req_id: u16,
    /// Length and alignment of each buffer.
    pub bufs: Vec<(u16, u64)>,
    /// mss, l3 length, l3 offset, l4 words; stored.
    pub meta: Option<([u16; 4], bool)>,
    pub flags: u32,
    /// On a queue that is pushed, bytes pushed; elsewhere without effect.
    pub header_len: u8,
    /// No buffer can be read, or this one.
    pub poison: bool,
    pub poison_at: Option<usize>,
    /// What its bytes are, instead of random ones.
    pub bytes: Option<Vec<u8>>,
    pub no_first: bool,
    pub meta_inside: bool,
}

struct Posted {
    req_id: u16,
    fate: Fate,
    /// Tail after its last descriptor.
    end: u16,
    buffers: Vec<u64>,
}

struct Ring {
    base: u64,
    /// The ring is lines in the card; base and counts are of lines.
    lines: Option<Layout>,
    log: u32,
    cq: u64,
    slots: Vec<[u8; 16]>,
    /// What the card is to remember of meta descriptors.
    meta: [u16; 4],
    tail: u16,
    bell: u16,
    fetched: u16,
    freed: u16,
    packets: VecDeque<Posted>,
    /// Where the first batch that failed began.
    broken: Option<u16>,
    destroying: bool,
}

struct Buffer {
    data: Vec<u8>,
    /// Bytes read so far; each once.
    read: u64,
    poison: bool,
}

macro_rules! ports {
    ($($field:ident: $name:literal),* $(,)?) => {
        struct Ports { $($field: PortId),* }
        impl Ports {
            fn new(block: &Block) -> Ports {
                Ports { $($field: block.port($name)),* }
            }
        }
    };
}

ports! {
    bell_valid: "doorbell_valid", bell_queue: "doorbell_queue", bell_tail: "doorbell_tail",
    bell_ready: "doorbell_ready",
    ctx_valid: "ctx_valid", ctx_destroy: "ctx_destroy", ctx_idx: "ctx_idx", ctx_base: "ctx_base",
    ctx_log: "ctx_log_depth", ctx_cq: "ctx_cq", ctx_ready: "ctx_ready",
    mac_valid: "mac_valid", mac_ready: "mac_ready", mac_data: "mac_data", mac_last: "mac_last",
    mac_bytes: "mac_bytes", mac_err: "mac_err",
    done_valid: "done_valid", done_ready: "done_ready", done_cq: "done_cq", done_req_id: "done_req_id",
    done_marker: "done_marker", ctx_placement: "ctx_placement",
    line_valid: "line_valid", line_addr: "line_addr", line_data: "line_data", line_dwords: "line_dwords",
    line_first_be: "line_first_be", line_last_be: "line_last_be",
    marker_ack: "marker_ack", max_frame: "max_frame", stat_bytes: "stat_bytes",
}

/// The ports of a read request stream.
struct Asks {
    valid: PortId,
    ready: PortId,
    /// addr, len, dst, op, last
    fields: [PortId; 5],
    client: u64,
    offered: Option<[u64; 5]>,
}

impl Asks {
    fn new(block: &Block, name: &str, client: u64) -> Asks {
        let port = |field: &str| block.port(&format!("{name}_{field}"));
        let fields = ["addr", "len", "dst", "op", "last"].map(port);
        Asks { valid: port("valid"), ready: port("ready"), fields, client, offered: None }
    }

    /// The request that passes in this cycle.
    fn sample(&mut self, block: &Block) -> Option<[u64; 5]> {
        let valid = block.get(self.valid) == 1;
        let now = self.fields.map(|port| block.get(port));
        if let Some(before) = self.offered.take() {
            assert!(valid && before == now, "a request of client {} is taken back", self.client);
        }
        if valid && block.get(self.ready) == 0 {
            self.offered = Some(now);
        }
        (valid && block.get(self.ready) == 1).then_some(now)
    }
}

const STATS: [&str; 6] = [
    "stat_frame",
    "stat_drop_dma",
    "stat_bad_descriptor",
    "stat_doorbell",
    "stat_doorbell_illegal",
    "stat_bytes",
];

pub struct Bench {
    pub block: Block,
    ports: Ports,
    fetch: Asks,
    data: Asks,
    stats: Vec<PortId>,
    pub setup: Setup,
    pub rng: Rng,
    pub dma: Dma,
    rings: BTreeMap<usize, Ring>,
    buffers: BTreeMap<u64, Buffer>,
    next_buffer: u64,
    /// With the beats of lines that go before them.
    bells: VecDeque<(u64, u16, u64)>,
    beats: VecDeque<Beat>,
    beats_queued: u64,
    beats_sent: u64,
    /// Percent of cycles without a beat.
    pub beat_gap: u64,
    /// Lines are written whole, as drivers do, and in pieces of all kinds.
    pub whole_lines: bool,
    command: Option<(bool, usize)>,
    /// The batch and packet operations to come: {lap, slot}.
    next_op: [u64; 2],
    batches: u64,
    /// There was a queue that is pushed.
    mixed: bool,
    /// Frames whose completion has not come yet, and frames completed and still to come.
    frames: VecDeque<Vec<u8>>,
    frame: Vec<u8>,
    waiting: VecDeque<Vec<u8>>,
    mac_offered: Option<(Vec<u8>, u64, u64)>,
    done_offered: Option<(u64, u64, u64)>,
    ack_in: Option<u64>,
    /// Fails every fetch of this queue from now on.
    pub poison: Option<usize>,
    counts: HashMap<&'static str, u64>,
    expected: HashMap<&'static str, u64>,
    /// Silent packets at the end of a destroyed queue of lines: who knows whether the card took
    /// them.
    doubtful: u64,
    /// Cycle of each completion.
    pub completions: Vec<u64>,
    pub slots: u64,
    idle: u64,
    /// Cycles of the last doorbell, and from it to the next frame's first beat.
    rung: Option<u64>,
    latency: u64,
    pub done_of: BTreeMap<usize, u64>,
}

impl Bench {
    /// `slots`: log2 of packets in flight.
    pub fn new(model: &Model, setup: Setup, slots: u64) -> Bench {
        let mut block = start(model, setup.dma.seed, 4);
        let ports = Ports::new(&block);
        block.set(ports.max_frame, setup.max_frame);
        Bench {
            ports,
            fetch: Asks::new(&block, "fetch", 2),
            data: Asks::new(&block, "data", 3),
            stats: STATS.map(|name| block.port(name)).to_vec(),
            rng: Rng(setup.dma.seed),
            dma: Dma::new(&block, setup.dma.clone()),
            setup,
            block,
            rings: BTreeMap::new(),
            buffers: BTreeMap::new(),
            // The addresses wrap to where no buffer is: bit 47 counts.
            next_buffer: 0x8765_0000_0000,
            bells: VecDeque::new(),
            beats: VecDeque::new(),
            beats_queued: 0,
            beats_sent: 0,
            beat_gap: 20,
            whole_lines: true,
            command: None,
            next_op: [0x100; 2],
            batches: 0,
            mixed: false,
            frames: VecDeque::new(),
            frame: Vec::new(),
            waiting: VecDeque::new(),
            mac_offered: None,
            done_offered: None,
            ack_in: None,
            poison: None,
            counts: HashMap::new(),
            expected: HashMap::new(),
            doubtful: 0,
            completions: Vec::new(),
            slots: 1 << slots,
            idle: 0,
            rung: None,
            latency: 0,
            done_of: BTreeMap::new(),
        }
    }

    pub fn create(&mut self, queue: usize, log: u32) {
        let base = 0x12_0000_0000 + ((queue as u64) << 24) + 64 * self.rng.below(64);
        self.create_at(queue, log, base, None);
    }

    /// A queue with 32 lines of 128 bytes of its own, or 16 wide ones, at most.
    pub fn create_pushed(&mut self, queue: usize, log: u32, wide: bool) {
        self.create_at(queue, log, queue as u64 * 32 * 128, Some(Layout { wide }));
    }

    fn create_at(&mut self, queue: usize, log: u32, base: u64, lines: Option<Layout>) {
        self.mixed |= lines.is_some();
        let ring = Ring {
            base,
            lines,
            log,
            cq: queue as u64 * 2 + 1,
            slots: vec![[0xff; 16]; 1 << log],
            meta: [0; 4],
            tail: 0,
            bell: 0,
            fetched: 0,
            freed: 0,
            packets: VecDeque::new(),
            broken: None,
            destroying: false,
        };
        self.rings.insert(queue, ring);
        self.command(false, queue);
    }

    /// Destroys a queue; what was posted behind the last fetch is forgotten.
    pub fn destroy(&mut self, queue: usize) {
        // A driver's doorbells come before its command.
        while !self.bells.is_empty() || !self.beats.is_empty() {
            self.step();
        }
        if let Some(ring) = self.rings.get_mut(&queue) {
            ring.destroying = true;
        }
        self.command(true, queue);
        let Some(ring) = self.rings.remove(&queue) else { return };
        for packet in ring.packets {
            assert!(
                packet.fate == Fate::Silent
                    || ring.broken.is_some()
                    // What of it was taken can't be seen.
                    || ring.lines.is_some()
                    || before(ring.fetched, packet.end),
                "a packet of a destroyed queue never completes"
            );
            for addr in packet.buffers {
                self.buffers.remove(&addr);
            }
        }
    }

    pub fn command(&mut self, destroy: bool, queue: usize) {
        self.command = Some((destroy, queue));
        // A queue ends behind all packets before it.
        for _ in 0..400_000 {
            self.step();
            if self.command.is_none() {
                return;
            }
        }
        panic!("a context command is not answered");
    }

    /// Room in a ring, as its driver counts it.
    pub fn room(&self, queue: usize) -> usize {
        let ring = &self.rings[&queue];
        (1 << ring.log) - usize::from(ring.tail.wrapping_sub(ring.freed))
    }

    pub fn tail(&self, queue: usize) -> u16 {
        self.rings[&queue].tail
    }

    /// Places of the queue's ring that a packet needs.
    pub fn places(&self, queue: usize, packet: &Packet) -> usize {
        let descs = packet.bufs.len()
            + usize::from(packet.meta.is_some())
            + usize::from(packet.meta_inside);
        let begins = packet.meta.is_some() || !packet.no_first;
        self.rings[&queue].lines.as_ref().map_or(descs, |lines| lines.count(descs, begins))
    }

    pub fn is_pushed(&self, queue: usize) -> bool {
        self.rings[&queue].lines.is_some()
    }

    /// Tells the card of all that is posted.
    pub fn ring(&mut self, queue: usize) {
        let tail = self.rings[&queue].tail;
        self.ring_at(queue, tail);
    }

    /// Tells the card of what is posted up to `tail`.
    pub fn ring_at(&mut self, queue: usize, tail: u16) {
        self.rings.get_mut(&queue).expect("a queue").bell = tail;
        self.bells.push_back((queue as u64, tail, self.beats_queued));
        self.expect("stat_doorbell", 1);
    }

    /// A doorbell that must be refused.
    pub fn bad_bell(&mut self, queue: u64, tail: u16) {
        self.bells.push_back((queue, tail, self.beats_queued));
        self.expect("stat_doorbell", 1);
        self.expect("stat_doorbell_illegal", 1);
    }

    pub fn latency(&self) -> u64 {
        self.latency
    }

    pub fn bells_waiting(&self) -> usize {
        self.bells.len()
    }

    fn expect(&mut self, name: &'static str, n: u64) {
        *self.expected.entry(name).or_default() += n;
    }

    /// The data path's reset, as the host's device reset has it: what is under way is gone, and so
    /// are the queues.
    pub fn core_reset(&mut self) {
        for port in
            ["bus_issue_valid", "bus_done_valid", "bus_data_valid", "doorbell_valid", "line_valid"]
        {
            self.block.set(port, 0);
        }
        self.block.reset(16);
        self.dma = Dma::new(&self.block, self.setup.dma.clone());
        self.rings.clear();
        self.buffers.clear();
        self.bells.clear();
        self.beats.clear();
        self.beats_sent = self.beats_queued;
        self.next_op = [0x100; 2];
        self.frames.clear();
        self.frame.clear();
        self.waiting.clear();
        self.counts.clear();
        self.expected.clear();
        self.doubtful = 0;
        (self.mac_offered, self.done_offered, self.ack_in) = (None, None, None);
        (self.fetch.offered, self.data.offered) = (None, None);
    }

    /// The last two packets posted are one.
    pub fn join_last(&mut self, queue: usize) {
        let packets = &mut self.rings.get_mut(&queue).expect("a queue").packets;
        let end = packets.pop_back().expect("a packet").end;
        packets.back_mut().expect("a packet").end = end;
    }

    pub fn is_broken(&self, queue: usize) -> bool {
        self.rings[&queue].broken.is_some()
    }

    /// Batches of descriptors asked for.
    pub fn fetches(&self) -> u64 {
        self.batches
    }

    /// Runs until everything that was told to the card is done, and compares the counters.
    pub fn settle(&mut self) {
        for _ in 0..400_000 {
            self.step();
            if self.quiet() {
                break;
            }
        }
        assert!(self.quiet(), "the card does not come to rest");
        for _ in 0..50 {
            self.step();
        }
        for (&queue, ring) in &mut self.rings {
            // Silent packets have nothing to show but the counter.
            while ring
                .packets
                .front()
                .is_some_and(|p| p.fate == Fate::Silent && !before(ring.fetched, p.end))
            {
                ring.freed = ring.packets.pop_front().unwrap().end;
                *self.expected.entry("stat_bad_descriptor").or_default() += 1;
            }
            if ring.broken.is_none() {
                assert_eq!(ring.fetched, ring.bell, "queue {queue} is not read to its doorbell");
                let open = ring.packets.iter().filter(|p| !before(ring.bell, p.end)).count();
                assert_eq!(open, 0, "queue {queue} has open packets");
            }
        }
        assert!(self.frames.is_empty() && self.waiting.is_empty());
        let bad = "stat_bad_descriptor";
        let count = |counts: &HashMap<_, u64>| counts.get(bad).copied().unwrap_or(0);
        let more = count(&self.counts).saturating_sub(count(&self.expected));
        self.expect(bad, more.min(self.doubtful));
        self.doubtful = 0;
        for name in STATS {
            let count = self.counts.get(name).copied().unwrap_or(0);
            assert_eq!(count, self.expected.get(name).copied().unwrap_or(0), "{name}");
        }
    }

    /// Packets that the path found bad.
    pub fn bad(&self) -> u64 {
        self.counts.get("stat_bad_descriptor").copied().unwrap_or(0)
    }

    /// A frame may stay in the card for its 1024 beats, until its checksum is known.
    fn quiet(&self) -> bool {
        self.bells.is_empty() && self.beats.is_empty() && self.dma.idle() && self.idle > 1200
    }

    pub fn step(&mut self) {
        let cycle = self.block.cycles();
        let p = &self.ports;
        let block = &mut self.block;
        let noise = self.rng.next();
        let bell = self.bells.front().copied().filter(|&(_, _, beats)| self.beats_sent >= beats);
        block.set(p.bell_valid, bell.is_some().into());
        block.set(p.bell_queue, bell.map_or(noise & 0xff, |(queue, ..)| queue));
        block.set(p.bell_tail, bell.map_or(noise >> 8 & 0xffff, |(_, tail, _)| tail.into()));
        let beat = if self.beats.is_empty() || self.rng.percent(self.beat_gap) {
            None
        } else {
            self.beats.pop_front()
        };
        block.set(p.line_valid, beat.is_some().into());
        if let Some(beat) = beat {
            self.beats_sent += 1;
            block.set(p.line_addr, beat.addr);
            block.set_bytes(p.line_data, &beat.data);
            block.set(p.line_dwords, beat.dwords);
            block.set(p.line_first_be, beat.first_be);
            block.set(p.line_last_be, beat.last_be);
        }
        block.set(p.ctx_valid, self.command.is_some().into());
        if let Some((destroy, queue)) = self.command {
            block.set(p.ctx_destroy, destroy.into());
            block.set(p.ctx_idx, queue as u64);
            if let Some(ring) = self.rings.get(&queue) {
                block.set(p.ctx_base, ring.base);
                block.set(p.ctx_log, ring.log.into());
                let lines = ring.lines.as_ref().map_or(0, |lines| 1 + u64::from(lines.wide));
                block.set(p.ctx_placement, lines);
                block.set(p.ctx_cq, ring.cq);
            }
        }
        block.set(p.mac_ready, (!self.rng.percent(self.setup.mac_stall)).into());
        block.set(p.done_ready, (!self.rng.percent(self.setup.done_stall)).into());
        block.set(self.fetch.ready, (!self.rng.percent(self.setup.fetch_stall)).into());
        block.set(self.data.ready, (!self.rng.percent(self.setup.data_stall)).into());
        block.set(p.marker_ack, (self.ack_in == Some(0)).into());
        self.ack_in = self.ack_in.and_then(|n| n.checked_sub(1));
        self.dma.drive(block);
        block.clock_low();

        self.idle = if self.dma.idle() { self.idle + 1 } else { 0 };
        for (name, &port) in STATS.iter().zip(&self.stats) {
            if *name != "stat_bytes" || self.block.get(self.stats[0]) == 1 {
                *self.counts.entry(name).or_default() += self.block.get(port);
            }
        }
        if bell.is_some() && self.block.get(self.ports.bell_ready) == 1 {
            self.bells.pop_front();
            self.idle = 0;
            self.rung = Some(cycle);
            if let Some(ring) = bell.and_then(|(queue, ..)| self.rings.get_mut(&(queue as usize))) {
                if ring.lines.is_some() {
                    ring.fetched = ring.bell;
                }
            }
        }
        if self.command.is_some() && self.block.get(self.ports.ctx_ready) == 1 {
            self.command = None;
        }
        if let Some(ask) = self.fetch.sample(&self.block) {
            self.take_fetch(ask);
        }
        if let Some(ask) = self.data.sample(&self.block) {
            self.take_data(ask);
        }
        self.sample_mac();
        self.sample_done(cycle);
        self.block.clock_high();
    }

    /// The op that must come next.
    fn op(&mut self, which: usize, slots: u64) -> u64 {
        let op = self.next_op[which];
        let next = (op & 0xff) + 1;
        self.next_op[which] = if next == slots { (op & 0x100) ^ 0x100 } else { op & 0x100 | next };
        op
    }

    fn take_fetch(&mut self, [addr, len, dst, op, last]: [u64; 5]) {
        self.idle = 0;
        self.batches += 1;
        let found = self
            .rings
            .iter_mut()
            .find(|(_, r)| r.lines.is_none() && addr >= r.base && addr < r.base + (16 << r.log));
        let (&queue, ring) = found.unwrap_or_else(|| panic!("descriptors are read at {addr:#x}"));
        let mask = (1 << ring.log) - 1;
        assert_eq!(
            addr,
            ring.base + 16 * u64::from(ring.fetched & mask),
            "not in the order of the ring"
        );
        let count = len / 16;
        assert!(len % 16 == 0 && count > 0 && count <= 16 && last == 1, "a fetch of {len}");
        assert!(addr + len <= ring.base + (16 << ring.log), "across the ring's end");
        assert!(count <= u64::from(ring.bell.wrapping_sub(ring.fetched)), "beyond the doorbell");
        let start = usize::from(ring.fetched & mask);
        let data: Vec<u8> = ring.slots[start..start + count as usize].concat();
        let fails = self.poison == Some(queue);
        if fails && ring.broken.is_none() {
            ring.broken = Some(ring.fetched);
            *self.expected.entry("stat_drop_dma").or_default() += 1;
        }
        ring.fetched = ring.fetched.wrapping_add(count as u16);
        // Batches of lines have slots too.
        if self.rings.values().all(|ring| ring.lines.is_none()) && !self.mixed {
            assert_eq!(op, self.op(0, self.setup.batches), "batch operations");
        }
        assert_eq!(dst, (op & 0xff) * 256);
        let data = (!fails).then_some(data);
        self.dma.request(Request { client: 2, addr, len, dst, op, last: true, data });
    }

    fn take_data(&mut self, [addr, len, dst, op, last]: [u64; 5]) {
        self.idle = 0;
        let found = self.buffers.range_mut(..=addr).next_back();
        let buffer =
            found.filter(|(&at, b)| at + b.read == addr && b.read + len <= b.data.len() as u64);
        let (_, buffer) = buffer
            .unwrap_or_else(|| panic!("a read of {len} at {addr:#x}, where nothing is to read"));
        let part = buffer.read as usize..(buffer.read + len) as usize;
        let data = (!buffer.poison).then(|| buffer.data[part].to_vec());
        buffer.read += len;
        assert_eq!(op, self.next_op[1], "packet operations");
        if last == 1 {
            self.op(1, self.slots);
        }
        self.dma.request(Request { client: 3, addr, len, dst, op, last: last == 1, data });
    }
}

/// Whether `a` is before `b` among free-running counts.
fn before(a: u16, b: u16) -> bool {
    (b.wrapping_sub(a) as i16) > 0
}
