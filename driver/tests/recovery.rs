//! Resets, of the device and of the function, and what is there again behind them.

mod soft;

use nitor_abi::bar;
use nitor_driver::{Config, Error, Mode, PciFunction, ResetReason, Segment};
use soft::*;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_reset_that_fails_becomes_one_of_the_function() {
    let faults: [fn(&mut Misbehaviour); 3] = [
        |wrong| wrong.reset_never_begins = true,
        // Not ready until then.
        |wrong| {
            wrong.registers.insert(bar::DEV_STS, 0);
            wrong.registers_heal = true;
        },
        // No time that a reset may take.
        |wrong| _ = wrong.registers.insert(bar::CAPS, 0x3000),
    ];
    for (i, fault) in faults.into_iter().enumerate() {
        let card = SoftCard::new();
        fault(&mut card.inner().wrong);
        let mut ena = card.open(small(Mode::Polling)).unwrap_or_else(|e| panic!("case {i}: {e}"));
        assert!(card.inner().function_resets > 0);
        ena.set_mtu(1400).unwrap();
        drop(ena);
        card.assert_clean();
    }
}

#[test]
fn a_reset_of_the_function_that_fails_leaves_no_dma() {
    for revision in [0, 1] {
        let card = SoftCard::new();
        card.inner().revision = revision;
        card.inner().wrong.reset_never_ends = true;
        assert!(matches!(failure(&card, small(Mode::Polling)), Error::ResetTimeout(_)));
        card.assert_clean();

        let card = SoftCard::new();
        card.inner().revision = revision;
        card.inner().wrong.registers.insert(bar::DEV_STS, 0);
        assert_eq!(failure(&card, small(Mode::Polling)), Error::NotReady);
        card.assert_clean();
    }
}

#[test]
fn recovers_by_a_reset_of_the_function() {
    for (revision, mode) in
        [(0, Mode::Polling), (1, Mode::Polling), (0, INTERRUPTS), (1, INTERRUPTS)]
    {
        let card = SoftCard::new();
        card.inner().revision = revision;
        let mut ena = card.open(Config { pairs: 2, mtu: 4000, ..small(mode) }).unwrap();
        for round in 1..4 {
            card.inner().wrong.reset_never_begins = true;
            ena.recover(ResetReason::UserTrigger).unwrap();
            card.inner().wrong.reset_never_begins = false;
            // One for the reset, one for the start behind it.
            assert_eq!(card.inner().function_resets, 2 * round);
            let vectors = if mode == Mode::Polling { 0 } else { 3 };
            assert_eq!(card.inner().vectors, vectors);
            card.inner().receive(&[round as u8; 3999]);
            if mode != Mode::Polling {
                let fired = ena.wait(MS);
                let served: Vec<_> = ena.pairs().iter().filter_map(|pair| pair.vector()).collect();
                assert!(fired.iter().any(|vector| served.contains(&vector)), "{fired:?}");
            }
            let got: Vec<_> = ena
                .pairs_mut()
                .iter_mut()
                .filter_map(|pair| pair.rx.receive().unwrap().map(|frame| frame.to_vec()))
                .collect();
            assert_eq!(got, [vec![round as u8; 3999]]);
            for _ in 0..3 {
                ena.wait(SECOND);
            }
            assert_eq!(ena.health(), None);
        }
        ena.close().unwrap();
        card.assert_clean();
    }
}

#[test]
fn recovers_after_dma_was_switched_off() {
    for revision in [0, 1] {
        let card = SoftCard::new();
        card.inner().revision = revision;
        let mut ena = card.open(small(Mode::Polling)).unwrap();
        card.inner().wrong.reset_never_ends = true;
        assert!(ena.recover(ResetReason::UserTrigger).is_err());
        card.inner().wrong.reset_never_ends = false;
        // Time for the reset to end after all.
        ena.wait(MS);
        ena.recover(ResetReason::UserTrigger).unwrap();
        assert_eq!(ena.health(), None);
        ena.set_mtu(1400).unwrap();
        drop(ena);
        card.assert_clean();
    }
}

#[test]
fn silence_is_noticed_and_recovered_from() {
    let card = SoftCard::new();
    let mut ena = card.open(small(INTERRUPTS)).unwrap();
    card.inner().wrong.firmware_stopped = true;
    ena.wait(5 * SECOND);
    assert_eq!(ena.health(), None);
    ena.wait(2 * SECOND);
    assert_eq!(ena.health(), Some(ResetReason::KeepAliveTimeout));
    card.inner().wrong.firmware_stopped = false;
    ena.recover(ResetReason::KeepAliveTimeout).unwrap();
    assert_eq!(ena.health(), None);
    let reasons = card.inner().reasons.clone();
    assert_eq!(reasons, [0, ResetReason::KeepAliveTimeout as u8, 0]);
}

