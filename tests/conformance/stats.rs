//! Conformance cases of statistics.

use super::support::raw::{Raw, GET_FEATURE, GET_STATS};
use super::{ethernet, seed, Pair, WIDTHS};

const UNSUPPORTED: u8 = 3;

#[test]
pub fn case_58_port_totals_whatever_is_asked_for_and_no_other_kinds() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(58));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        for _ in 0..5 {
            pair.send(&raw, 0, 0, &ethernet(100));
            pair.tx.next(&raw);
            pair.receive(&raw);
        }
        // As most drivers send it, and as one that means the port and any device.
        for (scope, queue, device) in [(0, 0, 0), (1, 0, 0xffff), (0, 7, 3)] {
            let mut entry = [0; 24];
            entry[17] = scope;
            entry[20] = queue;
            entry[22..24].copy_from_slice(&u16::to_le_bytes(device));
            let (status, answer) = raw.command(GET_STATS, &entry);
            assert_eq!(status, 0);
            let of = |n: usize| u64::from_le_bytes(answer[8 + 8 * n..][..8].try_into().unwrap());
            assert_eq!([0, 1, 2, 3, 4, 5, 6].map(of), [500, 5, 500, 5, 0, 0, 0]);
        }
        // Packets dropped at a limit, offered in the capabilities.
        let capabilities = raw.feature(GET_FEATURE, 1, 0, &[], None).1[20];
        assert_eq!(capabilities, 1);
        let mut entry = [0; 32];
        entry[16] = 2;
        let (status, answer) = raw.command(GET_STATS, &entry);
        assert_eq!((status, &answer[8..48]), (0, &[0; 40][..]));
        for kind in [3, 4] {
            let mut entry = [0; 32];
            entry[16] = kind;
            assert_eq!(raw.command(GET_STATS, &entry).0, UNSUPPORTED);
        }
        raw.assert_clean();
    }
}
