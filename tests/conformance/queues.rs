//! Conformance cases of transmit queues: rings, doorbells, descriptors.

use nitor_driver::pci::PciFunction;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::support::raw::{received, sent_id, Raw, TX};
use super::{counts, ethernet, seed, Pair, WIDTHS};

#[test]
pub fn case_34_completion_entries_of_every_size_and_no_vector() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(34));
        raw.function.enable_msix(17).unwrap();
        for words in [2, 4, 8] {
            let cq = raw.memory(64 * 32, 4096);
            let ring = raw.memory(64 * 16, 4096);
            let (cq_id, unmask) = raw.create_cq(words, 64, u32::MAX, cq.iova()).unwrap();
            let (id, doorbell) = raw.create_sq(TX, 64, cq_id, ring.iova()).unwrap();
            let mut queue = super::Queue {
                direction: TX,
                depth: 64,
                ring,
                offset: 0,
                id,
                doorbell,
                tail: 0,
                cq,
                cq_id,
                unmask,
                head: 0,
            };
            let memory = raw.memory(4096, 4096);
            raw.set(unmask, 1 << 30);
            for round in 0..150 {
                queue.send(round, memory.iova(), 60);
                queue.ring(&raw);
                let at = usize::from(round % 64) * usize::from(words) * 4;
                let phase = u32::from((round / 64) % 2 == 0) << 24;
                let entry = raw.until("a completion", || {
                    let word = queue.cq.load::<u32>(at);
                    (word & 1 << 24 == phase).then_some(word)
                });
                // The first entry of a fresh ring looks like one of the old lap.
                assert!(entry as u16 == round || round % 64 == 0);
            }
            raw.destroy(queue);
        }
        assert!((1..17).all(|vector| counts(&raw, vector) == 0));
        raw.assert_clean();
    }
}

#[test]
pub fn case_35_rings_aligned_to_64_bytes() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(35));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        raw.destroy(pair.tx);
        pair.tx = raw.queue_at(TX, 64, u32::MAX, 64);
        for _ in 0..150 {
            pair.works(&raw);
        }
        raw.assert_clean();
    }
}

/// Memory is unmapped the moment a queue is gone: what still used it would be seen.
#[test]
pub fn case_36_create_and_destroy_in_any_order_under_traffic() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(36));
        let mut rng = ChaCha8Rng::seed_from_u64(seed(36));
        let mut pairs: Vec<Pair> = vec![];
        for _ in 0..60 {
            if pairs.len() < 6 && rng.random_bool(0.6) {
                pairs.push(Pair::new(&mut raw, 64, u32::MAX, 2048));
            } else if !pairs.is_empty() {
                let pair = pairs.swap_remove(rng.random_range(0..pairs.len()));
                let mut steps = [0, 1];
                steps.shuffle(&mut rng);
                let Pair { tx, rx, memory, buffers, .. } = pair;
                let (mut tx, mut rx) = (Some((tx, memory)), Some((rx, buffers)));
                for step in steps {
                    if step == 0 {
                        let (queue, memory) = tx.take().unwrap();
                        raw.destroy(queue);
                        drop(memory);
                    } else {
                        let (queue, memory) = rx.take().unwrap();
                        raw.destroy(queue);
                        drop(memory);
                    }
                }
            }
            for pair in &mut pairs {
                for id in 0..rng.random_range(0..10) {
                    // What isn't reaped is no matter: the rings are deep enough.
                    while pair.tx.poll().is_some() {}
                    pair.send(&raw, id, 2048 * usize::from(id), &ethernet(1500));
                }
            }
            raw.step(rng.random_range(0..800));
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_37_doorbells_run_over_65535() {
    for depth in [256, 1024, 8192] {
        let mut raw = Raw::ready(128, seed(37));
        let mut pair = Pair::new(&mut raw, depth, u32::MAX, 64);
        let frame = ethernet(60);
        pair.memory.as_mut_slice()[..60].copy_from_slice(&frame);
        let (mut sent, mut completed, mut came) = (0u32, 0u32, 0u32);
        let total = 65_536 + 3 * u32::from(depth).min(1024);
        let mut last = raw.now();
        while came < total || completed < total {
            while sent < total && sent - came < 200 && sent - completed < 200 {
                pair.tx.send(sent as u16, pair.memory.iova(), 60);
                sent += 1;
            }
            pair.tx.ring(&raw);
            raw.step(64);
            while let Some(entry) = pair.tx.poll() {
                assert_eq!(sent_id(&entry), completed as u16);
                completed += 1;
            }
            while let Some(entry) = pair.rx.poll() {
                let entry = received(&entry);
                assert_eq!(entry.len, 60);
                let at = pair.buffers.iova() + u64::from(entry.req_id) * 64;
                pair.rx.post(entry.req_id, at, 64);
                came += 1;
                last = raw.now();
            }
            pair.rx.ring(&raw);
            assert!(raw.now() - last < 100_000, "{came} of {sent}");
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_38_what_is_beyond_the_doorbell_is_not_there() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(38));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        let frame = ethernet(100);
        pair.memory.as_mut_slice()[..100].copy_from_slice(&frame);
        for id in 0..10 {
            pair.tx.send(id, pair.memory.iova(), 100);
        }
        raw.set(pair.tx.doorbell, 1);
        assert_eq!(sent_id(&pair.tx.next(&raw)), 0);
        raw.step(20_000);
        assert_eq!(pair.tx.poll(), None);
        pair.tx.ring(&raw);
        for id in 1..10 {
            assert_eq!(sent_id(&pair.tx.next(&raw)), id);
        }
        for _ in 0..10 {
            assert!(pair.receive(&raw).0 == frame);
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_39_packets_in_1_to_19_pieces_however_they_lie() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(39));
        let mut rng = ChaCha8Rng::seed_from_u64(seed(39));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 3712);
        for round in 0..120 {
            let count = round % 19 + 1;
            let mut pieces = vec![];
            let mut frame = vec![];
            let mut at: usize = rng.random_range(0..64);
            for piece in 0..count {
                let len = match rng.random_range(0..4) {
                    _ if piece == 0 => rng.random_range(60..300),
                    0 => 1,
                    1 => rng.random_range(1..64),
                    _ => rng.random_range(64..480),
                };
                // Now and then across a page.
                if rng.random_bool(0.2) {
                    at = (at + len).next_multiple_of(4096) - rng.random_range(1..=len);
                }
                let bytes = ethernet(len.max(14));
                pair.memory.as_mut_slice()[at..at + len].copy_from_slice(&bytes[..len]);
                frame.extend(&bytes[..len]);
                pieces.push((pair.memory.iova() + at as u64, len));
                at = (at + len + rng.random_range(0..9)) % 0xe000;
            }
            pair.tx.send_pieces(round, &pieces);
            pair.tx.ring(&raw);
            assert!(pair.receive(&raw).0 == frame, "round {round}");
            assert_eq!(sent_id(&pair.tx.next(&raw)), round);
            assert_eq!(pair.tx.poll(), None, "one completion a packet");
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_40_request_ids_come_back_as_they_are() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(40));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        for id in [0, 63, 64, 0x3ff, 0x400, 0x8000, 0xffff] {
            pair.send(&raw, id, 0, &ethernet(60));
            assert_eq!(sent_id(&pair.tx.next(&raw)), id);
        }
        raw.assert_clean();
    }
}

