//! A card made of nothing but its TLPs, which does everything right, or one thing wrong.

use std::rc::Rc;

use super::*;
use crate::iommu::Permission;
use crate::memory::Block;

const MEMORY: u64 = 0x10_0000;
const AQ: u64 = MEMORY;
const ACQ: u64 = MEMORY + 0x1000;
const SQ: [u64; 2] = [MEMORY + 0x2000, MEMORY + 0x3000];
const CQ: [u64; 2] = [MEMORY + 0x4000, MEMORY + 0x5000];
const TX: usize = 0;
const RX: usize = 1;
const DATA: u64 = MEMORY + 0x8000;
const DOORBELL: [u64; 2] = [0x1000, 0x1010];
const DEPTH: u16 = 16;

struct Bench {
    monitor: Monitor,
    iommu: Iommu,
    commands: u16,
}

impl Bench {
    fn new() -> Self {
        let mut iommu = Iommu::default();
        let block: Rc<Block> = Block::new(0x10000, 4096);
        assert!(iommu.map_at(CARD_ID, MEMORY, &block, 0, 0x10000, Permission::ReadWrite));
        let mut bench = Bench { monitor: Monitor::default(), iommu, commands: 0 };
        for (register, value) in [
            (reg::AQ_BASE, AQ),
            (reg::AQ_CAPS, 0x40_0020),
            (reg::ACQ_BASE, ACQ),
            (reg::ACQ_BASE + 4, 0),
        ] {
            bench.monitor.register(register, value as u32, &bench.iommu).unwrap();
        }
        for direction in [TX, RX] {
            let mut create = [0; ENTRY];
            create[2] = opcode::CREATE_CQ;
            create[4] = 0x20;
            create[5] = [2, 4][direction];
            create[6] = DEPTH as u8;
            create[8] = 1 + direction as u8;
            create[12..20].copy_from_slice(&CQ[direction].to_le_bytes());
            bench.command(create, [direction as u8, 0, 0, 0, 0, 0, 0, 0]).unwrap();
            let mut create = [0; ENTRY];
            create[2] = opcode::CREATE_SQ;
            create[4] = [0x20, 0x40][direction];
            create[8] = direction as u8;
            create[10] = DEPTH as u8;
            create[12..20].copy_from_slice(&SQ[direction].to_le_bytes());
            let doorbell = DOORBELL[direction] as u32;
            let mut answer = [0; 8];
            answer[4..].copy_from_slice(&doorbell.to_le_bytes());
            bench.command(create, answer).unwrap();
        }
        bench
    }

    /// The host gives a command, and the card answers it with success.
    fn command(&mut self, mut entry: [u8; ENTRY], body: [u8; 8]) -> Verdict {
        let at = u64::from(self.commands % 32) * 64;
        entry[0] = (self.commands % 32) as u8;
        self.iommu.write(CARD_ID, AQ + at, &entry).unwrap();
        let mut answer = [0; ENTRY];
        answer[0] = entry[0];
        answer[3] = u8::from((self.commands / 32).is_multiple_of(2));
        answer[8..16].copy_from_slice(&body);
        self.commands += 1;
        self.monitor.register(reg::AQ_DB, self.commands.into(), &self.iommu)?;
        self.monitor.write(ACQ + at, &answer, &self.iommu)
    }

    fn post(&mut self, direction: usize, slot: u16, words: [u32; 4]) {
        let bytes = words.map(u32::to_le_bytes).concat();
        self.iommu.write(CARD_ID, SQ[direction] + u64::from(slot % DEPTH) * 16, &bytes).unwrap();
    }

    fn ring(&mut self, direction: usize, tail: u16) {
        self.monitor.register(DOORBELL[direction], tail.into(), &self.iommu).unwrap();
    }

    /// Posts `count` packets, or buffers, of 100 bytes with their slots as request ids.
    fn post_some(&mut self, direction: usize, count: u16) {
        for slot in 0..count {
            let address = DATA as u32 + 256 * u32::from(slot);
            let words = match direction {
                TX => [0x1d00_0064, u32::from(slot) << 22, address, 0],
                _ => [0x1d00_0064, slot.into(), address, 0],
            };
            self.post(direction, slot, words);
        }
        self.ring(direction, count);
    }

    fn fetch(&mut self, direction: usize, slot: u16, count: u32) -> Verdict {
        self.monitor.read(SQ[direction] + u64::from(slot) * 16, 16 * count)
    }

    fn sent(&mut self, slot: u64, req_id: u8, phase: u8) -> Verdict {
        let entry = [req_id, 0, 0, phase, 0, 0, 0, 0];
        self.monitor.write(CQ[TX] + 8 * slot, &entry, &self.iommu)
    }

