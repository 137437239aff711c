//! Low-latency queues: lines in BAR 2, byte by byte as drivers write them.

use nitor_driver::pci::PciFunction;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::support::raw::{received, sent_id, Queue, Raw, CREATE_SQ, RX, SET_FEATURE, TX};
use super::{ethernet, seed, WIDTHS};

/// The host's view of a queue whose ring is lines.
struct Lines {
    /// Its completions and doorbell; the ring it has is of no use.
    queue: Queue,
    /// On the bus.
    base: u64,
    len: usize,
}

/// Inline headers behind two descriptors, many descriptors a line; whatever accelerations.
fn choose(raw: &mut Raw, entry_size: u16) -> u8 {
    let mut llq = [0; 36];
    for (at, value) in [(10, 1), (14, entry_size), (18, 2), (22, 2), (28, 3)] {
        llq[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    raw.feature(SET_FEATURE, 4, 0, &llq, None).0
}

fn create(raw: &mut Raw, depth: u16, len: usize) -> Lines {
    let cq = raw.memory(usize::from(depth) * 8, 4096);
    let (cq_id, unmask) = raw.create_cq(2, depth, u32::MAX, cq.iova()).unwrap();
    let mut entry = [0; 36];
    (entry[4], entry[6], entry[7]) = (TX << 5, 3, 1);
    entry[8..10].copy_from_slice(&cq_id.to_le_bytes());
    entry[10..12].copy_from_slice(&depth.to_le_bytes());
    let (status, answer) = raw.command(CREATE_SQ, &entry);
    assert_eq!(status, 0);
    let word = |at: usize| u32::from_le_bytes(answer[at..at + 4].try_into().unwrap());
    let offset = word(16);
    assert!(offset.is_multiple_of(128));
    assert!(u64::from(offset) + u64::from(depth) * len as u64 <= raw.function.bar_len(2));
    let base = raw.world.borrow().host(0).root.function.bars[2].unwrap().base;
    let queue = Queue {
        direction: TX,
        depth,
        ring: raw.memory(16, 16),
        offset: 0,
        id: word(8) as u16,
        doorbell: word(12),
        tail: 0,
        cq,
        cq_id,
        unmask,
        head: 0,
    };
    Lines { queue, base: base + u64::from(offset), len }
}

impl Lines {
    /// Descriptors and header of a packet as lines; the first descriptor begins it.
    fn lay(&self, descs: &[[u32; 4]], header: &[u8]) -> Vec<Vec<u8>> {
        let mut lines: Vec<Vec<u8>> = vec![vec![0; self.len]];
        let (mut at, mut room) = (0, 2);
        lines[0][32..32 + header.len()].copy_from_slice(header);
        for desc in descs {
            if at == room {
                lines.push(vec![0; self.len]);
                (at, room) = (0, self.len / 16);
            }
            let tail = self.queue.tail.wrapping_add(lines.len() as u16 - 1);
            let phase = u32::from((tail / self.queue.depth).is_multiple_of(2)) << 24;
            let line = lines.last_mut().unwrap();
            for (i, word) in desc.iter().enumerate() {
                let word = if i == 0 { word & !(1 << 24) | phase } else { *word };
                line[16 * at + 4 * i..][..4].copy_from_slice(&word.to_le_bytes());
            }
            at += 1;
        }
        lines
    }

    /// Writes lines at the tail, each in pieces of `piece` bytes in the order that `order` makes.
    fn write(
        &mut self,
        raw: &Raw,
        lines: &[Vec<u8>],
        piece: usize,
        mut order: impl FnMut(&mut Vec<(u64, Vec<u8>)>),
    ) {
        let mut pieces = vec![];
        for line in lines {
            let slot = self.queue.tail % self.queue.depth;
            let base = self.base + u64::from(slot) * self.len as u64;
            for (i, bytes) in line.chunks(piece).enumerate() {
                pieces.push((base + (i * piece) as u64, bytes.to_vec()));
            }
            self.queue.tail = self.queue.tail.wrapping_add(1);
        }
        order(&mut pieces);
        for (address, bytes) in pieces {
            raw.world.borrow_mut().post_write(0, address, &bytes);
        }
    }

    fn send(&mut self, raw: &Raw, req_id: u16, header: &[u8], pieces: &[(u64, usize)]) {
        let lines = self.lay(&descs(req_id, header.len(), pieces), header);
        self.write(raw, &lines, 64, |_| {});
        self.queue.ring(raw);
    }
}

/// Data descriptors; one without bytes if there are no pieces.
fn descs(req_id: u16, pushed: usize, pieces: &[(u64, usize)]) -> Vec<[u32; 4]> {
    let pieces = if pieces.is_empty() { &[(0, 0)] } else { pieces };
    let last = pieces.len() - 1;
    let made = pieces.iter().enumerate().map(|(i, &(address, len))| {
        let mut words = [len as u32, 0, address as u32, (address >> 32) as u32];
        if i == 0 {
            words[0] |= u32::from(req_id >> 10) << 16 | 1 << 26 | 1 << 28;
            words[1] = u32::from(req_id) << 22;
            words[3] |= (pushed as u32) << 24;
        }
        words[0] |= u32::from(i == last) << 27;
        words
    });
    made.collect()
}

/// A frame, or a piece of one.
fn bytes(len: usize) -> Vec<u8> {
    ethernet(len.max(14))[..len].to_vec()
}

/// A place to receive into, and the next frame from it.
struct Sink {
    rx: Queue,
    buffers: super::Memory,
}

const BUFFER: usize = 2048;

impl Sink {
    fn new(raw: &mut Raw) -> Sink {
        let mut rx = raw.queue(RX, 16, u32::MAX);
        let buffers = raw.memory(16 * BUFFER, 4096);
        for slot in 0..15 {
            rx.post(slot, buffers.iova() + u64::from(slot) * BUFFER as u64, BUFFER);
        }
        rx.ring(raw);
        let id = rx.id;
        raw.steer(|_| id);
        Sink { rx, buffers }
    }

    fn expect(&mut self, raw: &Raw, frame: &[u8]) {
        let entry = received(&self.rx.next(raw));
        assert_eq!(entry.len, frame.len().max(60));
        let at = usize::from(entry.req_id) * BUFFER;
        assert!(self.buffers.as_slice()[at..at + frame.len()] == *frame);
        self.rx.post(entry.req_id, self.buffers.iova() + at as u64, BUFFER);
        self.rx.ring(raw);
    }
}

#[test]
pub fn case_55_lines_in_shuffled_stores_of_8_bytes() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(55));
        let mut rng = ChaCha8Rng::seed_from_u64(seed(55));
        assert_eq!(choose(&mut raw, 1), 0);
        let mut lines = create(&mut raw, 16, 128);
        let mut sink = Sink::new(&mut raw);
        let mut memory = raw.memory(4096, 4096);
        for round in 0..100u16 {
            let frame = bytes(rng.random_range(1..=400));
            let pushed = rng.random_range(0..=frame.len().min(96));
            memory.as_mut_slice()[..frame.len()].copy_from_slice(&frame);
            let rest = (memory.iova() + pushed as u64, frame.len() - pushed);
            let pieces = if rest.1 > 0 { vec![rest] } else { vec![] };
            let made = lines.lay(&descs(round, pushed, &pieces), &frame[..pushed]);
            let piece = [8, 16, 4, 64][usize::from(round) % 4];
            lines.write(&raw, &made, piece, |pieces| pieces.shuffle(&mut rng));
            lines.queue.ring(&raw);
            assert_eq!(sent_id(&lines.queue.next(&raw)), round);
            sink.expect(&raw, &frame);
        }
        // They are written and not read.
        assert_eq!(raw.function.bar_read(2, 0), 0);
        raw.assert_clean();
    }
}