/// It is taken, counts as a descriptor, and changes nothing by itself.
#[test]
pub fn case_41_packets_with_a_meta_descriptor_and_after_it() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(41));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        for _ in 0..2 {
            for round in 0..70 {
                let frame = ethernet(200);
                pair.memory.as_mut_slice()[..200].copy_from_slice(&frame);
                let at = pair.memory.iova();
                let with_meta = round % 3 == 0;
                if with_meta {
                    let phase = pair.tx.phase();
                    pair.tx.push([0x04b0_4000 | phase, 0, 0x0000_0e14, 0]);
                }
                let first = if with_meta { 0 } else { 1 << 26 };
                let phase = pair.tx.phase();
                let word = 200 | phase | first | 1 << 27 | 1 << 28;
                pair.tx.push([word, round << 22, at as u32, (at >> 32) as u32]);
                pair.tx.ring(&raw);
                assert_eq!(sent_id(&pair.tx.next(&raw)), round as u16);
                assert!(pair.receive(&raw).0 == frame);
            }
            let fresh = raw.queue(TX, 64, u32::MAX);
            raw.destroy(std::mem::replace(&mut pair.tx, fresh));
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_44_packets_complete_while_the_link_is_down() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(44));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        pair.works(&raw);
        for _ in 0..2 {
            raw.world.borrow_mut().set_link(0, false);
            // Twice as many as the ring holds, and as many bytes as no buffer of the card does.
            let mut done = 0;
            for id in 0..126 {
                let len = [60, 1514, 9014, 1][usize::from(id) % 4];
                pair.send(&raw, id, 0, &ethernet(len.max(14))[..len]);
                while let Some(entry) = pair.tx.poll() {
                    assert_eq!(sent_id(&entry), done);
                    done += 1;
                }
                if id - done == 62 {
                    assert_eq!(sent_id(&pair.tx.next(&raw)), done);
                    done += 1;
                }
            }
            while done < 126 {
                assert_eq!(sent_id(&pair.tx.next(&raw)), done);
                done += 1;
            }
            raw.step(5_000);
            assert_eq!(pair.rx.poll(), None);
            raw.world.borrow_mut().set_link(0, true);
            pair.works(&raw);
        }
        raw.assert_clean();
    }
}
