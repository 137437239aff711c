//! A test bench for the whole receive path: a wire, a host and a completion queue, each with
//! checks.
//!
//! The host posts buffers at any address, length and time. The DMA engine answers late, in pieces
//! and out of order. `tx` and `done` stall at random. In every cycle the bench checks: descriptors
//! are read only up to the doorbell; every TLP is well formed and within its limits; every byte
//! lands in a posted buffer, once; a completion follows its data and is for the next descriptor of
//! its ring; a packet is complete, byte for byte, with the right flow and queue.

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
    /// Thousandths of bytes that the wire carries a cycle; all that the MAC takes if 0.
    pub wire_rate: u64,
    pub tx_stall: u64,
    pub done_stall: u64,
    pub fetch_stall: u64,
    pub max_frame: u64,
    /// The path verifies checksums.
    pub checksums: bool,
    /// Its classifier is serial: small frames may have to wait.
    pub serial: bool,
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
            wire_rate: 0,
            tx_stall: 0,
            done_stall: 0,
            fetch_stall: 0,
            max_frame: 9216,
            checksums: true,
            serial: false,
        }
    }
}

pub(super) struct Beat {
    pub(super) data: Vec<u8>,
    pub(super) last: bool,
    pub(super) bytes: usize,
    pub(super) err: bool,
}

pub(super) struct Buffer {
    pub(super) data: Vec<Option<u8>>,
}

pub(super) struct Ring {
    pub(super) base: u64,
    pub(super) log: u32,
    pub(super) cq: u64,
    pub(super) slots: Vec<[u8; 16]>,
    pub(super) tail: u16,
    /// What the last doorbell said.
    pub(super) bell: u16,
    /// Posted and not completed: address, length, req_id.
    pub(super) posted: VecDeque<(u64, usize, u16)>,
    /// Bytes of the packet being completed.
    pub(super) packet: Vec<u8>,
    pub(super) inside: bool,
    /// Keeps this many posted, in batches, of these lengths.
    pub(super) refill: Option<(usize, usize, (u64, u64))>,
    pub(super) delivered: u64,
}

pub(super) struct Piece {
    pub(super) due: u64,
    pub(super) op: u64,
    pub(super) dst: u64,
    pub(super) data: Vec<u8>,
    pub(super) err: bool,
}

pub(super) struct DataBeat {
    pub(super) row: u64,
    pub(super) data: Vec<u8>,
    pub(super) be_lo: u64,
    pub(super) be_hi: u64,
    pub(super) done: Option<(u64, bool)>,
}

pub(super) struct Tlp {
    pub(super) hdr: Vec<u8>,
    pub(super) data: Vec<u8>,
}

/// A context command.
pub(super) struct Command {
    pub(super) destroy: bool,
    pub(super) queue: usize,
}

macro_rules! ports {
    ($($field:ident: $name:literal),* $(,)?) => {
        pub(super) struct Ports { $(pub(super) $field: PortId),* }
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

/// FCS, preamble and gap: bytes of the wire between two frames.
const BETWEEN: usize = 24;
pub(super) const REQUESTER: u64 = 0x0308;
/// Where the first buffer goes: across 4 GiB, so that both headers occur.
const BUFFERS: u64 = 0xfff0_0000;

pub struct Bench {
    pub block: Block,
    pub(super) ports: Ports,
    pub(super) stats: Vec<PortId>,
    pub(super) stat_bytes: PortId,
    pub setup: Setup,
    pub rng: Rng,
    pub key: [u8; 40],
    pub table: Vec<u64>,
    pub(super) wire: VecDeque<Beat>,
    /// The wire's next beat is refused so far.
    refused: bool,
    /// Thousandths of bytes by which the wire is ahead of its rate.
    ahead: u64,
    /// Cycles in which one was.
    pub refusals: u64,
    pub sent: u64,
    pub(super) rings: BTreeMap<usize, Ring>,
    /// Frames sent to each queue and not yet delivered or passed over.
    pub(super) expected: BTreeMap<usize, VecDeque<(Vec<u8>, Flow, u32)>>,
    pub(super) buffers: BTreeMap<u64, Buffer>,
    pub(super) next_buffer: u64,
    pub(super) bells: VecDeque<(u64, u16)>,
    pub(super) commands: VecDeque<Command>,
    pub(super) pieces: VecDeque<(u64, bool, Piece)>,
    pub(super) flying: Vec<Piece>,
    pub(super) beats: VecDeque<DataBeat>,
    pub(super) tlp: Option<Tlp>,
    pub(super) ack_in: Option<u64>,
    /// Fails every fetch of this queue.
    pub poison: Option<usize>,
    /// Never answers a fetch of this queue.
    pub lose: Option<usize>,
    pub(super) counts: HashMap<&'static str, u64>,
    pub bytes: u64,
    pub tlps: u64,
    pub tx_beats: u64,
    pub fetches: u64,
    /// Cycle of each packet's last completion.
    pub deliveries: Vec<u64>,
    /// Cycles without anything happening.
    pub(super) idle: u64,
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
            refused: false,
            ahead: 0,
            refusals: 0,
            sent: 0,
            rings: BTreeMap::new(),
            expected: BTreeMap::new(),
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
            let before =
                (self.block.get(self.ports.regs_ready), self.block.get(self.ports.regs_rdata));
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
            self.expected.entry(queue).or_default().push_back((frame.to_vec(), flow, hash));
        }
        let k = self.setup.k;
        let beats = frame.len().div_ceil(k);
        for (i, chunk) in frame.chunks(k).enumerate() {
            let mut data = chunk.to_vec();
            data.extend(self.rng.bytes(k - chunk.len()));
            let last = i + 1 == beats;
            let bytes = if last { chunk.len() } else { self.rng.below(128) as usize };
            self.wire.push_back(Beat {
                data,
                last,
                bytes,
                err: if last { err } else { self.rng.below(2) == 0 },
            });
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
        self.run_until("all frames are accounted for", |b| {
            b.wire.is_empty() && b.settled() == b.sent
        });
        self.settle();
        let delivered: u64 = self.rings.values().map(|ring| ring.delivered).sum();
        assert!(delivered <= self.count("stat_frame"));
        assert!(self.tlp.is_none(), "a TLP is cut short");
    }

    /// Runs until nothing has happened for a while.
    pub fn settle(&mut self) {
        self.idle = 0;
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

        self.ahead = self.ahead.saturating_sub(self.setup.wire_rate);
        let early = self.setup.wire_rate != 0 && self.ahead >= self.setup.wire_rate;
        let gap = !self.refused && (early || self.chance(self.setup.mac_gap));
        let mac = !gap && !self.wire.is_empty();
        self.block.set(self.ports.mac_valid, mac.into());
        if mac {
            let beat = &self.wire[0];
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
        let mac_ready = self.block.get(self.ports.mac_ready) == 1;
        assert!(mac_ready || self.setup.serial);
        self.refused = mac && !mac_ready;
        self.refusals += u64::from(self.refused);
        if mac && mac_ready {
            let beat = self.wire.pop_front().expect("a beat");
            let bytes = if beat.last { beat.bytes + BETWEEN } else { self.setup.k };
            self.ahead += 1000 * bytes as u64;
        }
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
}
