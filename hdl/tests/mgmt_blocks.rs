//! The management bus, the mailbox and the counters.

mod control_support;

use control_support::{model, set_all_inputs_low, Master};
use nitor_block::stream::{End, Ports, Sink, Stalls};
use nitor_block::{Block, Model};
use nitor_hdl::mgmt::{bus::MgmtBus, mailbox::Mailbox, stats::Stats};
use proptest::prelude::*;
use rand::{rngs::StdRng, Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static MAILBOX_128: LazyLock<Model> =
    LazyLock::new(|| model("mailbox_128", Mailbox::<128, 16, 4>::default));
static MAILBOX_512: LazyLock<Model> =
    LazyLock::new(|| model("mailbox_512", Mailbox::<512, 64, 6>::default));
static STATS: LazyLock<Model> = LazyLock::new(|| model("stats_block", Stats::default));
static BUS: LazyLock<Model> =
    LazyLock::new(|| model("mgmt_block", || MgmtBus::new(16, 33, 4, 13, 5)));

/// Host memory no one has written.
fn background(addr: u64) -> u8 {
    (addr.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// A piece of a read under way: its bytes still to come, as (buffer byte, value).
struct Piece {
    op: u64,
    bytes: Vec<(u64, u8)>,
    fails: bool,
}

struct MailboxBench {
    block: Block,
    master: Master,
    write: Sink<(u64, u64, Vec<u8>)>,
    rng: StdRng,
    width: u64,
    /// Pieces not yet issued, pieces issued.
    waiting: Vec<(Piece, bool)>,
    issued: Vec<Piece>,
    fail: bool,
    reads: Vec<(u64, u64, u64)>,
    writes: Vec<(u64, Vec<u8>)>,
}

impl MailboxBench {
    fn new(seed: u64, wide: bool) -> MailboxBench {
        let model = if wide { &*MAILBOX_512 } else { &*MAILBOX_128 };
        let mut block = model.block(seed);
        set_all_inputs_low(&mut block);
        block.reset(2);
        let ports = Ports::named(
            &block,
            "write_valid",
            "write_ready",
            &["write_addr", "write_len", "write_data"],
        );
        MailboxBench {
            master: Master::new(&block, "bus"),
            write: Sink::new(&block, ports, Stalls::seeded(seed)),
            block,
            rng: StdRng::seed_from_u64(seed),
            width: if wide { 64 } else { 16 },
            waiting: vec![],
            issued: vec![],
            fail: false,
            reads: vec![],
            writes: vec![],
        }
    }

    /// What the read engine says in this cycle.
    fn drive_engine(&mut self) {
        let (block, rng) = (&mut self.block, &mut self.rng);
        for name in ["read_issue_valid", "read_done_valid", "read_data_valid"] {
            // Other clients' events look the same but for the number.
            block.set(name, rng.gen_range(0..2));
        }
        for name in ["read_issue_client", "read_done_client", "read_data_client"] {
            block.set(name, rng.gen_range(1..4));
        }
        block.set("read_issue_last", rng.gen_range(0..2));
        block.set("read_done_err", rng.gen_range(0..2));
        let all = vec![0xff; self.width as usize / 8];
        block.set_bytes("read_be_lo", &all);
        block.set_bytes("read_be_hi", &all);
        if !self.waiting.is_empty() && rng.gen() {
            let (piece, last) = self.waiting.remove(0);
            block.set("read_issue_valid", 1);
            block.set("read_issue_client", 0);
            block.set("read_issue_op", piece.op);
            block.set("read_issue_last", last.into());
            self.issued.push(piece);
        }
        if self.issued.is_empty() || rng.gen() {
            return;
        }
        let at = rng.gen_range(0..self.issued.len());
        let piece = &mut self.issued[at];
        if piece.bytes.is_empty() || piece.fails {
            block.set("read_done_valid", 1);
            block.set("read_done_client", 0);
            block.set("read_done_op", piece.op);
            block.set("read_done_err", piece.fails.into());
            self.issued.remove(at);
            return;
        }
        let width = self.width as usize;
        let count = piece.bytes.len().min(rng.gen_range(1..=width));
        let beat: Vec<(u64, u8)> = piece.bytes.drain(..count).collect();
        let row = beat[0].0 / self.width;
        let mut data: Vec<u8> = (0..width).map(|_| rng.gen()).collect();
        let (mut lo, mut hi) = (vec![0u8; width / 8], vec![0u8; width / 8]);
        for (place, value) in beat {
            let lane = (place % self.width) as usize;
            data[lane] = value;
            let enables = if place / self.width == row { &mut lo } else { &mut hi };
            enables[lane / 8] |= 1 << (lane % 8);
        }
        block.set("read_data_valid", 1);
        block.set("read_data_client", 0);
        block.set("read_data_row", row);
        block.set_bytes("read_data", &data);
        block.set_bytes("read_be_lo", &lo);
        block.set_bytes("read_be_hi", &hi);
    }

    fn step(&mut self) -> Option<u32> {
        self.drive_engine();
        let block = &mut self.block;
        self.master.drive(block);
        block.set("read_req_ready", self.rng.gen_range(0..2));
        self.write.drive(block);
        block.clock_low();
        self.write.sample(block);
        let done = self.master.sample(block);
        if block.get("read_req_valid") == 1 && block.get("read_req_ready") == 1 {
            let (addr, len) = (block.get("read_req_addr"), block.get("read_req_len"));
            let (dst, op) = (block.get("read_req_dst"), block.get("read_req_op"));
            assert_eq!(block.get("read_req_last"), 1);
            self.reads.push((addr, len, dst));
            let mut bytes: Vec<(u64, u8)> =
                (0..len).map(|i| (dst + i, background(addr.wrapping_add(i)))).collect();
            while !bytes.is_empty() {
                let left = bytes.split_off(bytes.len().min(self.rng.gen_range(1..600)));
                let fails = self.fail && (left.is_empty() || self.rng.gen());
                self.waiting.push((Piece { op, bytes, fails }, left.is_empty()));
                bytes = left;
            }
        }
        block.clock_high();
        for (addr, len, data) in self.write.take() {
            self.writes.push((addr, data[..len as usize].to_vec()));
        }
        done
    }

    /// The core's reset takes back what was on offer, a flush does not; the read engine forgets.
    fn step_through_reset(&mut self) {
        self.waiting.clear();
        self.issued.clear();
        if self.block.get("core_reset") == 1 {
            self.master.drive(&mut self.block);
            self.block.set("write_ready", 0);
            self.block.set("read_req_ready", 0);
            self.drive_engine();
            self.block.tick();
            let fields = ["write_addr", "write_len", "write_data"];
            let ports = Ports::named(&self.block, "write_valid", "write_ready", &fields);
            self.write = Sink::new(&self.block, ports, Stalls::seeded(1));
            return;
        }
        self.block.eval();
        while self.block.get("write_valid") == 1 || self.block.get("read_req_valid") == 1 {
            self.step();
            self.block.eval();
        }
        self.step();
        self.waiting.clear();
        self.issued.clear();
    }

    fn access(&mut self, write: bool, addr: u16, wdata: u32, be: u8) -> u32 {
        self.master.start((write, addr, wdata, be));
        loop {
            if let Some(data) = self.step() {
                return data;
            }
        }
    }

    fn start(&mut self, addr: u64, len: u32, place: u32, command: u32) {
        for (register, value) in
            [(0x100, addr as u32), (0x104, (addr >> 32) as u32), (0x108, len), (0x10c, place)]
        {
            self.access(true, register, value, 0xf);
            assert_eq!(self.access(false, register, 0, 0xf), value);
        }
        self.access(true, 0x110, command, 0xf);
    }

    /// Whether the command failed.
    fn finish(&mut self) -> bool {
        for _ in 0..20_000 {
            let status = self.access(false, 0x110, 0, 0xf);
            if status & 1 == 0 {
                return status & 2 != 0;
            }
        }
        panic!("busy for ever");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn mailbox_copies_any_range(seed: u64, wide: bool) {
        let mut rng = StdRng::seed_from_u64(seed ^ 1);
        let mut bench = MailboxBench::new(seed, wide);
        let mut buffer = [0u8; 2048];
        for word in 0..512 {
            let value: u32 = rng.gen();
            bench.access(true, 0x800 + 4 * word, value, 0xf);
            let at = 4 * usize::from(word);
            buffer[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        for _ in 0..40 {
            // A few words by bytes.
            for _ in 0..8 {
                let (word, value, be): (usize, u32, u8) =
                    (rng.gen_range(0..512), rng.gen(), rng.gen_range(0..16));
                bench.access(true, 0x800 + 4 * word as u16, value, be);
                for i in 0..4 {
                    if be >> i & 1 == 1 {
                        buffer[4 * word + i] = value.to_le_bytes()[i];
                    }
                }
            }
            let to_host: bool = rng.gen();
            let mut len: u32 = 4 * [0, 1, 16, rng.gen_range(0..64), rng.gen_range(0..513)][rng.gen_range(0..5)];
            let mut place: u32 = 4 * rng.gen_range(0..=(2048 - len) / 4);
            let mut addr: u64 = rng.gen::<u64>() >> rng.gen_range(1..32);
            if to_host {
                addr &= !3;
            }
            if rng.gen_ratio(1, 4) {
                addr &= !63;
            }
            let illegal = rng.gen_ratio(1, 6);
            if illegal {
                match rng.gen_range(0..5) {
                    0 => len |= rng.gen_range(1..4),
                    1 => place |= rng.gen_range(1..4),
                    2 => len = 2052 - place,
                    3 => place = rng.gen::<u32>() | 0x800,
                    _ => len = rng.gen::<u32>() | 0x8000_0000,
                }
            }
            bench.fail = !illegal && !to_host && len > 0 && rng.gen_ratio(1, 6);
            bench.start(addr, len, place, if to_host { 2 } else { 1 });
            let failed = bench.finish();
            let (reads, writes) =
                (std::mem::take(&mut bench.reads), std::mem::take(&mut bench.writes));
            prop_assert_eq!(failed, illegal || bench.fail, "{} at {}", len, place);
            if illegal || len == 0 {
                prop_assert!(reads.is_empty() && writes.is_empty());
                continue;
            }
            let range = place as usize..(place + len) as usize;
            if to_host {
                prop_assert!(reads.is_empty());
                let mut at = addr;
                let mut data: Vec<u8> = vec![];
                for (to, bytes) in &writes {
                    prop_assert_eq!(*to, at);
                    prop_assert!(to % 64 + bytes.len() as u64 <= 64);
                    at += bytes.len() as u64;
                    data.extend(bytes);
                }
                // As few as the boundaries allow.
                let end = addr % 64 + u64::from(len);
                prop_assert_eq!(writes.len() as u64, end.div_ceil(64));
                prop_assert_eq!(&data, &buffer[range]);
            } else {
                prop_assert!(writes.is_empty());
                prop_assert_eq!(&reads, &[(addr, u64::from(len), u64::from(place))]);
                if bench.fail {
                    // What arrived is anyone's guess: begin anew.
                    for at in (place..place + len).step_by(4) {
                        bench.access(true, 0x800 + at as u16, 0, 0xf);
                        buffer[at as usize..at as usize + 4].fill(0);
                    }
                } else {
                    for (i, byte) in buffer[range].iter_mut().enumerate() {
                        *byte = background(addr.wrapping_add(i as u64));
                    }
                }
            }
            for _ in 0..20 {
                let word: usize = rng.gen_range(0..512);
                let want = u32::from_le_bytes(buffer[4 * word..4 * word + 4].try_into().unwrap());
                prop_assert_eq!(bench.access(false, 0x800 + 4 * word as u16, 0, 0xf), want);
            }
        }
        for word in 0..512 {
            let want = u32::from_le_bytes(buffer[4 * word..4 * word + 4].try_into().unwrap());
            prop_assert_eq!(bench.access(false, 0x800 + 4 * word as u16, 0, 0xf), want);
        }
    }

    #[test]
    fn mailbox_ends_with_a_reset_in_any_state(seed: u64, wide: bool) {
        let mut rng = StdRng::seed_from_u64(seed ^ 1);
        let mut bench = MailboxBench::new(seed, wide);
        for _ in 0..30 {
            bench.start(0x1_0000_0040, 512, 0, rng.gen_range(1..3));
            for _ in 0..rng.gen_range(0..120) {
                bench.step();
            }
            let busy = bench.access(false, 0x110, 0, 0xf) & 1 == 1;
            if busy {
                let by = ["flush", "core_reset"][rng.gen_range(0..2)];
                bench.block.set("blocked", 1);
                bench.block.set(by, 1);
                bench.step_through_reset();
                let status = bench.access(false, 0x110, 0, 0xf);
                // It may have ended in the cycle before.
                prop_assert_eq!(status & 1, 0);
                bench.start(0x1_0000_0040, 512, 0, 2);
                prop_assert!(bench.finish());
                bench.block.set(by, 0);
                bench.writes.clear();
                bench.reads.clear();
                bench.start(0x1_0000_0040, 512, 0, rng.gen_range(1..3));
                prop_assert!(bench.finish());
                prop_assert!(bench.reads.is_empty() && bench.writes.is_empty());
                bench.block.set("blocked", 0);
            }
            bench.finish();
            bench.start(0x40, 64, 0, 1);
            prop_assert!(!bench.finish());
            for i in 0..16u16 {
                let want: Vec<u8> = (0..4).map(|b| background(0x40 + u64::from(4 * i + b))).collect();
                prop_assert_eq!(bench.access(false, 0x800 + 4 * i, 0, 0xf).to_le_bytes().to_vec(), want);
            }
        }
    }

    #[test]
    fn counters_are_exact(seed: u64, density in 1u32..101) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut block = STATS.block(seed);
        set_all_inputs_low(&mut block);
        block.reset(2);
        let names = [
            "tx_frames", "tx_bytes", "rx_frames", "rx_bytes", "rx_drops_no_descriptor",
            "rx_drops_no_room", "rx_drops_bad_frame", "rx_drops_no_queue", "tx_drops_dma_error",
            "tx_drops_bad_descriptor", "rx_drops_dma_error", "read_tlps", "write_tlps",
            "completion_tlps", "msix_messages", "doorbells", "cpl_poisoned", "cpl_ur_ca",
            "cpl_timeout", "cpl_unexpected", "requests_unsupported", "requests_malformed",
            "doorbell_illegal", "cq_overflow",
        ];
        let mut master = Master::new(&block, "bus");
        let mut counts = [0u64; 32];
        let mut read_back = [0u64; 32];
        let mut at = 0u16;
        let polling: bool = rng.gen();
        for cycle in 0..6000 {
            for (i, name) in names.iter().enumerate() {
                if i == 1 || i == 3 {
                    continue;
                }
                let pulse = cycle < 5000 && rng.gen_ratio(density, 100);
                block.set(*name, pulse.into());
                counts[i] += u64::from(pulse);
                if i == 0 || i == 2 {
                    let bytes: u16 = if rng.gen_ratio(1, 4) { 0xffff } else { rng.gen() };
                    block.set(names[i + 1], bytes.into());
                    counts[i + 1] += if pulse { u64::from(bytes) } else { 0 };
                }
            }
            if master.access.is_none() && (polling || cycle > 5200) && at < 64 * 8 {
                master.start((rng.gen_ratio(1, 10), 0x600 + at % 256, rng.gen(), 0xf));
            }
            master.drive(&mut block);
            block.clock_low();
            let access = master.access;
            if let Some(data) = master.sample(&block) {
                if !access.unwrap().0 {
                    let (i, upper) = (usize::from(at % 256) / 8, at % 8 == 4);
                    if upper {
                        let value = u64::from(data) << 32 | read_back[i] & 0xffff_ffff;
                        read_back[i] = value;
                        prop_assert!(value <= counts[i]);
                        if cycle > 5200 {
                            prop_assert_eq!(value, counts[i], "{}", i);
                        }
                    } else {
                        read_back[i] = data.into();
                    }
                    at += 4;
                    if cycle < 5200 {
                        at %= 256;
                    } else if at >= 512 {
                        break;
                    }
                }
            }
            block.clock_high();
        }
        prop_assert!(at >= 256);
    }

    #[test]
    fn management_bus(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = BusBench::new(seed);
        let mut max_frame = 9234;
        let mut ctx = [0u32; 3];
        for _ in 0..300 {
            let data: u32 = rng.gen();
            match rng.gen_range(0..12) {
                0 => prop_assert_eq!(bench.read(0x000), 0x4e49_5431),
                1 => prop_assert_eq!(bench.read(0x004), 16 | 32 << 8 | 4 << 16 | 13 << 20),
                2 => {
                    let index = rng.gen_range(0..13);
                    prop_assert_eq!(bench.read(0x20 + 4 * index), 0x5000_0000 | u32::from(index));
                }
                3 => {
                    let addr = 4 * [
                        rng.gen_range(0x40..0x45), 0x4c, rng.gen_range(0x80..0x8a),
                        rng.gen_range(0x100..0x180), rng.gen_range(0x180..0x1c0),
                        rng.gen_range(0x200..0x400),
                    ][rng.gen_range(0..6)];
                    let slave = match addr {
                        0x100..=0x110 | 0x800..=0xfff => "mailbox",
                        0x600..=0x6ff => "stats",
                        _ => "steer",
                    };
                    let be = rng.gen_range(0..16);
                    bench.slave_log.clear();
                    let got = bench.access(true, addr, data, be);
                    prop_assert_eq!(&bench.slave_log, &[(slave, true, addr, data, be)]);
                    prop_assert_eq!(got, u32::from(addr) ^ 0xdead_beef);
                    prop_assert_eq!(bench.read(addr), u32::from(addr) ^ 0xdead_beef);
                }
                4 => {
                    let unlisted = [0x18, 0x1c, 0x54, 0x68, 0x114, 0x11c, 0x134, 0x228, 0x700, 0x1000];
                    prop_assert_eq!(bench.read(unlisted[rng.gen_range(0..10)]), 0);
                }
                5 => {
                    let be = if rng.gen() { 15 } else { rng.gen_range(0..15) };
                    bench.access(true, 0x64, data, be);
                    if be == 15 {
                        max_frame = data & 0xffff;
                    }
                    prop_assert_eq!(bench.read(0x64), max_frame);
                    prop_assert_eq!(bench.block.get("max_frame"), u64::from(max_frame));
                }
                6 => {
                    let i = rng.gen_range(0..3);
                    ctx[i] = data;
                    bench.access(true, 0x120 + 4 * i as u16, data, 15);
                    prop_assert_eq!(bench.read(0x120 + 4 * i as u16), data);
                }
                7 | 8 => {
                    bench.ctx_log.clear();
                    let stopped = rng.gen_ratio(1, 4);
                    let by = ["blocked", "flush"][rng.gen_range(0..2)];
                    bench.block.set(by, stopped.into());
                    bench.access(true, 0x12c, data, 15);
                    // Nothing changes under way.
                    bench.access(true, 0x120, !ctx[0], 15);
                    let changed = stopped || data >> 8 & 3 == 3;
                    while bench.read(0x12c) & 1 == 1 {
                        bench.step();
                    }
                    let base = u64::from(ctx[1]) << 32 | u64::from(ctx[0]);
                    let p = ctx[2];
                    if changed {
                        prop_assert!(bench.ctx_log.is_empty());
                        bench.access(true, 0x120, ctx[0], 15);
                    } else {
                        prop_assert_eq!(&bench.ctx_log, &[(
                            u64::from(data >> 8 & 3), u64::from(data >> 16 & 1),
                            u64::from(data & 0xff), base, u64::from(p & 15),
                            u64::from(p >> 8 & 0xff), u64::from(p >> 16 & 3),
                            u64::from(p >> 18 & 0x1ff),
                        )]);
                    }
                    if bench.read(0x120) != ctx[0] {
                        bench.access(true, 0x120, ctx[0], 15); // it ended before the write
                    }
                    bench.block.set(by, 0);
                }
                9 => {
                    bench.raised = 0;
                    bench.acked = 0;
                    let stopped = rng.gen_ratio(1, 3);
                    bench.block.set("blocked", stopped.into());
                    bench.access(true, 0x60, data, 15);
                    bench.access(true, 0x10, data, 15);
                    bench.step();
                    bench.step();
                    let status = bench.read(0x0c);
                    prop_assert_eq!(status & 1, stopped.into());
                    bench.block.set("blocked", 0);
                    prop_assert_eq!(bench.raised, if stopped { 0 } else { data & 1 });
                    prop_assert_eq!(bench.acked, data & 1);
                }
                10 => {
                    // Every interrupt source, alone or together; the tick may join in.
                    bench.access(true, 0x08, 0x7f, 15);
                    let sources = ["irq_reset", "aq_db_written", "aenq_head_db_written",
                        "intr_mask_written", "", "link_up", "irq_flr"];
                    let mut expected = 0;
                    for (i, name) in sources.iter().enumerate() {
                        if i != 4 && rng.gen_ratio(1, 3) {
                            let value = if i == 5 { 1 - bench.block.get("link_up") } else { 1 };
                            bench.block.set(*name, value);
                            expected |= 1 << i;
                        }
                    }
                    bench.step();
                    for (i, name) in sources.iter().enumerate() {
                        if i != 4 && i != 5 {
                            bench.block.set(*name, 0);
                        }
                    }
                    bench.step();
                    let pending = bench.read(0x08);
                    prop_assert_eq!(pending & !0x10, expected);
                    prop_assert_eq!(bench.block.get("irq") == 1, pending != 0);
                    bench.access(true, 0x08, 1, 15);
                    prop_assert_eq!(bench.read(0x08) & !0x10, expected & !1);
                    bench.access(true, 0x08, 0x7f, 15);
                }
                _ => {
                    // A reset of the core ends a command that is under way.
                    bench.deaf = true;
                    bench.access(true, 0x12c, data & !0x300, 15);
                    prop_assert_eq!(bench.read(0x12c), 1);
                    bench.block.set("core_reset", 1);
                    bench.step();
                    bench.step();
                    bench.block.set("core_reset", 0);
                    prop_assert_eq!(bench.read(0x12c), 0);
                    bench.deaf = false;
                }
            }
        }
        // Time and tick: 5 cycles a microsecond, 1000 of them a tick.
        bench.access(true, 0x08, 0x7f, 15);
        let (from, start) = (bench.read(0x14), bench.block.cycles());
        let mut ticks = 0;
        while bench.block.cycles() - start < 11_000 {
            if bench.read(0x08) & 0x10 != 0 {
                ticks += 1;
                bench.access(true, 0x08, 0x10, 15);
            }
        }
        let micros = u64::from(bench.read(0x14) - from);
        prop_assert!(micros.abs_diff((bench.block.cycles() - start) / 5) <= 2);
        prop_assert!((2..=3).contains(&ticks));
    }
}

type Context = (u64, u64, u64, u64, u64, u64, u64, u64);

struct BusBench {
    block: Block,
    master: Master,
    rng: StdRng,
    slave_log: Vec<(&'static str, bool, u16, u32, u8)>,
    ctx_log: Vec<Context>,
    /// Context commands get no answer.
    deaf: bool,
    raised: u32,
    acked: u32,
    shadow: u64,
    waits: BTreeMap<&'static str, u32>,
}

impl BusBench {
    fn new(seed: u64) -> BusBench {
        let mut block = BUS.block(seed);
        set_all_inputs_low(&mut block);
        block.reset(2);
        BusBench {
            master: Master::new(&block, "bus"),
            block,
            rng: StdRng::seed_from_u64(seed),
            slave_log: vec![],
            ctx_log: vec![],
            deaf: false,
            raised: 0,
            acked: 0,
            shadow: 0,
            waits: BTreeMap::new(),
        }
    }

    fn step(&mut self) -> Option<u32> {
        let block = &mut self.block;
        self.master.drive(block);
        block.set("shadow", self.shadow);
        block.eval();
        for slave in ["mailbox", "steer", "stats"] {
            let port = |name: &str| format!("{slave}_{name}");
            let wait = self.waits.entry(slave).or_default();
            let valid = block.get(port("valid")) == 1;
            let ready = valid && *wait == 0;
            *wait = if valid && !ready { *wait - 1 } else { self.rng.gen_range(0..4) };
            block.set(port("ready"), ready.into());
            if ready {
                let addr = block.get(port("addr"));
                block.set(port("rdata"), addr ^ 0xdead_beef);
                if block.get(port("write")) == 1 {
                    let data = block.get(port("wdata")) as u32;
                    self.slave_log.push((
                        slave,
                        true,
                        addr as u16,
                        data,
                        block.get(port("be")) as u8,
                    ));
                }
            }
        }
        for (kind, owner) in ["tx_sq", "rx_sq", "cq"].into_iter().enumerate() {
            let port = |name: &str| format!("{owner}_{name}");
            let ready = !self.deaf && block.get(port("valid")) == 1 && self.rng.gen_ratio(1, 4);
            block.set(port("ready"), ready.into());
            if ready {
                let get = |name: &str| block.get(port(name));
                self.ctx_log.push((
                    kind as u64,
                    get("destroy"),
                    get("idx"),
                    get("base"),
                    get("log_depth"),
                    get("cq"),
                    get("esize"),
                    get("vector"),
                ));
            }
        }
        block.clock_low();
        let done = self.master.sample(block);
        self.raised += block.get("raise") as u32;
        self.acked += block.get("firmware_ack") as u32;
        // The register file answers a cycle later.
        self.shadow = 0x5000_0000 | block.get("shadow_index");
        block.clock_high();
        done
    }

    fn access(&mut self, write: bool, addr: u16, wdata: u32, be: u8) -> u32 {
        self.master.start((write, addr, wdata, be));
        loop {
            if let Some(data) = self.step() {
                return data;
            }
        }
    }

    fn read(&mut self, addr: u16) -> u32 {
        self.access(false, addr, 0, 0xf)
    }
}
