//! The whole receive path between a wire, a host and a completion queue, all of them checking.
//!
//! The host posts buffers at any address, length and time; the DMA engine answers late, in pieces and out of order; `tx`
//! and `done` refuse at random. Checked all along: descriptors are read only up to the doorbell; every TLP is well formed and
//! within its limits; every byte lands in a posted buffer, once; a completion comes after its data, for the next
//! descriptor of its ring; a packet is whole, byte for byte, with the flow and the queue it must have.

use super::frames::{classify, toeplitz, Flow};
use super::Rng;
use nitor_block::{Block, Model, PortId};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What a test varies.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    /// Bytes a beat.
    pub k: usize,
    /// As in Device Control.
    pub mps: u64,
    pub latency: (u64, u64),
    /// Longest piece of a DMA read.
    pub max_read: u64,
    /// Percent of cycles in which each of these refuses or pauses.
    pub mac_gap: u64,
    pub tx_stall: u64,
    pub done_stall: u64,
    pub fetch_stall: u64,
    pub max_frame: u64,
}

impl Setup {
    pub fn fast(k: usize, latency: u64) -> Setup {
        Setup {
            seed: 1,
            k,
            mps: 1,
            latency: (latency, latency),
            max_read: 512,
            mac_gap: 0,
            tx_stall: 0,
            done_stall: 0,
            fetch_stall: 0,
            max_frame: 9216,
        }
    }
}

struct Beat {
    data: Vec<u8>,
    last: bool,
    bytes: usize,
    err: bool,
}

struct Buffer {
    data: Vec<Option<u8>>,
}

struct Ring {
    base: u64,
    log: u32,
    cq: u64,
    slots: Vec<[u8; 16]>,
    tail: u16,
    /// What the last doorbell said.
    bell: u16,
    /// Posted and not completed: address, length, req_id.
    posted: VecDeque<(u64, usize, u16)>,
    /// Bytes of the packet being completed.
    packet: Vec<u8>,
    inside: bool,
    /// Frames sent to this queue and not yet delivered or passed over.
    expected: VecDeque<(Vec<u8>, Flow, u32)>,
    /// Keeps this many posted, in batches, of these lengths.
    refill: Option<(usize, usize, (u64, u64))>,
    delivered: u64,
}

struct Piece {
    due: u64,
    op: u64,
    dst: u64,
    data: Vec<u8>,
    err: bool,
}

struct DataBeat {
    row: u64,
    data: Vec<u8>,
    be_lo: u64,
    be_hi: u64,
    done: Option<(u64, bool)>,
}

struct Tlp {
    hdr: Vec<u8>,
    data: Vec<u8>,
}

/// A context command.
struct Command {
    destroy: bool,
    queue: usize,
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
    mac_valid: "mac_valid", mac_data: "mac_data", mac_last: "mac_last", mac_bytes: "mac_bytes", mac_err: "mac_err",
    mac_ready: "mac_ready",
    bell_valid: "doorbell_valid", bell_queue: "doorbell_queue", bell_tail: "doorbell_tail",
    bell_ready: "doorbell_ready",
    ctx_valid: "ctx_valid", ctx_destroy: "ctx_destroy", ctx_idx: "ctx_idx", ctx_base: "ctx_base",
    ctx_log: "ctx_log_depth", ctx_cq: "ctx_cq", ctx_ready: "ctx_ready",
    fetch_valid: "fetch_valid", fetch_addr: "fetch_addr", fetch_len: "fetch_len", fetch_dst: "fetch_dst",
    fetch_op: "fetch_op", fetch_last: "fetch_last", fetch_ready: "fetch_ready",
    issue_valid: "bus_issue_valid", issue_client: "bus_issue_client", issue_op: "bus_issue_op",
    issue_last: "bus_issue_last", done_valid: "bus_done_valid", done_client: "bus_done_client",
    done_op: "bus_done_op", done_err: "bus_done_err", data_valid: "bus_data_valid",
    data_client: "bus_data_client", data_row: "bus_data_row", data: "bus_data", be_lo: "bus_be_lo",
    be_hi: "bus_be_hi",
    tx_valid: "tx_valid", tx_sop: "tx_sop", tx_eop: "tx_eop", tx_hdr: "tx_hdr", tx_data: "tx_data",
    tx_ready: "tx_ready",
    cqe_valid: "done_valid", cqe_cq: "done_cq", cqe_entry: "done_entry", cqe_marker: "done_marker",
    cqe_ready: "done_ready", marker_ack: "marker_ack",
    regs_valid: "regs_valid", regs_write: "regs_write", regs_addr: "regs_addr", regs_wdata: "regs_wdata",
    regs_be: "regs_be", regs_ready: "regs_ready", regs_rdata: "regs_rdata",
    mps: "mps", requester: "requester", max_frame: "max_frame", config_reset: "config_reset",
}

