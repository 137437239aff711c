//! Orders of a card's operator, and how the driver handles them: no keep-alives, reset requests,
//! hints, the link.

mod support;

use std::time::Duration;

use nitor_abi::feature::Hints;
use nitor_driver::pci::PciFunction;
use nitor_driver::{Config, Event, ResetReason, Segment};
use nitor_fw::{Order, Settings};
use nitor_sim::firmware::{operated, Operator};
use nitor_sim::wire::WireConfig;
use support::{run, seed, Rig, Traffic, INTERRUPTS, MAC};

const MS: Duration = Duration::from_millis(1);
/// Of a watchdog, when a card's second is one.
const WATCHDOG: u16 = 3;

/// A card whose second is a millisecond.
fn rig(seed: u64) -> (Rig, Operator) {
    let operator = Operator::default();
    let hints = Hints { driver_watchdog_timeout_ms: WATCHDOG, ..Default::default() };
    let settings = Settings { keep_alive_us: 1000, hints, ..Settings::new(MAC) };
    let firmware = operated(settings, &operator);
    let config =
        Config { pairs: 2, tx_depth: 64, rx_depth: 64, mode: INTERRUPTS, ..Config::default() };
    let rig =
        Rig::with(128, seed, config, WireConfig::default(), |host| host.with_firmware(firmware));
    (rig, operator)
}

fn works(rig: &mut Rig) {
    let traffic = Traffic { frames: 40, lengths: 1..=1514, ..Traffic::default() };
    assert_eq!(run(rig, &traffic, false).received, 40);
    rig.assert_clean();
}

fn pass(rig: &mut Rig, time: Duration) {
    let end = rig.now() + time;
    while rig.now() < end {
        let left = end - rig.now();
        rig.nic.wait(left);
    }
}

#[test]
fn a_silent_card_is_reset_and_works_again() {
    let (mut rig, operator) = rig(seed(70));
    works(&mut rig);
    for round in 1..=2 {
        pass(&mut rig, 4 * MS);
        assert_eq!(rig.nic.health(), None, "as long as it speaks");
        operator.order(Order::FallSilent);
        pass(&mut rig, MS * (2 + u32::from(WATCHDOG)));
        // It does everything else.
        rig.nic.card_stats().unwrap();
        assert_eq!(rig.nic.health(), Some(ResetReason::KeepAliveTimeout));
        rig.nic.recover(ResetReason::KeepAliveTimeout).unwrap();
        works(&mut rig);
        assert_eq!(rig.nic.device_stats().watchdog_expired, round);
    }
}

#[test]
fn a_card_asks_to_be_reset() {
    let (mut rig, operator) = rig(seed(71));
    works(&mut rig);
    operator.order(Order::RequestReset);
    pass(&mut rig, 2 * MS);
    assert!(rig.nic.take_events().any(|event| event == Event::ResetRequest));
    assert_eq!(rig.nic.health(), Some(ResetReason::DeviceRequest));
    rig.nic.recover(ResetReason::DeviceRequest).unwrap();
    works(&mut rig);
    pass(&mut rig, 2 * MS);
    assert_eq!(rig.nic.health(), None, "asked for once");
}

#[test]
fn warnings_and_fatal_errors_are_told_and_traffic_goes_on() {
    let (mut rig, operator) = rig(seed(72));
    operator.order(Order::Warn);
    operator.order(Order::Fatal);
    pass(&mut rig, 2 * MS);
    let events: Vec<Event> = rig.nic.take_events().collect();
    assert!(events.contains(&Event::Warning) && events.contains(&Event::Fatal), "{events:?}");
    works(&mut rig);
    assert_eq!(rig.nic.health(), None);
}

#[test]
fn hints_are_taken_at_once_and_kept() {
    let (mut rig, operator) = rig(seed(73));
    assert_eq!(rig.nic.features().watchdog(), Some(MS * u32::from(WATCHDOG)));
    let hints = Hints {
        driver_watchdog_timeout_ms: 50,
        missing_tx_completion_timeout_ms: 70,
        ..Default::default()
    };
    operator.order(Order::Hints(hints));
    pass(&mut rig, 2 * MS);
    assert!(rig.nic.take_events().any(|event| event == Event::Hints(hints)));
    for _ in 0..2 {
        assert_eq!(rig.nic.features().watchdog(), Some(50 * MS));
        assert_eq!(rig.nic.features().tx_timeout(), Some(70 * MS));
        // The longer limit holds.
        operator.order(Order::FallSilent);
        pass(&mut rig, 5 * MS);
        assert_eq!(rig.nic.health(), None);
        rig.nic.recover(ResetReason::UserTrigger).unwrap();
    }
    works(&mut rig);
}

#[test]
fn the_link_goes_and_comes_back_under_traffic() {
    let (mut rig, _operator) = rig(seed(74));
    works(&mut rig);
    let memory = rig.nic.function().alloc_dma(4096, 4096).unwrap();
    for _ in 0..3 {
        rig.world.borrow_mut().set_link(0, false);
        pass(&mut rig, MS / 10);
        assert_eq!(rig.nic.link(), Some(false));
        // What is sent meanwhile completes, and is gone.
        for token in 0..30 {
            let segment = Segment { iova: memory.iova(), len: 1000 };
            rig.nic.pair(token as usize % 2).tx.send(&[segment], token).unwrap();
        }
        rig.nic.pairs_mut().iter_mut().for_each(|pair| pair.tx.flush());
        pass(&mut rig, MS / 10);
        let mut back = 0;
        for pair in rig.nic.pairs_mut() {
            pair.tx.reap(usize::MAX, |sent| back += u32::from(sent.completed)).unwrap();
            assert!(pair.rx.receive().unwrap().is_none());
            pair.unmask();
        }
        assert_eq!(back, 30);
        assert_eq!(rig.nic.health(), None);
        rig.world.borrow_mut().set_link(0, true);
        pass(&mut rig, MS / 10);
        assert_eq!(rig.nic.link(), Some(true));
        works(&mut rig);
    }
}
