//! The root complex of one host: the far end of the card's link. It answers the card's requests,
//! sends the host's, and checks everything that the card sends.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::card::{Card, Record, RecordKind};
use crate::checker::{Checker, Limits, Rule};
use crate::completer::{Completer, CompleterConfig};
use crate::faults::FaultPlan;
use crate::interrupts::{Interrupts, WINDOW};
use crate::iommu::Iommu;
use crate::monitor::{Breach, Monitor, Verdict};
use crate::outbox::{Outbox, Purpose};
use crate::quiet::QuietWatch;
use crate::requester::{Ended, Outcome, Request, RequestError, RequestId, Requester};
use crate::stats::{Event, LinkStats, Special, Stamp};
use crate::tlp::{ByteEnables, Header, Kind, Message};
use crate::{CARD_ID, ROOT_ID};

/// Byte offset of the command register in configuration space.
const COMMAND: u16 = 0x04;
const BUS_MASTER: u32 = 1 << 2;
/// SERR# Enable in the command register: non-fatal and fatal errors are reported, whatever Device
/// Control says.
const REPORT_ALL: u32 = 1 << 8;
/// Byte offset of device control in the PCI Express capability.
const DEVICE_CONTROL: u16 = 8;
const EXTENDED_TAGS: u32 = 1 << 8;
const FUNCTION_LEVEL_RESET: u32 = 1 << 15;

/// How a root complex behaves.
#[derive(Clone, Debug)]
pub struct RootConfig {
    pub completer: CompleterConfig,
    /// Bytes, 128..=512. Programmed into the card when it is enumerated.
    pub max_payload: u32,
    /// Bytes, 128..=4096.
    pub max_read_request: u32,
    /// Cycles the card may take to answer a request.
    pub request_timeout: u64,
    /// Cycles after a function-level reset in which requests in flight may still leave the card.
    pub flr_grace: u64,
    /// Register writes to these offsets of BAR 0 are counted as doorbells.
    pub doorbells: Range<u64>,
    /// The lowest address for 64-bit BARs.
    pub bars_64: u64,
    /// Whether vectors that the driver did not ask for stay unmasked, without an address.
    pub unmask_all: bool,
}

impl Default for RootConfig {
    fn default() -> Self {
        RootConfig {
            completer: CompleterConfig::default(),
            max_payload: 256,
            max_read_request: 512,
            request_timeout: 12_500,
            flr_grace: 25_000,
            doorbells: 0x1000..0x1800,
            bars_64: 0x60_0000_0000,
            unmask_all: false,
        }
    }
}

/// The addresses of one of the card's BARs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    pub base: u64,
    pub size: u64,
}

/// An error message from the card: ERR_COR, ERR_NONFATAL or ERR_FATAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorMessage {
    pub cycle: u64,
    pub error: Message,
    pub requester: u16,
}

/// What the root complex knows of its card.
#[derive(Clone, Debug, Default)]
pub struct Function {
    pub bars: [Option<Bar>; 6],
    /// Offset of the PCI Express capability, which has the limits of requests.
    pub express: Option<u16>,
    /// Offset of the MSI-X capability.
    pub msix: Option<u16>,
}

/// See the module.
#[derive(Debug)]
pub struct RootComplex {
    pub config: RootConfig,
    pub iommu: Iommu,
    pub checker: Checker,
    pub faults: FaultPlan,
    pub function: Function,
    pub interrupts: Interrupts,
    pub stats: LinkStats,
    pub monitor: Monitor,
    /// Error messages of the card, in order.
    pub errors: Vec<ErrorMessage>,
    completer: Completer,
    requester: Requester,
    outbox: Outbox,
    stamps: Option<Vec<Stamp>>,
    quiet: QuietWatch,
    /// The errors that Device Control has the card report, one bit for each kind, and whether the
    /// command register has it report all uncorrectable ones.
    reports: u32,
    report_all: bool,
    word: Vec<u8>,
}

impl RootComplex {
    pub fn new(config: RootConfig, seed: u64) -> Self {
        assert!(
            matches!(config.max_payload, 128 | 256 | 512),
            "the largest payload is 128, 256 or 512 bytes"
        );
        assert!(
            config.max_read_request.is_power_of_two()
                && (128..=4096).contains(&config.max_read_request),
            "the largest read is a power of two from 128 to 4096 bytes"
        );
        let rng = ChaCha8Rng::seed_from_u64(seed);
        RootComplex {
            iommu: Iommu::default(),
            checker: Checker::new(Limits::new(
                config.max_payload,
                config.max_read_request,
                CARD_ID,
            )),
            faults: FaultPlan::default(),
            function: Function::default(),
            interrupts: Interrupts::default(),
            stats: LinkStats::default(),
            monitor: Monitor::default(),
            errors: Vec::new(),
            completer: Completer::new(config.completer.clone(), config.max_payload, rng),
            requester: Requester::new(config.request_timeout),
            outbox: Outbox::default(),
            stamps: None,
            quiet: QuietWatch::default(),
            reports: 0,
            report_all: false,
            word: Vec::new(),
            config,
        }
    }

