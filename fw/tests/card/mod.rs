//! A card in software, as its firmware sees it on the management bus, and a host that plays the driver's part.

#![allow(dead_code)] // Each test binary uses its part.

use std::collections::{HashMap, VecDeque};

use nitor_abi::admin::{AnswerHeader, CommandHeader, ControlBuffer, Entry, Opcode, Status, ANSWER};
use nitor_abi::bar::QueueCaps;
use nitor_abi::mgmt::{self, irq, CtxCmd, CtxKind, CtxParam};
use nitor_fw::{Bus, Firmware, Order, Settings};

pub const MAC: [u8; 6] = [2, 0x4e, 0x49, 0x54, 0, 1];
pub const PAIRS: u8 = 16;
pub const LAST_VECTOR: u8 = 32;

// Where the host's memory is and what it is used for.
pub const MEMORY: u64 = 0x12_3400_0000;
pub const MEMORY_LEN: usize = 0x8_0000;
pub const AQ: u64 = MEMORY;
pub const ACQ: u64 = MEMORY + 0x1_0000;
pub const AENQ: u64 = MEMORY + 0x2_0000;
pub const CONTROL: u64 = MEMORY + 0x3_0000;
/// Never touched by the firmware: rings for queues.
pub const RINGS: u64 = MEMORY + 0x4_0000;

/// A context command that the firmware gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Context {
    pub kind: u8,
    pub index: u8,
    pub destroy: bool,
    pub base: u64,
    pub param: CtxParam,
}

pub struct Card {
    pub registers: HashMap<u16, u32>,
    pub buffer: Vec<u8>,
    pub memory: Vec<u8>,
    pub counters: [u64; 32],
    pub irq: u32,
    pub time: u32,
    pub link_up: bool,
    pub tx_offloads: bool,
    pub bus_master: bool,
    /// log2 of lines a queue, if there are low-latency queues.
    pub log_lines: Option<u8>,
    /// A reset waits for the firmware.
    pub blocked: bool,
    /// Times vector 0 was raised.
    pub raised: usize,
    pub contexts: Vec<Context>,
    /// Vectors whose state was ended.
    pub ended: Vec<u8>,
    /// Context commands never end.
    pub context_stuck: bool,
    /// Microseconds that a context command takes, and when the last one ends.
    pub context_takes: u32,
    context_ends: Option<u32>,
    /// DMA never ends.
    pub dma_stuck: bool,
    /// DMA commands to fail from now on.
    pub dma_failures: usize,
    dma_failed: bool,
    /// Every DMA: to the host?, address, length.
    pub dmas: Vec<(bool, u64, usize)>,
    pub accesses: usize,
    /// Built with them.
    pub rx_checksums: bool,
    /// What the firmware is to do.
    pub orders: VecDeque<Order>,
}

impl Card {
    pub fn new() -> Self {
        Card {
            registers: HashMap::new(),
            buffer: vec![0xee; 0x800],
            memory: vec![0; MEMORY_LEN],
            counters: [0; 32],
            irq: 0,
            time: 0xffff_0000,
            link_up: true,
            tx_offloads: true,
            bus_master: true,
            log_lines: None,
            blocked: false,
            raised: 0,
            contexts: Vec::new(),
            ended: Vec::new(),
            context_stuck: false,
            context_takes: 0,
            context_ends: None,
            dma_stuck: false,
            dma_failures: 0,
            dma_failed: false,
            dmas: Vec::new(),
            accesses: 0,
            rx_checksums: false,
            orders: VecDeque::new(),
        }
    }

    pub fn register(&self, address: u16) -> u32 {
        self.registers.get(&address).copied().unwrap_or(0)
    }

    /// The host writes one of the registers that are copied.
    pub fn host_write(&mut self, address: u16, value: u32) {
        self.registers.insert(address, value);
        self.irq |= match address {
            mgmt::AQ_DB => irq::AQ_DOORBELL,
            mgmt::AENQ_HEAD_DB => irq::AENQ_DOORBELL,
            _ => 0,
        };
    }

