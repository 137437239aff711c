//! A card in software: performs the DMA that a test plans for it, checks each completion as it
//! arrives, and answers no request.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;

use nitor_sim::card::{Card, MgmtAccess, Record, RecordKind, Stop};
use nitor_sim::tlp::{ByteEnables, Header, Kind, Status};
use nitor_sim::CARD_ID;

/// What the card is to do, in order, each at its cycle or as soon as it can after.
#[derive(Clone, Debug)]
pub enum Op {
    Read {
        iova: u64,
        len: u32,
    },
    Write {
        iova: u64,
        bytes: Vec<u8>,
    },
    Frame {
        bytes: Vec<u8>,
    },
    /// Any TLP.
    Raw {
        header: Header,
        payload: Vec<u8>,
    },
}

/// How a read ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Data(Vec<u8>),
    Status(Status),
    Poisoned,
}

/// What a test sees of its card.
#[derive(Debug, Default)]
pub struct Log {
    /// Ends of the reads, by their number among the reads.
    pub ends: BTreeMap<usize, End>,
    /// The order in which reads ended.
    pub order: Vec<usize>,
    /// Completions of each read: byte count and bytes.
    pub pieces: BTreeMap<usize, Vec<(u32, u32)>>,
    /// Completions for tags that were not in use.
    pub unexpected: usize,
    /// Frames that arrived, with cycle and error mark.
    pub frames: Vec<(u64, Vec<u8>, bool)>,
    /// Cycle and header of everything that arrived.
    pub arrived: Vec<(u64, Header)>,
}

struct Reading {
    number: usize,
    iova: u64,
    left: u32,
    data: Vec<u8>,
    poisoned: bool,
}

struct Arrival {
    at: u64,
    header: Header,
    payload: Vec<u8>,
    cookie: u64,
}

pub struct SoftCard {
    cycle: u64,
    plan: VecDeque<(u64, Op)>,
    tags: BTreeMap<u8, Reading>,
    max_tags: usize,
    reads: usize,
    arrivals: Vec<Arrival>,
    frames: VecDeque<(u64, Vec<u8>, bool)>,
    records: Vec<Record>,
    arena: Vec<u8>,
    log: Rc<RefCell<Log>>,
}

impl SoftCard {
    pub fn new(plan: Vec<(u64, Op)>, max_tags: usize) -> (Box<Self>, Rc<RefCell<Log>>) {
        let log = Rc::new(RefCell::new(Log::default()));
        let card = SoftCard {
            cycle: 0,
            plan: plan.into(),
            tags: BTreeMap::new(),
            max_tags,
            reads: 0,
            arrivals: Vec::new(),
            frames: VecDeque::new(),
            records: Vec::new(),
            arena: Vec::new(),
            log: log.clone(),
        };
        (Box::new(card), log)
    }

    fn record(&mut self, kind: RecordKind, header: Header, payload: &[u8], cookie: u64) {
        self.records.push(Record {
            kind,
            flags: 0,
            first: self.cycle,
            last: self.cycle,
            cookie,
            header: header.0,
            offset: self.arena.len() as u32,
            len: payload.len() as u32,
        });
        self.arena.extend_from_slice(payload);
    }

    fn act(&mut self) {
        if self.plan.front().is_none_or(|&(at, _)| at > self.cycle) {
            return;
        }
        if matches!(self.plan[0].1, Op::Read { .. }) && self.tags.len() >= self.max_tags {
            return;
        }
        match self.plan.pop_front().unwrap().1 {
            Op::Read { iova, len } => {
                let tag = (0..=255).find(|tag| !self.tags.contains_key(tag)).unwrap();
                let (be, dwords) = ByteEnables::contiguous(iova, len);
                let header = Header::mem_read(CARD_ID, tag, iova, dwords, be);
                let number = self.reads;
                self.reads += 1;
                let reading =
                    Reading { number, iova, left: len, data: Vec::new(), poisoned: false };
                self.tags.insert(tag, reading);
                self.record(RecordKind::TlpOut, header, &[], 0);
            }
            Op::Write { iova, bytes } => {
                let (be, dwords) = ByteEnables::contiguous(iova, bytes.len() as u32);
                let mut payload = vec![0; dwords as usize * 4];
                payload[(iova & 3) as usize..][..bytes.len()].copy_from_slice(&bytes);
                let header = Header::mem_write(CARD_ID, 0, iova, dwords, be);
                self.record(RecordKind::TlpOut, header, &payload, 0);
            }
            Op::Frame { bytes } => {
                let left = self.cycle;
                self.record(RecordKind::FrameOut, Header::default(), &bytes, left);
            }
            Op::Raw { header, payload } => {
                self.record(RecordKind::TlpOut, header, &payload, 0);
            }
        }
    }