#[test]
pub fn case_56_packets_of_every_size_in_lines() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(56));
        assert_eq!(choose(&mut raw, 1), 0);
        let mut lines = create(&mut raw, 8, 128);
        let mut sink = Sink::new(&mut raw);
        let mut memory = raw.memory(4096, 4096);
        let mut id = 0;
        // Round the ring more than once, with packets of one line to four.
        for _ in 0..6 {
            for (len, pieces) in [(1, 0), (96, 0), (97, 1), (1514, 1), (1514, 19), (60, 0)] {
                let frame = bytes(len);
                let pushed = len.min(96);
                let rest = &frame[pushed..];
                memory.as_mut_slice()[..rest.len()].copy_from_slice(rest);
                let each = rest.len().div_ceil(pieces.max(1)).max(1);
                let places: Vec<_> = (0..rest.len())
                    .step_by(each)
                    .map(|at| (memory.iova() + at as u64, each.min(rest.len() - at)))
                    .collect();
                assert!(places.len() >= pieces.min(19));
                lines.send(&raw, id, &frame[..pushed], &places);
                assert_eq!(sent_id(&lines.queue.next(&raw)), id);
                sink.expect(&raw, &frame);
                id += 1;
            }
        }
        // More than a line holds: completed and counted, and the next is right again. The host breaks the rules here.
        let before = raw.counters();
        lines.send(&raw, 77, &[0x55; 96], &[(memory.iova(), 10)]);
        assert_eq!(sent_id(&lines.queue.next(&raw)), 77);
        let mut made = lines.lay(&descs(78, 97, &[]), &[0x55; 96]);
        lines.write(&raw, &made, 64, |_| {});
        lines.queue.ring(&raw);
        assert_eq!(sent_id(&lines.queue.next(&raw)), 78);
        made = lines.lay(&descs(79, 0, &[]), &[]);
        lines.write(&raw, &made, 64, |_| {});
        lines.queue.ring(&raw);
        assert_eq!(sent_id(&lines.queue.next(&raw)), 79);
        assert_eq!(
            raw.counters().of("tx_drops_bad_descriptor"),
            2 + before.of("tx_drops_bad_descriptor")
        );
        lines.send(&raw, 80, &ethernet(60), &[]);
        assert_eq!(sent_id(&lines.queue.next(&raw)), 80);
        raw.assert_clean();
    }
}

