mod bench;
mod rules;

use super::*;
use bench::*;
use rules::CASES;

#[test]
fn all_as_it_should_be() {
    let mut bench = Bench::new();
    bench.post_some(TX, 3);
    bench.post_some(RX, 3);
    assert_eq!(bench.monitor.outstanding(), 6);
    bench.fetch(TX, 0, 2).unwrap();
    bench.fetch(TX, 2, 1).unwrap();
    bench.read(DATA + 20, 80).unwrap();
    for number in 0..3 {
        bench.sent(number.into(), number, 1).unwrap();
    }
    bench.monitor.interrupt(1).unwrap();
    bench.fetch(RX, 0, 3).unwrap();
    bench.fill(0, 0, 60).unwrap();
    bench.fill(0, 60, 40).unwrap();
    bench.fill(1, 0, 7).unwrap();
    bench.received(0, 0, 100, 0x05).unwrap();
    bench.received(1, 1, 7, 0x09).unwrap();
    bench.monitor.interrupt(2).unwrap();
    assert_eq!(bench.monitor.outstanding(), 1);
}

/// A ring of lines: what was pushed may be read and completed, line by line.
#[test]
fn lines() {
    let mut bench = Bench::new();
    let mut choose = [0; ENTRY];
    (choose[2], choose[17], choose[34]) = (opcode::SET_FEATURE, LLQ, 1);
    bench.command(choose, [0; 8]).unwrap();
    let mut create = [0; ENTRY];
    (create[2], create[4], create[6], create[8], create[10]) =
        (opcode::CREATE_SQ, 0x20, 3, TX as u8, DEPTH as u8);
    // Replaces the queue that is there; its lines begin at 0.
    let doorbell = DOORBELL[TX] as u32;
    let mut answer = [0; 8];
    answer[4..].copy_from_slice(&doorbell.to_le_bytes());
    bench.command(create, answer).unwrap();
    let mut line = |number: usize, words: &[[u32; 4]]| {
        let bytes = words.concat().into_iter().flat_map(u32::to_le_bytes);
        for (i, byte) in bytes.enumerate() {
            bench.monitor.line_byte((128 * number + i) as u64, byte);
        }
    };
    // A packet of 60 bytes, all pushed. Then one of 96 pushed bytes and eleven buffers, in three
    // lines. Then one that claims too many pushed bytes.
    line(0, &[[0x1d00_0000, 7 << 22, 0, 60 << 24], [0xffff_ffff; 4]]);
    let piece = |i: u32| [0x100_0064, 0, DATA as u32 + 256 * i, 0];
    let mut first = piece(0);
    (first[0], first[1], first[3]) = (0x1500_0064, 8 << 22, 96 << 24);
    line(1, &[first, piece(1)]);
    let rest: Vec<_> = (2..10).map(piece).collect();
    line(2, &rest);
    line(3, &[[0x0900_0064, 0, DATA as u32 + 2560, 0]]);
    line(4, &[[0x1d00_0000, 9 << 22, 0, 97 << 24]]);
    bench.ring(TX, 4);
    assert_eq!(bench.monitor.outstanding(), 2);
    assert!(!bench.monitor.sqs[&(Direction::Tx, 0)].is_wild());
    bench.read(DATA + 2560, 100).unwrap();
    assert!(bench.read(DATA + 11 * 256, 4).is_err(), "nobody's");
    assert!(bench.fetch(TX, 0, 1).is_err(), "its ring is not in memory");
    bench.sent(0, 7, 1).unwrap();
    assert!(bench.sent(1, 9, 1).is_err(), "not told of yet");
    bench.sent(2, 8, 1).unwrap();
    assert!(bench.read(DATA + 0x1000, 4).is_err(), "nobody's");
    bench.ring(TX, 5);
    assert!(bench.monitor.sqs[&(Direction::Tx, 0)].is_wild());
}

#[test]
fn each_rule_has_a_card_that_breaks_it() {
    let without: Vec<_> = Rule::DEVICE
        .iter()
        .filter(|rule| CASES.iter().all(|case| case.0 != Some(**rule)))
        .collect();
    assert!(without.is_empty(), "no card breaks {without:?}");
}

