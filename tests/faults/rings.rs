//! Illegal rings, doorbells and descriptors.

use nitor_sim::checker::Rule;

use super::scene::{plain, Pair, Scene};
use super::support::raw::{reg, sent_id, RX, TX};
use super::{After, Case, CASE};

const FIRST: u32 = 1 << 26;
const LAST: u32 = 1 << 27;
const META: u32 = 1 << 23;
const ILLEGAL: u8 = 5;
/// Of word 1: TCP over IPv4, segmentation, checksum.
const TCP: u32 = 0xc08;
const TSO: u32 = 1 << 7;
const L4_CSUM: u32 = 1 << 14;
/// MTU, Ethernet header, two VLAN tags.
const LONGEST: u32 = 9216 + 14 + 8;

/// Words of a descriptor of A: flags, length, from slot 0.
fn words(pair: &Pair, flags: u32, len: u32, req_id: u32) -> [u32; 4] {
    let at = pair.from(0);
    [len | flags | pair.tx.phase(), req_id << 22, at as u32, (at >> 32) as u32]
}

/// A posts descriptors of these flags and lengths; which request ids complete?
fn bad_packet(scene: &mut Scene, descriptors: &[(u32, u32)], completes: &[u16]) {
    for (flags, len) in descriptors {
        let words = words(&scene.a, *flags, *len, 7);
        scene.a.tx.push(words);
    }
    scene.a.tx.ring(&scene.raw);
    scene.others_go_on(8);
    for id in completes {
        assert_eq!(sent_id(&scene.a.tx.next(&scene.raw)), *id);
    }
    scene.raw.step(2_000);
    assert_eq!(scene.a.tx.poll(), None, "more completions than packets");
    assert!(scene.a.receive(&scene.raw).is_none(), "a bad packet was sent");
}

fn bell(scene: &mut Scene, offset: u32, value: u16) {
    scene.raw.set(offset, value.into());
    scene.raw.step(500);
}