const STATS: [&str; 9] = [
    "stat_frame",
    "stat_drop_no_descriptor",
    "stat_drop_no_room",
    "stat_drop_bad",
    "stat_drop_no_queue",
    "stat_drop_dma_error",
    "stat_fetch_error",
    "stat_doorbell",
    "stat_doorbell_illegal",
];

const REQUESTER: u64 = 0x0308;
/// Where the first buffer goes: across 4 GiB, so that both headers occur.
const BUFFERS: u64 = 0xfff0_0000;

pub struct Bench {
    pub block: Block,
    ports: Ports,
    stats: Vec<PortId>,
    stat_bytes: PortId,
    pub setup: Setup,
    pub rng: Rng,
    pub key: [u8; 40],
    pub table: Vec<u64>,
    wire: VecDeque<Beat>,
    pub sent: u64,
    rings: BTreeMap<usize, Ring>,
    buffers: BTreeMap<u64, Buffer>,
    next_buffer: u64,
    bells: VecDeque<(u64, u16)>,
    commands: VecDeque<Command>,
    pieces: VecDeque<(u64, bool, Piece)>,
    flying: Vec<Piece>,
    beats: VecDeque<DataBeat>,
    tlp: Option<Tlp>,
    ack_in: Option<u64>,
    /// Fails every fetch of this queue.
    pub poison: Option<usize>,
    /// Never answers a fetch of this queue.
    pub lose: Option<usize>,
    counts: HashMap<&'static str, u64>,
    pub bytes: u64,
    pub tlps: u64,
    pub tx_beats: u64,
    pub fetches: u64,
    /// Cycle of each packet's last completion.
    pub deliveries: Vec<u64>,
    /// Cycles without anything happening.
    idle: u64,
}

impl Bench {
    pub fn new(model: &Model, setup: Setup) -> Bench {
        let mut block = model.block(setup.seed);
        let ports = Ports::new(&block);
        let mut rng = Rng(setup.seed);
        for port in model.ports().to_vec() {
            if port.direction == nitor_block::Direction::In {
                let zeros = nitor_block::bitvec::bitvec![0; port.width];
                block.set_bits(port.name.as_str(), &zeros);
            }
        }
        block.set(ports.mps, setup.mps);
        block.set(ports.requester, REQUESTER);
        block.set(ports.max_frame, setup.max_frame);
        block.set(ports.config_reset, 1);
        block.reset(4);
        block.set(ports.config_reset, 0);
        let key = rng.bytes(40).try_into().unwrap();
        let mut bench = Bench {
            stats: STATS.iter().map(|name| block.port(name)).collect(),
            stat_bytes: block.port("stat_bytes"),
            block,
            ports,
            setup,
            rng,
            key,
            table: vec![0; 128],
            wire: VecDeque::new(),
            sent: 0,
            rings: BTreeMap::new(),
            buffers: BTreeMap::new(),
            next_buffer: BUFFERS,
            bells: VecDeque::new(),
            commands: VecDeque::new(),
            pieces: VecDeque::new(),
            flying: Vec::new(),
            beats: VecDeque::new(),
            tlp: None,
            ack_in: None,
            poison: None,
            lose: None,
            counts: HashMap::new(),
            bytes: 0,
            tlps: 0,
            tx_beats: 0,
            fetches: 0,
            deliveries: Vec::new(),
            idle: 0,
        };
        for i in 0..10 {
            let word = u32::from_le_bytes(bench.key[4 * i..4 * i + 4].try_into().unwrap());
            bench.write(0x200 + 4 * i as u64, word.into());
        }
        bench
    }