#[test]
fn packets_that_a_reset_overtakes_come_back_as_lost() {
    let card = SoftCard::new();
    let mut ena = card.open(small(Mode::Polling)).unwrap();
    let memory = card.alloc_dma(60, 64).unwrap();
    let segment = Segment { iova: memory.iova(), len: 60 };
    card.inner().wrong.no_tx_completions = true;
    for token in 0..3 {
        ena.pair(0).tx.send(&[segment], token).unwrap();
    }
    ena.pair(0).tx.flush();
    for _ in 0..5 {
        ena.wait(SECOND);
        assert_eq!(ena.health(), None);
    }
    ena.wait(SECOND);
    assert_eq!(ena.health(), Some(ResetReason::MissingTxCompletion));
    card.inner().wrong.no_tx_completions = false;
    ena.recover(ResetReason::MissingTxCompletion).unwrap();
    ena.pair(0).tx.send(&[segment], 9).unwrap();
    ena.pair(0).tx.flush();
    ena.wait(MS);
    let mut back = Vec::new();
    ena.pair(0).tx.reap(10, |sent| back.push((sent.token, sent.completed))).unwrap();
    back.sort();
    assert_eq!(back, [(0, false), (1, false), (2, false), (9, true)]);
    assert_eq!(ena.pair(0).tx.stats().missed, 3);
    assert_eq!(ena.pair(0).tx.in_flight(), 0);
    assert_eq!(ena.health(), None);
}

/// Nobody takes them back in between, and a later reset overtakes one more.
#[test]
fn packets_that_two_resets_overtake_are_counted_once() {
    let card = SoftCard::new();
    let mut ena = card.open(small(Mode::Polling)).unwrap();
    let memory = card.alloc_dma(60, 64).unwrap();
    let segment = Segment { iova: memory.iova(), len: 60 };
    card.inner().wrong.no_tx_completions = true;
    for token in 0..3 {
        ena.pair(0).tx.send(&[segment], token).unwrap();
    }
    ena.pair(0).tx.flush();
    for _ in 0..2 {
        ena.recover(ResetReason::UserTrigger).unwrap();
        assert_eq!(ena.pair(0).tx.stats().missed, 3);
    }
    ena.pair(0).tx.send(&[segment], 3).unwrap();
    ena.recover(ResetReason::UserTrigger).unwrap();
    assert_eq!(ena.pair(0).tx.stats().missed, 4);
    let mut back = Vec::new();
    ena.pair(0).tx.reap(10, |sent| back.push((sent.token, sent.completed))).unwrap();
    back.sort();
    assert_eq!(back, [(0, false), (1, false), (2, false), (3, false)]);
}

#[test]
fn recovers_with_everything_as_it_was() {
    let card = SoftCard::new();
    let config = Config { pairs: 3, mtu: 4000, rss_key: Some([7; 40]), ..small(INTERRUPTS) };
    let mut ena = card.open(config).unwrap();
    ena.set_mtu(5000).unwrap();
    for round in 0..20 {
        card.inner().receive(&[round; 200]);
        ena.recover(ResetReason::UserTrigger).unwrap();
        assert_eq!(ena.rss_key().unwrap(), [7; 40]);
        assert_eq!(ena.config().mtu, 5000);
        let pairs = ena.rss_table().unwrap();
        assert!(pairs.iter().enumerate().all(|(i, pair)| *pair == Some(i as u16 % 3)));
        card.inner().receive(&[round; 4999]);
        let got: Vec<_> = ena
            .pairs_mut()
            .iter_mut()
            .filter_map(|pair| pair.rx.receive().unwrap().map(|frame| frame.to_vec()))
            .collect();
        assert_eq!(got, [vec![round; 4999]]);
    }
    assert_eq!(ena.device_stats().resets, 20);
    ena.close().unwrap();
    card.assert_clean();
}

#[test]
fn a_recovery_that_fails_can_be_tried_again() {
    let card = SoftCard::new();
    let mut ena = card.open(small(Mode::Polling)).unwrap();
    card.inner().wrong.firmware_stopped = true;
    assert!(ena.recover(ResetReason::UserTrigger).is_err());
    assert_eq!(ena.health(), Some(ResetReason::AdminTimeout));
    card.inner().wrong.firmware_stopped = false;
    ena.recover(ResetReason::UserTrigger).unwrap();
    assert_eq!(ena.health(), None);
    drop(ena);
    card.assert_clean();
}

/// What was chosen while it ran.
#[test]
fn delays_outlive_a_reset() {
    let card = SoftCard::new();
    let mut ena = card.open(Config { pairs: 2, ..small(INTERRUPTS) }).unwrap();
    ena.pair(1).set_delays(77, 99).unwrap();
    for _ in 0..2 {
        ena.recover(ResetReason::UserTrigger).unwrap();
        let first = *card.inner().unmasked.last().unwrap();
        assert_eq!(first & 0x3fff_ffff, 77 << 15 | 99, "the first interrupt too");
        ena.pair(0).unmask();
        let of_0 = *card.inner().unmasked.last().unwrap();
        ena.pair(1).unmask();
        let of_1 = *card.inner().unmasked.last().unwrap();
        assert_ne!(of_0 & 0x3fff_ffff, 77 << 15 | 99, "each pair's are its own");
        assert_eq!(of_1 & 0x3fff_ffff, 77 << 15 | 99);
    }
    ena.close().unwrap();
    card.assert_clean();
}
