//! Checks the PCI Express rules on the TLPs themselves, whatever the card reports of itself. The
//! root complex ([`root`](crate::root)) has one checker for its card.

use std::fmt;

use crate::card::flags;
pub use crate::rules::Rule;
use crate::tlp::{Class, Header, Kind, Message};

/// A broken rule: when, and by which TLP.
#[derive(Clone, PartialEq, Eq)]
pub struct Violation {
    pub cycle: u64,
    pub rule: Rule,
    pub header: Header,
    pub detail: String,
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { cycle, rule, header, detail } = self;
        write!(f, "cycle {cycle}: {rule:?}: {detail} [{header:?}]")
    }
}

/// Violations kept; more are only counted.
const KEPT: usize = 256;

/// The limits in force, as configuration space sets them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes.
    pub max_payload: u32,
    pub max_read_request: u32,
    pub requester: u16,
    /// Whether the card has seen a configuration write, from which it learns its bus and device
    /// number.
    pub captured: bool,
    /// The cycle from which bus mastering is off.
    pub bus_master_off: Option<u64>,
    /// The cycle from which tags have only 5 bits.
    pub extended_tags_off: Option<u64>,
    /// The cycles from which errors must not be reported: correctable, non-fatal, fatal ones.
    pub reports_off: [Option<u64>; 3],
}

impl Limits {
    /// The limits of a card that was just reset.
    pub fn new(max_payload: u32, max_read_request: u32, requester: u16) -> Self {
        Limits {
            max_payload,
            max_read_request,
            requester,
            captured: false,
            bus_master_off: Some(0),
            extended_tags_off: Some(0),
            reports_off: [Some(0); 3],
        }
    }
}

/// The number of tags without extended tags.
const SHORT_TAGS: u8 = 32;

/// Collects the card's violations.
#[derive(Debug)]
pub struct Checker {
    pub limits: Limits,
    /// Set by a test while the card must start no DMA, for example after a reset.
    pub expect_quiet: bool,
    violations: Vec<Violation>,
    count: u64,
}

impl Checker {
    pub fn new(limits: Limits) -> Self {
        Checker { limits, expect_quiet: false, violations: Vec::new(), count: 0 }
    }

    /// The first violations, in order.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// All violations so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes the violations and starts anew.
    pub fn take(&mut self) -> Vec<Violation> {
        self.count = 0;
        std::mem::take(&mut self.violations)
    }

    pub fn report(&mut self, cycle: u64, rule: Rule, header: Header, detail: impl Into<String>) {
        self.count += 1;
        if self.violations.len() < KEPT {
            self.violations.push(Violation { cycle, rule, header, detail: detail.into() });
        }
    }

    /// Checks a TLP from the card by itself.
    pub fn check(&mut self, cycle: u64, header: Header, payload_len: usize, bits: u8) {
        if bits & flags::BAD_FRAMING != 0 || payload_len != header.payload_len() {
            let detail = format!("flags {bits}, {payload_len} bytes");
            self.report(cycle, Rule::TlpFraming, header, detail);
        }
        for (flag, rule, detail) in [
            (flags::UNSTABLE, Rule::TlpUnstable, "a beat changed before it was taken"),
            (flags::CREDIT_OVERRUN, Rule::Credits, "sent without credits"),
            (flags::CREDITS_TAKEN, Rule::CreditsTaken, "fewer credits than before"),
        ] {
            if bits & flag != 0 {
                self.report(cycle, rule, header, detail);
            }
        }
        if header.digest() {
            self.report(cycle, Rule::Digest, header, "there is no digest");
        }
        if header.poisoned() {
            self.report(cycle, Rule::Poisoned, header, "the card poisons what it sends");
        }
        if header.has_reserved() {
            self.report(cycle, Rule::Reserved, header, "reserved bits are set");
        }
        match header.kind() {
            Kind::MemRead | Kind::MemWrite => {
                self.check_request(cycle, header);
                self.check_memory(cycle, header);
            }
            Kind::Completion | Kind::CompletionData => self.check_completion(cycle, header),
            Kind::Message => {
                self.check_request(cycle, header);
                self.check_message(cycle, header);
            }
            kind => self.report(cycle, Rule::Kind, header, format!("{kind:?} from a card")),
        }
    }

