//! Packets through the card and back.

mod soft;

use nitor_abi::tx::{l3, l4};
use nitor_driver::{Config, Error, L4Checksum, Mode, Offload, PciFunction, Refusal, Segment, Sent};
use proptest::prelude::*;
use soft::*;
use std::time::Duration;

const SHORT: Duration = Duration::from_micros(10);

/// A frame that is like no other.
fn frame(len: usize, number: u64) -> Vec<u8> {
    let seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len as u64).map(|i| (seed.wrapping_mul(i + 1) >> 24) as u8).collect()
}

#[test]
fn frames_of_every_kind_of_length_come_back() {
    for mode in [Mode::Polling, INTERRUPTS] {
        let card = SoftCard::new();
        let mut ena = card.open(Config { mtu: 9000, ..small(mode) }).unwrap();
        let mut memory = card.alloc_dma(9022, 64).unwrap();
        for (number, len) in
            [1, 59, 60, 61, 2047, 2048, 2049, 4096, 4097, 9022].into_iter().enumerate()
        {
            let sent = frame(len, number as u64);
            memory.as_mut_slice()[..len].copy_from_slice(&sent);
            let pair = ena.pair(0);
            pair.tx.send(&[Segment { iova: memory.iova(), len }], 77).unwrap();
            pair.tx.flush();
            let fired = ena.wait(SHORT);
            let pair = ena.pair(0);
            assert_eq!(
                pair.vector().is_some_and(|vector| fired.contains(vector)),
                mode != Mode::Polling
            );
            let got = pair.rx.receive().unwrap().unwrap();
            assert_eq!((got.len(), got.to_vec() == sent), (len, true));
            assert_eq!(got.segments().count(), len.div_ceil(2048));
            assert_eq!(got.contiguous().is_some(), len <= 2048);
            let mut head = [0; 10];
            assert_eq!(got.copy_to(&mut head), len);
            let short = len.min(10);
            assert_eq!(head[..short], sent[..short]);
            drop(got);
            assert!(pair.rx.receive().unwrap().is_none());
            let mut back = Vec::new();
            assert_eq!(pair.tx.reap(64, |sent| back.push(sent)), Ok(1));
            assert_eq!(back, [Sent { token: 77, completed: true }]);
            pair.unmask();
        }
        drop(memory);
        ena.close().unwrap();
        card.assert_clean();
    }
}

#[test]
fn one_doorbell_for_many_packets() {
    let card = SoftCard::new();
    let mut ena = card.open(small(Mode::Polling)).unwrap();
    let memory = card.alloc_dma(60, 64).unwrap();
    let segment = Segment { iova: memory.iova(), len: 60 };
    let pair = ena.pair(0);
    // One place stays free.
    for token in 0..15 {
        pair.tx.send(&[segment], token).unwrap();
    }
    assert_eq!(pair.tx.send(&[segment], 99), Err((Refusal::Full, 99)));
    assert_eq!((pair.tx.in_flight(), pair.tx.free_descriptors()), (15, 0));
    ena.wait(SHORT);
    assert_eq!(card.inner().sent, 0, "not before the doorbell");
    ena.pair(0).tx.flush();
    ena.pair(0).tx.flush();
    ena.wait(SHORT);
    let pair = ena.pair(0);
    let mut tokens = Vec::new();
    assert_eq!(pair.tx.reap(10, |sent| tokens.push(sent.token)), Ok(10));
    assert_eq!(pair.tx.reap(10, |sent| tokens.push(sent.token)), Ok(5));
    assert_eq!(tokens, (0..15).collect::<Vec<_>>());
    let stats = pair.tx.stats();
    assert_eq!((stats.doorbells, stats.packets, stats.queue_stop), (1, 15, 1));
}

#[test]
fn what_the_card_cannot_send_is_refused() {
    let card = SoftCard::new();
    let mut ena = card.open(small(Mode::Polling)).unwrap();
    let tx = &mut ena.pair(0).tx;
    let segment = |len| Segment { iova: 0x1000, len };
    assert_eq!(tx.send(&[], 1), Err((Refusal::Empty, 1)));
    assert_eq!(tx.send(&[segment(0)], 1), Err((Refusal::Empty, 1)));
    assert_eq!(tx.send(&[segment(1523)], 1), Err((Refusal::TooLong, 1)));
    assert_eq!(tx.send(&[segment(usize::MAX), segment(9)], 1), Err((Refusal::TooLong, 1)));
    assert_eq!(tx.send(&[segment(10); 20], 1), Err((Refusal::TooManySegments, 1)));
    let offload = Offload { l4_checksum: L4Checksum::Full, ..Default::default() };
    assert_eq!(tx.send_with(&[segment(60)], &offload, 1), Err((Refusal::Unsupported, 1)));
    assert_eq!((tx.in_flight(), tx.stats().packets), (0, 0));
}