    /// What the hardware does at the start of a reset.
    pub fn reset(&mut self) {
        for copy in (mgmt::AQ_BASE_LO..=mgmt::DEV_CTL).step_by(4) {
            self.registers.remove(&copy);
        }
        self.irq |= irq::RESET;
        self.blocked = true;
        self.context_stuck = false;
        self.context_ends = None;
        self.contexts.clear();
        self.ended.clear();
    }

    pub fn pass(&mut self, micros: u32) {
        self.time = self.time.wrapping_add(micros);
        self.irq |= irq::TICK;
    }

    pub fn bytes(&mut self, address: u64, len: usize) -> &mut [u8] {
        let start = (address - MEMORY) as usize;
        &mut self.memory[start..start + len]
    }

    fn dma(&mut self, command: u32) {
        let address = u64::from(self.register(mgmt::DMA_ADDR_LO))
            | u64::from(self.register(mgmt::DMA_ADDR_HI)) << 32;
        let len = self.register(mgmt::DMA_LEN) as usize;
        let offset = self.register(mgmt::DMA_BUF) as usize;
        let to_host = command == mgmt::dma_cmd::WRITE;
        assert!(to_host || command == mgmt::dma_cmd::READ);
        self.dmas.push((to_host, address, len));
        let inside = address >= MEMORY && address + len as u64 <= MEMORY + MEMORY_LEN as u64;
        let aligned = len.is_multiple_of(4) && offset.is_multiple_of(4);
        assert!(aligned && offset + len <= 0x800, "the hardware refuses this");
        let inside = inside && (!to_host || address.is_multiple_of(4));
        self.dma_failed = self.blocked || !self.bus_master || !inside || self.dma_failures > 0;
        self.dma_failures = self.dma_failures.saturating_sub(1);
        if self.dma_failed || self.dma_stuck {
            return;
        }
        let start = (address - MEMORY) as usize;
        if to_host {
            self.memory[start..start + len].copy_from_slice(&self.buffer[offset..offset + len]);
        } else {
            self.buffer[offset..offset + len].copy_from_slice(&self.memory[start..start + len]);
        }
    }

    fn context_busy(&self) -> bool {
        let before = |end: u32| (end.wrapping_sub(self.time) as i32) > 0;
        self.context_stuck || self.context_ends.is_some_and(before)
    }

    /// The queues that exist, by kind.
    pub fn existing(&self, kind: CtxKind) -> Vec<u8> {
        self.existing_number(kind as u8)
    }

    fn existing_number(&self, kind: u8) -> Vec<u8> {
        let mut existing = Vec::new();
        for context in self.contexts.iter().filter(|context| context.kind == kind) {
            existing.retain(|&index| index != context.index);
            if !context.destroy {
                existing.push(context.index);
            }
        }
        existing.sort();
        existing
    }

    pub fn rss_table(&self) -> Vec<Option<u8>> {
        let entry = |i: u16| mgmt::RssEntry::from(self.register(mgmt::RSS_TABLE + 4 * i));
        (0..128).map(|i| entry(i).valid.then_some(entry(i).queue)).collect()
    }
}

