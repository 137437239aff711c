//! Conformance cases of the admin queue.

use nitor_driver::pci::PciFunction;

use super::support::raw::{reg, Raw, GET_FEATURE, GET_STATS, SET_FEATURE};
use super::{counts, seed, WIDTHS};

const UNSUPPORTED: u8 = 3;

/// GET_FEATURE of the card's attributes.
fn get_attributes() -> [u8; 64] {
    let mut entry = [0; 64];
    entry[17] = 1;
    entry
}

#[test]
pub fn case_14_100_commands_with_both_depths() {
    for width in WIDTHS {
        for depth in [2, 32] {
            let mut raw = Raw::new(width, seed(14));
            raw.set_bus_master(true);
            raw.reset(0);
            raw.set_up_admin(depth, 16);
            // Ids, order and phases are checked with each answer.
            for _ in 0..100 {
                assert_eq!(raw.command(GET_FEATURE, &get_attributes()).0, 0);
            }
            raw.assert_clean();
        }
    }
}

#[test]
pub fn case_15_the_doorbell_runs_over_65535() {
    let mut raw = Raw::with(128, seed(15), |mut host| {
        host.firmware_gap = 0;
        host
    });
    raw.start();
    let mut left = 65_536 + 40;
    while left > 0 {
        let batch = left.min(32);
        // Answered at once, as there is no such command.
        for _ in 0..batch {
            raw.submit(77, &[0; 4]);
        }
        raw.ring_admin();
        for _ in 0..batch {
            assert_ne!(raw.answer()[2], 0);
        }
        left -= batch;
    }
    assert_eq!(raw.command(GET_FEATURE, &get_attributes()).0, 0);
    raw.assert_clean();
}

#[test]
pub fn case_16_32_commands_by_one_doorbell() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(16));
        for _ in 0..3 {
            for _ in 0..32 {
                raw.submit(GET_FEATURE, &get_attributes());
            }
            raw.ring_admin();
            for id in 0..32 {
                let answer = raw.answer();
                assert_eq!((answer[0], answer[2]), (id, 0));
            }
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_17_vector_0_is_gated_by_intr_mask_and_never_unmasked() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(17));
        raw.function.enable_msix(2).unwrap();
        raw.set(reg::INTR_MASK, 1);
        raw.command(GET_FEATURE, &get_attributes());
        raw.step(20_000);
        assert_eq!(counts(&raw, 0), 0);
        raw.set(reg::INTR_MASK, 0);
        raw.step(5_000);
        let pending = counts(&raw, 0);
        assert!(pending <= 1);
        for round in 1..=5 {
            raw.command(GET_FEATURE, &get_attributes());
            raw.step(5_000);
            assert_eq!(counts(&raw, 0), pending + round, "one message an answer");
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_18_what_is_beyond_a_command_is_stale() {
    let mut raw = Raw::ready(128, seed(18));
    for _ in 0..2 {
        // The ring full of everything, so that whatever follows finds it in its slot.
        for _ in 0..32 {
            let mut junk = [0xff; 64];
            junk[3] = 0;
            raw.submit(99, &junk);
        }
        raw.ring_admin();
        for _ in 0..32 {
            assert_ne!(raw.answer()[2], 0);
        }
        // Basic statistics: 24 bytes are the command's.
        let mut stats = [0; 24];
        stats[16] = 0;
        assert_eq!(raw.command(GET_STATS, &stats).0, 0);
        // Queues: 20 and 36 bytes.
        let memory = raw.memory(4096, 4096);
        let (cq, _) = raw.create_cq(2, 64, u32::MAX, memory.iova()).unwrap();
        let (sq, _) = raw.create_sq(1, 64, cq, memory.iova() + 1024).unwrap();
        assert_eq!((raw.destroy_sq(1, sq), raw.destroy_cq(cq)), (0, 0));
    }
    raw.assert_clean();
}

#[test]
pub fn case_19_unknown_commands_and_features_stop_nothing() {
    let mut raw = Raw::ready(128, seed(19));
    let known = [1, 2, 3, 4, 8, 9, 11];
    for opcode in (0..=255).filter(|opcode| !known.contains(opcode)) {
        assert_ne!(raw.command(opcode, &[0; 64]).0, 0, "{opcode}");
    }
    // Of those in use by some driver: low latency queues, fragments, clock, steering, timestamps.
    for feature in [5, 8, 29, 30, 31, 77, 255] {
        assert_eq!(raw.feature(GET_FEATURE, feature, 0, &[], None).0, UNSUPPORTED);
        assert_eq!(raw.feature(SET_FEATURE, feature, 0, &[], None).0, UNSUPPORTED);
    }
    assert_eq!(raw.command(GET_FEATURE, &get_attributes()).0, 0);
    raw.assert_clean();
}

#[test]
pub fn case_20_control_buffers_are_direct_whatever_the_flags() {
    let mut raw = Raw::ready(128, seed(20));
    for flags in [4, 0, 2, 6] {
        let buffer = raw.memory(64, 64);
        let mut entry = [0; 64];
        entry[3] = flags;
        entry[4] = 48;
        entry[8..16].copy_from_slice(&buffer.iova().to_le_bytes());
        entry[17] = 10;
        assert_eq!(raw.command(GET_FEATURE, &entry).0, 0, "flags {flags}");
        assert_eq!(buffer.load::<u32>(0), 10, "parts of the key, flags {flags}");
    }
    // Statistics that want a buffer, with no flag.
    assert!(raw.counters().of("doorbells") < 10);
    raw.assert_clean();
}

#[test]
pub fn case_21_an_answer_is_never_half_there() {
    for width in WIDTHS {
        let mut raw = Raw::with(width, seed(21), |mut host| {
            host.pressure = nitor_sim::host::Pressure::all(0.3);
            host
        });
        raw.start();
        for lap in 0..3u8 {
            for slot in 0..32 {
                let at = 64 * slot;
                let phase = lap % 2;
                let old = {
                    let ring = raw.admin().answers.as_mut_slice();
                    // Anything but what an answer holds, and the old phase.
                    ring[at..at + 64].fill(0xee);
                    ring[at + 3] = phase;
                    ring[at..at + 64].to_vec()
                };
                raw.submit(GET_FEATURE, &get_attributes());
                raw.ring_admin();
                loop {
                    raw.step(1);
                    let now = &raw.admin().answers.as_slice()[at..at + 64];
                    if now != old {
                        let beyond = now[4..].iter().all(|byte| *byte != 0xee);
                        assert!(now[3] & 1 != phase && beyond, "{now:x?}");
                        break;
                    }
                }
                assert_eq!(raw.answer()[2], 0);
            }
        }
        raw.assert_clean();
    }
}
