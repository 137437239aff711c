//! An ENA card in software: the real firmware on a behavioural model of the hardware, with everything sent looped back, and
//! ways to misbehave. Any DMA outside of mapped memory is remembered as a fault.

#![allow(dead_code)] // Each test binary uses its part.

mod bus;
mod queues;

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::Duration;

use nitor_abi::admin::Entry;
use nitor_abi::bar::{self, DevCtl, DevSts, Interrupt, ReadlessRequest, ReadlessResponse};
use nitor_abi::mgmt::irq;
use nitor_driver::pci::{PciError, PciFunction, VectorSet};
use nitor_driver::{Config, DmaBuf, DmaMemory, Ena, Mode};
use nitor_fw::{Firmware, Settings};

pub use queues::{Cq, Sq};

pub const MAC: [u8; 6] = [2, 0x4e, 0x49, 0x54, 0, 1];
pub const PAIRS: u8 = 4;
pub const VECTORS: u16 = 9;
pub const MAX_DEPTH: u16 = 4096;
const COMMAND_MEMORY: u32 = 1 << 1;
const COMMAND_MASTER: u32 = 1 << 2;

/// What the card does wrong.
#[derive(Default)]
pub struct Misbehaviour {
    /// Values of registers, in place of the right ones.
    pub registers: HashMap<u32, u32>,
    /// A reset of the function brings the right values back.
    pub registers_heal: bool,
    /// Reads by DMA are not answered.
    pub no_readless: bool,
    pub reset_never_begins: bool,
    pub reset_never_ends: bool,
    /// The firmware does nothing.
    pub firmware_stopped: bool,
    pub no_vector_0: bool,
    pub answer: Option<fn(&mut Entry)>,
    pub tx_completion: Option<fn(&mut [u8; 8])>,
    pub rx_completion: Option<fn(&mut [u8; 16])>,
    /// Packets are fetched but not completed.
    pub no_tx_completions: bool,
    /// So many completions are written, the others are held.
    pub completions_left: Option<usize>,
    /// Creating a queue this deep fails for want of resources.
    pub scarce_from: Option<u16>,
}

pub struct Inner {
    memory: BTreeMap<u64, (NonNull<u8>, usize)>,
    pub next_iova: u64,
    /// DMA outside of mapped memory, or while it was off.
    pub faults: Vec<String>,
    pub now: Duration,
    next_tick: Duration,

    command: u32,
    pub revision: u8,
    registers: HashMap<u32, u32>,
    response: u64,
    resetting: bool,
    pub resets: usize,
    pub function_resets: usize,
    /// The reasons told in DEV_CTL.
    pub reasons: Vec<u8>,

    firmware: Option<Firmware>,
    bus: bus::Registers,
    pub link_up: bool,
    /// Offered; packets leave as they are.
    pub tx_offloads: bool,

    pub cqs: Vec<Option<Cq>>,
    pub tx: Vec<Option<Sq>>,
    pub rx: Vec<Option<Sq>>,
    /// Frames that left, and the queue each came from.
    pub wire: VecDeque<Vec<u8>>,
    pub loopback: bool,
    /// All frames that ever left.
    pub sent: usize,
    pub descriptors: Vec<[u8; 16]>,
    held: Vec<(usize, Vec<u8>)>,

    pub vectors: u16,
    armed: VectorSet,
    /// What was written to interrupt registers.
    pub unmasked: Vec<u32>,
    pending: VectorSet,
    fired: VectorSet,
    pub messages: usize,
    raised: bool,
    pub wrong: Misbehaviour,
}

/// A handle of the card.
#[derive(Clone)]
pub struct SoftCard(Rc<RefCell<Inner>>);

