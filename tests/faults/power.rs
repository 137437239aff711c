//! Bus mastering, power states and resets in the middle of traffic, and memory that is unmapped.

use nitor_driver::pci::PciFunction;
use nitor_sim::checker::Rule;
use nitor_sim::CARD_ID;

use super::scene::{plain, Scene};
use super::support::raw::{reg, sent_id};
use super::{After, Case, CASE};

/// Offset of power management's control and status.
const POWER: u16 = 0x44;
const D3HOT: u32 = 3;

/// A has packets and buffers under way.
fn busy(scene: &mut Scene) {
    for _ in 0..60 {
        let frame = plain(&mut scene.rng, 2000);
        let slot = scene.a.place(&frame);
        let at = scene.a.from(slot);
        scene.a.tx.send(slot, at, frame.len());
    }
    scene.a.tx.ring(&scene.raw);
    scene.raw.step(400);
}

fn unmap(scene: &mut Scene, iova: u64) {
    assert!(scene.root(|root, _| root.iommu.unmap(CARD_ID, iova)));
}

/// What was under way when the card lost the bus.
const CUT_OFF: &[(&str, u64, u64)] =
    &[("tx_queues_broken", 0, 1), ("tx_drops_dma_error", 1, 40), ("rx_drops_no_descriptor", 0, 40)];
/// What arrives in and after a reset: the broken frame, and others that find no queue.
const RESET: &[(&str, u64, u64)] = &[("rx_drops_bad_frame", 0, 1), ("rx_drops_no_queue", 0, 60)];

pub const CASES: &[Case] = &[
    Case {
        name: "bus mastering off when packets are posted",
        does: "nothing is read: the queue stands still",
        counters: &[("tx_queues_broken", 1, 1), ("tx_drops_dma_error", 1, 1)],
        after: After::Queue,
        commit: |scene| {
            scene.raw.set_bus_master(false);
            let frame = plain(&mut scene.rng, 100);
            scene.a.send(&scene.raw, &frame);
            scene.raw.step(20_000);
            scene.raw.set_bus_master(true);
        },
        ..CASE
    },
    Case {
        name: "bus mastering off in the middle of everything",
        does: "reads end with an error at once, writes wait; nothing is sent to the host",
        counters: CUT_OFF,
        after: After::Reset,
        commit: |scene| {
            busy(scene);
            scene.raw.set_bus_master(false);
            scene.raw.step(20_000);
            scene.raw.set_bus_master(true);
            scene.raw.step(20_000);
        },
        ..CASE
    },
    Case {
        name: "D3hot and back",
        does: "registers are not answered meanwhile; nothing is lost",
        counters: &[("requests_unsupported", 1, 1)],
        commit: |scene| {
            scene.raw.function.config_write(POWER, D3HOT);
            assert_eq!(scene.raw.get(reg::VERSION), u32::MAX);
            scene.raw.step(10_000);
            scene.raw.function.config_write(POWER, 0);
            assert_ne!(scene.raw.get(reg::VERSION), u32::MAX);
        },
        ..CASE
    },
    Case {
        name: "D3hot in the middle of everything",
        does: "as with bus mastering off",
        counters: CUT_OFF,
        after: After::Reset,
        commit: |scene| {
            busy(scene);
            scene.raw.function.config_write(POWER, D3HOT);
            scene.raw.step(20_000);
            scene.raw.function.config_write(POWER, 0);
            scene.raw.step(20_000);
        },
        ..CASE
    },
    Case {
        name: "function-level reset in the middle of everything",
        does: "all DMA ends; the frame that is leaving is marked as broken; the function is as new",
        counters: RESET,
        after: After::Reset,
        commit: |scene| {
            busy(scene);
            scene.function_level_reset();
        },
        ..CASE
    },
    Case {
        name: "device reset in the middle of everything",
        does: "all DMA ends before the reset does; the frame that is leaving is marked as broken",
        counters: RESET,
        after: After::Reset,
        commit: busy,
        ..CASE
    },
    Case {
        name: "buffer to send unmapped",
        allowed: &[Rule::Unmapped],
        does: "completed, not sent",
        counters: &[("cpl_ur_ca", 1, 4), ("tx_drops_dma_error", 1, 1)],
        after: After::Queue,
        commit: |scene| {
            let frame = plain(&mut scene.rng, 1000);
            let slot = scene.a.place(&frame);
            let at = scene.a.from(slot);
            scene.a.tx.send(slot, at, frame.len());
            unmap(scene, scene.a.sending.iova());
            scene.a.tx.ring(&scene.raw);
            scene.others_go_on(6);
            assert_eq!(sent_id(&scene.a.tx.next(&scene.raw)), slot);
        },
        ..CASE
    },
    Case {
        name: "buffer to receive into unmapped",
        does: "the write is lost in the host, as posted writes are; the frame is completed",
        allowed: &[Rule::Unmapped],
        after: After::Queue,
        commit: |scene| {
            unmap(scene, scene.a.receiving.iova());
            let frame = plain(&mut scene.rng, 1000);
            scene.a.send(&scene.raw, &frame);
            scene.others_go_on(6);
            scene.a.rx.next(&scene.raw);
        },
        ..CASE
    },
    Case {
        name: "completion ring unmapped",
        does: "the entries are lost in the host",
        allowed: &[Rule::Unmapped],
        after: After::Queue,
        commit: |scene| {
            unmap(scene, scene.a.tx.cq.iova());
            let frame = plain(&mut scene.rng, 1000);
            scene.a.send(&scene.raw, &frame);
            scene.others_go_on(6);
            assert_eq!(scene.a.tx.poll(), None);
        },
        ..CASE
    },
    Case {
        name: "submission ring unmapped",
        allowed: &[Rule::Unmapped],
        does: "the queue stands still",
        counters: &[("cpl_ur_ca", 1, 2), ("tx_queues_broken", 1, 1), ("tx_drops_dma_error", 1, 1)],
        after: After::Queue,
        commit: |scene| {
            unmap(scene, scene.a.tx.ring.iova());
            let frame = plain(&mut scene.rng, 1000);
            scene.a.send(&scene.raw, &frame);
            scene.others_go_on(6);
        },
        ..CASE
    },
];