    pub fn write(&mut self, addr: u64, value: u64) {
        self.access(true, addr, value);
    }

    pub fn read(&mut self, addr: u64) -> u64 {
        self.access(false, addr, 0)
    }

    fn access(&mut self, write: bool, addr: u64, value: u64) -> u64 {
        let p = &self.ports;
        for (port, value) in [
            (p.regs_valid, 1),
            (p.regs_write, write.into()),
            (p.regs_addr, addr),
            (p.regs_wdata, value),
            (p.regs_be, 15),
        ] {
            self.block.set(port, value);
        }
        for _ in 0..1000 {
            let before = (self.block.get(self.ports.regs_ready), self.block.get(self.ports.regs_rdata));
            self.step();
            if before.0 == 1 {
                self.block.set(self.ports.regs_valid, 0);
                return before.1;
            }
        }
        panic!("no answer to a register access");
    }

    /// Spreads the table over these queues.
    pub fn spread(&mut self, queues: &[usize]) {
        for i in 0..128 {
            self.table[i] = queues[i % queues.len()] as u64 | 0x100;
            self.write(0x400 + 4 * i as u64, self.table[i]);
        }
    }

    pub fn create(&mut self, queue: usize, log: u32) {
        let base = 0x12_0000_0000 + ((queue as u64) << 24) + 64 * self.rng.below(64);
        let ring = Ring {
            base,
            log,
            cq: (queue as u64 * 7 + 3) & 0xff,
            slots: vec![[0; 16]; 1 << log],
            tail: 0,
            bell: 0,
            posted: VecDeque::new(),
            packet: Vec::new(),
            inside: false,
            expected: VecDeque::new(),
            refill: None,
            delivered: 0,
        };
        self.rings.insert(queue, ring);
        self.commands.push_back(Command { destroy: false, queue });
        self.run_commands();
    }

    /// Destroys a queue; what was posted to it must not be written afterwards.
    pub fn destroy(&mut self, queue: usize) {
        self.commands.push_back(Command { destroy: true, queue });
        self.run_commands();
        let ring = self.rings.remove(&queue).expect("a queue");
        assert!(!ring.inside, "a queue ended inside a packet");
        for (addr, ..) in ring.posted {
            self.buffers.remove(&addr);
        }
    }

    fn run_commands(&mut self) {
        for _ in 0..200_000 {
            if self.commands.is_empty() {
                return;
            }
            self.step();
        }
        panic!("a context command is not answered");
    }

    /// Posts a buffer; the doorbell is for [Bench::ring].
    pub fn post(&mut self, queue: usize, len: usize) {
        let addr = match self.rng.below(4) {
            0 => self.next_buffer,
            1 => self.next_buffer.next_multiple_of(64),
            2 => self.next_buffer.next_multiple_of(4096),
            _ => self.next_buffer + self.rng.below(200),
        };
        self.post_at(queue, addr, len);
    }

    pub fn post_at(&mut self, queue: usize, addr: u64, len: usize) {
        self.next_buffer = self.next_buffer.max(addr + len as u64 + 1);
        self.buffers.insert(addr, Buffer { data: vec![None; len] });
        let id = self.rng.next() as u16;
        let ring = self.rings.get_mut(&queue).expect("a queue");
        let mut slot = [0; 16];
        slot[..2].copy_from_slice(&(len as u16).to_le_bytes());
        slot[3] = 0x1c | u8::from(ring.tail >> ring.log & 1 == 0);
        slot[4..6].copy_from_slice(&id.to_le_bytes());
        slot[8..16].copy_from_slice(&addr.to_le_bytes());
        let at = usize::from(ring.tail) & ((1 << ring.log) - 1);
        ring.slots[at] = slot;
        ring.tail = ring.tail.wrapping_add(1);
        ring.posted.push_back((addr, len, id));
        assert!(ring.posted.len() <= 1 << ring.log, "the test posts too much");
    }

