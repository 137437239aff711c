//! Link faults: completions that are late, broken, wrong or missing; credits that are not returned;
//! TLPs that no card should get.

use nitor_sim::faults::{Fault, When};
use nitor_sim::host::Credits;
use nitor_sim::requester::{Request, RequestError};
use nitor_sim::tlp::{ByteEnables, CompletionFields, Header, Status};
use nitor_sim::{CARD_ID, ROOT_ID};

use super::scene::{plain, Scene};
use super::{After, Case, CASE};

/// A frame of A of which one read is answered like this.
pub fn payload(scene: &mut Scene, fault: Fault, arrives: bool) {
    scene.fault_in_payload(fault, When::Nth(0));
    scene.send_on_a(1400, arrives);
    scene.no_more_faults();
}

/// The descriptors of a packet of A are not to be had.
fn descriptors(scene: &mut Scene, fault: Fault) {
    let ring = scene.a.tx.ring.iova();
    scene.fault(fault, When::Nth(0), ring..ring + 16 * 64);
    let frame = plain(&mut scene.rng, 100);
    scene.a.send(&scene.raw, &frame);
    scene.others_go_on(6);
    scene.raw.step(40_000);
    assert_eq!(scene.a.tx.poll(), None, "what isn't known isn't completed");
    scene.no_more_faults();
}

/// A command, and reads of it that are answered as unsupported.
fn admin(scene: &mut Scene, when: When) {
    let admin = scene.raw.admin();
    let (ring, len) = (admin.commands.iova(), admin.commands.len() as u64);
    scene.fault(Fault::UnsupportedRequest, when, ring..ring + len);
    scene.raw.submit(8, &[0; 64]);
    scene.raw.ring_admin();
}

pub fn completion(tag: u8, requester: u16) -> Header {
    let status = Status::Success;
    Header::completion(
        CompletionFields {
            completer: ROOT_ID,
            requester,
            tag,
            status,
            byte_count: 4,
            lower_address: 0,
        },
        1,
    )
}

pub fn raw_tlp(scene: &mut Scene, header: Header, payload: &[u8]) {
    scene.root(|root, now| root.post_raw(now, header, payload));
    scene.raw.step(200);
}

pub fn refused(scene: &mut Scene, header: Header, payload: &[u8], why: RequestError) {
    let request = Request::Raw { header, payload: payload.to_vec() };
    let host = scene.raw.function.host();
    let answer = scene.raw.world.borrow_mut().request(host, &request);
    assert_eq!(answer, Err(why));
}

pub const BOTH: ByteEnables = ByteEnables { first: 15, last: 15 };
pub const WHOLE: ByteEnables = ByteEnables { first: 0xf, last: 0 };

