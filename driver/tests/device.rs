//! Bring-up, events, the way down; and cards that misbehave.

mod soft;

use nitor_abi::admin::{Entry, Status};
use nitor_abi::bar;
use nitor_driver::pci::PciError;
use nitor_driver::{
    Config, Ena, Error, Event, Mode, PciFunction, QueueFault, Refusal, ResetReason, Segment,
};
use soft::*;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn comes_up_and_goes_down() {
    for (revision, mode) in
        [(0, Mode::Polling), (1, Mode::Polling), (0, INTERRUPTS), (1, INTERRUPTS)]
    {
        let card = SoftCard::new();
        card.inner().revision = revision;
        let mut ena = card.open(Config { pairs: 4, mode, ..Config::default() }).unwrap();
        assert_eq!(ena.mac(), MAC);
        assert_eq!((ena.features().max_pairs(), ena.features().max_depths()), (4, (4096, 4096)));
        assert_eq!(ena.versions().controller.subminor, 1);
        // The card tells of the link at once, and of itself every second.
        for _ in 0..5 {
            ena.wait(SECOND);
        }
        assert_eq!(ena.link(), Some(true));
        assert!(ena.device_stats().keep_alives >= 3);
        assert_eq!(ena.health(), None);
        let events: Vec<_> = ena.take_events().collect();
        assert_eq!(events[0], Event::Link { up: true });
        ena.close().unwrap();
        card.assert_clean();
    }
}

#[test]
fn dropping_leaves_no_dma() {
    let card = SoftCard::new();
    drop(card.open(small(INTERRUPTS)).unwrap());
    card.assert_clean();
    assert_eq!(card.inner().reasons.last(), Some(&(ResetReason::Shutdown as u8)));
}

#[test]
fn comes_up_a_thousand_times() {
    let card = SoftCard::new();
    for _ in 0..1000 {
        let ena = card.open(small(Mode::Polling)).unwrap();
        assert_eq!((ena.mac(), ena.features().attributes.max_mtu), (MAC, 9216));
    }
    card.assert_clean();
}

#[test]
fn impossible_configurations_are_refused() {
    let good = Config::default();
    for bad in [
        Config { pairs: 0, ..good.clone() },
        Config { pairs: 5, ..good.clone() },
        Config { tx_depth: 1000, ..good.clone() },
        Config { rx_depth: 1, ..good.clone() },
        Config { rx_depth: 8192, ..good.clone() },
        Config { rx_buffer_len: 0, ..good.clone() },
        Config { rx_buffer_len: 95, ..good.clone() },
        Config { rx_buffer_len: 128, rx_depth: 8, ..good.clone() },
        Config { mtu: 9217, ..good.clone() },
        Config { mtu: u32::MAX, ..good.clone() },
        Config { mtu: 0, ..good.clone() },
    ] {
        let card = SoftCard::new();
        assert!(matches!(failure(&card, bad), Error::Config(_)));
        assert_eq!(card.inner().messages, 0);
    }
}

#[test]
fn delays_and_addresses_that_do_not_fit_are_refused() {
    let delay = |us| {
        let (tx_delay, rx_delay) = (Duration::from_micros(us), Duration::ZERO);
        [
            Mode::Interrupts { tx_delay, rx_delay },
            Mode::Interrupts { rx_delay: tx_delay, tx_delay: rx_delay },
        ]
    };
    for mode in delay(32_768).into_iter().chain(delay(65_536)).chain(delay(u64::MAX)) {
        assert!(matches!(failure(&SoftCard::new(), small(mode)), Error::Config(_)), "{mode:?}");
    }
    for mode in delay(32_767) {
        let card = SoftCard::new();
        drop(card.open(small(mode)).unwrap());
        assert!(card.inner().unmasked.iter().any(|value| value & 0x3fff_ffff != 0));
    }
    // Memory beyond what commands and descriptors can name, from the first block on or from a later one.
    for below in [0u64, 1 << 12, 1 << 14, 1 << 15] {
        let card = SoftCard::new();
        card.inner().next_iova = (1 << 48) - below;
        assert!(matches!(failure(&card, small(Mode::Polling)), Error::Config(_)), "{below}");
        assert_eq!(card.inner().unmasked, []);
    }
}

#[test]
fn strange_functions_are_refused() {
    let opened = |registers: &[(u32, u32)], revision| {
        let card = SoftCard::new();
        card.inner().revision = revision;
        card.inner().wrong.registers.extend(registers.iter().copied());
        failure(&card, Config::default())
    };
    let gone = Error::Pci(PciError::DeviceGone);
    for revision in [0, 1] {
        let all_ones = [(bar::DEV_STS, u32::MAX), (bar::CAPS, u32::MAX)];
        assert_eq!(opened(&all_ones, revision), gone);
        assert_eq!(
            opened(&[(bar::CONTROLLER_VERSION, 0x0100_0000)], revision),
            Error::TooOld(0x0100_0000)
        );
        assert!(matches!(opened(&[(bar::CAPS, 0x1f15)], revision), Error::Nonsense(_)));
    }
}