pub struct SoftMemory {
    card: SoftCard,
    iova: u64,
    words: Box<[u64]>,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the words are on the heap, stay there, and are reached through `start` alone.
unsafe impl DmaMemory for SoftMemory {
    fn iova(&self) -> u64 {
        self.iova
    }
    fn ptr(&self) -> NonNull<u8> {
        self.start
    }
    fn len(&self) -> usize {
        self.len
    }
}

impl Drop for SoftMemory {
    fn drop(&mut self) {
        self.card.inner().memory.remove(&self.iova);
    }
}

impl SoftCard {
    pub fn new() -> Self {
        SoftCard(Rc::new(RefCell::new(Inner {
            memory: BTreeMap::new(),
            next_iova: 0x12_3400_0000,
            faults: Vec::new(),
            now: Duration::from_secs(5),
            next_tick: Duration::ZERO,
            command: 0,
            revision: 0,
            registers: HashMap::from([(bar::INTR_MASK, 1)]),
            response: 0,
            resetting: false,
            resets: 0,
            function_resets: 0,
            reasons: Vec::new(),
            firmware: Some(Firmware::new(Settings::new(MAC))),
            bus: bus::Registers::new(),
            link_up: true,
            tx_offloads: false,
            cqs: (0..2 * PAIRS).map(|_| None).collect(),
            tx: (0..PAIRS).map(|_| None).collect(),
            rx: (0..PAIRS).map(|_| None).collect(),
            wire: VecDeque::new(),
            loopback: true,
            sent: 0,
            descriptors: Vec::new(),
            held: Vec::new(),
            vectors: 0,
            armed: VectorSet::new(),
            unmasked: Vec::new(),
            pending: VectorSet::new(),
            fired: VectorSet::new(),
            messages: 0,
            raised: false,
            wrong: Misbehaviour::default(),
        })))
    }

    pub fn inner(&self) -> RefMut<'_, Inner> {
        self.0.borrow_mut()
    }

    pub fn open(&self, config: Config) -> nitor_driver::Result<Ena<SoftCard>> {
        Ena::open(self.clone(), config)
    }

    /// Nothing is mapped any more, the card has no access to memory, and it never went wrong.
    pub fn assert_clean(&self) {
        let inner = self.inner();
        assert_eq!(inner.faults, Vec::<String>::new());
        assert!(inner.memory.is_empty(), "DMA memory is left");
        assert_eq!(inner.command & COMMAND_MASTER, 0);
        assert_eq!((inner.response, inner.vectors), (0, 0));
        assert!(inner.cqs.iter().all(Option::is_none));
    }
}

/// Why the card cannot be opened; it was not driven wrong on the way.
pub fn failure(card: &SoftCard, config: Config) -> nitor_driver::Error {
    let error = card.open(config).err().expect("an error");
    assert_eq!(card.inner().faults, Vec::<String>::new());
    error
}

/// A small configuration that makes rings wrap soon.
pub fn small(mode: Mode) -> Config {
    Config { tx_depth: 16, rx_depth: 16, mode, ..Config::default() }
}

pub const INTERRUPTS: Mode =
    Mode::Interrupts { tx_delay: Duration::ZERO, rx_delay: Duration::ZERO };

impl Inner {
    fn register(&self, register: u32) -> u32 {
        self.registers.get(&register).copied().unwrap_or(0)
    }

    fn read_register(&self, register: u32) -> u32 {
        if let Some(value) = self.wrong.registers.get(&register) {
            return *value;
        }
        match register {
            bar::VERSION => 0xa,
            bar::CONTROLLER_VERSION => 0x0100_0001,
            bar::CAPS => 0x3015,
            bar::DEV_STS => {
                let sts =
                    DevSts { ready: true, reset_in_progress: self.resetting, ..Default::default() };
                sts.into()
            }
            bar::INTR_MASK => self.register(bar::INTR_MASK),
            _ => 0,
        }
    }

    fn decodes(&self) -> bool {
        self.command & COMMAND_MEMORY != 0
    }

    fn master(&self) -> bool {
        self.command & COMMAND_MASTER != 0
    }

    /// The bytes at `iova`, if they are mapped.
    fn mapped(&mut self, iova: u64, len: usize, what: &str) -> Option<*mut u8> {
        let found = self.memory.range(..=iova).next_back().and_then(|(start, &(ptr, mapped))| {
            let offset = (iova - start) as usize;
            // SAFETY: within the mapping.
            (offset + len <= mapped).then(|| unsafe { ptr.as_ptr().add(offset) })
        });
        if found.is_none() || !self.master() {
            self.faults.push(format!("{what} of {len} bytes at {iova:#x}"));
            return None;
        }
        found
    }

