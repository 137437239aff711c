//! Conformance cases of queue interrupts: masks, moderation, MSI-X.

use nitor_driver::pci::PciFunction;

use super::support::raw::Raw;
use super::{counts, ethernet, seed, Pair, WIDTHS};

const UNMASK: u32 = 1 << 30;
const KEEP_DELAYS: u32 = 1 << 31;
const MICROSECOND: u64 = 250;

/// A pair on vector 1, with interrupts on and the vector not yet unmasked.
fn scene(width: u32, case: u64) -> (Raw, Pair) {
    let mut raw = Raw::ready(width, seed(case));
    raw.function.enable_msix(3).unwrap();
    let pair = Pair::new(&mut raw, 64, 1, 2048);
    (raw, pair)
}

/// A frame is sent and received: an event of each direction.
fn events(raw: &Raw, pair: &mut Pair) {
    pair.send(raw, 0, 0, &ethernet(60));
    pair.tx.next(raw);
    pair.receive(raw);
}

#[test]
pub fn case_51_nothing_before_the_first_unmask_and_then_what_is_pending() {
    for width in WIDTHS {
        let (raw, mut pair) = scene(width, 51);
        events(&raw, &mut pair);
        raw.step(50_000);
        assert_eq!(counts(&raw, 1), 0);
        raw.set(pair.tx.unmask, UNMASK);
        raw.step(5_000);
        assert_eq!(counts(&raw, 1), 1);
        raw.assert_clean();
    }
}

fn destroy(raw: &mut Raw, pair: Pair) {
    raw.destroy(pair.tx);
    raw.destroy(pair.rx);
}

/// Nothing of it outlives the last of them: neither what is pending under a delay, nor that it is unmasked.
#[test]
pub fn a_vector_ends_with_its_last_queue() {
    for width in WIDTHS {
        let (mut raw, mut pair) = scene(width, 51);
        raw.set(pair.tx.unmask, UNMASK | 100 << 15 | 100);
        events(&raw, &mut pair);
        destroy(&mut raw, pair);
        raw.step(150 * MICROSECOND);
        assert_eq!(counts(&raw, 1), 0, "of queues that are gone");

        let pair = Pair::new(&mut raw, 64, 1, 2048);
        raw.set(pair.tx.unmask, UNMASK);
        destroy(&mut raw, pair);
        let mut pair = Pair::new(&mut raw, 64, 1, 2048);
        events(&raw, &mut pair);
        raw.step(50_000);
        assert_eq!(counts(&raw, 1), 0, "before it was unmasked");
        raw.set(pair.tx.unmask, UNMASK);
        raw.step(5_000);
        assert_eq!(counts(&raw, 1), 1);

        // While one queue is left, the vector goes on.
        raw.set(pair.tx.unmask, UNMASK);
        raw.destroy(pair.tx);
        let host = raw.function.host();
        raw.world.borrow_mut().inject(host, 64, &ethernet(60), false);
        raw.until("an interrupt", || (counts(&raw, 1) == 2).then_some(()));
        raw.destroy(pair.rx);
        raw.assert_clean();
    }
}

#[test]
pub fn case_52_one_message_until_the_next_unmask() {
    for width in WIDTHS {
        let (raw, mut pair) = scene(width, 52);
        raw.set(pair.tx.unmask, UNMASK);
        for _ in 0..20 {
            events(&raw, &mut pair);
        }
        raw.step(20_000);
        assert_eq!(counts(&raw, 1), 1);
        // Some drivers mask by writing 0, also what has masked itself.
        raw.set(pair.tx.unmask, 0);
        raw.step(20_000);
        assert_eq!(counts(&raw, 1), 1, "masked by writing 0");
        raw.set(pair.tx.unmask, UNMASK);
        raw.step(20_000);
        assert_eq!(counts(&raw, 1), 2, "what came meanwhile");
        raw.set(pair.tx.unmask, UNMASK);
        raw.step(20_000);
        assert_eq!(counts(&raw, 1), 2, "nothing came");
        raw.assert_clean();
    }
}

#[test]
pub fn case_53_either_queues_register_unmasks_the_vector() {
    for width in WIDTHS {
        let (raw, mut pair) = scene(width, 53);
        let mut expected = 0;
        for round in 0..6 {
            raw.set([pair.tx.unmask, pair.rx.unmask][round % 2], UNMASK);
            // In turn an event of one direction alone.
            if round < 3 {
                let host = raw.function.host();
                raw.world.borrow_mut().inject(host, 64, &ethernet(60), false);
                pair.receive(&raw);
            } else {
                events(&raw, &mut pair);
            }
            raw.step(5_000);
            expected += 1;
            let seen = counts(&raw, 1);
            assert!(seen >= expected, "round {round}: {seen}");
            expected = seen;
        }
        raw.assert_clean();
    }
}

/// Cycles from the completion in memory to the interrupt.
fn waits(raw: &Raw, pair: &mut Pair, rx: bool) -> u64 {
    let before = counts(raw, 1);
    if rx {
        let host = raw.function.host();
        raw.world.borrow_mut().inject(host, 64, &ethernet(60), false);
        pair.receive(raw);
    } else {
        // To nobody: no frame comes back.
        raw.world.borrow_mut().set_link(0, false);
        pair.send(raw, 0, 0, &ethernet(60));
        pair.tx.next(raw);
    }
    let begin = raw.now();
    raw.until("an interrupt", || (counts(raw, 1) > before).then_some(()));
    raw.world.borrow_mut().set_link(0, true);
    raw.now() - begin
}

#[test]
pub fn case_54_delays_masks_and_pending_bits() {
    for width in WIDTHS {
        let (raw, mut pair) = scene(width, 54);
        for (tx, rx) in [(64, 0), (0, 50), (20, 100), (0, 0)] {
            raw.set(pair.tx.unmask, UNMASK | tx << 15 | rx);
            for (direction, delay) in [(true, rx), (false, tx)] {
                let waited = waits(&raw, &mut pair, direction);
                let wanted = u64::from(delay) * MICROSECOND;
                assert!(
                    (wanted.saturating_sub(600)..wanted + 1_000).contains(&waited),
                    "{waited} cycles, not {wanted}"
                );
                // Bit 31: what the delay fields say is not looked at.
                raw.set(pair.tx.unmask, UNMASK | KEEP_DELAYS | 0x3fff_ffff);
            }
            raw.step(5_000);
            raw.set(pair.tx.unmask, UNMASK);
            raw.step(5_000);
        }

        // Bit 30 = 0 masks.
        raw.set(pair.tx.unmask, 0);
        raw.step(1_000);
        let before = counts(&raw, 1);
        events(&raw, &mut pair);
        raw.step(20_000);
        assert_eq!(counts(&raw, 1), before);
        raw.set(pair.tx.unmask, UNMASK);
        raw.step(5_000);
        assert_eq!(counts(&raw, 1), before + 1);

        // The table's own mask, and the pending bit.
        let entry = 0x2000_u64 + 16;
        raw.set(entry + 12, 1);
        raw.set(pair.tx.unmask, UNMASK);
        events(&raw, &mut pair);
        raw.step(20_000);
        assert_eq!(counts(&raw, 1), before + 1);
        assert_eq!(raw.get(0x3000) & 2, 2, "pending");
        raw.set(entry + 12, 0);
        raw.step(5_000);
        assert_eq!(counts(&raw, 1), before + 2);
        assert_eq!(raw.get(0x3000) & 2, 0);
        raw.assert_clean();
    }
}
