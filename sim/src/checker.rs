//! What a card must never do, checked on the TLPs themselves and never on the card's own word.

use std::fmt;

use crate::card::flags;
use crate::tlp::{Class, Header, Kind};

/// A rule that the card broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `sop`, `eop` and the header's length disagree, or a beat changed before it was taken.
    Stream,
    /// No credit for the TLP.
    Credits,
    /// A kind of TLP a card has no business sending, or reserved fields in use.
    Kind,
    ByteEnables,
    Crosses4K,
    /// An address below 4 GiB in a four-dword header, or a wrong address type.
    AddressForm,
    MaxPayload,
    MaxReadRequest,
    Requester,
    /// A read's tag is still in use.
    TagReuse,
    /// A memory request with bus mastering off, or when a test said that the card must be quiet.
    NotAllowed,
    /// The IOMMU has no such mapping for the card.
    Unmapped,
    /// A write to the interrupt window that is no interrupt of this function.
    Interrupt,
    /// A completion that nothing asked for, or one that does not fit what was asked.
    Completion,
    /// The card did not answer a request in time.
    Timeout,
    /// A poisoned TLP.
    Poisoned,
    /// What the ENA interface does not allow: see [crate::monitor].
    Device,
}

/// A broken rule, where and by what.
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

/// Limits in force, as the configuration space has them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes.
    pub max_payload: u32,
    pub max_read_request: u32,
    pub requester: u16,
    /// Whether the card has seen a configuration write, from which it learns its number.
    pub captured: bool,
    /// Since when bus mastering is off.
    pub bus_master_off: Option<u64>,
}

/// Collects what the card does wrong.
#[derive(Debug)]
pub struct Checker {
    pub limits: Limits,
    /// Set by a test that knows that the card may not start any DMA: after a reset, for one.
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
        if bits & (flags::BAD_FRAMING | flags::UNSTABLE) != 0 || payload_len != header.payload_len()
        {
            self.report(cycle, Rule::Stream, header, format!("flags {bits}, {payload_len} bytes"));
        }
        if bits & flags::CREDIT_OVERRUN != 0 {
            self.report(cycle, Rule::Credits, header, "sent without credits");
        }
        if header.traffic_class() != 0 || header.digest() {
            self.report(cycle, Rule::Kind, header, "traffic class or digest");
        }
        if header.poisoned() {
            self.report(cycle, Rule::Poisoned, header, "the card poisons what it sends");
        }
        match header.kind() {
            Kind::MemRead | Kind::MemWrite => self.check_memory(cycle, header),
            Kind::Completion | Kind::CompletionData => self.check_completion(cycle, header),
            Kind::Message => {}
            kind => self.report(cycle, Rule::Kind, header, format!("{kind:?} from a card")),
        }
    }

    fn check_memory(&mut self, cycle: u64, header: Header) {
        let address = header.address();
        let dwords = header.dwords();
        let bytes = dwords * 4;
        let be = header.byte_enables();
        if header.address_type() != 0 || header.is_four_dwords() != (address >> 32 != 0) {
            self.report(cycle, Rule::AddressForm, header, format!("address {address:#x}"));
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
        if header.requester() != self.limits.requester {
            let detail = format!("requester {:#06x}", header.requester());
            self.report(cycle, Rule::Requester, header, detail);
        }
        if self.limits.bus_master_off.is_some_and(|since| since <= cycle) {
            self.report(cycle, Rule::NotAllowed, header, "bus mastering is off");
        }
        if self.expect_quiet {
            self.report(cycle, Rule::NotAllowed, header, "the card has to be quiet");
        }
    }

    fn check_completion(&mut self, cycle: u64, header: Header) {
        let fields = header.completion_fields();
        let unnumbered = !self.limits.captured && fields.completer == 0;
        if fields.completer != self.limits.requester && !unnumbered {
            let detail = format!("completer {:#06x}", fields.completer);
            self.report(cycle, Rule::Requester, header, detail);
        }
        let bytes = header.payload_len() as u32;
        if bytes > self.limits.max_payload {
            let limit = self.limits.max_payload;
            let detail = format!("{bytes} bytes with a limit of {limit}");
            self.report(cycle, Rule::MaxPayload, header, detail);
        }
    }
}
