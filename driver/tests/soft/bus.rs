//! The management bus of the card in software.

use std::collections::HashMap;

use nitor_abi::admin::{CreateCq, Opcode};
use nitor_abi::bar;
use nitor_abi::mgmt::{self, dma_cmd, CtxCmd, CtxParam};
use nitor_fw::Bus;

use super::queues::{Cq, Sq};
use super::{Inner, MAX_DEPTH, PAIRS, VECTORS};

pub struct Registers {
    values: HashMap<u16, u32>,
    buffer: Vec<u8>,
    pub irq: u32,
    pub blocked: bool,
    dma_failed: bool,
    pub counters: [u64; 32],
}

impl Registers {
    pub fn new() -> Self {
        Registers {
            values: HashMap::new(),
            buffer: vec![0; mgmt::BUFFER_LEN.into()],
            irq: 0,
            blocked: false,
            dma_failed: false,
            counters: [0; 32],
        }
    }

    pub fn get(&self, address: u16) -> u32 {
        self.values.get(&address).copied().unwrap_or(0)
    }
}

pub struct View<'a>(pub &'a mut Inner);

/// Which of the host's registers is copied at each address from AQ_BASE_LO on.
const COPIES: [u32; 13] = [
    bar::AQ_BASE_LO,
    bar::AQ_BASE_HI,
    bar::AQ_CAPS,
    bar::ACQ_BASE_LO,
    bar::ACQ_BASE_HI,
    bar::ACQ_CAPS,
    bar::AENQ_BASE_LO,
    bar::AENQ_BASE_HI,
    bar::AENQ_CAPS,
    bar::AQ_DB,
    bar::AENQ_HEAD_DB,
    bar::INTR_MASK,
    bar::DEV_CTL,
];

impl View<'_> {
    fn dma(&mut self, command: u32) {
        let card = &mut *self.0;
        let at = u64::from(card.bus.get(mgmt::DMA_ADDR_LO))
            | u64::from(card.bus.get(mgmt::DMA_ADDR_HI)) << 32;
        let offset = card.bus.get(mgmt::DMA_BUF) as usize;
        let range = offset..offset + card.bus.get(mgmt::DMA_LEN) as usize;
        let mut bytes = card.bus.buffer[range.clone()].to_vec();
        let done = !card.bus.blocked
            && match command {
                dma_cmd::READ => {
                    let done = card.dma_read(at, &mut bytes);
                    self.spoil_command(at, &mut bytes);
                    self.0.bus.buffer[range].copy_from_slice(&bytes);
                    done
                }
                _ => {
                    self.spoil_answer(at, &mut bytes);
                    self.0.dma_write(at, &bytes)
                }
            };
        self.0.bus.dma_failed = !done;
    }

    fn ring_at(&self, low: u32, high: u32) -> u64 {
        u64::from(self.0.register(low)) | u64::from(self.0.register(high)) << 32
    }

    /// Makes a command that asks for too much of what is scarce one that no card can do.
    fn spoil_command(&mut self, at: u64, bytes: &mut [u8]) {
        let ring = self.ring_at(bar::AQ_BASE_LO, bar::AQ_BASE_HI);
        let Some(limit) = self.0.wrong.scarce_from else { return };
        if at < ring || at >= ring + 32 * 64 {
            return;
        }
        for entry in bytes.as_chunks_mut::<64>().0 {
            if entry[2] == Opcode::CreateCq as u8 && CreateCq::from_bytes(entry).depth >= limit {
                // So that the answer can be told, and changed, below.
                entry[5] = 0;
            }
        }
    }

    fn spoil_answer(&mut self, at: u64, bytes: &mut [u8]) {
        let ring = self.ring_at(bar::ACQ_BASE_LO, bar::ACQ_BASE_HI);
        if at < ring || at >= ring + 32 * 64 {
            return;
        }
        let Ok(entry) = <&mut [u8; 64]>::try_from(bytes) else { return };
        if self.0.wrong.scarce_from.is_some() && entry[2] == 5 {
            entry[2] = 1;
        }
        if let Some(spoil) = self.0.wrong.answer {
            spoil(entry);
        }
    }

    fn context(&mut self, command: CtxCmd) {
        let card = &mut *self.0;
        let base = u64::from(card.bus.get(mgmt::CTX_BASE_LO))
            | u64::from(card.bus.get(mgmt::CTX_BASE_HI)) << 32;
        let param = CtxParam::from(card.bus.get(mgmt::CTX_PARAM));
        let index = usize::from(command.index);
        let sq = (!command.destroy).then(|| Sq::new(base, param.log_depth, param.cq.into()));
        match command.kind {
            0 => card.tx[index] = sq,
            1 => card.rx[index] = sq,
            3 => {
                assert!(command.destroy && (1..VECTORS).contains(&command.index.into()));
                card.armed.remove(command.index.into());
                card.pending.remove(command.index.into());
            }
            _ => {
                let vector = (!param.no_vector).then_some(u16::from(param.vector));
                card.cqs[index] = (!command.destroy)
                    .then(|| Cq::new(base, param.log_depth, 8 << param.log_entry, vector));
            }
        }
    }
}

impl Bus for View<'_> {
    fn read32(&mut self, address: u16) -> u32 {
        let card = &mut *self.0;
        match address {
            mgmt::CONFIG => mgmt::Config {
                queue_pairs: PAIRS,
                last_vector: (VECTORS - 1) as u8,
                log_width: 6,
                log_max_depth: MAX_DEPTH.ilog2() as u8,
                tx_offloads: card.tx_offloads,
                ..Default::default()
            }
            .into(),
            mgmt::IRQ => card.bus.irq,
            mgmt::STATUS => mgmt::Status {
                reset: card.bus.blocked,
                link_up: card.link_up,
                bus_master: card.master(),
            }
            .into(),
            mgmt::TIME => card.now.as_micros() as u32,
            mgmt::AQ_BASE_LO..=mgmt::DEV_CTL => {
                card.register(COPIES[usize::from((address - mgmt::AQ_BASE_LO) / 4)])
            }
            mgmt::DMA_CMD => mgmt::DmaState { busy: false, error: card.bus.dma_failed }.into(),
            mgmt::CTX_CMD => 0,
            mgmt::STATS..mgmt::BUFFER => {
                let counter = card.bus.counters[usize::from((address - mgmt::STATS) / 8) % 32];
                (counter >> (8 * (address & 4))) as u32
            }
            mgmt::BUFFER.. => {
                let at = usize::from(address - mgmt::BUFFER);
                u32::from_le_bytes(card.bus.buffer[at..at + 4].try_into().unwrap())
            }
            _ => card.bus.get(address),
        }
    }

    fn write32(&mut self, address: u16, value: u32) {
        match address {
            mgmt::IRQ => self.0.bus.irq &= !value,
            mgmt::RESET_ACK => self.0.bus.blocked = false,
            mgmt::RAISE => self.0.raised = true,
            mgmt::DMA_CMD => self.dma(value),
            mgmt::CTX_CMD => self.context(value.into()),
            mgmt::BUFFER.. => {
                let at = usize::from(address - mgmt::BUFFER);
                self.0.bus.buffer[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            _ => {
                self.0.bus.values.insert(address, value);
            }
        }
    }

    fn wait(&mut self) {
        unreachable!("the firmware is polled");
    }
}
