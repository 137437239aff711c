//! A model of the DMA read engine as the transmit path sees it: requests split at 4 KiB and at the
//! longest piece; pieces answered late, in any order, in completions of 64 bytes, a beat a cycle on
//! the bus.

use super::Rng;
use nitor_block::{Block, PortId};
use std::collections::VecDeque;

#[derive(Clone, Debug)]
pub struct DmaSetup {
    pub seed: u64,
    /// Bytes a beat.
    pub k: usize,
    pub latency: (u64, u64),
    pub max_read: u64,
    /// Pieces in flight.
    pub tags: usize,
    /// Percent of cycles without issue, and without data.
    pub issue_gap: u64,
    pub data_gap: u64,
}

/// A request: `data` is what it reads, none if that fails.
#[derive(Clone, Debug)]
pub struct Request {
    pub client: u64,
    pub addr: u64,
    pub len: u64,
    pub dst: u64,
    pub op: u64,
    pub last: bool,
    pub data: Option<Vec<u8>>,
}

struct Piece {
    due: u64,
    client: u64,
    op: u64,
    dst: u64,
    /// Distance from the last 64-byte boundary in host memory.
    phase: usize,
    data: Option<Vec<u8>>,
}

struct Beat {
    client: u64,
    row: u64,
    data: Vec<u8>,
    be_lo: u64,
    be_hi: u64,
    /// Ends the piece: {op, err}.
    done: Option<(u64, bool)>,
}

struct Ports {
    issue: [PortId; 4],
    done: [PortId; 4],
    data_valid: PortId,
    data_client: PortId,
    data_row: PortId,
    data: PortId,
    be_lo: PortId,
    be_hi: PortId,
}

pub struct Dma {
    setup: DmaSetup,
    rng: Rng,
    ports: Ports,
    requests: [VecDeque<Request>; 2],
    /// Pieces of the request being cut.
    cut: VecDeque<(Piece, bool)>,
    flying: Vec<Piece>,
    beats: VecDeque<Beat>,
    turn: usize,
    cycle: u64,
    pub pieces: u64,
}

impl Dma {
    pub fn new(block: &Block, setup: DmaSetup) -> Dma {
        let port = |name: &str| block.port(&format!("bus_{name}"));
        Dma {
            rng: Rng(setup.seed ^ 0xd3a),
            ports: Ports {
                issue: ["issue_valid", "issue_client", "issue_op", "issue_last"].map(port),
                done: ["done_valid", "done_client", "done_op", "done_err"].map(port),
                data_valid: port("data_valid"),
                data_client: port("data_client"),
                data_row: port("data_row"),
                data: port("data"),
                be_lo: port("be_lo"),
                be_hi: port("be_hi"),
            },
            setup,
            requests: Default::default(),
            cut: VecDeque::new(),
            flying: Vec::new(),
            beats: VecDeque::new(),
            turn: 0,
            cycle: 0,
            pieces: 0,
        }
    }

    pub fn request(&mut self, request: Request) {
        assert!(request.len > 0 && request.len < 65536);
        self.requests[request.client as usize & 1].push_back(request);
    }

    pub fn idle(&self) -> bool {
        self.cut.is_empty()
            && self.flying.is_empty()
            && self.beats.is_empty()
            && self.requests.iter().all(VecDeque::is_empty)
    }