    pub fn ring(&mut self, queue: usize) {
        let ring = self.rings.get_mut(&queue).expect("a queue");
        ring.bell = ring.tail;
        self.bells.push_back((queue as u64, ring.tail));
    }

    /// A doorbell as it comes.
    pub fn raw_bell(&mut self, queue: u64, tail: u16) {
        self.bells.push_back((queue, tail));
    }

    pub fn tail(&self, queue: usize) -> u16 {
        self.rings[&queue].tail
    }

    /// Keeps `target` buffers posted, refilled `batch` at a time, of lengths in `sizes`.
    pub fn refill(&mut self, queue: usize, target: usize, batch: usize, sizes: (u64, u64)) {
        self.rings.get_mut(&queue).expect("a queue").refill = Some((target, batch, sizes));
    }

    pub fn stop_refill(&mut self) {
        for ring in self.rings.values_mut() {
            ring.refill = None;
        }
    }

    /// Queue and flow the card must find for a frame; none if no entry is valid.
    fn steer(&self, frame: &[u8]) -> (Option<usize>, Flow, u32) {
        let flow = classify(frame);
        let hash = toeplitz(&self.key, &flow.tuple);
        let entry = self.table[(hash & 127) as usize];
        ((entry & 0x100 != 0).then_some((entry & 0xff) as usize), flow, hash)
    }

    pub fn send(&mut self, frame: &[u8]) {
        self.send_as(frame, false);
    }

    pub fn send_as(&mut self, frame: &[u8], err: bool) {
        self.sent += 1;
        let good = !err && frame.len() >= 14 && frame.len() as u64 <= self.setup.max_frame;
        if let (true, (Some(queue), flow, hash)) = (good, self.steer(frame)) {
            if let Some(ring) = self.rings.get_mut(&queue) {
                ring.expected.push_back((frame.to_vec(), flow, hash));
            }
        }
        let k = self.setup.k;
        let beats = frame.len().div_ceil(k);
        for (i, chunk) in frame.chunks(k).enumerate() {
            let mut data = chunk.to_vec();
            data.extend(self.rng.bytes(k - chunk.len()));
            let last = i + 1 == beats;
            let bytes = if last { chunk.len() } else { self.rng.below(128) as usize };
            self.wire.push_back(Beat { data, last, bytes, err: if last { err } else { self.rng.below(2) == 0 } });
        }
    }

    pub fn wire_len(&self) -> usize {
        self.wire.len()
    }

    pub fn count(&self, name: &str) -> u64 {
        assert!(STATS.contains(&name), "no counter {name}");
        self.counts.get(name).copied().unwrap_or(0)
    }

    pub fn delivered(&self, queue: usize) -> u64 {
        self.rings[&queue].delivered
    }

    pub fn posted(&self, queue: usize) -> usize {
        self.rings[&queue].posted.len()
    }

    /// Frames that are accounted for.
    pub fn settled(&self) -> u64 {
        STATS[..6].iter().map(|name| self.count(name)).sum()
    }

    /// Runs until all frames sent are accounted for and all is quiet.
    pub fn finish(&mut self) {
        self.run_until("all frames are accounted for", |b| b.wire.is_empty() && b.settled() == b.sent);
        self.settle();
        let delivered: u64 = self.rings.values().map(|ring| ring.delivered).sum();
        assert!(delivered <= self.count("stat_frame"));
        assert!(self.tlp.is_none(), "a TLP is cut short");
    }

    /// Runs until nothing has happened for a while.
    pub fn settle(&mut self) {
        self.run_until("all is quiet", |b| b.idle > 2 * b.setup.latency.1 + 400);
    }

    pub fn run(&mut self, cycles: u64) {
        for _ in 0..cycles {
            self.step();
        }
    }

