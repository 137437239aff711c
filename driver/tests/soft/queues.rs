//! The packet side of the card in software.

use nitor_abi::mgmt::{self, Counter, RssEntry};
use nitor_abi::rx::{RxCompletion, RxDesc};
use nitor_abi::tx::{is_meta, TxCompletion, TxData};

use super::Inner;

/// Buffers a frame may take.
const MAX_PARTS: usize = 16;

#[derive(Clone, Debug)]
pub struct Cq {
    base: u64,
    log_depth: u8,
    entry_len: usize,
    vector: Option<u16>,
    tail: u16,
}

impl Cq {
    pub fn new(base: u64, log_depth: u8, entry_len: usize, vector: Option<u16>) -> Self {
        Cq { base, log_depth, entry_len, vector, tail: 0 }
    }
}

#[derive(Clone, Debug)]
pub struct Sq {
    base: u64,
    log_depth: u8,
    cq: usize,
    tail: u16,
    head: u16,
}

impl Sq {
    pub fn new(base: u64, log_depth: u8, cq: usize) -> Self {
        Sq { base, log_depth, cq, tail: 0, head: 0 }
    }

    pub fn depth(&self) -> u16 {
        1 << self.log_depth
    }

    /// What the doorbell has told and was not fetched.
    pub fn waiting(&self) -> u16 {
        self.tail.wrapping_sub(self.head)
    }

    pub fn bell(&mut self, value: u32) {
        let tail = u16::try_from(value).expect("doorbells have 16 bits");
        let ahead = tail.wrapping_sub(self.head);
        assert!(ahead < self.depth() && ahead >= self.waiting(), "a driver's doorbell is legal");
        self.tail = tail;
    }
}

impl Inner {
    fn fetch(&mut self, sq: &mut Sq) -> Option<[u8; 16]> {
        if sq.waiting() == 0 {
            return None;
        }
        let index = sq.head & (sq.depth() - 1);
        let phase = sq.head >> sq.log_depth & 1 == 0;
        let mut desc = [0; 16];
        self.dma_read(sq.base + 16 * u64::from(index), &mut desc);
        assert_eq!(desc[3] & 1 == 1, phase, "phase of a descriptor");
        sq.head = sq.head.wrapping_add(1);
        Some(desc)
    }

    /// Writes `count` of the completions that were held.
    pub fn release(&mut self, count: usize) {
        self.wrong.completions_left = Some(count);
        for (cq, entry) in std::mem::take(&mut self.held) {
            self.complete(cq, entry);
        }
    }

    fn complete(&mut self, cq: usize, mut entry: Vec<u8>) {
        if let Some(left) = &mut self.wrong.completions_left {
            if *left == 0 {
                return self.held.push((cq, entry));
            }
            *left -= 1;
        }
        let Some(mut queue) = self.cqs[cq].clone() else { return };
        let index = queue.tail & ((1 << queue.log_depth) - 1);
        entry.resize(queue.entry_len, 0);
        entry[3] = entry[3] & !1 | u8::from(queue.tail >> queue.log_depth & 1 == 0);
        self.dma_write(queue.base + u64::from(index) * queue.entry_len as u64, &entry);
        queue.tail = queue.tail.wrapping_add(1);
        self.pending.extend(queue.vector);
        self.cqs[cq] = Some(queue);
    }

    pub fn step_queues(&mut self) {
        for q in 0..self.tx.len() {
            while let Some(mut sq) = self.tx[q].clone() {
                let Some(frame) = self.transmit(&mut sq) else { break };
                self.tx[q] = Some(sq);
                self.count(Counter::TxFrames, 1);
                self.count(Counter::TxBytes, frame.len() as u64);
                self.sent += 1;
                self.wire.push_back(frame);
            }
        }
        while self.loopback {
            let Some(frame) = self.wire.pop_front() else { break };
            self.receive(&frame);
        }
    }

    /// Takes one packet: the doorbell is always behind a whole one.
    fn transmit(&mut self, sq: &mut Sq) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        let mut req_id = None;
        let mut first = true;
        loop {
            let desc = self.fetch(sq)?;
            self.descriptors.push(desc);
            let data = TxData::from_bytes(&desc);
            assert_eq!(data.first, first);
            first = false;
            if is_meta(&desc) {
                assert!(req_id.is_none());
                continue;
            }
            if req_id.is_none() {
                assert!(data.comp_req);
                req_id = Some(data.req_id);
            }
            let start = frame.len();
            assert_ne!(data.length, 0);
            frame.resize(start + usize::from(data.length), 0);
            self.dma_read(data.address, &mut frame[start..]);
            if data.last {
                break;
            }
        }
        let done = TxCompletion { req_id: req_id?, ..Default::default() };
        let mut entry = done.to_bytes();
        if let Some(spoil) = self.wrong.tx_completion {
            spoil(&mut entry);
        }
        if !self.wrong.no_tx_completions {
            self.complete(sq.cq, entry.to_vec());
        }
        Some(frame)
    }

    pub fn receive(&mut self, frame: &[u8]) {
        // Not Toeplitz, but spreads.
        let hash = frame.iter().fold(0u32, |hash, &b| hash.rotate_left(5) ^ u32::from(b));
        let entry = RssEntry::from(self.bus.get(mgmt::RSS_TABLE + 4 * (hash as u16 & 127)));
        let queue = usize::from(entry.queue);
        let sq = self.rx.get(queue).cloned().flatten().filter(|_| entry.valid);
        let Some(mut sq) = sq else { return self.count(Counter::RxDropsNoQueue, 1) };

        // All or nothing.
        let mut parts = Vec::new();
        let mut rest = frame;
        while !rest.is_empty() && parts.len() < MAX_PARTS {
            let Some(desc) = self.fetch(&mut sq) else { break };
            let desc = RxDesc::from_bytes(&desc);
            assert!(desc.first && desc.last && desc.comp_req && desc.length > 0);
            let (part, behind) = rest.split_at(rest.len().min(desc.length.into()));
            rest = behind;
            parts.push((desc, part));
        }
        if !rest.is_empty() {
            return self.count(Counter::RxDropsNoDescriptor, 1);
        }
        let last = parts.len() - 1;
        for (i, (desc, part)) in parts.into_iter().enumerate() {
            self.dma_write(desc.address, part);
            let done = RxCompletion {
                l3_csum_err: true,
                first: i == 0,
                last: i == last,
                buffer: true,
                length: part.len() as u16,
                req_id: desc.req_id,
                hash,
                ..Default::default()
            };
            let mut entry = done.to_bytes();
            if let Some(spoil) = self.wrong.rx_completion {
                spoil(&mut entry);
            }
            self.complete(sq.cq, entry.to_vec());
        }
        self.rx[queue] = Some(sq);
        self.count(Counter::RxFrames, 1);
        self.count(Counter::RxBytes, frame.len() as u64);
    }

    fn count(&mut self, counter: Counter, by: u64) {
        self.bus.counters[counter as usize] += by;
    }
}