    /// Sets the bus for a cycle.
    pub fn drive(&mut self, block: &mut Block) {
        self.cycle += 1;
        let issue = (self.flying.len() < self.setup.tags
            && !self.rng.percent(self.setup.issue_gap))
        .then(|| self.next_piece())
        .flatten();
        let noise = self.rng.next();
        let [valid, client, op, last] = self.ports.issue;
        block.set(valid, issue.is_some().into());
        block.set(client, issue.as_ref().map_or(noise & 3, |(piece, _)| piece.client));
        block.set(op, issue.as_ref().map_or(noise >> 2 & 0x1ff, |(piece, _)| piece.op));
        block.set(last, issue.as_ref().map_or(noise >> 20 & 1, |(_, last)| (*last).into()));
        if let Some((piece, _)) = issue {
            self.pieces += 1;
            self.flying.push(piece);
        }

        if self.beats.is_empty() {
            self.land();
        }
        let beat =
            if self.rng.percent(self.setup.data_gap) { None } else { self.beats.pop_front() };
        let (op, err) =
            beat.as_ref().and_then(|beat| beat.done).unwrap_or((noise >> 8 & 0x1ff, false));
        let done = beat.as_ref().is_some_and(|beat| beat.done.is_some());
        for (port, value) in self.ports.done.into_iter().zip([
            done.into(),
            beat.as_ref().map_or(noise >> 4 & 3, |beat| beat.client),
            op,
            u64::from(err || !done),
        ]) {
            block.set(port, value);
        }
        let beat = beat.unwrap_or_else(|| Beat {
            client: noise >> 30 & 3,
            row: noise >> 32 & 0xffff,
            data: Vec::new(),
            be_lo: 0,
            be_hi: 0,
            done: None,
        });
        block.set(self.ports.data_valid, (!beat.data.is_empty()).into());
        block.set(self.ports.data_client, beat.client);
        block.set(self.ports.data_row, beat.row);
        // Without data the enables are noise, and so are the lanes that are not enabled.
        let all = if self.setup.k == 64 { u64::MAX } else { (1 << self.setup.k) - 1 };
        if beat.data.is_empty() {
            let noise = self.rng.bytes(self.setup.k);
            block.set_bytes(self.ports.data, &noise);
            block.set(self.ports.be_lo, self.rng.next() & all);
            block.set(self.ports.be_hi, self.rng.next() & all);
        } else {
            block.set_bytes(self.ports.data, &beat.data);
            block.set(self.ports.be_lo, beat.be_lo);
            block.set(self.ports.be_hi, beat.be_hi);
        }
    }

    fn next_piece(&mut self) -> Option<(Piece, bool)> {
        if self.cut.is_empty() {
            self.turn ^= 1;
            let turn = if self.requests[self.turn].is_empty() { self.turn ^ 1 } else { self.turn };
            let request = self.requests[turn].pop_front()?;
            let mut at = 0;
            while at < request.len {
                let addr = request.addr + at;
                let n = (request.len - at).min(self.setup.max_read).min(4096 - addr % 4096);
                let data =
                    request.data.as_ref().map(|data| data[at as usize..][..n as usize].to_vec());
                let piece = Piece {
                    due: 0,
                    client: request.client,
                    op: request.op,
                    dst: request.dst + at,
                    phase: (addr % 64) as usize,
                    data,
                };
                at += n;
                self.cut.push_back((piece, request.last && at == request.len));
            }
        }
        let (mut piece, last) = self.cut.pop_front()?;
        let (low, high) = self.setup.latency;
        piece.due = self.cycle + self.rng.range(low, high);
        Some((piece, last))
    }

    /// A split of a piece that is due becomes beats.
    fn land(&mut self) {
        let due: Vec<usize> =
            (0..self.flying.len()).filter(|&i| self.flying[i].due <= self.cycle).collect();
        if due.is_empty() {
            return;
        }
        let at = due[if self.setup.latency.0 == self.setup.latency.1 {
            0
        } else {
            self.rng.below(due.len() as u64) as usize
        }];
        let piece = &mut self.flying[at];
        let (client, op) = (piece.client, piece.op);
        let Some(data) = &mut piece.data else {
            self.beats.push_back(Beat {
                client,
                row: 0,
                data: Vec::new(),
                be_lo: 0,
                be_hi: 0,
                done: Some((op, true)),
            });
            self.flying.remove(at);
            return;
        };
        let mut n = data.len();
        if self.setup.latency.0 != self.setup.latency.1 {
            let splits = (piece.phase + n).div_ceil(64);
            n = n.min(64 * self.rng.range(1, splits as u64) as usize - piece.phase);
        }
        let bytes: Vec<u8> = data.drain(..n).collect();
        let ended = data.is_empty();
        piece.phase = (piece.phase + n) % 64;
        let dst = piece.dst as usize;
        piece.dst += n as u64;
        let k = self.setup.k;
        let chunks = bytes.chunks(k).count();
        for (i, chunk) in bytes.chunks(k).enumerate() {
            let start = dst + i * k;
            let mut beat = Beat {
                client,
                row: (start / k) as u64 & 0xffff,
                data: self.rng.bytes(k),
                be_lo: 0,
                be_hi: 0,
                done: (ended && i + 1 == chunks).then_some((op, false)),
            };
            for (j, &byte) in chunk.iter().enumerate() {
                let lane = start % k + j;
                beat.data[lane % k] = byte;
                if lane < k {
                    beat.be_lo |= 1 << lane;
                } else {
                    beat.be_hi |= 1 << (lane - k);
                }
            }
            self.beats.push_back(beat);
        }
        if ended {
            self.flying.remove(at);
        }
    }
}
