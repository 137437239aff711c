//! The cxx bridge and the pins of the card, at both widths: properties of any card, without a
//! driver.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use nitor_driver::pci::PciFunction;
use nitor_sim::host::{Credits, Pressure};
use nitor_sim::stats::Stamp;
use nitor_sim::wire::WireConfig;
use nitor_sim::{HostConfig, HostFunction, World, REACTION};

const WIDTHS: [u32; 2] = [128, 512];
const ENA: u32 = 0xec20_1d0f;
/// The management bus's ID register says this.
const MGMT_ID: u32 = 0x4e49_5431;

fn open(config: HostConfig, seed: u64, window: u64) -> HostFunction {
    let mut world = World::new(seed);
    world.set_window(window);
    let host = world.add_host(config).unwrap();
    world.connect(host, host, WireConfig::default());
    world.host_mut(host).root.keep_stamps(true);
    HostFunction::open(&Rc::new(RefCell::new(world)), host).unwrap()
}

#[test]
fn a_card_is_found_and_gets_addresses() {
    for width in WIDTHS {
        let function = open(HostConfig::new(width), 1, REACTION);
        assert_eq!(function.config_read(0), ENA);
        let world = function.world().borrow();
        let found = &world.host(0).root.function;
        assert_eq!(found.bars[0].unwrap().size, 16 << 10);
        assert!(found.express.is_some() && found.msix.is_some());
        world.assert_clean();
    }
}

/// Uses configuration space, interrupts and registers; everything that went over the pins, when.
fn exercise(mut config: HostConfig, seed: u64, window: u64) -> (u64, Vec<Stamp>) {
    config.firmware = Some(Box::new(|bus| loop {
        assert_eq!(bus.read32(0), MGMT_ID);
        bus.wait_irq();
        let pending = bus.read32(8);
        bus.write32(8, pending);
    }));
    let function = open(config, seed, window);
    function.enable_msix(2).unwrap();
    for value in 0..50 {
        // An entry of the MSI-X table holds what is written to it.
        function.bar_write(0, 0x2018, value);
        assert_eq!(function.bar_read(0, 0x2018), value);
    }
    function.wait(Duration::from_micros(4));
    let mut world = function.world().borrow_mut();
    world.assert_clean();
    (world.now(), world.host_mut(0).root.take_stamps())
}

#[test]
fn a_seed_decides_everything_and_a_window_nothing() {
    for width in WIDTHS {
        let run = |seed, window| {
            let mut config = HostConfig::new(width);
            config.pressure = Pressure::all(0.3);
            exercise(config, seed, window)
        };
        let first = run(1, REACTION);
        assert_eq!(run(1, REACTION), first);
        for window in [1, 7, REACTION - 1] {
            assert_eq!(run(1, window), first);
        }
        assert_ne!(run(2, REACTION), first);
    }
}

#[test]
fn a_card_lives_with_the_fewest_credits_and_much_pressure() {
    for width in WIDTHS {
        let mut config = HostConfig::new(width);
        config.pressure = Pressure::all(0.9);
        config.credits = Credits {
            posted_headers: Some(1),
            posted_data: Some(16),
            non_posted_headers: Some(1),
            completion_headers: Some(1),
            completion_data: Some(8),
            delay: (50, 500),
        };
        exercise(config, 3, REACTION);
    }
}

#[test]
fn firmware_makes_one_access_after_another() {
    for width in WIDTHS {
        let reads = Rc::new(Cell::new(0));
        let count = reads.clone();
        let config = HostConfig::new(width).with_firmware(Box::new(move |bus| {
            while bus.read32(0) == MGMT_ID {
                count.set(count.get() + 1);
            }
        }));
        let mut world = World::new(1);
        world.add_host(config).unwrap();
        world.step(10_000);
        assert!((100..=10_000 / 8).contains(&reads.get()), "{}", reads.get());
    }
}

#[test]
fn waves_are_written_for_their_cycles() {
    let path = std::env::temp_dir().join(format!("nitor-waves-{}.fst", std::process::id()));
    let mut world = World::new(1);
    world.add_host(HostConfig::new(128).with_waves(true)).unwrap();
    world.add_waves(0, &path, 10..200);
    world.step(300);
    let size = std::fs::metadata(&path).unwrap().len();
    std::fs::remove_file(&path).unwrap();
    assert!(size > 500, "{size} bytes of waves");
}