/// A descriptor has no room for them: cut, they would be other numbers.
#[test]
fn numbers_that_do_not_fit_are_refused() {
    let card = SoftCard::new();
    card.inner().tx_offloads = true;
    let mut ena =
        card.open(Config { mtu: 9000, rx_buffer_len: 9100, ..small(INTERRUPTS) }).unwrap();
    let memory = card.alloc_dma(40_000, 64).unwrap();
    let tcp = Offload {
        l3_proto: l3::IPV4,
        l4_proto: l4::TCP,
        l4_checksum: L4Checksum::Full,
        l3_offset: 14,
        l3_len: 20,
        l4_words: 5,
        ..Default::default()
    };
    let long = Segment { iova: memory.iova(), len: 40_000 };
    let short = Segment { iova: memory.iova(), len: 1000 };
    let cut = |mss| Offload { tso_mss: Some(mss), ..tcp };
    let pair = ena.pair(0);
    let mut send = |piece, offload: Offload| pair.tx.send_with(&[piece], &offload, 1);
    let refused = Err((Refusal::OutOfRange, 1));
    for mss in [0, 1, 7, 16_384, 16_385, u16::MAX] {
        assert_eq!(send(short, cut(mss)), refused, "{mss}");
    }
    assert_eq!(send(short, Offload { l4_words: 64, ..tcp }), refused);
    assert_eq!(send(short, Offload { l4_proto: 32 | l4::TCP, ..tcp }), refused);
    assert_eq!(send(short, Offload { l3_proto: 16 | l3::IPV4, ..tcp }), refused);
    for iova in [1 << 48, (1 << 48) - 999, u64::MAX - 999, 1 << 63] {
        assert_eq!(send(Segment { iova, len: 1000 }, Offload::default()), refused, "{iova:#x}");
    }
    assert_eq!((pair.tx.in_flight(), pair.tx.stats().packets), (0, 0));
    // The least and the largest that do.
    assert_eq!(pair.tx.send_with(&[short], &cut(8), 3), Ok(()));
    assert_eq!(pair.tx.send_with(&[short], &cut(16_383), 1), Ok(()));
    assert_eq!(pair.tx.send_with(&[long], &cut(8_000), 2), Ok(()));

    for (tx, rx) in [(32_768, 0), (0, 32_768), (u16::MAX, u16::MAX)] {
        assert!(matches!(pair.set_delays(tx, rx), Err(Error::Config(_))), "{tx}, {rx}");
    }
    pair.set_delays(32_767, 32_767).unwrap();
    pair.unmask();
    assert_eq!(card.inner().unmasked.last(), Some(&0x7fff_ffff));
}

#[test]
fn frames_find_no_buffer_until_there_are_some() {
    let card = SoftCard::new();
    let mut ena = card.open(small(Mode::Polling)).unwrap();
    let sent: Vec<_> = (0..20).map(|i| frame(100, i)).collect();
    for frame in &sent {
        card.inner().receive(frame);
    }
    for frame in &sent[..15] {
        assert_eq!(ena.pair(0).rx.receive().unwrap().unwrap().to_vec(), *frame);
    }
    assert!(ena.pair(0).rx.receive().unwrap().is_none());
    ena.wait(Duration::from_millis(1500));
    assert_eq!(ena.drops().rx_overruns, 5);
    card.inner().receive(&sent[0]);
    assert_eq!(ena.pair(0).rx.receive().unwrap().unwrap().to_vec(), sent[0]);
    let stats = ena.card_stats().unwrap();
    assert_eq!((stats.rx_packets, stats.rx_drops), (16, 5));
}

#[test]
fn a_frame_in_parts_waits_for_its_last() {
    let card = SoftCard::new();
    let config = Config { rx_buffer_len: 256, mtu: 1500, ..small(Mode::Polling) };
    let mut ena = card.open(config).unwrap();
    let sent = frame(700, 1);
    card.inner().wrong.completions_left = Some(1);
    card.inner().receive(&sent);
    for _ in 0..2 {
        assert!(ena.pair(0).rx.receive().unwrap().is_none());
        card.inner().release(1);
    }
    let rx = &mut ena.pair(0).rx;
    let got = rx.receive().unwrap().unwrap();
    assert_eq!(got.segments().map(<[u8]>::len).collect::<Vec<_>>(), [256, 256, 188]);
    assert_eq!(got.to_vec(), sent);
}