#[test]
fn broken_cards_are_caught_and_others_are_not() {
    let mut wrong = vec![];
    for (breaks, what, card) in CASES {
        let verdict = card();
        if verdict.as_ref().err().map(|breach| breach.rule) != *breaks {
            wrong.push(format!("{breaks:?}, {what}: {verdict:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A ring that is not aligned: its entries are written in pieces, the one with the phase last.
#[test]
fn answers_in_pieces() {
    for (pieces, right) in [
        (&[(7, 57), (0, 3), (3, 4)][..], true),
        (&[(7, 57), (3, 4)], false),
        (&[(7, 57), (0, 3), (7, 1)], false),
        (&[(7, 58)], false),
    ] {
        let mut bench = Bench::new();
        bench.set(reg::ACQ_BASE, ACQ as u32 + 8);
        bench.set(reg::AQ_DB, (bench.commands + 1).into());
        let at = bench.next_answer() + 8;
        let answer = answer(0);
        let verdict = pieces.iter().try_for_each(|&(from, len): &(usize, usize)| {
            let bytes = answer.iter().chain(&[0; 8]).copied().skip(from).take(len);
            bench.write(at + from as u64, &bytes.collect::<Vec<u8>>())
        });
        assert_eq!(verdict.is_ok(), right, "{pieces:?}: {verdict:?}");
    }
}

/// If 65,536 is no multiple of the depth, the 16-bit count wraps in the middle of the ring.
#[test]
fn rings_of_any_depth_go_round_for_ever() {
    let mut ring = Answers::default();
    (ring.base, ring.depth) = (ACQ, 24);
    for number in 0..70_000 {
        let answer = [u8::from(number / 24 % 2 == 0); ENTRY];
        let at = ACQ + number % 24 * ENTRY as u64;
        let taken = ring.take(at, &answer, 3, [Rule::AnswerPlace, Rule::AnswerPhase]);
        assert_eq!(taken, Ok(Some(answer)), "{number}");
    }
}

#[test]
fn a_wild_queue_is_judged_little_and_others_as_ever() {
    let mut bench = Bench::busy();
    // The doorbell is beyond the ring.
    bench.ring(TX, 100);
    bench.sent(0, 77, 1).unwrap();
    bench.sent(1, 2, 1).unwrap();
    bench.fetch(TX, 5, 9).unwrap();
    // The packet has completed, but in a wild queue its memory stays readable.
    bench.read(DATA + 2 * 256, 100).unwrap();
    assert!(bench.fill(0, 4, 20).is_err());
    bench.fill(0, 0, 20).unwrap();
    assert!(bench.received(0, 1, 20, 0x0d).is_err());
}

/// The card may read lines that the host has written without a doorbell: with the next one, or
/// already.
#[test]
fn lines_of_a_wild_queue() {
    let mut bench = Bench::new();
    let mut create = [0; ENTRY];
    (create[2], create[4], create[6], create[8], create[10]) =
        (opcode::CREATE_SQ, 0x20, 3, TX as u8, DEPTH as u8);
    let mut answer = [0; 8];
    answer[4..].copy_from_slice(&(DOORBELL[TX] as u32).to_le_bytes());
    bench.command(create, answer).unwrap();
    let address = (DATA as u32).to_le_bytes();
    let line =
        [[0x64, 0, 0, 0x1d, 0, 0, 0, 0], [address[0], address[1], address[2], 0, 0, 0, 0, 0]];
    for (i, byte) in line.concat().into_iter().enumerate() {
        bench.monitor.line_byte(3 * 128 + i as u64, byte);
    }
    bench.ring(TX, 4);
    assert!(bench.monitor.sqs[&(Direction::Tx, 0)].is_wild(), "the lines before it are empty");
    bench.read(DATA, 100).unwrap();
    assert!(bench.read(DATA + 1, 100).is_err());
}

/// If buffers overlap, nothing tells to which a byte belongs. Found by fuzzing.
#[test]
fn buffers_within_each_other_make_a_queue_wild() {
    let mut bench = Bench::new();
    for (slot, address) in [DATA as u32, DATA as u32 + 3].into_iter().enumerate() {
        bench.post(RX, slot as u16, [0x1d00_0064, slot as u32, address, 0]);
    }
    bench.ring(RX, 2);
    bench.fetch(RX, 0, 2).unwrap();
    bench.write(DATA, &[0; 3]).unwrap();
    bench.write(DATA + 3, &[0; 97]).unwrap();
    bench.received(0, 0, 100, 0x0d).unwrap();
}