pub const CASES: &[Case] = &[
    Case {
        name: "completion late by 40 us",
        does: "waits; other reads pass it",
        commit: |scene| payload(scene, Fault::Delay(10_000), true),
        ..CASE
    },
    Case {
        name: "completion poisoned",
        does: "the packet isn't sent, and completes",
        counters: &[("cpl_poisoned", 1, 1), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| payload(scene, Fault::Poison, false),
        ..CASE
    },
    Case {
        name: "completion with status unsupported request",
        does: "the packet isn't sent, and completes",
        counters: &[("cpl_ur_ca", 1, 1), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| payload(scene, Fault::UnsupportedRequest, false),
        ..CASE
    },
    Case {
        name: "completion with status completer abort",
        does: "the packet isn't sent, and completes",
        counters: &[("cpl_ur_ca", 1, 1), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| payload(scene, Fault::CompleterAbort, false),
        ..CASE
    },
    Case {
        name: "completion missing",
        does: "given up after 100 us; the packet isn't sent, and completes",
        counters: &[("cpl_timeout", 1, 1), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| payload(scene, Fault::Drop, false),
        ..CASE
    },
    Case {
        name: "the rest of a split completion missing",
        does: "given up after 100 us; the packet isn't sent, and completes",
        counters: &[("cpl_timeout", 1, 1), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| payload(scene, Fault::DropRest, false),
        ..CASE
    },
    Case {
        name: "completion twice",
        does: "the second is swallowed",
        counters: &[("cpl_unexpected", 1, 1)],
        commit: |scene| payload(scene, Fault::Duplicate, true),
        ..CASE
    },
    Case {
        name: "completion with a wrong tag",
        does: "swallowed; the read is given up after 100 us",
        counters: &[("cpl_unexpected", 1, 16), ("cpl_timeout", 1, 1), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| payload(scene, Fault::WrongTag, false),
        ..CASE
    },
    Case {
        name: "completion with a wrong requester",
        does: "swallowed; the read is given up after 100 us",
        counters: &[("cpl_unexpected", 1, 16), ("cpl_timeout", 1, 1), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| payload(scene, Fault::WrongRequester, false),
        ..CASE
    },
    Case {
        name: "completion a double word short",
        does: "swallowed from there on; the read is given up after 100 us",
        counters: &[("cpl_unexpected", 0, 16), ("cpl_timeout", 1, 1), ("tx_drops_dma_error", 1, 1)],
        commit: |scene| payload(scene, Fault::WrongLength, false),
        ..CASE
    },
    Case {
        name: "completions that nobody asked for, of any tag and requester",
        does: "swallowed",
        counters: &[("cpl_unexpected", 256, 256)],
        commit: |scene| {
            for tag in 0..=255 {
                let requester = if tag % 2 == 0 { CARD_ID } else { 0x1234 };
                raw_tlp(scene, completion(tag, requester), &[1, 2, 3, 4]);
            }
        },
        ..CASE
    },
    Case {
        name: "TX descriptors unsupported",
        does: "the queue stands still: where packets begin isn't known any more",
        counters: &[("cpl_ur_ca", 1, 1), ("tx_queues_broken", 1, 1), ("tx_drops_dma_error", 1, 1)],
        after: After::Queue,
        commit: |scene| descriptors(scene, Fault::UnsupportedRequest),
        ..CASE
    },
    Case {
        name: "TX descriptors missing",
        does: "after 100 us the queue stands still",
        counters: &[
            ("cpl_timeout", 1, 1),
            ("tx_queues_broken", 1, 1),
            ("tx_drops_dma_error", 1, 1),
        ],
        after: After::Queue,
        commit: |scene| descriptors(scene, Fault::Drop),
        ..CASE
    },
    Case {
        name: "TX descriptors poisoned",
        does: "the queue stands still",
        counters: &[
            ("cpl_poisoned", 1, 1),
            ("tx_queues_broken", 1, 1),
            ("tx_drops_dma_error", 1, 1),
        ],
        after: After::Queue,
        commit: |scene| descriptors(scene, Fault::Poison),
        ..CASE
    },
    Case {
        name: "RX descriptors unsupported",
        does: "the queue stands still, its frames are dropped",
        counters: &[("cpl_ur_ca", 1, 1), ("rx_queues_broken", 1, 1), ("rx_drops_dma_error", 1, 12)],
        after: After::Queue,
        commit: |scene| {
            let ring = scene.a.rx.ring.iova();
            scene.fault(Fault::UnsupportedRequest, When::Nth(0), ring..ring + 16 * 64);
            // Buffers are read eight by eight; A's last frame finds the queue broken.
            for _ in 0..12 {
                let frame = plain(&mut scene.rng, 100);
                scene.a.send(&scene.raw, &frame);
                scene.raw.step(2_000);
                scene.a.receive(&scene.raw);
            }
            while scene.a.tx.poll().is_some() {}
            scene.no_more_faults();
        },
        ..CASE
    },
    Case {
        name: "admin command not to be had, once",
        does: "read again, and answered",
        counters: &[("cpl_ur_ca", 1, 1)],
        commit: |scene| {
            admin(scene, When::Nth(0));
            assert_eq!(scene.raw.answer()[2], 3, "feature 0 is none");
            scene.no_more_faults();
        },
        ..CASE
    },
    Case {
        name: "admin command not to be had, three times",
        does: "isn't answered: drivers reset the card",
        counters: &[("cpl_ur_ca", 3, 3)],
        after: After::Reset,
        commit: |scene| {
            admin(scene, When::Every(1));
            scene.others_go_on(30);
            assert_eq!(scene.raw.poll_answer(), None);
            scene.no_more_faults();
        },
        ..CASE
    },
    Case {
        name: "credits few, and late by 8 us",
        does: "waits; nothing is sent without them",
        host: |host| nitor_sim::HostConfig {
            credits: Credits {
                posted_headers: Some(2),
                posted_data: Some(20),
                non_posted_headers: Some(1),
                completion_headers: Some(1),
                completion_data: Some(8),
                delay: (1500, 2000),
            },
            ..host
        },
        commit: |scene| scene.send_on_a(600, true),
        ..CASE
    },
    Case {
        name: "memory write whose data end early",
        does: "swallowed",
        counters: &[("tlps_malformed", 1, 1)],
        commit: |scene| {
            // By a beat and more: the stream from the link has no finer end.
            let header = Header::mem_write(ROOT_ID, 0, scene.bar(), 64, BOTH);
            raw_tlp(scene, header, &[0xff; 64]);
        },
        ..CASE
    },
    Case {
        name: "memory write whose data run on",
        does: "swallowed",
        counters: &[("tlps_malformed", 1, 1)],
        commit: |scene| {
            let header = Header::mem_write(ROOT_ID, 0, scene.bar() + 0x54, 1, WHOLE);
            raw_tlp(scene, header, &[0xff; 200]);
        },
        ..CASE
    },
    Case {
        name: "memory write across 4 KiB",
        does: "swallowed",
        counters: &[("tlps_malformed", 1, 1)],
        commit: |scene| {
            let header = Header::mem_write(ROOT_ID, 0, scene.bar() + 0xffc, 2, BOTH);
            raw_tlp(scene, header, &[0xff; 8]);
        },
        ..CASE
    },
    Case {
        name: "memory write longer than the largest payload in force",
        does: "swallowed",
        counters: &[("tlps_malformed", 1, 1)],
        commit: |scene| {
            let header = Header::mem_write(ROOT_ID, 0, scene.bar(), 65, BOTH);
            raw_tlp(scene, header, &[0xff; 260]);
        },
        ..CASE
    },
    Case {
        name: "a vendor's messages, of type 0 and of type 1",
        does: "the first is dropped as an unsupported request, the second without a word",
        counters: &[("requests_unsupported", 1, 1)],
        commit: |scene| {
            for code in [0x7e, 0x7f] {
                let header = Header([0x3400_0000, code, scene.bar() as u32, 0]);
                raw_tlp(scene, header, &[]);
            }
        },
        ..CASE
    },
    Case {
        name: "TLPs of unknown type",
        does: "swallowed",
        counters: &[("tlps_malformed", 3, 3)],
        commit: |scene| {
            for kind in [0x1f_u32, 0x3b, 0x1e] {
                raw_tlp(scene, Header([kind << 24, ROOT_ID.into(), 0, 0]), &[]);
            }
        },
        ..CASE
    },
    Case {
        name: "poisoned write to a doorbell",
        does: "dropped",
        counters: &[("requests_poisoned", 1, 1)],
        commit: |scene| {
            let at = scene.bar() + u64::from(scene.a.tx.doorbell);
            let header = Header::mem_write(ROOT_ID, 0, at, 1, WHOLE).with_poison();
            raw_tlp(scene, header, &[9, 0, 0, 0]);
        },
        ..CASE
    },
    Case {
        name: "write outside every BAR",
        does: "dropped",
        counters: &[("requests_unsupported", 1, 1)],
        commit: |scene| {
            let header = Header::mem_write(ROOT_ID, 0, scene.bar() + 0x10_0000, 1, WHOLE);
            raw_tlp(scene, header, &[9, 0, 0, 0]);
        },
        ..CASE
    },
    Case {
        name: "read outside every BAR",
        does: "answered as unsupported",
        counters: &[("requests_unsupported", 1, 1)],
        commit: |scene| {
            let header = Header::mem_read(ROOT_ID, 0, scene.bar() + 0x10_0000, 1, WHOLE);
            refused(scene, header, &[], RequestError::Unsupported);
        },
        ..CASE
    },
    Case {
        name: "read of 64 bytes of registers",
        does: "answered with completer abort",
        counters: &[("requests_unsupported", 1, 1)],
        commit: |scene| {
            let header = Header::mem_read(ROOT_ID, 0, scene.bar(), 16, BOTH);
            refused(scene, header, &[], RequestError::Aborted);
        },
        ..CASE
    },
    Case {
        name: "I/O read, locked read, configuration of another function",
        does: "answered as unsupported",
        counters: &[("requests_unsupported", 3, 3)],
        commit: |scene| {
            let io = Header([0x0200_0001, 0xf, 0, 0]);
            let locked = Header([0x0100_0001, 0xf, scene.bar() as u32, 0]);
            let other = Header::config_read(ROOT_ID, 0, CARD_ID + 1, 0);
            for header in [io, locked, other] {
                refused(scene, header, &[], RequestError::Unsupported);
            }
        },
        ..CASE
    },
];
