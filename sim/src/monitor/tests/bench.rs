//! A test bench whose card consists of its TLPs alone. It does everything right, or one thing
//! wrong.

use std::rc::Rc;

use super::super::*;
use crate::iommu::Permission;
use crate::memory::Block;

pub const MEMORY: u64 = 0x10_0000;
pub const AQ: u64 = MEMORY;
pub const ACQ: u64 = MEMORY + 0x1000;
pub const SQ: [u64; 2] = [MEMORY + 0x2000, MEMORY + 0x3000];
pub const CQ: [u64; 2] = [MEMORY + 0x4000, MEMORY + 0x5000];
pub const TX: usize = 0;
pub const RX: usize = 1;
pub const EVENTS: u64 = MEMORY + 0x6000;
pub const RESPONSE_AT: u64 = MEMORY + 0x7000;
pub const DATA: u64 = MEMORY + 0x8000;
pub const DOORBELL: [u64; 2] = [0x1000, 0x1010];
pub const DEPTH: u16 = 16;

pub struct Bench {
    pub monitor: Monitor,
    pub iommu: Iommu,
    pub commands: u16,
}

impl Bench {
    pub fn new() -> Self {
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
            bench.set(register, value as u32);
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

    /// The host submits a command, and the card answers it with success.
    pub fn command(&mut self, mut entry: [u8; ENTRY], body: [u8; 8]) -> Verdict {
        let at = u64::from(self.commands % 32) * 64;
        entry[0] = (self.commands % 32) as u8;
        self.iommu.write(CARD_ID, AQ + at, &entry).unwrap();
        let mut answer = [0; ENTRY];
        answer[0] = entry[0];
        answer[3] = u8::from((self.commands / 32).is_multiple_of(2));
        answer[8..16].copy_from_slice(&body);
        self.commands += 1;
        self.set(reg::AQ_DB, self.commands.into());
        self.read(AQ + at, 64)?;
        self.write(ACQ + at, &answer)
    }

    pub fn post(&mut self, direction: usize, slot: u16, words: [u32; 4]) {
        let bytes = words.map(u32::to_le_bytes).concat();
        self.iommu.write(CARD_ID, SQ[direction] + u64::from(slot % DEPTH) * 16, &bytes).unwrap();
    }

    pub fn ring(&mut self, direction: usize, tail: u16) {
        self.set(DOORBELL[direction], tail.into());
    }

    /// Posts `count` packets, or buffers, of 100 bytes with their slots as request ids.
    pub fn post_some(&mut self, direction: usize, count: u16) {
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

    pub fn fetch(&mut self, direction: usize, slot: u16, count: u32) -> Verdict {
        self.read(SQ[direction] + u64::from(slot) * 16, 16 * count)
    }

    pub fn read(&mut self, address: u64, len: u32) -> Verdict {
        self.monitor.read(address, len, &self.iommu)
    }

    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Verdict {
        self.monitor.write(address, bytes, &self.iommu)
    }

    pub fn set(&mut self, register: u64, value: u32) {
        self.monitor.register(register, value, &self.iommu).unwrap();
    }

    /// A bench with three packets and three buffers, whose descriptors the card has read.
    pub fn busy() -> Self {
        let mut bench = Bench::new();
        for direction in [TX, RX] {
            bench.post_some(direction, 3);
            bench.fetch(direction, 0, 3).unwrap();
        }
        bench
    }

    /// A bench with `count` commands that are not answered.
    pub fn asked(count: u16) -> Self {
        let mut bench = Bench::new();
        bench.set(reg::AQ_DB, (bench.commands + count).into());
        bench
    }

    /// The address of the next answer.
    pub fn next_answer(&self) -> u64 {
        ACQ + u64::from(self.commands) * 64
    }

    /// A bench with room for two events.
    pub fn listening() -> Self {
        let mut bench = Bench::new();
        for (register, value) in
            [(reg::AENQ_BASE, EVENTS as u32), (reg::AENQ_CAPS, 0x40_0010), (reg::AENQ_HEAD_DB, 2)]
        {
            bench.set(register, value);
        }
        bench
    }

    /// A bench whose host has asked for a readless read.
    pub fn asking(question: u32) -> Self {
        let mut bench = Bench::new();
        bench.set(reg::MMIO_RESP, RESPONSE_AT as u32);
        bench.set(reg::MMIO_REG_READ, question);
        bench
    }

    pub fn respond(&mut self, question: u32) -> Verdict {
        self.write(RESPONSE_AT, &[&question.to_le_bytes()[..], &[0; 4]].concat())
    }

    /// A bench with a wild queue: its doorbell is beyond the ring, and the card has read
    /// descriptors 4 to 6 of 16.
    pub fn wild(direction: usize) -> Self {
        let mut bench = Bench::new();
        bench.post_some(direction, 16);
        let mut bench = Bench { monitor: Bench::new().monitor, ..bench };
        bench.ring(direction, 100);
        bench.fetch(direction, 4, 3).unwrap();
        bench
    }

    pub fn destroy(&mut self, direction: usize) {
        let mut destroy = [0; ENTRY];
        destroy[2] = opcode::DESTROY_SQ;
        destroy[4] = 0;
        destroy[6] = [0x20, 0x40][direction];
        self.command(destroy, [0; 8]).unwrap();
    }

    pub fn sent(&mut self, slot: u64, req_id: u8, phase: u8) -> Verdict {
        let entry = [req_id, 0, 0, phase, 0, 0, 0, 0];
        self.write(CQ[TX] + 8 * slot, &entry)
    }

    pub fn received(&mut self, slot: u64, req_id: u8, len: u8, flags: u8) -> Verdict {
        let entry = [0, 0, 0, flags, len, 0, req_id, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.write(CQ[RX] + 16 * slot, &entry)
    }

    pub fn fill(&mut self, slot: u64, offset: u64, len: usize) -> Verdict {
        self.write(DATA + 256 * slot + offset, &vec![0; len])
    }
}

pub fn event(phase: u8) -> [u8; ENTRY] {
    let mut event = [0; ENTRY];
    event[4] = phase;
    event
}

/// An answer to the command with this number.
pub fn answer(number: u8) -> [u8; ENTRY] {
    let mut answer = [0; ENTRY];
    (answer[0], answer[3]) = (number, 1);
    answer
}