    /// Sends a request to the card at cycle `now`. [`Self::take_outcome`] gives its outcome.
    pub fn submit(&mut self, now: u64, request: &Request) -> Result<RequestId, RequestError> {
        self.requester.submit(now, CARD_ID, request, &mut self.outbox)
    }

    /// Takes the outcome of a request if it is over.
    pub fn take_outcome(&mut self, id: RequestId) -> Option<Outcome> {
        self.requester.take(id)
    }

    /// When the next request of the host times out.
    pub fn next_deadline(&self) -> Option<u64> {
        self.requester.next_deadline()
    }

    /// Ends the requests of the host that have timed out.
    pub fn expire(&mut self, now: u64) {
        self.requester.expire(now, &mut self.checker);
    }

    /// Posts a write of `bytes` to `address` of the card, in one TLP, at cycle `now`.
    pub fn post_write(&mut self, now: u64, address: u64, bytes: &[u8]) {
        let (be, dwords) = ByteEnables::contiguous(address, bytes.len() as u32);
        let skip = (address & 3) as usize;
        self.word.clear();
        self.word.resize(dwords as usize * 4, 0);
        self.word[skip..skip + bytes.len()].copy_from_slice(bytes);
        let header = Header::mem_write(ROOT_ID, 0, address, dwords, be);
        self.outbox.push(now, header, &self.word, Purpose::None);
        if let Ok(value) = bytes.try_into() {
            self.stamp(now, Event::RegisterPosted { address, value: u32::from_le_bytes(value) });
        }
    }

    /// Sends any TLP, as a hostile or broken root complex might.
    pub fn post_raw(&mut self, now: u64, header: Header, payload: &[u8]) {
        self.outbox.push(now, header, payload, Purpose::None);
    }

    /// Passes the queued TLPs to the card.
    pub fn flush(&mut self, card: &mut dyn Card) {
        self.outbox.flush(card);
    }

    /// The number of the card's reads in flight.
    pub fn reads_outstanding(&self) -> usize {
        self.completer.outstanding()
    }

    /// Keeps, or stops keeping, time stamps.
    pub fn keep_stamps(&mut self, keep: bool) {
        self.stamps = keep.then(Vec::new);
    }

