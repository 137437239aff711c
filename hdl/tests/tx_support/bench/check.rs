//! Checks that the card sends and completes what was posted.

use super::{before, Bench, Fate};

impl Bench {
    pub(super) fn sample_mac(&mut self) {
        let p = &self.ports;
        let valid = self.block.get(p.mac_valid) == 1;
        let ready = self.block.get(p.mac_ready) == 1;
        if !valid {
            assert!(self.mac_offered.is_none(), "a beat is taken back");
            return;
        }
        if let Some(rung) = self.rung.take() {
            self.latency = self.block.cycles() - rung;
        }
        let now = (
            self.block.get_bytes(p.mac_data),
            self.block.get(p.mac_last),
            self.block.get(p.mac_bytes),
        );
        assert_eq!(self.block.get(p.mac_err), 0);
        if let Some(before) = self.mac_offered.take() {
            assert_eq!(before, now, "a beat changes");
        }
        if !ready {
            self.mac_offered = Some(now);
            return;
        }
        self.idle = 0;
        let (data, last, bytes) = now;
        let k = self.setup.dma.k;
        if last == 0 {
            self.frame.extend(data);
            return;
        }
        assert!(bytes >= 1 && bytes as usize <= k, "{bytes} bytes in the last beat");
        assert!(data[bytes as usize..].iter().all(|&b| b == 0), "bytes beyond the frame leak");
        self.frame.extend(&data[..bytes as usize]);
        let frame = std::mem::take(&mut self.frame);
        match self.waiting.pop_front() {
            Some(expected) => same(&frame, &expected),
            None => self.frames.push_back(frame),
        }
    }

    pub(super) fn sample_done(&mut self, cycle: u64) {
        let p = &self.ports;
        if self.block.get(p.done_valid) == 0 {
            assert!(self.done_offered.is_none(), "a completion is taken back");
            return;
        }
        let now = (
            self.block.get(p.done_cq),
            self.block.get(p.done_req_id),
            self.block.get(p.done_marker),
        );
        if let Some(before) = self.done_offered.take() {
            assert_eq!(before, now, "a completion changes");
        }
        if self.block.get(p.done_ready) == 0 {
            self.done_offered = Some(now);
            return;
        }
        self.idle = 0;
        let (cq, req_id, marker) = now;
        let found = self.rings.iter_mut().find(|(_, ring)| ring.cq == cq);
        let (&queue, ring) = found.unwrap_or_else(|| panic!("a completion for CQ {cq}"));
        let mut silent = 0;
        while ring
            .packets
            .front()
            .is_some_and(|p| p.fate == Fate::Silent && !before(ring.fetched, p.end))
        {
            ring.freed = ring.packets.pop_front().unwrap().end;
            silent += 1;
        }
        if marker == 1 {
            assert!(ring.destroying, "a marker for nothing");
            let broken = ring.broken.is_some();
            assert!(
                broken
                    || ring.lines.is_some()
                    || ring.packets.iter().all(|p| before(ring.fetched, p.end)),
                "a marker before its packets"
            );
            self.ack_in = Some(self.rng.below(20));
            if ring.lines.is_some() {
                self.doubtful += silent;
            } else {
                self.expect("stat_bad_descriptor", silent);
            }
            return;
        }
        let packet = ring
            .packets
            .pop_front()
            .unwrap_or_else(|| panic!("queue {queue}: a completion too many"));
        assert_eq!(u64::from(packet.req_id), req_id, "queue {queue}: req_id");
        assert!(!before(ring.fetched, packet.end), "completed before it was fetched");
        if let Some(start) = ring.broken {
            assert!(!before(start, packet.end), "a packet behind a failed batch completes");
        }
        ring.freed = packet.end;
        let whole = matches!(packet.fate, Fate::Frames(..) | Fate::Lost | Fate::Refused(_));
        for addr in packet.buffers {
            let buffer = self.buffers.remove(&addr).expect("a buffer");
            let read = if whole { buffer.data.len() as u64 } else { 0 };
            assert_eq!(buffer.read, read, "bytes read of a buffer");
        }
        self.expect("stat_bad_descriptor", silent);
        self.completions.push(cycle);
        *self.done_of.entry(queue).or_default() += 1;
        match packet.fate {
            Fate::Frames(frames, lost) => {
                self.expect("stat_drop_dma", lost.into());
                for mut bytes in frames {
                    self.expect("stat_frame", 1);
                    self.expect("stat_bytes", bytes.len() as u64);
                    bytes.resize(bytes.len().max(60), 0);
                    match self.frames.pop_front() {
                        Some(frame) => same(&frame, &bytes),
                        None => self.waiting.push_back(bytes),
                    }
                }
            }
            Fate::Bad => self.expect("stat_bad_descriptor", 1),
            Fate::Refused(lost) => {
                self.expect("stat_bad_descriptor", 1);
                self.expect("stat_drop_dma", lost.into());
            }
            Fate::Lost => self.expect("stat_drop_dma", 1),
            Fate::Silent => unreachable!(),
        }
    }
}

/// Frames are compared without printing kilobytes.
fn same(frame: &[u8], expected: &[u8]) {
    assert_eq!(frame.len(), expected.len(), "{:02x?} for {:02x?}", &frame[..16], &expected[..16]);
    if let Some(at) = (0..frame.len()).find(|&i| frame[i] != expected[i]) {
        panic!("byte {at} of {}: {:02x} for {:02x}", frame.len(), frame[at], expected[at]);
    }
}
