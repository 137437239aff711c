//! Conformance cases of resets: by register, function-level, and with bus mastering off.

use nitor_driver::pci::PciFunction;

use super::support::raw::{reg, Raw, GET_FEATURE};
use super::{counts, dma, ethernet, fired, seed, Pair, Readless, WIDTHS};

const IN_PROGRESS: u32 = 8;
const MILLISECOND: u64 = 250_000;

#[test]
pub fn case_08_reset_is_in_progress_until_taken_back() {
    for width in WIDTHS {
        let raw = Raw::new(width, seed(8));
        raw.set(reg::DEV_CTL, 1);
        raw.until("a reset", || (raw.get(reg::DEV_STS) & IN_PROGRESS != 0).then_some(()));
        raw.step(4 * MILLISECOND);
        assert_ne!(raw.get(reg::DEV_STS) & IN_PROGRESS, 0);
        raw.set(reg::DEV_CTL, 0);
        raw.until("its end", || (raw.get(reg::DEV_STS) & IN_PROGRESS == 0).then_some(()));
    }
}

#[test]
pub fn case_09_readless_reads_work_in_a_reset() {
    for width in WIDTHS {
        let raw = Raw::new(width, seed(9));
        raw.set_bus_master(true);
        let mut readless = Readless::new(&raw);
        raw.set(reg::DEV_CTL, 1);
        raw.set_address(reg::MMIO_RESP, readless.answer.iova());
        raw.until("a reset", || {
            (readless.read(&raw, reg::DEV_STS) & IN_PROGRESS != 0).then_some(())
        });
        raw.set(reg::DEV_CTL, 0);
        raw.until("its end", || {
            (readless.read(&raw, reg::DEV_STS) & IN_PROGRESS == 0).then_some(())
        });
        assert_eq!(readless.read(&raw, reg::DEV_STS), 1);
        raw.assert_clean();
    }
}

#[test]
pub fn case_10_ready_after_a_reset() {
    for width in WIDTHS {
        let mut raw = Raw::new(width, seed(10));
        raw.set_bus_master(true);
        for reason in 0..16 {
            let begin = raw.now();
            raw.reset(reason);
            assert!(raw.now() - begin < MILLISECOND);
            assert_eq!(raw.get(reg::DEV_STS), 1);
        }
    }
}

#[test]
pub fn case_11_quiet_after_a_reset() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(11));
        raw.function.enable_msix(3).unwrap();
        raw.set(reg::INTR_MASK, 0);
        let mut pair = Pair::new(&mut raw, 64, 1, 2048);
        raw.set(pair.tx.unmask, 1 << 30);
        for id in 0..20 {
            pair.send(&raw, id, 2048 * usize::from(id), &ethernet(1500));
        }
        raw.step(400);
        raw.reset(1);
        let before = dma(&raw);
        raw.step(MILLISECOND);
        assert_eq!(dma(&raw), before);
        raw.assert_clean();
    }
}

#[test]
pub fn case_12_reset_under_traffic_with_a_command_pending_and_with_events_full() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(12));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        for id in 0..30 {
            pair.send(&raw, id, 2048 * usize::from(id), &ethernet(1500));
        }
        raw.step(300);
        raw.start();
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        pair.works(&raw);

        for steps in [0, 10, 100, 300, 600] {
            for _ in 0..20 {
                raw.submit(GET_FEATURE, &[0; 64]);
            }
            raw.ring_admin();
            raw.step(steps);
            raw.start();
            assert_eq!(raw.feature(GET_FEATURE, 1, 0, &[], None).0, 0);
        }

        raw.set(reg::AENQ_HEAD_DB, 16);
        let groups = [0, 0, 0, 0, 0x11, 0, 0, 0];
        assert_eq!(raw.feature(9, 26, 0, &groups, None).0, 0);
        for up in [false, true].into_iter().cycle().take(40) {
            raw.world.borrow_mut().set_link(0, up);
            raw.step(5_000);
        }
        raw.start();
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        pair.works(&raw);
        raw.assert_clean();
    }
}

/// A readless read is asked for while the card may not write: the answer waits.
fn waiting(width: u32) -> (Raw, Readless) {
    let raw = Raw::ready(width, seed(13));
    let readless = Readless::new(&raw);
    raw.set_bus_master(false);
    raw.set(reg::MMIO_REG_READ, u32::from(reg::CAPS) << 16 | 7);
    raw.step(1_000);
    (raw, readless)
}

/// Neither to where the life before wanted it, nor to where this one has its own.
#[test]
pub fn a_readless_answer_ends_with_its_life() {
    for width in WIDTHS {
        let (mut raw, old) = waiting(width);
        raw.function.reset().unwrap();
        raw.set_bus_master(true);
        raw.step(5_000);
        assert_eq!(old.answer.load::<u64>(0), 0);
        let mut new = Readless::new(&raw);
        raw.step(5_000);
        assert_eq!(new.answer.load::<u64>(0), 0);
        assert_eq!(new.read(&raw, reg::DEV_STS), 1);
        assert_eq!(old.answer.load::<u64>(0), 0);
        raw.start();
        raw.assert_clean();
    }
}

#[test]
pub fn a_readless_answer_goes_where_the_address_is_now() {
    for width in WIDTHS {
        let (raw, old) = waiting(width);
        let new = Readless::new(&raw);
        raw.set_bus_master(true);
        raw.until("an answer", || (new.answer.load::<u16>(0) == 7).then_some(()));
        assert_eq!(new.answer.load::<u64>(0), 0x3015_0008_0007);
        raw.step(5_000);
        assert_eq!(old.answer.load::<u64>(0), 0);
        raw.assert_clean();
    }
}

/// MAC address and largest MTU.
fn attributes(raw: &mut Raw) -> ([u8; 6], [u8; 4]) {
    let (status, answer) = raw.feature(GET_FEATURE, 1, 0, &[], None);
    assert_eq!(status, 0);
    (answer[32..38].try_into().unwrap(), answer[40..44].try_into().unwrap())
}

#[test]
pub fn case_13_function_level_reset_and_bus_mastering_end_dma_and_1000_probes() {
    for width in WIDTHS {
        for by_function in [true, false] {
            let mut raw = Raw::ready(width, seed(13));
            let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
            for id in 0..30 {
                pair.send(&raw, id, 2048 * usize::from(id), &ethernet(1500));
            }
            raw.step(300);
            match by_function {
                true => raw.function.reset().unwrap(),
                false => raw.set_bus_master(false),
            }
            raw.step(2_000);
            let before = dma(&raw);
            raw.step(MILLISECOND);
            assert_eq!(dma(&raw), before);
            raw.start();
            let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
            pair.works(&raw);
            raw.assert_clean();
        }
    }
    let mut raw = Raw::ready(128, seed(13));
    let first = attributes(&mut raw);
    for round in 0..1000 {
        match round % 10 {
            0 => raw.function.reset().unwrap(),
            _ => raw.set_bus_master(false),
        }
        raw.start();
        assert_eq!(attributes(&mut raw), first, "probe {round}");
    }
    assert!(fired(&raw).is_empty() && counts(&raw, 0) == 0);
    raw.assert_clean();
}