impl Bus for Card {
    fn read32(&mut self, address: u16) -> u32 {
        assert!(address.is_multiple_of(4) && address < 0x1000);
        self.accesses += 1;
        self.time = self.time.wrapping_add(u32::from(self.accesses.is_multiple_of(32)));
        match address {
            mgmt::ID => mgmt::ID_VALUE,
            mgmt::CONFIG => mgmt::Config {
                queue_pairs: PAIRS,
                last_vector: LAST_VECTOR,
                log_width: 6,
                log_max_depth: 12,
                rx_checksums: self.rx_checksums,
                tx_offloads: self.tx_offloads,
                llq: self.log_lines.is_some(),
            }
            .into(),
            mgmt::LINES => mgmt::Lines { log_depth: self.log_lines.unwrap_or(0) }.into(),
            mgmt::IRQ => self.irq,
            mgmt::STATUS => mgmt::Status {
                reset: self.blocked,
                link_up: self.link_up,
                bus_master: self.bus_master,
            }
            .into(),
            mgmt::TIME => {
                // Waiting for what never comes should not take the test long.
                if self.dma_stuck || self.context_busy() {
                    self.time = self.time.wrapping_add(10_000);
                }
                self.time
            }
            mgmt::DMA_CMD => mgmt::DmaState { busy: self.dma_stuck, error: self.dma_failed }.into(),
            mgmt::CTX_CMD => self.context_busy().into(),
            mgmt::STATS..mgmt::BUFFER => {
                let counter = self.counters[usize::from((address - mgmt::STATS) / 8) % 32];
                (counter >> (8 * (address & 4))) as u32
            }
            mgmt::BUFFER.. => {
                let at = usize::from(address - mgmt::BUFFER);
                u32::from_le_bytes(self.buffer[at..at + 4].try_into().unwrap())
            }
            _ => self.register(address),
        }
    }

    fn write32(&mut self, address: u16, value: u32) {
        assert!(address.is_multiple_of(4) && address < 0x1000);
        self.accesses += 1;
        match address {
            mgmt::IRQ => self.irq &= !value,
            mgmt::RESET_ACK => self.blocked = false,
            mgmt::RAISE => self.raised += 1,
            mgmt::DMA_CMD => self.dma(value),
            mgmt::CTX_CMD if self.blocked => {}
            mgmt::CTX_CMD => {
                let CtxCmd { index, kind, destroy } = value.into();
                assert!(!self.context_busy(), "the hardware does not take this");
                self.context_ends = Some(self.time.wrapping_add(self.context_takes));
                if kind == CtxKind::Vector as u8 {
                    assert!(destroy && (1..=LAST_VECTOR).contains(&index));
                    self.ended.push(index);
                    return;
                }
                assert!(destroy || !self.existing_number(kind).contains(&index), "created twice");
                let base = u64::from(self.register(mgmt::CTX_BASE_LO))
                    | u64::from(self.register(mgmt::CTX_BASE_HI)) << 32;
                let param = self.register(mgmt::CTX_PARAM).into();
                self.contexts.push(Context { kind, index, destroy, base, param });
            }
            mgmt::BUFFER.. => {
                let at = usize::from(address - mgmt::BUFFER);
                self.buffer[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            _ => {
                self.registers.insert(address, value);
            }
        }
    }

    fn wait(&mut self) {
        self.pass(1000);
    }

    fn order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }
}

/// A card, its firmware, and a driver's admin queue.
pub struct Bench {
    pub card: Card,
    pub fw: Firmware,
    pub depth: u16,
    pub submitted: u16,
    pub completed: u16,
    /// Bits of CONTROL's length and the flags byte for the next command.
    pub control: Option<ControlBuffer>,
    pub flags: u8,
}

pub type Answer = Result<[u8; 56], Status>;

impl Bench {
    pub fn new() -> Self {
        Self::with_depth(32)
    }

    /// A bench whose host has reset the card and set up its queues.
    pub fn with_depth(depth: u16) -> Self {
        let mut bench = Bench {
            card: Card::new(),
            fw: Firmware::new(Settings::new(MAC)),
            depth,
            submitted: 0,
            completed: 0,
            control: None,
            flags: 0,
        };
        bench.reset();
        bench
    }

    pub fn poll(&mut self) {
        let mut polls = 0;
        while self.fw.poll(&mut self.card) {
            polls += 1;
            assert!(polls < 1 << 16);
        }
    }

