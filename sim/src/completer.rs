//! The completer in the root complex: answers the card's reads with a latency, splits and reorders
//! completions, and injects faults if a plan asks for them.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::checker::{Checker, Rule};
use crate::faults::{Fault, FaultPlan};
use crate::iommu::{Denied, Iommu};
use crate::outbox::{Outbox, Purpose};
use crate::tlp::{CompletionFields, Header, Status};
use crate::{CYCLE_NS, REACTION, ROOT_ID};

/// Cycles from a read to its first completion. Never fewer than [`REACTION`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    Fixed(u64),
    /// Uniformly from the first to the second, which is included.
    Uniform(u64, u64),
}

impl Latency {
    /// Uniformly distributed around `cycles`, up to a fifth less or more.
    pub fn around(cycles: u64) -> Self {
        Latency::Uniform(cycles - cycles / 5, cycles + cycles / 5)
    }

    fn draw(self, rng: &mut ChaCha8Rng) -> u64 {
        let cycles = match self {
            Latency::Fixed(cycles) => cycles,
            Latency::Uniform(low, high) => rng.random_range(low..=high.max(low)),
        };
        cycles.max(REACTION)
    }
}

/// How reads are answered.
#[derive(Clone, Debug)]
pub struct CompleterConfig {
    pub latency: Latency,
    /// Completions of a read end at multiples of this many bytes, 64 or 128.
    pub boundary: u32,
    /// Probability that a completion ends at an earlier boundary than it could.
    pub split: f64,
    /// At most this many cycles between the completions of a read.
    pub gap: u64,
    /// Whether a read may be answered before an earlier one of another tag.
    pub reorder: bool,
    /// Bits 1:0 of the lower address in the completion of a read without enabled bytes. The
    /// specification asks for 0, but some completers send 3.
    pub empty_lower: u8,
}

impl Default for CompleterConfig {
    fn default() -> Self {
        CompleterConfig {
            latency: Latency::around(250),
            boundary: 64,
            split: 0.25,
            gap: 8,
            reorder: true,
            empty_lower: 0,
        }
    }
}

/// The value of a completion's bytes that the byte enables of the read left out.
const NOT_ASKED_FOR: u8 = 0xdb;

/// Cycles for which a tag must rest after its read was not answered in full: eight times 50 us, the
/// shortest completion timeout that Device Control 2 has.
const REST: u64 = 8 * 50_000 / CYCLE_NS;

/// See the module.
#[derive(Debug)]
pub struct Completer {
    config: CompleterConfig,
    max_payload: u32,
    rng: ChaCha8Rng,
    /// When the last answer so far ends, for answers in order.
    last: u64,
    outstanding: [bool; 256],
    /// By tag, when a read arrived that was not answered in full.
    unanswered: [Option<u64>; 256],
    data: Vec<u8>,
    cuts: Vec<u32>,
}

impl Completer {
    pub fn new(config: CompleterConfig, max_payload: u32, rng: ChaCha8Rng) -> Self {
        assert!(matches!(config.boundary, 64 | 128), "a read completion boundary is 64 or 128");
        Completer {
            config,
            max_payload,
            rng,
            last: 0,
            outstanding: [false; 256],
            unanswered: [None; 256],
            data: Vec::new(),
            cuts: Vec::new(),
        }
    }

    /// Limits the payload of completions to `bytes`, which the card now accepts, and to `most`, the
    /// largest payload of the root complex.
    pub fn limit_payload(&mut self, most: u32, bytes: u32) {
        self.max_payload = bytes.min(most);
    }

    /// The number of the card's reads in flight.
    pub fn outstanding(&self) -> usize {
        self.outstanding.iter().filter(|&&is| is).count()
    }

    /// The card has accepted the last completion for `tag`.
    pub fn delivered(&mut self, tag: u8) {
        self.outstanding[usize::from(tag)] = false;
    }

    /// Notes that the read of `cycle` with `tag` is not answered in full. The tag must rest for
    /// [`REST`].
    fn give_up(&mut self, cycle: u64, tag: u8) {
        self.outstanding[usize::from(tag)] = false;
        self.unanswered[usize::from(tag)] = Some(cycle);
    }