    fn accept(&mut self) {
        let due = self.arrivals.iter().enumerate().filter(|(_, a)| a.at <= self.cycle);
        let Some(index) = due.min_by_key(|(_, a)| a.at).map(|(index, _)| index) else { return };
        let Arrival { header, payload, cookie, .. } = self.arrivals.remove(index);
        self.record(RecordKind::TlpIn, header, &payload, cookie);
        self.log.borrow_mut().arrived.push((self.cycle, header));
        if matches!(header.kind(), Kind::Completion | Kind::CompletionData) {
            self.complete(header, &payload);
        }
    }

    fn complete(&mut self, header: Header, payload: &[u8]) {
        let mut log = self.log.borrow_mut();
        let fields = header.completion_fields();
        let Some(reading) = self.tags.get_mut(&fields.tag) else {
            log.unexpected += 1;
            return;
        };
        assert_eq!(fields.requester, CARD_ID);
        assert_eq!(fields.byte_count, reading.left);
        assert_eq!(u64::from(fields.lower_address), reading.iova & 0x7f);
        let end = if fields.status != Status::Success {
            assert!(payload.is_empty());
            Some(End::Status(fields.status))
        } else {
            let skip = (reading.iova & 3) as usize;
            let len = (payload.len() - skip).min(reading.left as usize);
            assert_eq!((skip + len).next_multiple_of(4), payload.len(), "no dword too many");
            reading.data.extend_from_slice(&payload[skip..skip + len]);
            reading.iova += len as u64;
            reading.left -= len as u32;
            reading.poisoned |= header.poisoned();
            log.pieces.entry(reading.number).or_default().push((fields.byte_count, len as u32));
            assert!(reading.left == 0 || reading.iova % 64 == 0, "split at no boundary");
            (reading.left == 0).then(|| match reading.poisoned {
                true => End::Poisoned,
                false => End::Data(std::mem::take(&mut reading.data)),
            })
        };
        if let Some(end) = end {
            log.order.push(reading.number);
            log.ends.insert(reading.number, end);
            self.tags.remove(&fields.tag);
        }
    }
}

impl Card for SoftCard {
    fn width(&self) -> u32 {
        128
    }

    fn cycle(&self) -> u64 {
        self.cycle
    }

    fn run(&mut self, until: u64, _: Stop) -> u64 {
        while self.cycle < until {
            self.act();
            self.accept();
            if self.frames.front().is_some_and(|&(at, ..)| at <= self.cycle) {
                let (_, frame, error) = self.frames.pop_front().unwrap();
                self.record(RecordKind::FrameIn, Header::default(), &frame, 0);
                self.log.borrow_mut().frames.push((self.cycle, frame, error));
            }
            self.cycle += 1;
        }
        self.cycle
    }

    fn push_tlp(&mut self, at: u64, header: Header, payload: &[u8], cookie: u64) {
        assert!(at >= self.cycle, "in the past");
        self.arrivals.push(Arrival { at, header, payload: payload.into(), cookie });
    }

    fn push_frame(&mut self, at: u64, frame: &[u8], error: bool, _: u64) {
        assert!(at >= self.cycle, "in the past");
        self.frames.push_back((at, frame.into(), error));
    }

    fn records(&self) -> (&[Record], &[u8]) {
        (&self.records, &self.arena)
    }

    fn clear_records(&mut self) {
        self.records.clear();
        self.arena.clear();
    }

    fn start_mgmt(&mut self, _: u64, _: MgmtAccess) {}

    fn take_mgmt(&mut self) -> Option<(u64, u32)> {
        None
    }

    fn irq(&self) -> bool {
        false
    }

    fn set_link(&mut self, _: bool) {}

    fn set_mac_rate(&mut self, _: u64) {}

    fn start_waves(&mut self, _: &Path) -> bool {
        false
    }

    fn stop_waves(&mut self) {}
}
