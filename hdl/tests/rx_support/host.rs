//! The host's side of the bench: decodes posted writes and completions.

use super::bench::{Bench, Tlp, REQUESTER};
use super::frames::{check, Sums};

impl Bench {
    pub(super) fn take_beat(&mut self) {
        self.idle = 0;
        self.tx_beats += 1;
        let sop = self.block.get(self.ports.tx_sop) == 1;
        let eop = self.block.get(self.ports.tx_eop) == 1;
        let data = self.block.get_bytes(self.ports.tx_data);
        if sop {
            assert!(self.tlp.is_none(), "a TLP in a TLP");
            let hdr = self.block.get_bytes(self.ports.tx_hdr);
            self.tlp = Some(Tlp { hdr, data: Vec::new() });
        }
        let tlp = self.tlp.as_mut().expect("a beat outside a TLP");
        tlp.data.extend(data);
        if eop {
            let tlp = self.tlp.take().unwrap();
            self.take_tlp(&tlp);
        }
    }

    fn take_tlp(&mut self, tlp: &Tlp) {
        self.tlps += 1;
        let dw = |i: usize| u32::from_le_bytes(tlp.hdr[4 * i..4 * i + 4].try_into().unwrap());
        let long = match dw(0) >> 24 {
            0x40 => false,
            0x60 => true,
            other => panic!("a TLP of type {other:#x}"),
        };
        assert_eq!(dw(0) & 0x00ff_fc00, 0, "traffic class, attributes");
        let dwords = match dw(0) & 0x3ff {
            0 => 1024,
            n => n as usize,
        };
        assert_eq!(u64::from(dw(1) >> 16), REQUESTER);
        assert_eq!(dw(1) >> 8 & 0xff, 0, "tag");
        let (first, last) = (dw(1) & 15, dw(1) >> 4 & 15);
        let addr = if long { u64::from(dw(2)) << 32 | u64::from(dw(3)) } else { u64::from(dw(2)) };
        assert_eq!(long, addr >> 32 != 0, "3 dwords below 4 GiB, 4 above");
        assert_eq!(addr & 3, 0);
        let k = self.setup.k;
        assert_eq!(tlp.data.len(), (4 * dwords).next_multiple_of(k), "beats for {dwords} dwords");
        let mps = 128u64 << self.setup.mps;
        assert!(
            4 * dwords as u64 <= mps && addr / mps == (addr + 4 * dwords as u64 - 1) / mps,
            "{addr:#x} {dwords}"
        );
        assert_eq!(last == 0, dwords == 1, "byte enables {first:x} {last:x}");
        let enabled = |i: usize| match i / 4 {
            0 => first >> (i % 4) & 1 == 1,
            n if n + 1 == dwords => last >> (i % 4) & 1 == 1,
            n => n < dwords,
        };
        let mut begun = 0;
        for (i, &byte) in tlp.data.iter().enumerate() {
            if enabled(i) {
                begun += usize::from(i == 0 || !enabled(i - 1));
                self.store(addr + i as u64, byte);
            } else {
                assert_eq!(byte, 0, "a byte that is not enabled leaks");
            }
        }
        assert_eq!(begun, 1, "byte enables {first:x} {last:x}");
    }

    fn store(&mut self, addr: u64, byte: u8) {
        let buffer = self.buffers.range_mut(..=addr).next_back();
        let place = buffer.and_then(|(at, buffer)| buffer.data.get_mut((addr - at) as usize));
        let place = place.unwrap_or_else(|| panic!("a write to {addr:#x}, where no buffer is"));
        assert_eq!(place.replace(byte), None, "{addr:#x} is written twice");
    }

    pub(super) fn take_completion(&mut self) {
        self.idle = 0;
        let cq = self.block.get(self.ports.cqe_cq);
        if self.block.get(self.ports.cqe_marker) == 1 {
            let ending = self.commands.front().expect("a marker for nothing");
            assert!(ending.destroy && self.rings[&ending.queue].cq == cq);
            self.ack_in = Some(self.rng.below(20));
            return;
        }
        let entry = self.block.get_bytes(self.ports.cqe_entry);
        let word = |i: usize| u32::from_le_bytes(entry[4 * i..4 * i + 4].try_into().unwrap());
        let (&queue, ring) = self.rings.iter_mut().find(|(_, ring)| ring.cq == cq).expect("a CQ");
        let status = word(0);
        assert_eq!(status & 0xb3fe_00e0, 0, "reserved bits, phase: {status:#x}");
        assert_eq!(status & 1 << 30, 1 << 30);
        let len = (word(1) & 0xffff) as usize;
        let (addr, size, id) = ring.posted.pop_front().expect("a buffer");
        assert_eq!((word(1) >> 16) as u16, id, "req_id");
        assert_eq!(entry[14], 0, "offset");
        let first = status >> 26 & 1 == 1;
        let last = status >> 27 & 1 == 1;
        assert_eq!(first, !ring.inside, "first");
        assert!(
            len > 0 && len <= size && (last || len == size),
            "{len} bytes in a buffer of {size}"
        );
        let buffer = self.buffers.remove(&addr).expect("a buffer");
        for (i, byte) in buffer.data.iter().enumerate() {
            assert_eq!(byte.is_some(), i < len, "byte {i} of {len} at its completion");
            ring.packet.extend(byte);
        }
        ring.inside = !last;
        if !last {
            return;
        }
        let packet = std::mem::take(&mut ring.packet);
        let expected = self.expected.entry(queue).or_default();
        let found = expected.iter().position(|(frame, ..)| *frame == packet);
        let at = found
            .unwrap_or_else(|| panic!("queue {queue} got what was not sent to it: {packet:02x?}"));
        let (_, flow, hash) = expected.drain(..=at).next_back().unwrap();
        assert_eq!(u64::from(status & 0x1f), flow.l3);
        assert_eq!(u64::from(status >> 8 & 0x1f), flow.l4);
        assert_eq!(status >> 15 & 1 == 1, flow.frag);
        let bits = u64::from(status >> 13 & 3 | (status >> 16 & 1) << 2);
        let unverified = Sums { l3_err: true, ..Sums::default() };
        let sums = if self.setup.checksums { check(&packet) } else { unverified };
        assert_eq!(Sums::from_bits(bits), sums, "{packet:02x?}");
        assert_eq!(word(2), hash, "hash");
        ring.delivered += 1;
        self.deliveries.push(self.block.cycles());
    }

    /// The data path's reset, as the host's device reset has it: queues, buffers and frames are gone.
    pub fn core_reset(&mut self) {
        let reset = self.block.port("reset");
        self.block.set(reset, 1);
        for _ in 0..16 {
            let mac = self.wire.front();
            self.block.set(self.ports.mac_valid, mac.is_some().into());
            if let Some(beat) = mac {
                self.block.set(self.ports.mac_last, beat.last.into());
                self.block.set_bytes(self.ports.mac_data, &beat.data);
            }
            self.block.clock_low();
            if self.block.get(self.ports.mac_ready) == 1 {
                self.wire.pop_front();
            }
            self.block.clock_high();
        }
        self.block.set(reset, 0);
        self.rings.clear();
        self.buffers.clear();
        self.bells.clear();
        self.commands.clear();
        self.pieces.clear();
        self.flying.clear();
        self.beats.clear();
        self.tlp = None;
    }
}