    /// Answers the read that arrived at `cycle`. Returns whether the IOMMU allowed it.
    pub fn read(
        &mut self,
        cycle: u64,
        header: Header,
        iommu: &Iommu,
        faults: &mut FaultPlan,
        checker: &mut Checker,
        outbox: &mut Outbox,
    ) -> bool {
        let tag = header.tag();
        if std::mem::replace(&mut self.outstanding[usize::from(tag)], true) {
            checker.report(cycle, Rule::TagReuse, header, format!("tag {tag} is outstanding"));
        }
        if let Some(since) = self.unanswered[usize::from(tag)].take() {
            if cycle < since + REST {
                let detail = format!("tag {tag} was not answered {} cycles ago", cycle - since);
                checker.report(cycle, Rule::TagRest, header, detail);
            }
        }
        let dwords = header.dwords();
        let (skip, len) = header.byte_enables().span(dwords);
        let start = header.address() + u64::from(skip);
        let nothing_enabled = header.byte_enables().first == 0;

        let fault = faults.choose(start, &mut self.rng);
        let mut at = cycle + self.config.latency.draw(&mut self.rng);
        if let Some(Fault::Delay(cycles)) = fault {
            at += cycles;
        }
        if !self.config.reorder {
            at = at.max(self.last);
        }

        self.data.clear();
        self.data.resize(dwords as usize * 4, NOT_ASKED_FOR);
        let asked = &mut self.data[skip as usize..(skip + len) as usize];
        let read =
            if nothing_enabled { Ok(()) } else { iommu.read(header.requester(), start, asked) };
        if let Err(Denied { iova }) = read {
            checker.report(cycle, Rule::Unmapped, header, format!("read of {iova:#x}"));
        }
        let status = match (fault, read) {
            (Some(Fault::UnsupportedRequest), _) | (_, Err(_)) => Status::UnsupportedRequest,
            (Some(Fault::CompleterAbort), _) => Status::CompleterAbort,
            _ => Status::Success,
        };
        let fields = CompletionFields {
            completer: ROOT_ID,
            status,
            byte_count: len,
            requester: header.requester(),
            tag,
            lower_address: (start & 0x7f) as u8
                | if nothing_enabled { self.config.empty_lower } else { 0 },
        };
        if fault == Some(Fault::Drop) {
            self.give_up(cycle, tag);
        } else if status != Status::Success {
            let last = Purpose::LastCompletion { tag };
            outbox.push(at, Header::completion(fields, 0), &[], last);
        } else {
            let whole;
            (at, whole) = self.answer(at, fields, skip, start, fault, outbox);
            if !whole {
                self.give_up(cycle, tag);
            }
        }
        self.last = self.last.max(at);
        read.is_ok()
    }

    /// Queues the completions of a successful read. Returns when the last one may go, and whether
    /// they answer the read in full.
    fn answer(
        &mut self,
        mut at: u64,
        fields: CompletionFields,
        skip: u32,
        start: u64,
        fault: Option<Fault>,
        outbox: &mut Outbox,
    ) -> (u64, bool) {
        self.cut(start, fields.byte_count);
        let tag = fields.tag;
        let count = self.cuts.len();
        let poisoned = match fault {
            Some(Fault::Poison) => Some(self.rng.random_range(0..count)),
            _ => None,
        };
        let (mut begin, mut whole) = (0, true);
        for (index, &end) in self.cuts.iter().enumerate() {
            if index > 0 {
                at += self.rng.random_range(0..=self.config.gap);
            }
            let fields = CompletionFields {
                byte_count: fields.byte_count - begin,
                lower_address: fields.lower_address.wrapping_add(begin as u8) & 0x7f,
                ..fields
            };
            // The payload is whole dwords, wherever the requested bytes begin and end.
            let from = ((skip + begin) & !3) as usize;
            let to = (skip + end).next_multiple_of(4) as usize;
            let mut payload = &self.data[from..to];
            let mut header = Header::completion(fields, (payload.len() / 4) as u32);
            let is_last = index + 1 == count;
            let mut purpose = if is_last { Purpose::LastCompletion { tag } } else { Purpose::None };
            match fault {
                Some(Fault::Poison) if poisoned == Some(index) => header = header.with_poison(),
                Some(Fault::WrongTag) if index == 0 => {
                    header = header.with_completion_tag(tag ^ 0x80);
                    whole = false;
                }
                Some(Fault::WrongRequester) if index == 0 => {
                    header = header.with_completion_requester(fields.requester ^ 0x8);
                    whole = false;
                }
                Some(Fault::WrongLength) if index == 0 && payload.len() > 4 => {
                    payload = &payload[..payload.len() - 4];
                    header = header.with_dwords((payload.len() / 4) as u32);
                    whole = false;
                }
                Some(Fault::DropRest) if index == 0 => purpose = Purpose::LastCompletion { tag },
                Some(Fault::DropRest) => {
                    whole = false;
                    break;
                }
                _ => {}
            }
            outbox.push(at, header, payload, purpose);
            if is_last && fault == Some(Fault::Duplicate) {
                outbox.push(at, header, payload, Purpose::None);
            }
            begin = end;
        }
        (at, whole)
    }

    /// Splits `len` bytes at `start` into completions: `cuts` gets the end of each.
    fn cut(&mut self, start: u64, len: u32) {
        let boundary = u64::from(self.config.boundary);
        let end = start + u64::from(len);
        let mut from = start;
        self.cuts.clear();
        while from < end {
            let furthest = (from & !3) + u64::from(self.max_payload);
            let mut to = if end <= furthest { end } else { furthest / boundary * boundary };
            let first_boundary = (from / boundary + 1) * boundary;
            let choices = to.saturating_sub(first_boundary).div_ceil(boundary);
            if choices > 0 && self.rng.random_bool(self.config.split) {
                to = first_boundary + self.rng.random_range(0..choices) * boundary;
            }
            self.cuts.push((to - start) as u32);
            from = to;
        }
    }
}