    /// Resets the card and sets up the rings.
    pub fn reset(&mut self) {
        self.card.reset();
        self.poll();
        assert!(!self.card.blocked, "reset not acknowledged");
        self.card.memory.fill(0);
        self.submitted = 0;
        self.completed = 0;
        let ring = |depth| u32::from(QueueCaps { depth, entry_size: 64 });
        for (register, value) in [
            (mgmt::AQ_BASE_LO, AQ as u32),
            (mgmt::AQ_BASE_HI, (AQ >> 32) as u32),
            (mgmt::ACQ_BASE_LO, ACQ as u32),
            (mgmt::ACQ_BASE_HI, (ACQ >> 32) as u32),
            (mgmt::AQ_CAPS, ring(self.depth)),
            (mgmt::ACQ_CAPS, ring(self.depth)),
            (mgmt::AENQ_BASE_LO, AENQ as u32),
            (mgmt::AENQ_BASE_HI, (AENQ >> 32) as u32),
            (mgmt::AENQ_CAPS, ring(16)),
            (mgmt::INTR_MASK, 1),
        ] {
            self.card.host_write(register, value);
        }
    }

    /// Phase of a ring's lap that count `n` is in.
    pub fn phase(&self, n: u16) -> bool {
        (n / self.depth).is_multiple_of(2)
    }

    /// Puts a command's first `len` bytes into the ring, without ringing; the rest of the slot stays as it was.
    pub fn submit(&mut self, opcode: u8, body: &Entry, len: usize) {
        let header = CommandHeader {
            command_id: self.submitted % self.depth,
            opcode,
            phase: self.phase(self.submitted),
            ctrl_data_indirect: self.control.is_some(),
            ..Default::default()
        };
        let mut entry = *body;
        entry[..4].copy_from_slice(&header.to_bytes());
        entry[3] |= self.flags;
        if let Some(control) = self.control.take() {
            entry[4..16].copy_from_slice(&control.to_bytes());
        }
        let at = AQ + u64::from(self.submitted % self.depth) * 64;
        self.card.bytes(at, len).copy_from_slice(&entry[..len]);
        self.submitted = self.submitted.wrapping_add(1);
    }

    pub fn ring(&mut self) {
        self.card.host_write(mgmt::AQ_DB, self.submitted.into());
        self.poll();
    }

    /// The next answer, if it is there.
    pub fn answer(&mut self) -> Option<(AnswerHeader, Answer)> {
        let at = ACQ + u64::from(self.completed % self.depth) * 64;
        let entry: Entry = self.card.bytes(at, 64).try_into().unwrap();
        let header = AnswerHeader::from_bytes(entry.first_chunk().unwrap());
        if header.phase != self.phase(self.completed) {
            return None;
        }
        self.completed = self.completed.wrapping_add(1);
        let answer = match Status::try_from(header.status).unwrap() {
            Status::Success => Ok(entry[ANSWER..].try_into().unwrap()),
            status => Err(status),
        };
        Some((header, answer))
    }

    /// Does one command as a driver does.
    pub fn command(&mut self, opcode: u8, body: &Entry) -> Answer {
        let id = self.submitted % self.depth;
        self.submit(opcode, body, 64);
        self.ring();
        let (header, answer) = self.answer().expect("an answer");
        assert_eq!(header.command_id, id);
        assert_eq!(header.sq_head, self.submitted);
        answer
    }

    pub fn get(&mut self, feature: u8) -> Answer {
        let mut body = [0; 64];
        body[17] = feature;
        self.command(Opcode::GetFeature as u8, &body)
    }

    pub fn set(&mut self, feature: u8, payload: &[u8]) -> Result<(), Status> {
        let mut body = [0; 64];
        body[17] = feature;
        body[20..20 + payload.len()].copy_from_slice(payload);
        self.command(Opcode::SetFeature as u8, &body).map(|_| ())
    }

    /// The next command has a control buffer of `len` bytes at [CONTROL].
    pub fn with_control(&mut self, len: u32) -> &mut Self {
        self.control = Some(ControlBuffer { length: len, address: CONTROL });
        self
    }
}

/// The first `N` bytes of an answer's body.
pub fn head<const N: usize>(answer: Answer) -> [u8; N] {
    *answer.expect("success").first_chunk().unwrap()
}