    /// Checks how a frame from the card went to its MAC.
    pub fn check_frame(&mut self, cycle: u64, bits: u8) {
        for (flag, rule, detail) in [
            (flags::BAD_FRAMING, Rule::FrameFraming, "a last beat of no bytes, or of too many"),
            (flags::UNSTABLE, Rule::FrameUnstable, "a beat changed before it was taken"),
        ] {
            if bits & flag != 0 {
                self.report(cycle, rule, Header::default(), detail);
            }
        }
    }

    fn check_request(&mut self, cycle: u64, header: Header) {
        if header.traffic_class() != 0 {
            let detail = format!("traffic class {}", header.traffic_class());
            self.report(cycle, Rule::TrafficClass, header, detail);
        }
        if header.attributes() != 0 {
            let detail = format!("attributes {:#04b}", header.attributes());
            self.report(cycle, Rule::Attributes, header, detail);
        }
        if header.requester() != self.limits.requester {
            let detail = format!("requester {:#06x}", header.requester());
            self.report(cycle, Rule::Requester, header, detail);
        }
    }

    fn check_memory(&mut self, cycle: u64, header: Header) {
        let address = header.address();
        let dwords = header.dwords();
        let bytes = dwords * 4;
        let be = header.byte_enables();
        if header.is_four_dwords() != (address >> 32 != 0) {
            self.report(cycle, Rule::AddressForm, header, format!("address {address:#x}"));
        }
        if header.address_type() != 0 {
            let detail = format!("address type {}", header.address_type());
            self.report(cycle, Rule::AddressType, header, detail);
        }
        if !be.are_legal(address, dwords) {
            self.report(cycle, Rule::ByteEnables, header, format!("{be:?} with {dwords} dwords"));
        }
        if (address & 0xfff) + u64::from(bytes) > 4096 {
            self.report(cycle, Rule::Crosses4K, header, format!("{bytes} bytes at {address:#x}"));
        }
        let (rule, limit) = match header.class() {
            Class::Posted => (Rule::MaxPayload, self.limits.max_payload),
            _ => (Rule::MaxReadRequest, self.limits.max_read_request),
        };
        if bytes > limit {
            self.report(cycle, rule, header, format!("{bytes} bytes with a limit of {limit}"));
        }
        let short_tags = self.limits.extended_tags_off.is_some_and(|since| since <= cycle);
        if short_tags && header.kind() == Kind::MemRead && header.tag() >= SHORT_TAGS {
            let detail = format!("tag {} without extended tags", header.tag());
            self.report(cycle, Rule::ExtendedTag, header, detail);
        }
        if self.limits.bus_master_off.is_some_and(|since| since <= cycle) {
            self.report(cycle, Rule::BusMaster, header, "bus mastering is off");
        }
        if self.expect_quiet {
            self.report(cycle, Rule::Quiet, header, "the card has to be quiet");
        }
    }

    fn check_message(&mut self, cycle: u64, header: Header) {
        let Some(message) = header.message() else {
            self.report(cycle, Rule::Message, header, "not an error told to the root complex");
            return;
        };
        let which = match message {
            Message::Correctable => 0,
            Message::NonFatal => 1,
            Message::Fatal => 2,
        };
        if self.limits.reports_off[which].is_some_and(|since| since <= cycle) {
            let detail = format!("{message:?} errors are not to be reported");
            self.report(cycle, Rule::Reporting, header, detail);
        }
    }

    fn check_completion(&mut self, cycle: u64, header: Header) {
        let fields = header.completion_fields();
        let unnumbered = !self.limits.captured && fields.completer == 0;
        if fields.completer != self.limits.requester && !unnumbered {
            let detail = format!("completer {:#06x}", fields.completer);
            self.report(cycle, Rule::Completer, header, detail);
        }
        let bytes = header.payload_len() as u32;
        if bytes > self.limits.max_payload {
            let limit = self.limits.max_payload;
            let detail = format!("{bytes} bytes with a limit of {limit}");
            self.report(cycle, Rule::MaxPayload, header, detail);
        }
    }
}