#[test]
fn flows_spread_over_pairs() {
    let card = SoftCard::new();
    let config = Config { pairs: 4, tx_depth: 256, rx_depth: 256, ..Config::default() };
    let mut ena = card.open(config).unwrap();
    for number in 0..400 {
        card.inner().receive(&frame(64, number));
    }
    let counts: Vec<_> = ena
        .pairs_mut()
        .iter_mut()
        .map(|pair| {
            let mut count = 0;
            while pair.rx.receive().unwrap().is_some() {
                count += 1;
            }
            count
        })
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), 400);
    assert!(counts.iter().all(|&count| count > 50), "{counts:?}");

    let all_to_3 = [3; 128];
    ena.set_rss_table(&all_to_3).unwrap();
    assert_eq!(ena.rss_table().unwrap(), all_to_3.map(Some));
    assert!(ena.set_rss_table(&[4; 128]).is_err());
    for number in 0..100 {
        card.inner().receive(&frame(64, number));
    }
    assert!(ena.pair(0).rx.receive().unwrap().is_none());
    assert!(ena.pair(3).rx.receive().unwrap().is_some());

    let key = std::array::from_fn(|i| i as u8);
    ena.set_rss_key(&key).unwrap();
    assert_eq!(ena.rss_key().unwrap(), key);
    ena.set_rss_input(&[0; 16]).unwrap();
    ena.close().unwrap();
    card.assert_clean();
}

#[test]
fn an_interrupt_per_unmask() {
    let card = SoftCard::new();
    let mut ena = card.open(Config { pairs: 2, ..small(INTERRUPTS) }).unwrap();
    ena.set_rss_table(&[1; 128]).unwrap();
    let _ = ena.wait(SHORT);
    let before = card.inner().messages;
    for number in 0..3 {
        card.inner().receive(&frame(64, number));
        ena.wait(SHORT);
    }
    assert_eq!(card.inner().messages - before, 1);
    // What came while masked interrupts after the unmask.
    ena.pair(1).unmask();
    let fired = ena.wait(SHORT);
    assert_eq!(fired.iter().collect::<Vec<_>>(), [2]);
    ena.pair(1).unmask();
    assert!(ena.wait(SHORT).is_empty());
    ena.pair(1).mask();
    card.inner().receive(&frame(64, 9));
    assert!(ena.wait(SHORT).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any splits over any rings, wrapping many times: each packet comes back once, whole, and in its order.
    #[test]
    fn packets_survive_splits_and_wraps(
        log_tx in 5u32..9,
        log_rx in 5u32..9,
        buffer in 128u16..600,
        packets in prop::collection::vec((prop::collection::vec(0usize..160, 1..9), 0usize..7, any::<bool>()), 1..300),
    ) {
        let card = SoftCard::new();
        let config = Config {
            tx_depth: 1 << log_tx,
            rx_depth: 1 << log_rx,
            rx_buffer_len: buffer,
            ..Config::default()
        };
        let mut ena = card.open(config).unwrap();
        let mut memory = card.alloc_dma(1 << 20, 64).unwrap();
        let mut expected = std::collections::VecDeque::new();
        let mut outstanding = 0;
        let mut at = 0;
        for (number, (pieces, gap, flush)) in packets.into_iter().enumerate() {
            let len: usize = pieces.iter().sum();
            let bytes = frame(len, number as u64);
            let mut segments = Vec::new();
            let mut done = 0;
            for piece in pieces {
                at += gap;
                memory.as_mut_slice()[at..at + piece].copy_from_slice(&bytes[done..done + piece]);
                segments.push(Segment { iova: memory.iova() + at as u64, len: piece });
                at += piece;
                done += piece;
            }
            let pair = ena.pair(0);
            match pair.tx.send(&segments, number as u64) {
                Ok(()) => {
                    expected.push_back(bytes);
                    outstanding += 1;
                }
                Err((refusal, _)) => prop_assert_eq!(refusal, Refusal::Empty),
            }
            if flush || pair.tx.free_descriptors() < 10 {
                pair.tx.flush();
                ena.wait(Duration::ZERO);
                let pair = ena.pair(0);
                outstanding -= pair.tx.reap(usize::MAX, |sent| assert!(sent.completed)).unwrap();
                while let Some(got) = pair.rx.receive().unwrap() {
                    // Lost if the ring was short of buffers, never mixed up.
                    let bytes = got.to_vec();
                    let mut next = expected.pop_front();
                    while next.as_ref() != Some(&bytes) {
                        prop_assert!(next.is_some(), "a frame that was not sent");
                        next = expected.pop_front();
                    }
                }
            }
        }
        let pair = ena.pair(0);
        pair.tx.flush();
        ena.wait(Duration::ZERO);
        outstanding -= ena.pair(0).tx.reap(usize::MAX, |_| {}).unwrap();
        prop_assert_eq!(outstanding, 0);
        prop_assert_eq!(ena.pair(0).tx.in_flight(), 0);
        drop(memory);
        ena.close().unwrap();
        card.assert_clean();
    }
}
