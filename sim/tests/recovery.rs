//! The driver on the whole card, whose function something else resets.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use nitor_driver::{Config, Ena, Mode, PciFunction, ResetReason, Segment};
use nitor_fw::Settings;
use nitor_sim::firmware::standard;
use nitor_sim::wire::WireConfig;
use nitor_sim::{HostConfig, HostFunction, World};

/// Sends a frame round the looped wire and waits for it by interrupt.
fn round(ena: &mut Ena<HostFunction>, frame: &[u8]) {
    let mut memory = ena.function().alloc_dma(frame.len(), 64).unwrap();
    memory.as_mut_slice().copy_from_slice(frame);
    let segment = Segment { iova: memory.iova(), len: frame.len() };
    ena.pair(0).tx.send(&[segment], 1).unwrap();
    ena.pair(0).tx.flush();
    for _ in 0..20 {
        let vector = ena.pair(0).vector().unwrap();
        if ena.wait(Duration::from_millis(1)).contains(vector) {
            let got = ena.pair(0).rx.receive().unwrap().map(|frame| frame.to_vec());
            ena.pair(0).tx.reap(9, |_| {}).unwrap();
            if let Some(got) = got {
                assert!(got == frame);
                return;
            }
            ena.pair(0).unmask();
        }
    }
    panic!("no frame came back");
}

#[test]
fn everything_is_back_after_a_reset_of_the_function() {
    for width in [128, 512] {
        let mut world = World::new(3);
        let firmware = standard(Settings::new([2, 0, 0, 0, 0, 1]));
        let host = world.add_host(HostConfig::new(width).with_firmware(firmware)).unwrap();
        world.connect(host, host, WireConfig::default());
        let world = Rc::new(RefCell::new(world));
        let function = HostFunction::open(&world, host).unwrap();
        let mode = Mode::Interrupts { tx_delay: Duration::ZERO, rx_delay: Duration::ZERO };
        let config = Config { tx_depth: 64, rx_depth: 64, mode, ..Config::default() };
        let mut ena: Ena<HostFunction> = Ena::open(function, config).unwrap();
        for lap in 0..2u8 {
            let mut frame = vec![lap; 600];
            frame[..6].copy_from_slice(&ena.mac());
            round(&mut ena, &frame);
            ena.function().reset().unwrap();
            ena.recover(ResetReason::UserTrigger).unwrap();
            ena.pair(0).tx.reap(9, |_| {}).unwrap();
            round(&mut ena, &frame);
            assert_eq!(ena.admin_stats().missed_interrupts, 0);
            ena.pair(0).unmask();
        }
        ena.close().unwrap();
        world.borrow().assert_clean();
    }
}