    fn received(&mut self, slot: u64, req_id: u8, len: u8, flags: u8) -> Verdict {
        let entry = [0, 0, 0, flags, len, 0, req_id, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.monitor.write(CQ[RX] + 16 * slot, &entry, &self.iommu)
    }

    fn fill(&mut self, slot: u64, offset: u64, len: usize) -> Verdict {
        self.monitor.write(DATA + 256 * slot + offset, &vec![0; len], &self.iommu)
    }
}

#[test]
fn all_as_it_should_be() {
    let mut bench = Bench::new();
    bench.post_some(TX, 3);
    bench.post_some(RX, 3);
    assert_eq!(bench.monitor.outstanding(), 6);
    bench.fetch(TX, 0, 2).unwrap();
    bench.fetch(TX, 2, 1).unwrap();
    bench.monitor.read(DATA + 20, 80).unwrap();
    for (slot, req_id) in [1, 0, 2].into_iter().enumerate() {
        bench.sent(slot as u64, req_id, 1).unwrap();
    }
    bench.monitor.interrupt(1).unwrap();
    bench.fetch(RX, 0, 3).unwrap();
    bench.fill(0, 0, 60).unwrap();
    bench.fill(0, 60, 40).unwrap();
    bench.fill(1, 0, 7).unwrap();
    bench.received(0, 0, 100, 0x05).unwrap();
    bench.received(1, 1, 7, 0x09).unwrap();
    bench.monitor.interrupt(2).unwrap();
    assert_eq!(bench.monitor.outstanding(), 1);
}

/// A ring of lines: what was pushed is what may be read and completed, line by line.
#[test]
fn lines() {
    let mut bench = Bench::new();
    let mut choose = [0; ENTRY];
    (choose[2], choose[17], choose[34]) = (opcode::SET_FEATURE, LLQ, 1);
    bench.command(choose, [0; 8]).unwrap();
    let mut create = [0; ENTRY];
    (create[2], create[4], create[6], create[8], create[10]) =
        (opcode::CREATE_SQ, 0x20, 3, TX as u8, DEPTH as u8);
    // In place of the one that is there: its lines begin at 0.
    let doorbell = DOORBELL[TX] as u32;
    let mut answer = [0; 8];
    answer[4..].copy_from_slice(&doorbell.to_le_bytes());
    bench.command(create, answer).unwrap();
    let mut line = |number: usize, words: &[[u32; 4]]| {
        let bytes = words.concat().into_iter().flat_map(u32::to_le_bytes);
        for (i, byte) in bytes.enumerate() {
            bench.monitor.line_byte((128 * number + i) as u64, byte);
        }
    };
    // 60 bytes, all pushed; then 96 and ten buffers, in two lines; then one that says too much.
    line(0, &[[0x1d00_0000, 7 << 22, 0, 60 << 24], [0xffff_ffff; 4]]);
    let piece = |i: u32| [0x100_0064, 0, DATA as u32 + 256 * i, 0];
    let mut first = piece(0);
    (first[0], first[1], first[3]) = (0x1500_0064, 8 << 22, 96 << 24);
    line(1, &[first, piece(1)]);
    let rest: Vec<_> = (2..10).map(piece).collect();
    line(2, &rest);
    line(3, &[[0x0900_0064, 0, DATA as u32 + 2560, 0]]);
    line(4, &[[0x1d00_0000, 9 << 22, 0, 97 << 24]]);
    bench.ring(TX, 4);
    assert_eq!(bench.monitor.outstanding(), 2);
    assert!(!bench.monitor.sqs[&(Direction::Tx, 0)].is_wild());
    bench.monitor.read(DATA + 2560, 100).unwrap();
    assert!(bench.monitor.read(DATA + 11 * 256, 4).is_err(), "nobody's");
    assert!(bench.fetch(TX, 0, 1).is_err(), "its ring is not in memory");
    bench.sent(0, 7, 1).unwrap();
    assert!(bench.sent(1, 9, 1).is_err(), "not told of yet");
    bench.sent(2, 8, 1).unwrap();
    bench.ring(TX, 5);
    assert!(bench.monitor.sqs[&(Direction::Tx, 0)].is_wild());
}

#[test]
fn memory_that_is_not_posted() {
    let mut bench = Bench::new();
    bench.post_some(TX, 1);
    bench.post_some(RX, 2);
    assert!(bench.monitor.read(DATA + 60, 41).is_err(), "beyond the packet");
    assert!(bench.monitor.read(MEMORY + 0xf000, 4).is_err(), "nobody's");
    assert!(bench.fill(0, 4, 20).is_err(), "not from the start");
    assert!(bench.fill(2, 0, 20).is_err(), "nobody's");
    assert!(bench.fill(0, 0, 101).is_err(), "beyond the buffer");
    bench.sent(0, 0, 1).unwrap();
    assert!(bench.monitor.read(DATA, 60).is_err(), "completed");
}

#[test]
fn descriptors_beyond_the_doorbell_or_out_of_order() {
    let mut bench = Bench::new();
    bench.post_some(TX, 2);
    assert!(bench.fetch(TX, 0, 3).is_err());
    assert!(bench.fetch(TX, 1, 1).is_err());
    bench.fetch(TX, 0, 2).unwrap();
    assert!(bench.fetch(TX, 0, 2).is_err());
}

#[test]
fn completions_of_nothing_twice_early_or_badly_written() {
    let mut bench = Bench::new();
    bench.post_some(TX, 2);
    bench.post_some(RX, 2);
    bench.sent(0, 1, 1).unwrap();
    assert!(bench.sent(1, 1, 1).is_err(), "twice");
    let mut bench = Bench::new();
    bench.post_some(TX, 2);
    bench.post_some(RX, 2);
    assert!(bench.sent(0, 7, 1).is_err(), "of nothing");
    assert!(bench.sent(1, 0, 0).is_err(), "wrong phase");
    assert!(bench.sent(0, 0, 1).is_err(), "the same slot again");
    assert!(bench.received(0, 0, 100, 0x0d).is_err(), "nothing was written");
    let mut bench = Bench::new();
    bench.post_some(RX, 2);
    bench.fill(0, 0, 60).unwrap();
    assert!(bench.received(0, 0, 60, 0x05).is_err(), "not full, and more to come");
    let mut bench = Bench::new();
    bench.post_some(RX, 2);
    bench.fill(0, 0, 60).unwrap();
    assert!(bench.received(0, 1, 60, 0x0d).is_err(), "not the oldest");
    let mut bench = Bench::new();
    bench.post_some(RX, 2);
    bench.fill(0, 0, 60).unwrap();
    assert!(bench.received(0, 0, 60, 0x09).is_err(), "not the first");
}

#[test]
fn interrupts_tell_something() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        bench.monitor.interrupt(0).unwrap();
    }
    assert!(bench.monitor.interrupt(0).is_err() && bench.monitor.interrupt(1).is_err());
    bench.post_some(TX, 1);
    bench.sent(0, 0, 1).unwrap();
    assert!(bench.monitor.interrupt(2).is_err());
    for _ in 0..2 {
        bench.monitor.interrupt(1).unwrap();
    }
    assert!(bench.monitor.interrupt(1).is_err());
}