    pub fn dma_read(&mut self, iova: u64, bytes: &mut [u8]) -> bool {
        let Some(from) = self.mapped(iova, bytes.len(), "read") else { return false };
        // SAFETY: mapped, and no reference to it exists while the card works.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        true
    }

    pub fn dma_write(&mut self, iova: u64, bytes: &[u8]) -> bool {
        let Some(to) = self.mapped(iova, bytes.len(), "write") else { return false };
        // SAFETY: as for reads.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        true
    }

    fn write_register(&mut self, register: u32, value: u32) {
        match register {
            bar::MMIO_RESP_LO => self.response = self.response >> 32 << 32 | u64::from(value),
            bar::MMIO_RESP_LO.. if register == bar::MMIO_RESP_HI => {
                self.response = self.response & 0xffff_ffff | u64::from(value) << 32;
            }
            bar::MMIO_REG_READ => {
                let request = ReadlessRequest::from(value);
                let value = self.read_register(request.offset.into());
                let ReadlessRequest { req_id, offset } = request;
                let answer = ReadlessResponse { req_id, offset, value };
                if self.response != 0 && self.master() && !self.wrong.no_readless {
                    self.dma_write(self.response, &answer.to_bytes());
                }
            }
            bar::DEV_CTL => {
                let ctl = DevCtl::from(value);
                if ctl.dev_reset {
                    self.reasons.push(ctl.reset_reason);
                    if !self.wrong.reset_never_begins {
                        self.begin_reset();
                    }
                }
                self.registers.insert(register, value);
            }
            // While a reset is under way nothing else is written.
            _ if self.resetting => {}
            bar::AQ_BASE_LO..=bar::INTR_MASK => {
                self.registers.insert(register, value);
                match register {
                    bar::AQ_DB => self.bus.irq |= irq::AQ_DOORBELL,
                    bar::AENQ_HEAD_DB => self.bus.irq |= irq::AENQ_DOORBELL,
                    _ => {}
                }
            }
            bar::TX_DOORBELLS.. if register < bar::RX_DOORBELLS => {
                let queue = (register - bar::TX_DOORBELLS) / 4;
                let sq = self.tx[queue as usize].as_mut().expect("doorbell of no queue");
                sq.bell(value);
            }
            bar::RX_DOORBELLS.. if register < bar::INTERRUPTS => {
                let queue = (register - bar::RX_DOORBELLS) / 4;
                let sq = self.rx[queue as usize].as_mut().expect("doorbell of no queue");
                sq.bell(value);
            }
            bar::INTERRUPTS.. if register < bar::INTERRUPT_NONE => {
                let vector = ((register - bar::INTERRUPTS) / 4) as u16;
                self.unmasked.push(value);
                if Interrupt::from(value).unmask {
                    self.armed.insert(vector);
                } else {
                    self.armed.remove(vector);
                }
            }
            _ => {}
        }
    }

    fn begin_reset(&mut self) {
        self.resets += 1;
        self.resetting = true;
        self.registers.clear();
        self.registers.insert(bar::INTR_MASK, 1);
        self.bus.irq |= irq::RESET;
        self.bus.blocked = true;
        self.cqs.iter_mut().for_each(|cq| *cq = None);
        self.tx.iter_mut().chain(&mut self.rx).for_each(|sq| *sq = None);
        self.armed = VectorSet::new();
        self.pending = VectorSet::new();
        self.raised = false;
        self.wire.clear();
    }

    /// Lets the card do what there is to do.
    fn step(&mut self) {
        if self.now >= self.next_tick {
            self.bus.irq |= irq::TICK;
            self.next_tick = self.now + Duration::from_millis(1);
        }
        let mut firmware = self.firmware.take().expect("put back below");
        if !self.wrong.firmware_stopped {
            while self.bus.irq != 0 && firmware.poll(&mut bus::View(self)) {}
        }
        self.firmware = Some(firmware);
        let ctl = DevCtl::from(self.register(bar::DEV_CTL));
        if !self.bus.blocked && !ctl.dev_reset && !self.wrong.reset_never_ends {
            self.resetting = false;
        }
        if !self.resetting && self.master() {
            self.step_queues();
            self.interrupt();
        }
    }

