//! The host's own requests to the card: allocates tags, matches completions to requests and detects
//! timeouts.

use std::collections::HashMap;

use thiserror::Error;

use crate::checker::{Checker, Rule};
use crate::outbox::{Outbox, Purpose};
use crate::tlp::{ByteEnables, Header, Kind, Status};
use crate::ROOT_ID;

/// What the host asks of the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    ConfigRead {
        offset: u16,
    },
    ConfigWrite {
        offset: u16,
        value: u32,
        enables: u8,
    },
    MemRead {
        address: u64,
        len: u32,
    },
    /// Any non-posted TLP; its tag and requester are filled in.
    Raw {
        header: Header,
        payload: Vec<u8>,
    },
}

/// Why a request has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    #[error("unsupported request")]
    Unsupported,
    #[error("completer abort")]
    Aborted,
    #[error("configuration request retry")]
    Retry,
    #[error("no completion in time")]
    Timeout,
    #[error("poisoned completion")]
    Poisoned,
    #[error("completion that does not fit the request")]
    Malformed,
    #[error("all tags are in use")]
    NoTag,
}

/// Number of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub(crate) u64);

/// A request that is over: when, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub cycle: u64,
    pub result: Result<Vec<u8>, RequestError>,
}

/// A request that ended with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub header: Header,
    /// The first dword that it read or wrote.
    pub word: u32,
}

#[derive(Debug)]
struct Pending {
    id: RequestId,
    header: Header,
    /// The first dword of the payload.
    value: u32,
    deadline: u64,
    /// Bytes still to come, and the address of the next one; 0 for a write.
    owed: u32,
    next: u64,
    data: Vec<u8>,
}

/// The state of a tag.
#[derive(Debug)]
enum Slot {
    Free,
    Busy(Pending),
    /// The request timed out. Until this cycle the tag is not reused, lest a late completion
    /// matches a new request.
    Lost {
        until: u64,
    },
}

/// The number of tags without extended tags.
const TAGS: usize = 32;

/// For how many timeouts the tag of a request that timed out is not reused.
const LOST: u64 = 4;

/// See the module.
#[derive(Debug)]
pub struct Requester {
    timeout: u64,
    slots: [Slot; TAGS],
    next_tag: usize,
    next_id: u64,
    outcomes: HashMap<RequestId, Outcome>,
    late: u64,
}

impl Requester {
    /// `timeout` in cycles.
    pub fn new(timeout: u64) -> Self {
        Requester {
            timeout,
            slots: std::array::from_fn(|_| Slot::Free),
            next_tag: 0,
            next_id: 0,
            outcomes: HashMap::new(),
            late: 0,
        }
    }

    /// The number of completions that arrived after their request had timed out.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Sends `request` to function `target` at cycle `at`.
    pub fn submit(
        &mut self,
        at: u64,
        target: u16,
        request: &Request,
        outbox: &mut Outbox,
    ) -> Result<RequestId, RequestError> {
        let tag = (0..TAGS)
            .map(|step| (self.next_tag + step) % TAGS)
            .find(|&tag| match self.slots[tag] {
                Slot::Free => true,
                Slot::Busy(_) => false,
                Slot::Lost { until } => until <= at,
            })
            .ok_or(RequestError::NoTag)?;
        self.next_tag = tag + 1;
        let id = RequestId(self.next_id);
        self.next_id += 1;

        let word;
        let (header, payload): (Header, &[u8]) = match request {
            Request::ConfigRead { offset } => {
                (Header::config_read(ROOT_ID, tag as u8, target, *offset), &[])
            }
            Request::ConfigWrite { offset, value, enables } => {
                word = value.to_le_bytes();
                (Header::config_write(ROOT_ID, tag as u8, target, *offset, *enables), &word)
            }
            Request::MemRead { address, len } => {
                let (be, dwords) = ByteEnables::contiguous(*address, *len);
                (Header::mem_read(ROOT_ID, tag as u8, *address, dwords, be), &[])
            }
            Request::Raw { header, payload } => (header.for_request(ROOT_ID, tag as u8), payload),
        };
        let (owed, next) = match header.kind() {
            Kind::MemRead => {
                let (skip, len) = header.byte_enables().span(header.dwords());
                (len, header.address() + u64::from(skip))
            }
            Kind::ConfigRead => (4, 0),
            _ => (0, 0),
        };
        outbox.push(at, header, payload, Purpose::Request(id.0));
        let deadline = at + self.timeout;
        let value = payload.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        let pending = Pending { id, header, value, deadline, owed, next, data: Vec::new() };
        self.slots[tag] = Slot::Busy(pending);
        Ok(id)
    }

    /// Takes the outcome of a request, if it is over.
    pub fn take(&mut self, id: RequestId) -> Option<Outcome> {
        self.outcomes.remove(&id)
    }

    /// When the next request times out.
    pub fn next_deadline(&self) -> Option<u64> {
        let deadlines = self.slots.iter().filter_map(|slot| match slot {
            Slot::Busy(pending) => Some(pending.deadline),
            _ => None,
        });
        deadlines.min()
    }