#[test]
fn admin_answers_are_to_commands_and_whole() {
    let mut bench = Bench::new();
    bench.monitor.register(reg::AQ_DB, 5, &bench.iommu).unwrap();
    let mut answer = [0; ENTRY];
    answer[3] = 1;
    let at = ACQ + 4 * 64;
    assert!(bench.monitor.write(at, &answer[..32], &bench.iommu).is_err(), "half");
    answer[0] = 9;
    bench.iommu.write(CARD_ID, AQ + 4 * 64, &[4]).unwrap();
    assert!(bench.monitor.write(at, &answer, &bench.iommu).is_err(), "of another id");
}

#[test]
fn a_queue_that_is_gone_is_left_alone() {
    for destroyed in [true, false] {
        let mut bench = Bench::new();
        bench.post_some(RX, 2);
        if destroyed {
            let mut destroy = [0; ENTRY];
            destroy[2] = opcode::DESTROY_SQ;
            destroy[4] = 0;
            destroy[6] = 0x40;
            bench.command(destroy, [0; 8]).unwrap();
        } else {
            bench.monitor.register(reg::DEV_CTL, 1, &bench.iommu).unwrap();
            bench.monitor.register(reg::AQ_DB, 1, &bench.iommu).unwrap();
        }
        assert!(bench.fill(0, 0, 10).is_err());
        assert!(bench.fetch(RX, 0, 1).is_err());
    }
}

#[test]
fn a_wild_queue_is_not_judged_and_others_are() {
    let mut bench = Bench::new();
    bench.post_some(RX, 2);
    // Beyond the ring.
    bench.ring(TX, 100);
    bench.sent(0, 77, 1).unwrap();
    bench.fetch(TX, 5, 9).unwrap();
    assert!(bench.fill(0, 4, 20).is_err());
    bench.fill(0, 0, 20).unwrap();
    assert!(bench.received(0, 1, 20, 0x0d).is_err());
}

/// Which buffer a byte belongs to can't be told then. Found by fuzzing.
#[test]
fn buffers_within_each_other_make_a_queue_wild() {
    let mut bench = Bench::new();
    for (slot, address) in [DATA as u32, DATA as u32 + 3].into_iter().enumerate() {
        bench.post(RX, slot as u16, [0x1d00_0064, slot as u32, address, 0]);
    }
    bench.ring(RX, 2);
    bench.monitor.write(DATA, &[0; 3], &bench.iommu).unwrap();
    bench.monitor.write(DATA + 3, &[0; 97], &bench.iommu).unwrap();
    bench.received(0, 0, 100, 0x0d).unwrap();
}