pub const CASES: &[Case] = &[
    Case {
        name: "rings of illegal depth, address or kind",
        does: "the command is answered with illegal parameter",
        commit: |scene| {
            let raw = &mut scene.raw;
            let memory = raw.memory(0x20000, 4096);
            let base = memory.iova();
            for depth in [0, 3, 24, 1000, 16_384, 65_535] {
                assert_eq!(raw.create_cq(2, depth, 1, base), Err(ILLEGAL), "depth {depth}");
            }
            for base in [base + 8, (1 << 48) - 64, u64::MAX - 63, u64::MAX] {
                assert_eq!(raw.create_cq(2, 64, 1, base), Err(ILLEGAL), "base {base:#x}");
            }
            for words in [0, 1, 3, 5, 16, 31] {
                assert_eq!(raw.create_cq(words, 64, 1, base), Err(ILLEGAL), "{words} words");
            }
            for vector in [17, 255, 256, 0x1_0000, u32::MAX - 1] {
                assert_eq!(raw.create_cq(2, 64, vector, base), Err(ILLEGAL), "vector {vector}");
            }
            let (cq, _) = raw.create_cq(4, 64, 1, base).unwrap();
            for (direction, depth, cq, base) in [
                (TX, 0, cq, base),
                (TX, 96, cq, base),
                (RX, 32_768, cq, base),
                (TX, 64, 31, base),
                (TX, 64, 32, base),
                (RX, 64, u16::MAX, base),
                (TX, 64, cq, base + 4),
                (RX, 64, cq, (1 << 48) - 512),
                (TX, 128, cq, base),
                (0, 64, cq, base),
                (3, 64, cq, base),
            ] {
                let made = raw.create_sq(direction, depth, cq, base);
                assert_eq!(made, Err(ILLEGAL), "{direction} {depth} {cq} {base:#x}");
            }
            assert_eq!(raw.destroy_cq(cq), 0);
            for id in [cq, 31, 32, u16::MAX] {
                assert_ne!(raw.destroy_cq(id), 0);
                assert_ne!(raw.destroy_sq(TX, id), 0);
                assert_ne!(raw.destroy_sq(RX, id), 0);
            }
        },
        ..CASE
    },
    Case {
        name: "more queues than there are",
        does: "the command is answered with resource allocation failure, and others are kept",
        commit: |scene| {
            let memory = scene.raw.memory(0x1000, 4096);
            let mut made = vec![];
            let refused = loop {
                match scene.raw.create_cq(2, 64, u32::MAX, memory.iova()) {
                    Ok((id, _)) => made.push(id),
                    Err(status) => break status,
                }
            };
            assert_eq!((refused, made.len()), (1, 28), "32 there are, 4 are in use");
            scene.others_go_on(4);
            for id in made {
                assert_eq!(scene.raw.destroy_cq(id), 0);
            }
        },
        ..CASE
    },
    Case {
        name: "TX doorbell beyond the ring",
        does: "ignored",
        counters: &[("tx_doorbells_illegal", 2, 2)],
        commit: |scene| {
            let tail = scene.a.tx.tail;
            for by in [65, 0x7fff] {
                bell(scene, scene.a.tx.doorbell, tail.wrapping_add(by));
            }
        },
        ..CASE
    },
    Case {
        name: "TX doorbell backwards",
        does: "ignored",
        counters: &[("tx_doorbells_illegal", 1, 1)],
        commit: |scene| bell(scene, scene.a.tx.doorbell, scene.a.tx.tail.wrapping_sub(1)),
        ..CASE
    },
    Case {
        name: "RX doorbell beyond the ring, and backwards",
        does: "ignored",
        counters: &[("rx_doorbells_illegal", 2, 2)],
        commit: |scene| {
            let tail = scene.a.rx.tail;
            bell(scene, scene.a.rx.doorbell, tail.wrapping_add(2));
            bell(scene, scene.a.rx.doorbell, tail.wrapping_sub(64));
        },
        ..CASE
    },
    Case {
        name: "doorbells of queues that were not created",
        does: "ignored",
        counters: &[("tx_doorbells_illegal", 1, 1), ("rx_doorbells_illegal", 1, 1)],
        commit: |scene| {
            bell(scene, scene.a.tx.doorbell + 4 * 9, 1);
            bell(scene, scene.a.rx.doorbell + 4 * 9, 1);
        },
        ..CASE
    },
    Case {
        name: "doorbells of queues the card does not have",
        does: "ignored",
        counters: &[("doorbells_no_queue", 3, 3)],
        commit: |scene| {
            for offset in [0x1000 + 4 * 16, 0x13fc, 0x1400 + 4 * 200] {
                bell(scene, offset, 1);
            }
        },
        ..CASE
    },
    Case {
        name: "admin doorbell beyond the ring",
        does: "ignored; the next right one counts",
        commit: |scene| {
            let submitted = scene.raw.admin().submitted;
            for by in [33, 0x8000] {
                bell(scene, reg::AQ_DB.into(), submitted.wrapping_add(by));
            }
        },
        ..CASE
    },
    Case {
        name: "packet of no bytes",
        does: "completed, not sent",
        counters: &[("tx_drops_bad_descriptor", 1, 1)],
        commit: |scene| bad_packet(scene, &[(FIRST | LAST, 0)], &[7]),
        ..CASE
    },
    Case {
        name: "packet without a first descriptor",
        does: "completed, not sent",
        counters: &[("tx_drops_bad_descriptor", 1, 1)],
        commit: |scene| bad_packet(scene, &[(LAST, 100)], &[7]),
        ..CASE
    },
    Case {
        name: "packet without a last descriptor, and then another one",
        does: "the first is completed, not sent; the second is sent",
        counters: &[("tx_drops_bad_descriptor", 1, 1)],
        commit: |scene| {
            let open = words(&scene.a, FIRST, 100, 9);
            scene.a.tx.push(open);
            let frame = plain(&mut scene.rng, 300);
            let id = scene.a.send(&scene.raw, &frame);
            scene.others_go_on(4);
            assert_eq!(sent_id(&scene.a.tx.next(&scene.raw)), 9);
            assert_eq!(sent_id(&scene.a.tx.next(&scene.raw)), id);
            let Scene { raw, a, .. } = scene;
            assert!(raw.until("the frame", || a.receive(raw)) == frame);
        },
        ..CASE
    },
    Case {
        name: "packet that never ends",
        does: "waits; nothing else does",
        after: After::Queue,
        commit: |scene| bad_packet(scene, &[(FIRST, 100), (0, 10)], &[]),
        ..CASE
    },
    Case {
        name: "packet of 22 descriptors",
        does: "completed, not sent",
        counters: &[("tx_drops_bad_descriptor", 1, 1)],
        commit: |scene| {
            let mut all = vec![(0, 60); 22];
            all[0].0 = FIRST;
            all[21].0 = LAST;
            bad_packet(scene, &all, &[7]);
        },
        ..CASE
    },
    Case {
        name: "packet longer than the largest frame",
        does: "completed, not sent",
        counters: &[("tx_drops_bad_descriptor", 1, 1)],
        commit: |scene| bad_packet(scene, &[(FIRST, 60_000), (0, 65_535), (LAST, 65_535)], &[7]),
        ..CASE
    },
    Case {
        name: "packet a byte too long",
        does: "completed, not sent",
        counters: &[("tx_drops_bad_descriptor", 1, 1)],
        commit: |scene| bad_packet(scene, &[(FIRST | LAST, LONGEST + 1)], &[7]),
        ..CASE
    },
    Case {
        name: "meta descriptor alone, and inside a packet",
        does: "counted; what has a data descriptor is completed",
        counters: &[("tx_drops_bad_descriptor", 2, 2)],
        commit: |scene| {
            bad_packet(scene, &[(META | FIRST | LAST, 0)], &[]);
            bad_packet(scene, &[(FIRST, 60), (META, 0), (LAST, 60)], &[7]);
        },
        ..CASE
    },
    Case {
        name: "packet to be cut without mss, with a TCP header of 16 bytes, with headers beyond its end",
        does: "completed, not sent",
        counters: &[("tx_drops_bad_descriptor", 3, 3)],
        commit: |scene| {
            for (mss, words, len) in [(0, 5, 500), (100, 4, 500), (100, 15, 90)] {
                meta(scene, mss, words);
                let [word, id, low, high] = words_of_cut(scene, len);
                scene.a.tx.push([word | LAST, id | TCP | TSO, low, high]);
                scene.a.tx.ring(&scene.raw);
                scene.others_go_on(4);
                assert_eq!(sent_id(&scene.a.tx.next(&scene.raw)), 9);
            }
            assert!(scene.a.receive(&scene.raw).is_none(), "a bad packet was sent");
        },
        ..CASE
    },
    Case {
        name: "checksum of no protocol, and one behind the frame's end",
        does: "completed, not sent",
        counters: &[("tx_drops_bad_descriptor", 2, 2)],
        commit: |scene| {
            for (protocol, len) in [(0x1_0000, 500), (TCP, 51)] {
                meta(scene, 0, 0);
                let [word, id, low, high] = words_of_cut(scene, len);
                scene.a.tx.push([word | LAST, id | protocol | L4_CSUM, low, high]);
                scene.a.tx.ring(&scene.raw);
                scene.others_go_on(4);
                assert_eq!(sent_id(&scene.a.tx.next(&scene.raw)), 9);
            }
            assert!(scene.a.receive(&scene.raw).is_none(), "a bad packet was sent");
        },
        ..CASE
    },
    Case {
        name: "packet to be cut, of which a frame's payload can't be read",
        allowed: &[Rule::Unmapped],
        does: "completed; that frame is missing, the others are sent",
        counters: &[("cpl_ur_ca", 1, 2), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| cut_packet(scene, 1, 3),
        ..CASE
    },
    Case {
        name: "packet to be cut, of which the header can't be read",
        allowed: &[Rule::Unmapped],
        does: "completed, not sent",
        counters: &[("cpl_ur_ca", 1, 3), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| cut_packet(scene, 0, 0),
        ..CASE
    },
    Case {
        name: "wrong phase bits in descriptors",
        does: "nothing: the doorbell is what counts",
        commit: |scene| {
            let frame = plain(&mut scene.rng, 200);
            let slot = scene.a.place(&frame);
            let at = scene.a.from(slot);
            let phase = scene.a.tx.phase() ^ 1 << 24;
            let words = [200 | FIRST | LAST | phase, 3 << 22, at as u32, (at >> 32) as u32];
            scene.a.tx.push(words);
            scene.a.tx.ring(&scene.raw);
            assert_eq!(sent_id(&scene.a.tx.next(&scene.raw)), 3);
            let Scene { raw, a, .. } = scene;
            assert!(raw.until("the frame", || a.receive(raw)) == frame);
        },
        ..CASE
    },
    Case {
        name: "buffer to send that wraps at the end of all addresses",
        allowed: &[Rule::Unmapped],
        does: "completed, not sent",
        counters: &[("cpl_ur_ca", 1, 2), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| {
            let word = 100 | FIRST | LAST | scene.a.tx.phase();
            scene.a.tx.push([word, 5 << 22, 0xffff_fff0, 0xffff]);
            scene.a.tx.ring(&scene.raw);
            scene.others_go_on(4);
            assert_eq!(sent_id(&scene.a.tx.next(&scene.raw)), 5);
        },
        ..CASE
    },
    Case {
        name: "receive buffers of a byte, more than a frame may have",
        does: "the frame is dropped, and counted as one without buffers",
        counters: &[("rx_drops_no_descriptor", 1, 1)],
        after: After::Queue,
        commit: |scene| {
            tiny(scene, 1);
            scene.a.send(&scene.raw, &[0x55; 60]);
            scene.others_go_on(4);
            assert_eq!(scene.a.rx.poll(), None);
        },
        ..CASE
    },
    Case {
        name: "receive buffers of length 0",
        does: "64 KiB, as the interface defines it",
        after: After::Queue,
        commit: |scene| {
            tiny(scene, 0);
            let frame = plain(&mut scene.rng, 100);
            scene.a.send(&scene.raw, &frame);
            let entry = scene.a.rx.next(&scene.raw);
            assert_eq!(entry[1], 100);
            assert!(scene.a.receiving.as_slice()[..100] == frame[..]);
        },
        ..CASE
    },
    Case {
        name: "completion rings that nobody looks at",
        does: "written on: a queue's owner loses its own entries",
        after: After::Queue,
        commit: |scene| {
            for _ in 0..3 {
                for _ in 0..60 {
                    let frame = plain(&mut scene.rng, 60);
                    scene.a.send(&scene.raw, &frame);
                }
                scene.others_go_on(30);
            }
        },
        counters: &[("rx_drops_no_descriptor", 100, 180)],
        ..CASE
    },
];

/// A meta descriptor: IPv4 without options behind Ethernet.
fn meta(scene: &mut Scene, mss: u32, words: u32) {
    let word = 1 << 14 | 1 << 20 | META | FIRST | scene.a.tx.phase();
    scene.a.tx.push([word, 0, 20 | 14 << 8 | words << 16 | mss << 22, 0]);
}

/// A data descriptor behind it, request 9.
fn words_of_cut(scene: &mut Scene, len: u32) -> [u32; 4] {
    words(&scene.a, 1 << 28, len, 9)
}

/// A sends a packet of 4 frames in 3 pieces, of which number `unread` is not there; `come` frames should come.
fn cut_packet(scene: &mut Scene, unread: usize, come: usize) {
    for (slot, len) in [1054, 1000, 2000].into_iter().enumerate() {
        let bytes = plain(&mut scene.rng, len);
        scene.a.sending.as_mut_slice()[slot * 2048..][..len].copy_from_slice(&bytes);
    }
    // Not a fragment of IPv4.
    scene.a.sending.as_mut_slice()[20..22].fill(0);
    meta(scene, 1000, 5);
    for (slot, len) in [1054, 1000, 2000].into_iter().enumerate() {
        let at = if slot == unread { 0xffff_ff00_0000 } else { scene.a.from(slot as u16) };
        let kind = if slot == 0 { 1 << 28 } else { 0 } | if slot == 2 { LAST } else { 0 };
        let ask = if slot == 0 { 9 << 22 | TCP | TSO } else { 0 };
        scene.a.tx.push([len | kind | scene.a.tx.phase(), ask, at as u32, (at >> 32) as u32]);
    }
    scene.a.tx.ring(&scene.raw);
    scene.others_go_on(6);
    assert_eq!(sent_id(&scene.a.tx.next(&scene.raw)), 9);
    for _ in 0..come {
        let Scene { raw, a, .. } = scene;
        let frame = raw.until("a frame", || a.receive(raw));
        assert_eq!(frame.len(), 1054);
    }
    scene.raw.step(2_000);
    assert!(scene.a.receive(&scene.raw).is_none(), "a frame too many");
}

/// A's receive queue is made anew with 40 buffers of `len` bytes, or one of 64 KiB.
fn tiny(scene: &mut Scene, len: usize) {
    scene.make_a_anew();
    let old = std::mem::replace(&mut scene.a.rx, scene.raw.queue(RX, 64, u32::MAX));
    scene.raw.destroy(old);
    let at = scene.a.receiving.iova();
    for slot in 0..40 {
        scene.a.rx.post(slot, at + u64::from(slot), len);
        if len == 0 {
            break;
        }
    }
    scene.a.rx.ring(&scene.raw);
    let (a, b) = (scene.a.rx.id, scene.b.rx.id);
    scene.raw.steer(|entry| if entry == 0 { a } else { b });
}