#[test]
pub fn case_57_both_line_sizes_beside_queues_in_host_memory() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(57));
        // Not before it is chosen how.
        let mut sink = Sink::new(&mut raw);
        assert_eq!(choose(&mut raw, 1), 0);
        let mut short = create(&mut raw, 32, 128);
        let mut host = raw.queue(TX, 32, u32::MAX);
        assert_eq!(choose(&mut raw, 4), 0);
        let mut wide = create(&mut raw, 16, 256);
        let mut memory = raw.memory(4096, 4096);
        let frame = ethernet(500);
        memory.as_mut_slice()[..500].copy_from_slice(&frame);
        for id in 0..80 {
            short.send(&raw, id, &frame[..96], &[(memory.iova() + 96, 404)]);
            sink.expect(&raw, &frame);
            host.send(id, memory.iova(), 300);
            host.ring(&raw);
            sink.expect(&raw, &frame[..300]);
            wide.send(&raw, id, &frame[..224], &[]);
            sink.expect(&raw, &frame[..224]);
            for queue in [&mut short.queue, &mut host, &mut wide.queue] {
                assert_eq!(sent_id(&queue.next(&raw)), id);
            }
        }
        // One goes, the others stay; its lines are another's then.
        raw.destroy(short.queue);
        let mut again = create(&mut raw, 16, 256);
        for (id, lines) in [(1, &mut wide), (2, &mut again)] {
            lines.send(&raw, id, &frame[..200], &[(memory.iova() + 200, 1)]);
            assert_eq!(sent_id(&lines.queue.next(&raw)), id);
            sink.expect(&raw, &frame[..201]);
        }
        raw.assert_clean();
    }
}

/// What drivers were seen to push: all of a packet; 96 bytes and a buffer, with a meta descriptor.
#[test]
pub fn golden_lines() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(93));
        assert_eq!(choose(&mut raw, 1), 0);
        let mut lines = create(&mut raw, 16, 128);
        let mut sink = Sink::new(&mut raw);
        let memory = nitor_sim::memory::Block::new(0x1000, 4096);
        let mut frame = super::udp(196, 7);
        frame[38..40].copy_from_slice(&162u16.to_be_bytes());
        memory.write(0, &frame[96..]);
        {
            let mut world = raw.world.borrow_mut();
            let iommu = &mut world.host_mut(0).root.iommu;
            let readable = nitor_sim::iommu::Permission::Read;
            assert!(iommu.map_at(
                nitor_sim::CARD_ID,
                0x1234_0000_1000,
                &memory,
                0,
                0x1000,
                readable
            ));
        }
        let first = lines.lay(&[[0x1d00_0000, 0x01c0_0000, 0, 0x3c00_0000]], &frame[..60]);
        lines.write(&raw, &first, 8, |_| {});
        // Its checksum is for the card to finish, or not: those two bytes are not compared.
        let meta = [0x05b0_4000, 0, 0x0000_0e14, 0];
        let data = [0x1900_0064, 0x0200_4d08, 0x0000_1000, 0x6000_1234];
        let second = lines.lay(&[meta, data], &frame[..96]);
        lines.write(&raw, &second, 8, |_| {});
        raw.set(lines.queue.doorbell, 2);
        assert_eq!(sent_id(&lines.queue.next(&raw)), 7);
        assert_eq!(sent_id(&lines.queue.next(&raw)), 8);
        sink.expect(&raw, &frame[..60]);
        let entry = received(&sink.rx.next(&raw));
        assert_eq!(entry.len, 196);
        let at = usize::from(entry.req_id) * BUFFER;
        let mut got = sink.buffers.as_slice()[at..at + 196].to_vec();
        got[40..42].copy_from_slice(&frame[40..42]);
        assert!(got == frame);
        raw.assert_clean();
    }
}
