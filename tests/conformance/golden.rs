//! Conformance cases with the exact words that real drivers were seen to send.

use nitor_sim::iommu::Permission;
use nitor_sim::CARD_ID;

use super::support::raw::{received, reg, sent_id, Raw, RX, TX};
use super::{ethernet, seed, WIDTHS};

/// Registers and commands of a driver's start, in its order.
#[test]
pub fn golden_registers_and_commands() {
    let mut raw = Raw::new(128, seed(90));
    raw.set_bus_master(true);
    raw.set(reg::DEV_CTL, 0x0000_0001);
    raw.until("a reset", || (raw.get(reg::DEV_STS) & 8 != 0).then_some(()));
    raw.set(reg::DEV_CTL, 0x0000_0000);
    raw.until("its end", || (raw.get(reg::DEV_STS) & 8 == 0).then_some(()));
    raw.set_up_admin(32, 16);
    raw.set(reg::AQ_CAPS, 0x0040_0020);
    raw.set(reg::ACQ_CAPS, 0x0040_0020);
    raw.set(reg::AENQ_CAPS, 0x0040_0010);

    let page = raw.memory(4096, 4096);
    let mut attributes = [0; 20];
    attributes[..8].copy_from_slice(&page.iova().to_le_bytes());
    assert_eq!(raw.feature(9, 28, 0, &attributes, None).0, 0);
    for (feature, version) in [(1, 0), (7, 1), (26, 0), (11, 0)] {
        assert_eq!(raw.feature(8, feature, version, &[], None).0, 0, "GET {feature}");
    }
    // Hints and low latency queues may be absent.
    for feature in [3, 4] {
        assert!([0, 3].contains(&raw.feature(8, feature, 0, &[], None).0));
    }
    let groups = [0, 0, 0, 0, 0x11, 0, 0, 0];
    assert_eq!(raw.feature(8, 26, 0, &[], None).0, 0);
    assert_eq!(raw.feature(9, 26, 0, &groups, None).0, 0);
    assert_eq!(raw.feature(8, 20, 0, &[], None).0, 0);
    raw.set(reg::INTR_MASK, 0);
    raw.set(reg::AENQ_HEAD_DB, 16);
    assert_eq!(raw.feature(8, 12, 0, &[], None).0, 0);
    let key = raw.memory(48, 64);
    let buffer = Some((key.iova(), 48));
    let function = [0, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(raw.feature(8, 10, 0, &[], buffer).0, 0);
    assert_eq!(raw.feature(8, 10, 0, &[], None).0, 0);
    assert_eq!(raw.feature(9, 10, 0, &function, buffer).0, 0);
    let mut input = raw.memory(256, 64);
    let buffer = Some((input.iova(), 256));
    assert_eq!(raw.feature(8, 18, 0, &[], buffer).0, 0);
    for (entry, fields) in [0x3c, 0x3c, 0x3c, 0x3c, 0x0c, 0x0c, 0x0c, 0x03].into_iter().enumerate()
    {
        input.store::<u16>(64 + 4 * entry, fields);
    }
    assert_eq!(raw.feature(9, 18, 0, &[0, 0, 6, 0], buffer).0, 0);
    let mut tx = raw.queue(TX, 64, 1);
    let rx = raw.queue(RX, 64, 1);
    let id = rx.id;
    raw.steer(|_| id);
    assert_eq!(raw.feature(9, 14, 0, &1500u32.to_le_bytes(), None).0, 0);
    // TX delay 64, RX delay 0.
    raw.set(tx.unmask, 0x4020_0000);
    tx.send(1, page.iova(), 60);
    tx.ring(&raw);
    assert_eq!(sent_id(&tx.next(&raw)), 1);
    raw.reset(0xb);
    raw.assert_clean();
}

/// The sum of 16-bit words, folded.
fn folded(bytes: &[u8], more: u32) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>() + more;
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Two packets of two buffers and one, with a meta descriptor that both use, of which the card finishes the TCP checksum; one to be
/// cut, with a meta descriptor of its own. A completion with each request id.
#[test]
pub fn golden_packets_to_send() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(91));
        let memory = nitor_sim::memory::Block::new(0x2000, 4096);
        let mut frame = ethernet(201);
        // Not a fragment.
        frame[20..22].fill(0);
        memory.write(0, &frame[..100]);
        memory.write(0x1000, &frame[100..]);
        {
            let mut world = raw.world.borrow_mut();
            let iommu = &mut world.host_mut(0).root.iommu;
            for (at, offset) in [(0x1234_0000_1000, 0), (0x1234_0000_2000, 0x1000)] {
                let readable = Permission::Read;
                assert!(iommu.map_at(CARD_ID, at, &memory, offset, 0x1000, readable));
            }
        }
        let mut tx = raw.queue(TX, 16, u32::MAX);
        let mut rx = raw.queue(RX, 64, u32::MAX);
        let id = rx.id;
        raw.steer(|_| id);
        let buffers = raw.memory(4096, 4096);
        rx.post(0, buffers.iova(), 2048);
        rx.post(1, buffers.iova() + 2048, 2048);
        rx.post(2, buffers.iova(), 2048);
        rx.ring(&raw);
        tx.push([0x05b0_4000, 0, 0x0000_0e14, 0]);
        tx.push([0x112a_0064, 0xf342_4c08, 0x0000_1000, 0x3600_1234]);
        tx.push([0x0900_0065, 0, 0x0000_2000, 0x0000_1234]);
        raw.set(tx.doorbell, 3);
        assert_eq!(sent_id(&tx.next(&raw)), 0xabcd);
        tx.push([0x1d00_0064, 0x0142_4c08, 0x0000_1000, 0x3600_1234]);
        raw.set(tx.doorbell, 4);
        assert_eq!(sent_id(&tx.next(&raw)), 5);
        for (at, len) in [(0, 201), (2048, 100)] {
            assert_eq!(received(&rx.next(&raw)).len, len);
            let mut right = frame[..len].to_vec();
            let sum = !folded(&right[34..], 0);
            right[50..52].copy_from_slice(&sum.to_be_bytes());
            assert!(buffers.as_slice()[at..at + len] == right);
        }
        tx.push([0x05b4_4000, 0, 0xe208_0e14, 0]);
        tx.push([0x1900_0064, 0x0140_6c98, 0x0000_1000, 0x3600_1234]);
        raw.set(tx.doorbell, 6);
        assert_eq!(sent_id(&tx.next(&raw)), 5);
        assert_eq!(received(&rx.next(&raw)).len, 100);
        let got = &buffers.as_slice()[..100];
        assert_eq!(got[16..18], [0, 86]);
        assert_eq!(folded(&got[14..34], 0), 0xffff);
        assert_eq!(folded(&got[34..], folded(&got[26..34], 6 + 66).into()), 0xffff);
        raw.assert_clean();
    }
}

/// A buffer as drivers post it, and the fields of its completion where drivers look for them.
#[test]
pub fn golden_buffers_to_receive() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(92));
        let memory = nitor_sim::memory::Block::new(0x1000, 4096);
        {
            let mut world = raw.world.borrow_mut();
            let iommu = &mut world.host_mut(0).root.iommu;
            let mapped = iommu.map_at(CARD_ID, 0x1000, &memory, 0, 0xe80, Permission::Write);
            assert!(mapped);
        }
        let mut rx = raw.queue(RX, 16, u32::MAX);
        let id = rx.id;
        raw.steer(|_| id);
        rx.push([0x1d00_0e80, 0, 0x0000_1000, 0]);
        rx.ring(&raw);
        let frame = ethernet(100);
        raw.world.borrow_mut().inject(0, 64, &frame, false);
        let entry = rx.next(&raw);
        assert_eq!(entry[0] & 0x0d00_0000, 0x0d00_0000, "first, last, phase");
        assert_eq!((entry[1], entry[3]), (100, 0), "length, request id; offset");
        let mut got = vec![0; 100];
        memory.read(0, &mut got);
        assert!(got == frame);
        raw.assert_clean();
    }
}
