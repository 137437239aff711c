//! The mailbox: copies between the host's memory and the firmware's buffer.

mod control_support;

use control_support::{model, set_all_inputs_low, Master, WriteBeat, WriteJoiner};
use nitor_block::stream::{End, Ports, Sink, Stalls};
use nitor_block::{Block, Model};
use nitor_hdl::mgmt::mailbox::Mailbox;
use proptest::prelude::*;
use rand::{rngs::StdRng, Rng, SeedableRng};
use std::sync::LazyLock;

static MAILBOX_128: LazyLock<Model> =
    LazyLock::new(|| model("mailbox_128", Mailbox::<128, 16, 4>::default));
static MAILBOX_512: LazyLock<Model> =
    LazyLock::new(|| model("mailbox_512", Mailbox::<512, 64, 6>::default));

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
    write: Sink<WriteBeat>,
    joiner: WriteJoiner,
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
            &["write_addr", "write_len", "write_data", "write_last"],
        );
        MailboxBench {
            master: Master::new(&block, "bus"),
            write: Sink::new(&block, ports, Stalls::seeded(seed)),
            joiner: WriteJoiner::default(),
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
        // Whole dwords: only they are asked for.
        let count = piece.bytes.len().min(4 * rng.gen_range(1..=width / 4));
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
                let left = bytes.split_off(bytes.len().min(4 * self.rng.gen_range(1..150)));
                let fails = self.fail && (left.is_empty() || self.rng.gen());
                self.waiting.push((Piece { op, bytes, fails }, left.is_empty()));
                bytes = left;
            }
        }
        block.clock_high();
        for beat in self.write.take() {
            if let Some((addr, len, data)) = self.joiner.push(beat) {
                self.writes.push((addr, data[..len as usize].to_vec()));
            }
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
            let fields = ["write_addr", "write_len", "write_data", "write_last"];
            let ports = Ports::named(&self.block, "write_valid", "write_ready", &fields);
            self.write = Sink::new(&self.block, ports, Stalls::seeded(1));
            self.joiner = WriteJoiner::default();
            return;
        }
        self.block.eval();
        // A write that has begun is written to its end.
        while self.joiner.is_mid()
            || self.block.get("write_valid") == 1
            || self.block.get("read_req_valid") == 1
        {
            self.step();
            self.block.eval();
        }
        // The engine sees a cycle later that its last beat was taken, and ends in the next state.
        for _ in 0..3 {
            self.step();
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
            let lengths = [0, 1, 16, rng.gen_range(0..64), rng.gen_range(0..513)];
            let mut len: u32 = 4 * lengths[rng.gen_range(0..5)];
            let mut place: u32 = 4 * rng.gen_range(0..=(2048 - len) / 4);
            let mut addr: u64 = (rng.gen::<u64>() >> rng.gen_range(1..32)) & !3;
            if rng.gen_ratio(1, 4) {
                addr &= !63;
            }
            let illegal = rng.gen_ratio(1, 6);
            if illegal {
                match rng.gen_range(0..6) {
                    0 => len |= rng.gen_range(1..4),
                    1 => place |= rng.gen_range(1..4),
                    2 => len = 2052 - place,
                    3 => place = rng.gen::<u32>() | 0x800,
                    4 => addr |= rng.gen_range(1..4),
                    _ => len = rng.gen::<u32>() | 0x8000_0000,
                }
            }
            bench.fail = !illegal && !to_host && len > 0 && rng.gen_ratio(1, 6);
            bench.start(addr, len, place, if to_host { 2 } else { 1 });
            // Meanwhile the rest of the buffer is the bus's.
            for _ in 0..rng.gen_range(0..12) {
                let at: usize = 4 * rng.gen_range(0..512);
                if illegal || (place as usize..(place + len) as usize).contains(&at) {
                    continue;
                }
                let word = &mut buffer[at..at + 4];
                if rng.gen() {
                    let value: u32 = rng.gen();
                    bench.access(true, 0x800 + at as u16, value, 0xf);
                    word.copy_from_slice(&value.to_le_bytes());
                } else {
                    let want = u32::from_le_bytes((&*word).try_into().unwrap());
                    prop_assert_eq!(bench.access(false, 0x800 + at as u16, 0, 0xf), want);
                }
            }
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
                let byte = |b| background(0x40 + u64::from(4 * i + b));
                let want: Vec<u8> = (0..4).map(byte).collect();
                let word = bench.access(false, 0x800 + 4 * i, 0, 0xf);
                prop_assert_eq!(word.to_le_bytes().to_vec(), want);
            }
        }
    }
}