#[test]
fn a_card_that_does_not_answer_is_given_up_in_time() {
    let card = SoftCard::new();
    card.inner().wrong.no_readless = true;
    let start = card.inner().now;
    assert!(matches!(failure(&card, Config::default()), Error::ReadTimeout { .. }));
    assert!(card.inner().now - start < 3 * SECOND);

    let card = SoftCard::new();
    card.inner().wrong.firmware_stopped = true;
    let start = card.inner().now;
    assert!(card.open(Config::default()).is_err());
    assert!(card.inner().now - start < 20 * SECOND);
}

#[test]
fn nonsense_for_an_answer_stops_the_admin_queue() {
    let card = SoftCard::new();
    let mut ena = card.open(small(Mode::Polling)).unwrap();
    card.inner().wrong.answer = Some(|entry| entry[0] ^= 1);
    assert!(matches!(ena.set_mtu(1400), Err(Error::Nonsense(_))));
    assert_eq!(ena.set_mtu(1400), Err(Error::AdminStopped));
    assert_eq!(ena.health(), Some(ResetReason::AdminTimeout));
    card.inner().wrong.answer = None;
    ena.recover(ResetReason::AdminTimeout).unwrap();
    assert_eq!(ena.health(), None);
    ena.set_mtu(1400).unwrap();

    // A status that does not exist.
    card.inner().wrong.answer = Some(|entry| entry[2] = 99);
    let unknown = Error::Command { what: "MTU", status: Status::UnknownError };
    assert_eq!(ena.set_mtu(1500), Err(unknown));
    ena.close().unwrap_err();
    card.inner().wrong.answer = None;
    card.assert_clean();
}

#[test]
fn registers_outside_the_bar_are_not_written() {
    // Answers that tell an offset get one that points nowhere.
    let spoils: [fn(&mut Entry); 2] = [
        |entry| {
            if entry[13] >= 0x10 && entry[14..16] == [0, 0] && entry[16..] == [0; 48] {
                entry[14] = 0xff;
            }
        },
        |entry| {
            if entry[21] == 0x1c && entry[22..] == [0; 42] {
                entry[20] = 2;
            }
        },
    ];
    for spoil in spoils {
        let card = SoftCard::new();
        card.inner().wrong.answer = Some(spoil);
        let error = failure(&card, Config::default());
        assert!(matches!(error, Error::Nonsense(_)), "{error}");
    }
}

#[test]
fn admin_interrupts_that_get_lost_cost_time_only() {
    let card = SoftCard::new();
    let mut ena = card.open(small(INTERRUPTS)).unwrap();
    card.inner().wrong.no_vector_0 = true;
    ena.wait(MS);
    let start = card.inner().now;
    ena.set_mtu(1400).unwrap();
    assert!(card.inner().now - start >= 3 * SECOND);
    assert_eq!(ena.admin_stats().missed_interrupts, 1);
    card.inner().wrong.firmware_stopped = true;
    assert!(matches!(ena.set_mtu(1500), Err(Error::AdminTimeout(_))));
}

#[test]
fn fewer_resources_make_smaller_rings() {
    let card = SoftCard::new();
    card.inner().wrong.scarce_from = Some(512);
    let config = Config { pairs: 2, tx_depth: 2048, rx_depth: 512, ..Config::default() };
    let ena = card.open(config).unwrap();
    {
        let inner = card.inner();
        let depth = |sq: &Option<Sq>| sq.as_ref().map(Sq::depth);
        assert_eq!(
            inner.tx.iter().map(depth).collect::<Vec<_>>(),
            [Some(256), Some(256), None, None]
        );
        assert_eq!(inner.rx.iter().filter_map(depth).collect::<Vec<_>>(), [256, 256]);
    }
    drop(ena);
    card.assert_clean();

    card.inner().wrong.scarce_from = Some(128);
    let error = card.open(Config::default()).err().unwrap();
    assert!(matches!(error, Error::Command { status: Status::ResourceAllocationFailure, .. }));
    card.assert_clean();
}

#[test]
fn link_changes_are_noticed() {
    for mode in [Mode::Polling, INTERRUPTS] {
        let card = SoftCard::new();
        let mut ena = card.open(small(mode)).unwrap();
        for up in [false, true, false] {
            card.inner().link_up = up;
            for _ in 0..5 {
                ena.wait(MS);
            }
            assert_eq!(ena.link(), Some(up));
        }
    }
}