    /// Ends the requests that have timed out by `cycle`.
    pub fn expire(&mut self, cycle: u64, checker: &mut Checker) {
        for slot in &mut self.slots {
            if !matches!(slot, Slot::Busy(pending) if pending.deadline <= cycle) {
                continue;
            }
            let until = cycle + LOST * self.timeout;
            if let Slot::Busy(pending) = std::mem::replace(slot, Slot::Lost { until }) {
                let Pending { id, header, deadline, .. } = pending;
                checker.report(deadline, Rule::Timeout, header, "no completion in time");
                let outcome = Outcome { cycle: deadline, result: Err(RequestError::Timeout) };
                self.outcomes.insert(id, outcome);
            }
        }
    }

    /// Accepts a completion from the card. Returns the request if the completion ended it with
    /// success.
    pub fn completion(
        &mut self,
        cycle: u64,
        header: Header,
        payload: &[u8],
        checker: &mut Checker,
    ) -> Option<Ended> {
        self.expire(cycle, checker);
        let fields = header.completion_fields();
        let slot = self.slots.get_mut(usize::from(fields.tag));
        let pending = match slot {
            Some(Slot::Busy(pending)) if fields.requester == ROOT_ID => pending,
            Some(Slot::Lost { .. }) if fields.requester == ROOT_ID => {
                self.late += 1;
                return None;
            }
            _ => {
                let detail =
                    format!("nothing asked for by {:#06x} with this tag", fields.requester);
                checker.report(cycle, Rule::Unasked, header, detail);
                return None;
            }
        };
        if (header.traffic_class(), header.attributes())
            != (pending.header.traffic_class(), pending.header.attributes())
        {
            let detail = "traffic class or attributes are not the request's";
            checker.report(cycle, Rule::CompletionClass, header, detail);
        }
        if let Err(detail) = pending.may_end_with(header) {
            checker.report(cycle, Rule::CompletionStatus, header, detail);
        }
        let result = match fields.status {
            Status::UnsupportedRequest => Err(RequestError::Unsupported),
            Status::ConfigRetry => Err(RequestError::Retry),
            Status::CompleterAbort => Err(RequestError::Aborted),
            Status::Reserved(_) => Err(RequestError::Malformed),
            Status::Success if header.poisoned() => Err(RequestError::Poisoned),
            Status::Success => match pending.accept(header, payload) {
                Ok(true) => Ok(std::mem::take(&mut pending.data)),
                Ok(false) => return None,
                Err((rule, detail)) => {
                    checker.report(cycle, rule, header, detail);
                    Err(RequestError::Malformed)
                }
            },
        };
        let ended = result.as_ref().ok().map(|data| {
            let read = data.first_chunk().map(|word| u32::from_le_bytes(*word));
            Ended { header: pending.header, word: read.unwrap_or(pending.value) }
        });
        self.outcomes.insert(pending.id, Outcome { cycle, result });
        self.slots[usize::from(fields.tag)] = Slot::Free;
        ended
    }
}

impl Pending {
    /// Checks that the status of a completion fits this request, and that the completion has data
    /// only if it may.
    fn may_end_with(&self, header: Header) -> Result<(), String> {
        let status = header.completion_fields().status;
        let configures = matches!(self.header.kind(), Kind::ConfigRead | Kind::ConfigWrite);
        match status {
            _ if header.is_locked() != self.header.is_locked() => {
                Err("a locked read has a completion of its own kind, and nothing else has".into())
            }
            Status::Reserved(_) => Err(format!("{status:?}")),
            Status::ConfigRetry if !configures => Err("retry of a request to memory".into()),
            Status::Success => Ok(()),
            _ if header.has_data() => Err(format!("data with {status:?}")),
            _ => Ok(()),
        }
    }

    /// Accepts the data of a completion. Returns whether it was the last, or what is wrong with it.
    fn accept(&mut self, header: Header, payload: &[u8]) -> Result<bool, (Rule, String)> {
        let fields = header.completion_fields();
        let lower = (self.next & 0x7f) as u8;
        let expected = if self.owed == 0 { 4 } else { self.owed };
        if fields.byte_count != expected {
            let detail = format!("byte count {}, not {expected}", fields.byte_count);
            return Err((Rule::ByteCount, detail));
        }
        if fields.lower_address != lower {
            let detail = format!("lower address {:#x}, not {lower:#x}", fields.lower_address);
            return Err((Rule::LowerAddress, detail));
        }
        let wrong = |detail: &str| Err((Rule::CompletionLength, detail.into()));
        let skip = (self.next & 3) as usize;
        if self.owed == 0 {
            return if payload.is_empty() { Ok(true) } else { wrong("data for a write") };
        }
        if payload.len() <= skip {
            return wrong("no data for a read");
        }
        let len = (payload.len() - skip).min(self.owed as usize);
        if payload.len() > (skip + len).next_multiple_of(4) {
            return wrong("more data than asked for");
        }
        self.data.extend_from_slice(&payload[skip..skip + len]);
        self.owed -= len as u32;
        self.next += len as u64;
        if self.owed > 0 && !self.next.is_multiple_of(64) {
            let detail = format!("split at {:#x}, which is no boundary", self.next);
            return Err((Rule::Boundary, detail));
        }
        Ok(self.owed == 0)
    }
}
