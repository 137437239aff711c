//! Illegal frames, and more frames than there is room for.

use super::scene::{plain, Scene};
use super::support::raw::RX;
use super::{After, Case, CASE};

fn arrive(scene: &mut Scene, frame: &[u8], damaged: bool) {
    let host = scene.raw.function.host();
    scene.raw.world.borrow_mut().inject(host, 64, frame, damaged);
    scene.raw.step(300);
}

pub const CASES: &[Case] = &[
    Case {
        name: "runts of 1 to 13 bytes",
        does: "dropped",
        counters: &[("rx_drops_bad_frame", 13, 13)],
        commit: |scene| {
            for len in 1..14 {
                arrive(scene, &vec![0xff; len], false);
            }
        },
        ..CASE
    },
    Case {
        name: "frames longer than the largest, up to 64 KB",
        does: "dropped",
        counters: &[("rx_drops_bad_frame", 3, 3)],
        commit: |scene| {
            for len in [9216 + 14 + 8 + 1, 16_000, 65_000] {
                arrive(scene, &vec![0x11; len], false);
                scene.raw.step(6_000);
            }
        },
        ..CASE
    },
    Case {
        name: "frames marked as broken by the MAC",
        does: "dropped",
        counters: &[("rx_drops_bad_frame", 4, 4)],
        commit: |scene| {
            for len in [14, 60, 1500, 9000] {
                let frame = plain(&mut scene.rng, len);
                arrive(scene, &frame, true);
            }
        },
        ..CASE
    },
    Case {
        name: "frames while no buffer is posted",
        does: "dropped; other queues don't notice",
        counters: &[("rx_drops_no_descriptor", 40, 40)],
        after: After::Queue,
        commit: |scene| {
            let fresh = scene.raw.queue(RX, 64, u32::MAX);
            let old = std::mem::replace(&mut scene.a.rx, fresh);
            scene.raw.destroy(old);
            let (a, b) = (scene.a.rx.id, scene.b.rx.id);
            scene.raw.steer(|entry| if entry == 0 { a } else { b });
            let frame = plain(&mut scene.rng, 60);
            let host = scene.raw.function.host();
            for _ in 0..40 {
                scene.raw.world.borrow_mut().inject(host, 64, &frame, false);
            }
            scene.others_go_on(30);
        },
        ..CASE
    },
    Case {
        name: "frames to a queue that is not there",
        does: "dropped",
        counters: &[("rx_drops_no_queue", 5, 5)],
        after: After::Queue,
        commit: |scene| {
            assert_eq!(scene.raw.destroy_sq(RX, scene.a.rx.id), 0);
            let frame = plain(&mut scene.rng, 60);
            for _ in 0..5 {
                arrive(scene, &frame, false);
            }
            scene.others_go_on(10);
            // As it was, so that it can be made anew.
            let base = scene.a.rx.ring.iova();
            let made = scene.raw.create_sq(RX, 64, scene.a.rx.cq_id, base);
            scene.a.rx.id = made.unwrap().0;
        },
        ..CASE
    },
];