    fn interrupt(&mut self) {
        let open = self.register(bar::INTR_MASK) & 1 == 0;
        if self.raised && open && self.vectors > 0 {
            self.raised = false;
            if !self.wrong.no_vector_0 {
                self.fired.insert(0);
                self.messages += 1;
            }
        }
        for vector in 1..self.vectors {
            if self.armed.contains(vector) && self.pending.remove(vector) {
                self.armed.remove(vector);
                self.fired.insert(vector);
                self.messages += 1;
            }
        }
    }
}

impl PciFunction for SoftCard {
    type Memory = SoftMemory;

    fn config_read(&self, offset: u16) -> u32 {
        let inner = self.inner();
        match offset {
            0x00 => 0xec20_1d0f,
            0x04 => inner.command | 0x0010_0000,
            0x08 => 0x0200_0000 | u32::from(inner.revision),
            _ => 0,
        }
    }

    fn config_write(&self, offset: u16, value: u32) {
        if offset == 0x04 {
            self.inner().command = value & 0xffff;
        }
    }

    fn bar_len(&self, bar: u8) -> u64 {
        if bar == 0 {
            bar::LEN
        } else {
            0
        }
    }

    fn bar_read(&self, bar: u8, offset: u64) -> u32 {
        assert_eq!(bar, 0);
        let inner = self.inner();
        // A driver that should read by DMA does not read this way.
        assert_eq!(inner.revision & 1, 1);
        if !inner.decodes() {
            return u32::MAX;
        }
        inner.read_register(offset as u32)
    }

    fn bar_write(&self, bar: u8, offset: u64, value: u32) {
        assert_eq!(bar, 0);
        let mut inner = self.inner();
        if inner.decodes() {
            inner.write_register(offset as u32, value);
        }
    }

    fn alloc_dma(&self, len: usize, align: usize) -> Result<DmaBuf<SoftMemory>, PciError> {
        // Boxed words are aligned to 8; what is more comes from leaving some out.
        let mut words = vec![0u64; (len + align).div_ceil(8)].into_boxed_slice();
        let start: *mut u8 = words.as_mut_ptr().cast();
        let start = start.wrapping_add(start.align_offset(align.max(8)));
        let start = NonNull::new(start).unwrap();
        let mut inner = self.inner();
        let iova = inner.next_iova.next_multiple_of(align as u64);
        // A hole behind each, so that going beyond the end is a fault.
        inner.next_iova = iova + (len as u64).next_multiple_of(64) + 64;
        inner.memory.insert(iova, (start, len));
        Ok(DmaBuf::new(SoftMemory { card: self.clone(), iova, words, start, len }))
    }

    fn enable_msix(&self, vectors: u16) -> Result<(), PciError> {
        if vectors > VECTORS {
            return Err(PciError::TooManyVectors { asked: vectors, available: VECTORS });
        }
        self.inner().vectors = vectors;
        Ok(())
    }

    fn disable_msix(&self) -> Result<(), PciError> {
        let mut inner = self.inner();
        inner.vectors = 0;
        inner.fired = VectorSet::new();
        Ok(())
    }

    fn take_interrupts(&self) -> VectorSet {
        std::mem::take(&mut self.inner().fired)
    }

    fn wait(&self, timeout: Duration) {
        let mut inner = self.inner();
        let end = inner.now + timeout.max(Duration::from_micros(1));
        loop {
            inner.step();
            if !inner.fired.is_empty() {
                // Time passes for those who don't take it, too.
                inner.now += Duration::from_micros(1);
                break;
            }
            if inner.now >= end {
                break;
            }
            inner.now = (inner.now + Duration::from_millis(1)).min(end);
        }
    }

    fn now(&self) -> Duration {
        self.inner().now
    }

    fn reset(&self) -> Result<(), PciError> {
        let mut inner = self.inner();
        inner.function_resets += 1;
        inner.begin_reset();
        inner.bus.irq |= irq::FUNCTION_RESET;
        if inner.wrong.registers_heal {
            inner.wrong.registers.clear();
        }
        inner.response = 0;
        inner.command = 0;
        inner.vectors = 0;
        inner.fired = VectorSet::new();
        Ok(())
    }
}