    /// Takes the stamps kept so far, in order of time for each direction.
    pub fn take_stamps(&mut self) -> Vec<Stamp> {
        self.stamps.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Notes an event if stamps are kept.
    pub fn stamp(&mut self, cycle: u64, event: Event) {
        if let Some(stamps) = &mut self.stamps {
            stamps.push(Stamp { cycle, event });
        }
    }

    /// Acts on one record of what crossed the card's pins.
    pub fn on_record(&mut self, record: &Record, payload: &[u8]) {
        let cycle = record.last;
        let len = record.len;
        match record.kind {
            RecordKind::TlpOut => self.upstream(record, payload),
            RecordKind::TlpIn => self.downstream(record, payload),
            RecordKind::FrameOut => {
                self.checker.check_frame(cycle, record.flags);
                self.stats.frames_out += 1;
                self.stats.frame_bytes_out += u64::from(len);
                self.stamp(cycle, Event::FrameOut { len, left: record.cookie });
            }
            RecordKind::FrameIn => {
                self.stats.frames_in += 1;
                self.stats.frame_bytes_in += u64::from(len);
                self.stamp(cycle, Event::FrameIn { len });
            }
            _ => unreachable!("the shim makes no other records"),
        }
    }

    /// Handles a TLP that the card has sent.
    fn upstream(&mut self, record: &Record, payload: &[u8]) {
        let cycle = record.last;
        let header = Header(record.header);
        self.checker.check(cycle, header, payload.len(), record.flags);
        let response = header.kind() == Kind::MemWrite
            && self.quiet.is_response(header.address(), payload.len());
        if self.quiet.is_quiet()
            && !response
            && matches!(header.kind(), Kind::MemRead | Kind::MemWrite)
        {
            self.checker.report(cycle, Rule::Quiet, header, "DMA after a reset ended");
        }
        let interrupt = header.kind() == Kind::MemWrite && WINDOW.contains(&header.address());
        self.stats.upstream.add(header, interrupt.then_some(Special::Interrupt));
        if payload.len() != header.payload_len() {
            return;
        }
        match header.kind() {
            Kind::MemWrite if interrupt => match self.interrupts.written(cycle, header, payload) {
                Ok(vector) => {
                    let verdict = self.monitor.interrupt(vector);
                    self.judge(cycle, header, verdict);
                    self.stamp(cycle, Event::Interrupt { vector });
                }
                Err(detail) => {
                    self.checker.report(cycle, Rule::Interrupt, header, detail);
                }
            },
            Kind::MemWrite => {
                self.write(cycle, header, payload);
                if response {
                    self.quiet.response_written(payload);
                }
            }
            Kind::MemRead => {
                let (skip, len) = header.byte_enables().span(header.dwords());
                let at = header.address() + u64::from(skip);
                if header.byte_enables().first != 0 {
                    let verdict = self.monitor.read(at, len, &self.iommu);
                    self.judge(cycle, header, verdict);
                }
                let RootComplex { completer, iommu, faults, checker, outbox, .. } = self;
                if !completer.read(cycle, header, iommu, faults, checker, outbox) {
                    self.stats.iommu_read_faults += 1;
                }
                let len = header.dwords() * 4;
                self.stamp(cycle, Event::Read { iova: header.address(), len });
            }
            Kind::Completion | Kind::CompletionData => {
                let ended = self.requester.completion(cycle, header, payload, &mut self.checker);
                match ended {
                    Some(Ended { header, word }) if header.kind() == Kind::ConfigWrite => {
                        self.config_written(cycle, header, word);
                    }
                    Some(Ended { header, word }) if header.kind() == Kind::MemRead => {
                        if let Some(offset) = self.register(header) {
                            self.quiet.register_read(offset, word);
                        }
                    }
                    _ => {}
                }
            }
            Kind::Message => {
                let requester = header.requester();
                let error = header.message();
                self.errors.extend(error.map(|error| ErrorMessage { cycle, error, requester }));
            }
            _ => {}
        }
    }

    /// Writes host memory for the card. Poisoned data are dropped.
    fn write(&mut self, cycle: u64, header: Header, payload: &[u8]) {
        if header.poisoned() {
            return;
        }
        let be = header.byte_enables();
        let dwords = header.dwords();
        let (skip, len) = be.span(dwords);
        let iova = header.address() + u64::from(skip);
        let bytes = &payload[skip as usize..(skip + len) as usize];
        let requester = header.requester();
        let contiguous = (skip..skip + len).all(|index| be.enabled(index, dwords));
        let written = if contiguous {
            let verdict = self.monitor.write(iova, bytes, &self.iommu);
            self.judge(cycle, header, verdict);
            self.iommu.write(requester, iova, bytes)
        } else {
            (skip..skip + len).filter(|&index| be.enabled(index, dwords)).try_for_each(|index| {
                let (at, byte) =
                    (header.address() + u64::from(index), &payload[index as usize..][..1]);
                let verdict = self.monitor.write(at, byte, &self.iommu);
                self.judge(cycle, header, verdict);
                self.iommu.write(requester, at, byte)
            })
        };
        if let Err(denied) = written {
            self.stats.iommu_write_faults += 1;
            let detail = format!("write of {:#x}", denied.iova);
            self.checker.report(cycle, Rule::Unmapped, header, detail);
        }
        self.stamp(cycle, Event::Written { iova, len });
    }

    fn judge(&mut self, cycle: u64, header: Header, verdict: Verdict) {
        if let Err(Breach { rule, detail }) = verdict {
            self.checker.report(cycle, rule, header, detail);
        }
    }

    /// Handles a TLP that the card has accepted.
    fn downstream(&mut self, record: &Record, payload: &[u8]) {
        let header = Header(record.header);
        let cycle = record.last;
        let mut special = None;
        // The card drops a malformed TLP, so such a TLP has no effect.
        let whole = payload.len() == header.payload_len()
            && payload.len() <= self.checker.limits.max_payload as usize
            && (header.address() & 0xfff) + payload.len() as u64 <= 4096;
        if header.kind() == Kind::MemWrite && whole {
            let word = payload.first_chunk().map(|word| u32::from_le_bytes(*word));
            self.registers_written(cycle, header, payload);
            self.lines_written(header, payload);
            if let (Some(offset), Some(value)) = (self.register(header), word) {
                self.quiet.register_written(offset, value);
                if self.config.doorbells.contains(&offset) {
                    special = Some(Special::Doorbell);
                }
            }
            if let Some(value) = word {
                self.stamp(cycle, Event::RegisterWritten { address: header.address(), value });
            }
        }
        self.stats.downstream.add(header, special);
        self.checker.limits.captured |= header.kind() == Kind::ConfigWrite;
        match Purpose::from_cookie(record.cookie) {
            Purpose::None => {}
            Purpose::LastCompletion { tag } => self.completer.delivered(tag),
            Purpose::Request(_) if header.kind() == Kind::ConfigWrite => {
                let word = payload.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
                self.config_accepted(header, word);
            }
            Purpose::Request(_) => {}
        }
    }

    /// Tells the monitor of each dword that is written to BAR 0. A register needs all four bytes; a
    /// doorbell takes its lower half alone, too.
    fn registers_written(&mut self, cycle: u64, header: Header, payload: &[u8]) {
        let Some(offset) = self.register(header).filter(|_| !header.poisoned()) else { return };
        let (be, dwords) = (header.byte_enables(), header.dwords());
        for (i, word) in payload.as_chunks::<4>().0.iter().enumerate() {
            let at = 4 * i as u32;
            let enabled = |bytes: u32| (at..at + bytes).all(|index| be.enabled(index, dwords));
            let (value, at) = (u32::from_le_bytes(*word), offset + u64::from(at));
            if enabled(4) || (enabled(2) && self.monitor.is_doorbell(at)) {
                let verdict = self.monitor.register(at, value, &self.iommu);
                self.judge(cycle, header, verdict);
            }
        }
    }

    /// Updates the monitor's copy of the LLQ lines in BAR 2.
    fn lines_written(&mut self, header: Header, payload: &[u8]) {
        let Some(bar) = self.function.bars[2].filter(|_| !header.poisoned()) else { return };
        let Some(offset) = header.address().checked_sub(bar.base).filter(|&at| at < bar.size)
        else {
            return;
        };
        let (be, dwords) = (header.byte_enables(), header.dwords());
        for (i, &byte) in payload.iter().enumerate() {
            if be.enabled(i as u32, dwords) {
                self.monitor.line_byte(offset + i as u64, byte);
            }
        }
    }

    /// The offset in BAR 0 that a memory request is for; none for other addresses.
    fn register(&self, header: Header) -> Option<u64> {
        let bar = self.function.bars[0]?;
        header.address().checked_sub(bar.base).filter(|&offset| offset < bar.size)
    }

    /// Handles a configuration write that the card has accepted. The card may use what it permits
    /// before its completion arrives here.
    fn config_accepted(&mut self, header: Header, value: u32) {
        let limits = &mut self.checker.limits;
        let enables = header.byte_enables().first;
        let offset = header.config_offset();
        if offset == COMMAND && enables & 1 != 0 && value & BUS_MASTER != 0 {
            limits.bus_master_off = None;
            self.quiet.bus_master_on();
        }
        if offset == COMMAND && enables & 2 != 0 && value & REPORT_ALL != 0 {
            limits.reports_off = [limits.reports_off[0], None, None];
        }
        if self.function.express.is_some_and(|express| offset == express + DEVICE_CONTROL) {
            for (kind, off) in limits.reports_off.iter_mut().enumerate() {
                if enables & 1 != 0 && value >> kind & 1 != 0 {
                    *off = None;
                }
            }
            if enables & 2 != 0 && value & EXTENDED_TAGS != 0 {
                limits.extended_tags_off = None;
            }
        }
    }

    /// Handles a configuration write that the card has completed with success. From here on the
    /// card must obey what it forbids.
    fn config_written(&mut self, cycle: u64, header: Header, value: u32) {
        let limits = &mut self.checker.limits;
        let enables = header.byte_enables().first;
        let offset = header.config_offset();
        // TLPs in flight may still leave.
        let later = cycle + self.config.request_timeout;
        if offset == COMMAND && enables & 1 != 0 && value & BUS_MASTER == 0 {
            limits.bus_master_off.get_or_insert(cycle);
        }
        if offset == COMMAND && enables & 2 != 0 {
            self.report_all = value & REPORT_ALL != 0;
        }
        if self.function.express.is_some_and(|express| offset == express + DEVICE_CONTROL) {
            if enables & 1 != 0 {
                limits.max_payload = 128 << (value >> 5 & 7);
                self.reports = value & 7;
                self.completer.limit_payload(self.config.max_payload, limits.max_payload);
            }
            if enables & 2 != 0 {
                limits.max_read_request = 128 << (value >> 12 & 7);
                if value & EXTENDED_TAGS == 0 {
                    limits.extended_tags_off.get_or_insert(later);
                }
                if value & FUNCTION_LEVEL_RESET != 0 {
                    self.monitor.function_reset();
                    self.quiet.function_reset();
                    let over = cycle + self.config.flr_grace;
                    limits.bus_master_off.get_or_insert(over);
                    limits.extended_tags_off.get_or_insert(over);
                    limits.captured = false;
                    (self.reports, self.report_all) = (0, false);
                }
            }
        }
        for (kind, off) in limits.reports_off.iter_mut().enumerate() {
            if self.reports >> kind & 1 == 0 && (kind == 0 || !self.report_all) {
                off.get_or_insert(later);
            }
        }
    }
}
