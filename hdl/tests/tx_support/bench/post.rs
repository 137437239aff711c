//! Posts packets in rings, and notes the frames and completions to expect.

use super::{Bench, Buffer, Fate, Packet, Posted};
use crate::tx_support::offload::{Cut, Limits, Wish, IP_CSUM, L4_CSUM, TSO};

impl Bench {
    /// Posts a packet; the doorbell is for [Bench::ring].
    pub fn post(&mut self, queue: usize, packet: &Packet) {
        let mut bytes = Vec::new();
        let mut words: Vec<[u32; 4]> = Vec::new();
        let mut buffers = Vec::new();
        let lines = self.rings[&queue].lines.clone();
        let mut header = Vec::new();
        let mut header_len = packet.header_len;
        if let Some(lines) = &lines {
            // Without `first` a line has no header.
            if packet.bufs.is_empty() || (packet.no_first && packet.meta.is_none()) {
                header_len = 0;
            }
            header = vec![0; usize::from(header_len).min(lines.most())];
        }
        let mut unread = Vec::new();
        let mut meta = self.rings[&queue].meta;
        if let Some((values, store)) = packet.meta {
            meta = values;
            if store {
                self.rings.get_mut(&queue).expect("a queue").meta = values;
            }
        }
        let [mss, l3_len, l3_off, l4_words] = meta;
        let asked = if self.setup.offloads { 0x3ffff } else { !(TSO | IP_CSUM | L4_CSUM) };
        let wish = Wish { word1: packet.flags & asked, mss, l3_len, l3_off, l4_words };
        let payload: usize = packet.bufs.iter().map(|&(len, _)| usize::from(len)).sum();
        let given = packet.bytes.clone().unwrap_or_else(|| {
            let mut given = self.rng.bytes(header.len() + payload);
            wish.vary(&mut given, &mut self.rng);
            given
        });
        header = given[..header.len()].to_vec();
        bytes.extend(&header);
        if let Some(([mss, l3_len, l3_off, l4], store)) = packet.meta {
            let mss = u32::from(mss);
            words.push([
                1 << 14 | (mss >> 10) << 16 | 1 << 20 | u32::from(store) << 21 | 1 << 23 | 1 << 26,
                0,
                u32::from(l3_len) | u32::from(l3_off) << 8 | u32::from(l4) << 16 | mss << 22,
                0,
            ]);
        }
        for (i, &(len, align)) in packet.bufs.iter().enumerate() {
            let addr = if self.rng.percent(20) {
                // Up to a page's last byte or across it.
                (self.next_buffer + u64::from(len) + 8192) / 4096 * 4096
                    - self.rng.below(u64::from(len) + 1)
            } else {
                self.next_buffer.next_multiple_of(64) + align
            };
            if len > 0 {
                self.next_buffer = addr + u64::from(len) + 1;
                let data = given[bytes.len()..][..usize::from(len)].to_vec();
                let poison = packet.poison || packet.poison_at == Some(i);
                if poison {
                    unread.push(bytes.len()..bytes.len() + data.len());
                }
                bytes.extend(&data);
                self.buffers.insert(addr, Buffer { data, read: 0, poison });
                buffers.push(addr);
            }
            let id = u32::from(packet.req_id);
            let mut word = [u32::from(len), 0, addr as u32, (addr >> 32) as u32];
            if i == 0 {
                let first = packet.meta.is_none() && !packet.no_first;
                word[0] |= id >> 10 << 16 | u32::from(first) << 26 | 1 << 28;
                word[1] = id << 22 | packet.flags & 0x3ffff;
                word[3] |= u32::from(header_len) << 24;
            }
            words.push(word);
            if i == 0 && packet.meta_inside {
                words.push([1 << 23, 0, 0, 0]);
            }
        }
        let last = words.last_mut().expect("descriptors");
        last[0] |= 1 << 27;
        let cuts = wish.frames(&bytes, header.len(), self.limits());
        let bad = (packet.no_first && packet.meta.is_none())
            || packet.meta_inside
            || packet.bufs.len() > 21
            || bytes.len() > 131_071
            || bytes.is_empty()
            || lines.as_ref().is_some_and(|lines| usize::from(header_len) > lines.most());
        let fate = match cuts {
            _ if packet.bufs.is_empty() => Fate::Silent,
            Some(cuts) if !bad => fate(cuts, &unread, wish.refused(&bytes)),
            _ => Fate::Bad,
        };
        if lines.is_some() {
            self.post_lines(queue, &words, &header, packet.req_id, fate, buffers);
        } else {
            self.post_words(queue, &words, packet.req_id, fate, buffers);
        }
    }

    /// Pushes descriptors and a header as they are, and says what must become of them.
    pub fn post_lines(
        &mut self,
        queue: usize,
        words: &[[u32; 4]],
        header: &[u8],
        req_id: u16,
        fate: Fate,
        buffers: Vec<u64>,
    ) {
        let room = self.room(queue);
        let ring = self.rings.get_mut(&queue).expect("a queue");
        let layout = ring.lines.clone().expect("a queue that is pushed");
        let lines = layout.lay(words, header, |i| {
            u32::from(ring.tail.wrapping_add(i as u16) >> ring.log & 1 == 0) << 24
        });
        assert!(lines.len() <= room, "the test posts too much");
        for line in lines {
            let at = u64::from(ring.tail) & ((1 << ring.log) - 1);
            let addr = ring.base + at * layout.len() as u64;
            let k = self.setup.dma.k;
            let beats = layout.beats(&line, addr, k, self.whole_lines, &mut self.rng);
            self.beats_queued += beats.len() as u64;
            self.beats.extend(beats);
            ring.tail = ring.tail.wrapping_add(1);
        }
        ring.packets.push_back(Posted { req_id, fate, end: ring.tail, buffers });
    }

    fn limits(&self) -> Limits {
        let max_frame = self.setup.max_frame.min(16384);
        Limits { plain: max_frame, off: max_frame.min(512 * self.setup.dma.k as u64) }
    }

    /// Posts descriptors as they are, and says what must become of them.
    pub fn post_words(
        &mut self,
        queue: usize,
        words: &[[u32; 4]],
        req_id: u16,
        fate: Fate,
        buffers: Vec<u64>,
    ) {
        assert!(words.len() <= self.room(queue), "the test posts too much");
        let ring = self.rings.get_mut(&queue).expect("a queue");
        for word in words {
            let phase = u32::from(ring.tail >> ring.log & 1 == 0) << 24;
            let at = usize::from(ring.tail) & ((1 << ring.log) - 1);
            for (i, value) in word.iter().enumerate() {
                let value = if i == 0 { value | phase } else { *value };
                ring.slots[at][4 * i..][..4].copy_from_slice(&value.to_le_bytes());
            }
            ring.tail = ring.tail.wrapping_add(1);
        }
        ring.packets.push_back(Posted { req_id, fate, end: ring.tail, buffers });
    }
}

/// A packet's, of which some bytes can't be read. Without its header none of its frames is
/// anything.
fn fate(cuts: Vec<Cut>, unread: &[std::ops::Range<usize>], refused: bool) -> Fate {
    let lost =
        |cut: &Cut| unread.iter().any(|u| u.start < cut.bytes.end && cut.bytes.start < u.end);
    if lost(&cuts[0]) {
        return Fate::Lost;
    }
    let count = cuts.len();
    let frames: Vec<_> = cuts.into_iter().filter(|cut| !lost(cut)).map(|cut| cut.frame).collect();
    let some = frames.len() < count;
    if refused {
        Fate::Refused(some)
    } else {
        Fate::Frames(frames, some)
    }
}
