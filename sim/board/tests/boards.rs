//! The driver talks to simulated boards through a real socket and a real pseudo-terminal, from pin to pin.

mod support;

use nitor_board::{CabledCard, Fate, Simulated, Wire};
use nitor_driver::pci::PciFunction;
use nitor_sim::HostFunction;
use support::{attach, echo, echo_until, PATIENCE};

#[test]
fn colorlight_over_udp() {
    let simulated = Simulated::start("colorlight-5a-75b", Wire::Echo, 1).unwrap();
    let sizes: Vec<usize> = (0..100).map(|n| 60 + n * 37 % 1400).collect();
    echo(&simulated, false, &sizes, Fate::default());
    let mut card = CabledCard::open("again", simulated.cable().unwrap(), PATIENCE).unwrap();
    let counters = card.counters().unwrap();
    // Sent and received once each, nothing wrong on either port.
    assert_eq!(counters[..7], [100, 0, 100, 0, 0, 0, 0]);
    assert_eq!(counters[10..14], [0; 4]);
    assert_eq!(card.hertz().unwrap(), 50_000_000);
}

#[test]
fn colorlight_over_a_bad_cable() {
    let simulated = Simulated::start("colorlight-5a-75b", Wire::Echo, 2).unwrap();
    echo(&simulated, true, &[60; 200], Fate { lost: 10, damaged: 5, repeated: 10 });
    let mut card = CabledCard::open("again", simulated.cable().unwrap(), PATIENCE).unwrap();
    let counters = card.counters().unwrap();
    let count =
        |name| counters[nitor_hdl::board::event::NAMES.iter().position(|n| *n == name).unwrap()];
    assert!(
        count("link: bad FCS") > 0
            && count("link: sent again") > 0
            && count("link: frames out of order or without room") > 0
    );
}

/// Each session begins while frames of the one before are under way, to the wire or turned round.
#[test]
fn sessions_begin_within_frames() {
    let simulated = Simulated::start("colorlight-5a-75b", Wire::Echo, 4).unwrap();
    for (round, looped) in [false, true, false, true, true, false].into_iter().enumerate() {
        let sizes: Vec<usize> = (0..8).map(|n| 1301 + 7 * n + round).collect();
        // The first of a session come back as they were, whatever was in the card's way.
        echo_until(&simulated, looped, &sizes, Fate::default(), 2);
    }
}

/// The driver's bring-up takes half a second of the board's time, two minutes of ours: with NITOR_LONG it is run.
/// Else the function is found and its registers are read.
#[test]
fn ulx3s_over_a_serial_line() {
    let simulated = Simulated::start("ulx3s-85f", Wire::Echo, 3).unwrap();
    if std::env::var_os("NITOR_LONG").is_some() {
        return echo(&simulated, true, &[60, 61, 1514, 14, 300], Fate::default());
    }
    simulated.set_fate(Fate { lost: 2, damaged: 2, repeated: 0 });
    let world = attach(&simulated, false);
    let begin = std::time::Instant::now();
    let function = HostFunction::open(&world, 0).unwrap();
    assert_eq!(function.config_read(0) & 0xffff, 0x1d0f);
    assert_ne!(function.bar_read(0, 0), u32::MAX);
    eprintln!("found after {:?}, board time {:?}", begin.elapsed(), simulated.now());
    world.borrow().assert_clean();
}