    pub fn run_until(&mut self, what: &str, done: impl Fn(&Bench) -> bool) {
        let mut quiet = 0;
        let mut last = (0, 0, 0);
        while !done(self) {
            self.step();
            let now = (self.settled(), self.tx_beats, self.wire.len());
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
            assert!(
                quiet < 60_000,
                "nothing moves until {what}: sent {}, counts {:?}, wire {}, cycle {}",
                self.sent,
                self.counts,
                self.wire.len(),
                self.block.cycles()
            );
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.rng.below(100) < percent
    }

    /// A cycle of everything.
    pub fn step(&mut self) {
        self.idle += 1;
        self.refill_rings();
        let now = self.block.cycles();

        let gap = self.chance(self.setup.mac_gap);
        let mac = !gap && !self.wire.is_empty();
        self.block.set(self.ports.mac_valid, mac.into());
        if mac {
            let beat = self.wire.pop_front().unwrap();
            self.block.set_bytes(self.ports.mac_data, &beat.data);
            self.block.set(self.ports.mac_last, beat.last.into());
            self.block.set(self.ports.mac_bytes, beat.bytes as u64);
            self.block.set(self.ports.mac_err, beat.err.into());
            self.idle = 0;
        }
        let bell = self.bells.front().copied();
        self.block.set(self.ports.bell_valid, bell.is_some().into());
        if let Some((queue, tail)) = bell {
            self.block.set(self.ports.bell_queue, queue);
            self.block.set(self.ports.bell_tail, tail.into());
        }
        if let Some(command) = self.commands.front() {
            let ring = &self.rings[&command.queue];
            for (port, value) in [
                (self.ports.ctx_destroy, command.destroy.into()),
                (self.ports.ctx_idx, command.queue as u64),
                (self.ports.ctx_base, ring.base),
                (self.ports.ctx_log, ring.log.into()),
                (self.ports.ctx_cq, ring.cq),
            ] {
                self.block.set(port, value);
            }
        }
        self.block.set(self.ports.ctx_valid, (!self.commands.is_empty()).into());
        let fetch_ready = !self.chance(self.setup.fetch_stall);
        self.block.set(self.ports.fetch_ready, fetch_ready.into());
        let tx_ready = !self.chance(self.setup.tx_stall);
        self.block.set(self.ports.tx_ready, tx_ready.into());
        let done_ready = !self.chance(self.setup.done_stall);
        self.block.set(self.ports.cqe_ready, done_ready.into());
        self.block.set(self.ports.marker_ack, (self.ack_in == Some(0)).into());
        self.ack_in = self.ack_in.and_then(|left| left.checked_sub(1));
        self.drive_bus(now);

        self.block.clock_low();
        assert_eq!(self.block.get(self.ports.mac_ready), 1);
        if bell.is_some() && self.block.get(self.ports.bell_ready) == 1 {
            self.bells.pop_front();
            self.idle = 0;
        }
        if !self.commands.is_empty() && self.block.get(self.ports.ctx_ready) == 1 {
            self.commands.pop_front();
        }
        if fetch_ready && self.block.get(self.ports.fetch_valid) == 1 {
            self.take_fetch(now);
        }
        if tx_ready && self.block.get(self.ports.tx_valid) == 1 {
            self.take_beat();
        }
        if done_ready && self.block.get(self.ports.cqe_valid) == 1 {
            self.take_completion();
        }
        for (port, name) in self.stats.iter().zip(STATS) {
            if self.block.get(*port) == 1 {
                *self.counts.entry(name).or_default() += 1;
                if name == "stat_frame" {
                    self.bytes += self.block.get(self.stat_bytes);
                }
            }
        }
        self.block.clock_high();
    }

    fn refill_rings(&mut self) {
        let wanting: Vec<_> = self
            .rings
            .iter()
            .filter_map(|(&queue, ring)| {
                let (target, batch, sizes) = ring.refill?;
                (ring.posted.len() + batch <= target).then_some((queue, batch, sizes))
            })
            .collect();
        for (queue, batch, sizes) in wanting {
            for _ in 0..batch {
                let len = self.rng.range(sizes.0, sizes.1) as usize;
                self.post(queue, len);
            }
            self.ring(queue);
        }
    }

    // ---- DMA reads.

    fn take_fetch(&mut self, now: u64) {
        self.idle = 0;
        self.fetches += 1;
        let p = &self.ports;
        let get = |port| self.block.get(port);
        let (addr, len, dst, op) = (get(p.fetch_addr), get(p.fetch_len), get(p.fetch_dst), get(p.fetch_op));
        assert_eq!(get(p.fetch_last), 1);
        assert!(len > 0 && len % 16 == 0 && len <= 256, "a fetch of {len} bytes");
        let (&queue, ring) = self
            .rings
            .iter()
            .find(|(_, ring)| (ring.base..ring.base + (16 << ring.log)).contains(&addr))
            .unwrap_or_else(|| panic!("a fetch at {addr:#x}"));
        let first = ((addr - ring.base) / 16) as usize;
        let count = (len / 16) as usize;
        assert!(first + count <= 1 << ring.log, "a fetch across the ring's end");
        // Not behind the doorbell: at most what it says is posted, and of that only what is not used up.
        let posted = ring.posted.len() - usize::from(ring.tail.wrapping_sub(ring.bell));
        let mask = (1usize << ring.log) - 1;
        for i in first..first + count {
            let behind = usize::from(ring.bell).wrapping_sub(i + 1) & mask;
            assert!(behind < posted, "a fetch of descriptor {i}, tail {}, posted {posted}", ring.bell);
        }
        let data = ring.slots[first..first + count].concat();
        let poisoned = self.poison == Some(queue);
        let lost = self.lose == Some(queue);
        let mut at = 0;
        while at < len {
            let piece = (4096 - (addr + at) % 4096).min(self.setup.max_read).min(len - at);
            let bytes = data[at as usize..(at + piece) as usize].to_vec();
            let due = if lost { u64::MAX } else { now };
            let last = at + piece == len;
            let err = poisoned && (last || self.rng.below(2) == 0);
            self.pieces.push_back((op, last, Piece { due, op, dst: dst + at, data: bytes, err }));
            at += piece;
        }
    }

    fn drive_bus(&mut self, now: u64) {
        let issue = self.pieces.pop_front();
        self.block.set(self.ports.issue_valid, issue.is_some().into());
        if let Some((op, last, mut piece)) = issue {
            self.idle = 0;
            self.block.set(self.ports.issue_client, 1);
            self.block.set(self.ports.issue_op, op);
            self.block.set(self.ports.issue_last, last.into());
            if piece.due != u64::MAX {
                piece.due = now + self.rng.range(self.setup.latency.0, self.setup.latency.1);
                self.flying.push(piece);
            }
        } else {
            // Someone else's.
            let other = self.rng.below(2);
            self.block.set(self.ports.issue_valid, other);
            self.block.set(self.ports.issue_client, 2);
            let op = self.rng.below(512);
            self.block.set(self.ports.issue_op, op);
        }
        let mut due: Vec<Piece> = Vec::new();
        let mut i = 0;
        while i < self.flying.len() {
            if self.flying[i].due <= now {
                due.push(self.flying.swap_remove(i));
            } else {
                i += 1;
            }
        }
        due.sort_by_key(|piece| piece.due);
        for piece in due {
            self.answer(piece);
        }
        let beat = self.beats.pop_front();
        let done = beat.as_ref().and_then(|beat| beat.done);
        self.block.set(self.ports.done_valid, done.is_some().into());
        if let Some((op, err)) = done {
            self.block.set(self.ports.done_client, 1);
            self.block.set(self.ports.done_op, op);
            self.block.set(self.ports.done_err, err.into());
        }
        if let Some(beat) = beat {
            self.idle = 0;
            self.block.set(self.ports.data_valid, 1);
            self.block.set(self.ports.data_client, 1);
            self.block.set(self.ports.data_row, beat.row);
            self.block.set_bytes(self.ports.data, &beat.data);
            self.block.set(self.ports.be_lo, beat.be_lo);
            self.block.set(self.ports.be_hi, beat.be_hi);
        } else {
            let other = self.rng.below(2);
            self.block.set(self.ports.data_valid, other);
            self.block.set(self.ports.data_client, 3);
        }
    }

    /// A completion, in beats that begin anywhere.
    fn answer(&mut self, piece: Piece) {
        let k = self.setup.k;
        let mut at = 0;
        while at < piece.data.len() {
            let mut n = k.min(piece.data.len() - at);
            if self.rng.below(4) == 0 {
                n = self.rng.range(1, n as u64) as usize;
            }
            let dst = piece.dst as usize + at;
            let mut beat =
                DataBeat { row: (dst / k) as u64, data: self.rng.bytes(k), be_lo: 0, be_hi: 0, done: None };
            for j in 0..n {
                let lane = (dst + j) % k;
                beat.data[lane] = piece.data[at + j];
                if (dst + j) / k == dst / k {
                    beat.be_lo |= 1 << lane;
                } else {
                    beat.be_hi |= 1 << lane;
                }
            }
            if piece.err {
                beat.be_lo = 0;
                beat.be_hi = 0;
            }
            at += n;
            if at == piece.data.len() {
                beat.done = Some((piece.op, piece.err));
            }
            self.beats.push_back(beat);
        }
    }

    // ---- Posted writes.

    fn take_beat(&mut self) {
        self.idle = 0;
        self.tx_beats += 1;
        let sop = self.block.get(self.ports.tx_sop) == 1;
        let eop = self.block.get(self.ports.tx_eop) == 1;
        let data = self.block.get_bytes(self.ports.tx_data);
        if sop {
            assert!(self.tlp.is_none(), "a TLP in a TLP");
            let hdr = self.block.get_bytes(self.ports.tx_hdr);
            self.tlp = Some(Tlp { hdr, data: Vec::new() });
        }
        let tlp = self.tlp.as_mut().expect("a beat outside a TLP");
        tlp.data.extend(data);
        if eop {
            let tlp = self.tlp.take().unwrap();
            self.take_tlp(&tlp);
        }
    }

    fn take_tlp(&mut self, tlp: &Tlp) {
        self.tlps += 1;
        let dw = |i: usize| u32::from_le_bytes(tlp.hdr[4 * i..4 * i + 4].try_into().unwrap());
        let long = match dw(0) >> 24 {
            0x40 => false,
            0x60 => true,
            other => panic!("a TLP of type {other:#x}"),
        };
        assert_eq!(dw(0) & 0x00ff_fc00, 0, "traffic class, attributes");
        let dwords = match dw(0) & 0x3ff {
            0 => 1024,
            n => n as usize,
        };
        assert_eq!(u64::from(dw(1) >> 16), REQUESTER);
        assert_eq!(dw(1) >> 8 & 0xff, 0, "tag");
        let (first, last) = (dw(1) & 15, dw(1) >> 4 & 15);
        let addr = if long { u64::from(dw(2)) << 32 | u64::from(dw(3)) } else { u64::from(dw(2)) };
        assert_eq!(long, addr >> 32 != 0, "3 dwords below 4 GiB, 4 above");
        assert_eq!(addr & 3, 0);
        let k = self.setup.k;
        assert_eq!(tlp.data.len(), (4 * dwords).next_multiple_of(k), "beats for {dwords} dwords");
        let mps = 128u64 << self.setup.mps;
        assert!(4 * dwords as u64 <= mps && addr / mps == (addr + 4 * dwords as u64 - 1) / mps, "{addr:#x} {dwords}");
        assert_eq!(last == 0, dwords == 1, "byte enables {first:x} {last:x}");
        let enabled = |i: usize| match i / 4 {
            0 => first >> (i % 4) & 1 == 1,
            n if n + 1 == dwords => last >> (i % 4) & 1 == 1,
            n => n < dwords,
        };
        let mut begun = 0;
        for (i, &byte) in tlp.data.iter().enumerate() {
            if enabled(i) {
                begun += usize::from(i == 0 || !enabled(i - 1));
                self.store(addr + i as u64, byte);
            } else {
                assert_eq!(byte, 0, "a byte that is not enabled leaks");
            }
        }
        assert_eq!(begun, 1, "byte enables {first:x} {last:x}");
    }

    fn store(&mut self, addr: u64, byte: u8) {
        let buffer = self.buffers.range_mut(..=addr).next_back();
        let place = buffer.and_then(|(at, buffer)| buffer.data.get_mut((addr - at) as usize));
        let place = place.unwrap_or_else(|| panic!("a write to {addr:#x}, where no buffer is"));
        assert_eq!(place.replace(byte), None, "{addr:#x} is written twice");
    }

    // ---- Completions.

    fn take_completion(&mut self) {
        self.idle = 0;
        let cq = self.block.get(self.ports.cqe_cq);
        if self.block.get(self.ports.cqe_marker) == 1 {
            let ending = self.commands.front().expect("a marker for nothing");
            assert!(ending.destroy && self.rings[&ending.queue].cq == cq);
            self.ack_in = Some(self.rng.below(20));
            return;
        }
        let entry = self.block.get_bytes(self.ports.cqe_entry);
        let word = |i: usize| u32::from_le_bytes(entry[4 * i..4 * i + 4].try_into().unwrap());
        let (&queue, ring) = self.rings.iter_mut().find(|(_, ring)| ring.cq == cq).expect("a CQ");
        let status = word(0);
        assert_eq!(status & 0xb3fe_40e0, 0, "reserved bits, phase, checksum flags: {status:#x}");
        assert_eq!(status & (1 << 30 | 1 << 13), 1 << 30 | 1 << 13);
        let len = (word(1) & 0xffff) as usize;
        let (addr, size, id) = ring.posted.pop_front().expect("a buffer");
        assert_eq!((word(1) >> 16) as u16, id, "req_id");
        assert_eq!(entry[14], 0, "offset");
        let first = status >> 26 & 1 == 1;
        let last = status >> 27 & 1 == 1;
        assert_eq!(first, !ring.inside, "first");
        assert!(len > 0 && len <= size && (last || len == size), "{len} bytes in a buffer of {size}");
        let buffer = self.buffers.remove(&addr).expect("a buffer");
        for (i, byte) in buffer.data.iter().enumerate() {
            assert_eq!(byte.is_some(), i < len, "byte {i} of {len} at its completion");
            ring.packet.extend(byte);
        }
        ring.inside = !last;
        if !last {
            return;
        }
        let packet = std::mem::take(&mut ring.packet);
        let found = ring.expected.iter().position(|(frame, ..)| *frame == packet);
        let at = found.unwrap_or_else(|| panic!("queue {queue} got what was not sent to it: {packet:02x?}"));
        let (_, flow, hash) = ring.expected.drain(..=at).next_back().unwrap();
        assert_eq!(u64::from(status & 0x1f), flow.l3);
        assert_eq!(u64::from(status >> 8 & 0x1f), flow.l4);
        assert_eq!(status >> 15 & 1 == 1, flow.frag);
        assert_eq!(word(2), hash, "hash");
        ring.delivered += 1;
        self.deliveries.push(self.block.cycles());
    }

    /// The data path's reset, as the host's device reset has it: queues, buffers and frames are gone.
    pub fn core_reset(&mut self) {
        let reset = self.block.port("reset");
        self.block.set(reset, 1);
        for _ in 0..16 {
            let mac = self.wire.pop_front();
            self.block.set(self.ports.mac_valid, mac.is_some().into());
            if let Some(beat) = mac {
                self.block.set(self.ports.mac_last, beat.last.into());
                self.block.set_bytes(self.ports.mac_data, &beat.data);
            }
            self.block.tick();
        }
        self.block.set(reset, 0);
        self.rings.clear();
        self.buffers.clear();
        self.bells.clear();
        self.commands.clear();
        self.pieces.clear();
        self.flying.clear();
        self.beats.clear();
        self.tlp = None;
    }
}
