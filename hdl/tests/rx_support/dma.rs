//! The DMA engine's side of the bench: answers reads of descriptors late, in pieces, out of order.

use super::bench::{Bench, DataBeat, Piece};

impl Bench {
    pub(super) fn take_fetch(&mut self, now: u64) {
        self.idle = 0;
        self.fetches += 1;
        let p = &self.ports;
        let get = |port| self.block.get(port);
        let (addr, len, dst, op) =
            (get(p.fetch_addr), get(p.fetch_len), get(p.fetch_dst), get(p.fetch_op));
        assert_eq!(get(p.fetch_last), 1);
        assert!(len > 0 && len % 16 == 0 && len <= 256, "a fetch of {len} bytes");
        let (&queue, ring) = self
            .rings
            .iter()
            .find(|(_, ring)| (ring.base..ring.base + (16 << ring.log)).contains(&addr))
            .unwrap_or_else(|| panic!("a fetch at {addr:#x}"));
        let first = ((addr - ring.base) / 16) as usize;
        let count = (len / 16) as usize;
        assert!(first + count <= 1 << ring.log, "a fetch across the ring's end");
        // Not behind the doorbell: at most what it says is posted, and of that only what is not used up.
        let posted = ring.posted.len() - usize::from(ring.tail.wrapping_sub(ring.bell));
        let mask = (1usize << ring.log) - 1;
        for i in first..first + count {
            let behind = usize::from(ring.bell).wrapping_sub(i + 1) & mask;
            assert!(
                behind < posted,
                "a fetch of descriptor {i}, tail {}, posted {posted}",
                ring.bell
            );
        }
        let data = ring.slots[first..first + count].concat();
        let poisoned = self.poison == Some(queue);
        let lost = self.lose == Some(queue);
        let mut at = 0;
        while at < len {
            let piece = (4096 - (addr + at) % 4096).min(self.setup.max_read).min(len - at);
            let bytes = data[at as usize..(at + piece) as usize].to_vec();
            let due = if lost { u64::MAX } else { now };
            let last = at + piece == len;
            let err = poisoned && (last || self.rng.below(2) == 0);
            self.pieces.push_back((op, last, Piece { due, op, dst: dst + at, data: bytes, err }));
            at += piece;
        }
    }

    pub(super) fn drive_bus(&mut self, now: u64) {
        let issue = self.pieces.pop_front();
        self.block.set(self.ports.issue_valid, issue.is_some().into());
        if let Some((op, last, mut piece)) = issue {
            self.idle = 0;
            self.block.set(self.ports.issue_client, 1);
            self.block.set(self.ports.issue_op, op);
            self.block.set(self.ports.issue_last, last.into());
            if piece.due != u64::MAX {
                piece.due = now + self.rng.range(self.setup.latency.0, self.setup.latency.1);
                self.flying.push(piece);
            }
        } else {
            // Someone else's.
            let other = self.rng.below(2);
            self.block.set(self.ports.issue_valid, other);
            self.block.set(self.ports.issue_client, 2);
            let op = self.rng.below(512);
            self.block.set(self.ports.issue_op, op);
        }
        let mut due: Vec<Piece> = Vec::new();
        let mut i = 0;
        while i < self.flying.len() {
            if self.flying[i].due <= now {
                due.push(self.flying.swap_remove(i));
            } else {
                i += 1;
            }
        }
        due.sort_by_key(|piece| piece.due);
        for piece in due {
            self.answer(piece);
        }
        let beat = self.beats.pop_front();
        let done = beat.as_ref().and_then(|beat| beat.done);
        self.block.set(self.ports.done_valid, done.is_some().into());
        if let Some((op, err)) = done {
            self.block.set(self.ports.done_client, 1);
            self.block.set(self.ports.done_op, op);
            self.block.set(self.ports.done_err, err.into());
        }
        if let Some(beat) = beat {
            self.idle = 0;
            self.block.set(self.ports.data_valid, 1);
            self.block.set(self.ports.data_client, 1);
            self.block.set(self.ports.data_row, beat.row);
            self.block.set_bytes(self.ports.data, &beat.data);
            self.block.set(self.ports.be_lo, beat.be_lo);
            self.block.set(self.ports.be_hi, beat.be_hi);
        } else {
            let other = self.rng.below(2);
            self.block.set(self.ports.data_valid, other);
            self.block.set(self.ports.data_client, 3);
        }
    }

    /// A completion, in beats that begin anywhere.
    fn answer(&mut self, piece: Piece) {
        let k = self.setup.k;
        let mut at = 0;
        while at < piece.data.len() {
            let mut n = k.min(piece.data.len() - at);
            if self.rng.below(4) == 0 {
                n = self.rng.range(1, n as u64) as usize;
            }
            let dst = piece.dst as usize + at;
            let mut beat = DataBeat {
                row: (dst / k) as u64,
                data: self.rng.bytes(k),
                be_lo: 0,
                be_hi: 0,
                done: None,
            };
            for j in 0..n {
                let lane = (dst + j) % k;
                beat.data[lane] = piece.data[at + j];
                if (dst + j) / k == dst / k {
                    beat.be_lo |= 1 << lane;
                } else {
                    beat.be_hi |= 1 << lane;
                }
            }
            if piece.err {
                beat.be_lo = 0;
                beat.be_hi = 0;
            }
            at += n;
            if at == piece.data.len() {
                beat.done = Some((piece.op, piece.err));
            }
            self.beats.push_back(beat);
        }
    }
}