#[test]
fn events_go_round_their_ring() {
    let card = SoftCard::new();
    let mut ena = card.open(small(Mode::Polling)).unwrap();
    for seconds in 0..100 {
        assert_eq!(ena.health(), None, "after {seconds} s");
        ena.wait(SECOND);
    }
    assert!(ena.device_stats().keep_alives >= 99);
    assert_eq!(ena.take_events().count(), 64);
    assert_eq!(ena.take_events().count(), 0);
}

/// Sends and receives one frame on a card that spoils completions; what fails.
fn spoiled(spoil: impl FnOnce(&mut Misbehaviour), frame: usize) -> (Ena<SoftCard>, SoftCard) {
    let card = SoftCard::new();
    let config = Config { rx_buffer_len: 128, ..small(Mode::Polling) };
    let mut ena = card.open(config).unwrap();
    spoil(&mut card.inner().wrong);
    let memory = card.alloc_dma(frame, 64).unwrap();
    ena.pair(0).tx.send(&[Segment { iova: memory.iova(), len: frame }], 5).unwrap();
    ena.pair(0).tx.flush();
    ena.wait(MS);
    (ena, card)
}

#[test]
fn completions_of_what_was_not_sent_stop_the_queue() {
    for spoil in [|entry: &mut [u8; 8]| entry[0] = 9, |entry: &mut [u8; 8]| entry[1] = 0xff] {
        let (mut ena, card) = spoiled(|wrong| wrong.tx_completion = Some(spoil), 60);
        let tx = &mut ena.pair(0).tx;
        assert_eq!(tx.reap(9, |_| {}), Err(QueueFault::TxReqId));
        assert_eq!(tx.send(&[Segment { iova: 0, len: 60 }], 6), Err((Refusal::Failed, 6)));
        assert_eq!(ena.health(), Some(ResetReason::InvalidTxReqId));
        card.inner().wrong.tx_completion = None;
        ena.recover(ResetReason::InvalidTxReqId).unwrap();
        let mut back = Vec::new();
        ena.pair(0).tx.reap(9, |sent| back.push((sent.token, sent.completed))).unwrap();
        assert_eq!(back, [(5, false)]);
        assert_eq!(ena.health(), None);
    }
}

#[test]
fn spoiled_receive_completions_stop_the_queue() {
    type Spoil = fn(&mut [u8; 16]);
    let cases: [(Spoil, QueueFault); 6] = [
        (|entry| entry[6] = 16, QueueFault::RxReqId),
        (|entry| entry[7] = 0xff, QueueFault::RxReqId),
        (|entry| entry[6] = 0, QueueFault::RxReqId),
        (|entry| entry[4] = 129, QueueFault::RxMalformed),
        (|entry| entry[14] = 200, QueueFault::RxMalformed),
        (|entry| entry[3] |= 4, QueueFault::RxMalformed),
    ];
    for (i, (spoil, fault)) in cases.into_iter().enumerate() {
        let (mut ena, _card) = spoiled(|wrong| wrong.rx_completion = Some(spoil), 300);
        let result = ena.pair(0).rx.receive().map(|frame| frame.map(|frame| frame.len()));
        assert_eq!(result, Err(fault), "case {i}");
        assert!(ena.pair(0).rx.receive().is_err(), "it stays stopped");
        assert_eq!(ena.health(), Some(fault.reset_reason()));
        ena.recover(fault.reset_reason()).unwrap();
    }
    // A frame that never ends.
    let (mut ena, card) = spoiled(|wrong| wrong.rx_completion = Some(|entry| entry[3] &= !8), 1500);
    assert!(ena.pair(0).rx.receive().unwrap().is_none());
    card.inner().wrong.rx_completion = Some(|entry| entry[3] &= !12);
    let fault = (0..20).find_map(|_| {
        card.inner().receive(&[0; 128]);
        ena.pair(0).rx.receive().err()
    });
    assert_eq!(fault, Some(QueueFault::TooManyBuffers));
    assert_eq!(ena.health(), Some(ResetReason::TooManyRxDescs));
}

#[test]
fn statistics_have_the_names_that_ethtool_has() {
    let (mut ena, _card) = spoiled(|_| {}, 300);
    ena.pair(0).tx.reap(9, |_| {}).unwrap();
    assert!(ena.pair(0).rx.receive().unwrap().is_some());
    let stats = ena.stats();
    let value = |name: &str| {
        stats.iter().find(|(this, _)| this == name).unwrap_or_else(|| panic!("no {name}")).1
    };
    assert_eq!((value("queue_0_tx_cnt"), value("queue_0_tx_bytes")), (1, 300));
    assert_eq!((value("queue_0_rx_cnt"), value("queue_0_rx_bytes")), (1, 300));
    assert_eq!((value("queue_0_rx_buffers"), value("queue_0_tx_doorbells")), (3, 1));
    assert_eq!(value("ena_admin_q_submitted_cmd"), value("ena_admin_q_completed_cmd"));
    assert_eq!(value("tx_timeout"), 0);
}
