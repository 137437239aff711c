//! A host with a simulated board for its card.
#![allow(dead_code)] // each test uses its part

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use nitor_board::{CabledCard, Fate, Simulated};
use nitor_driver::{Config, Ena, Mode, Segment};

use nitor_driver::pci::PciFunction;
use nitor_fw::Settings;
use nitor_sim::firmware::standard;
use nitor_sim::host::HostConfig;
use nitor_sim::{HostFunction, World};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// A host with the board for its card.
pub fn attach(simulated: &Simulated, looped: bool) -> Rc<RefCell<World>> {
    let mut card =
        CabledCard::open(&simulated.address(), simulated.cable().unwrap(), PATIENCE).unwrap();
    if looped {
        card.loop_wire(true).unwrap();
    }
    let mut config =
        HostConfig::new(128).with_firmware(standard(Settings::new([2, 0, 0, 0, 0, 2])));
    config.root.request_timeout = u64::MAX / 4;
    let mut world = World::new(1);
    world.add_host_with(Box::new(card), config).unwrap();
    Rc::new(RefCell::new(world))
}

/// Sends frames through a board whose wire gives them back; each must come back as it was.
pub fn echo(simulated: &Simulated, looped: bool, sizes: &[usize], fate: Fate) {
    echo_until(simulated, looped, sizes, fate, sizes.len());
}

/// The same, but the host goes away when so many are back.
pub fn echo_until(simulated: &Simulated, looped: bool, sizes: &[usize], fate: Fate, enough: usize) {
    let world = attach(simulated, looped);
    let begin = std::time::Instant::now();
    let function = HostFunction::open(&world, 0).unwrap();
    eprintln!("enumerated after {:?}", begin.elapsed());
    let config = Config {
        pairs: 1,
        mode: Mode::Polling,
        mtu: 1500,
        rx_buffer_len: 2048,
        tx_depth: 256,
        rx_depth: 256,
        ..Config::default()
    };
    let mut nic = Ena::open(function, config).unwrap();
    eprintln!("driver up after {:?}, board time {:?}", begin.elapsed(), simulated.now());
    simulated.set_fate(fate);
    let mut memory = nic.function().alloc_dma(sizes.len() * 2048, 4096).unwrap();
    for (n, &size) in sizes.iter().enumerate() {
        for (i, byte) in memory.as_mut_slice()[n * 2048..][..size].iter_mut().enumerate() {
            *byte = (n * 7 + i * 13) as u8;
        }
    }
    let frames: Vec<Vec<u8>> = sizes
        .iter()
        .enumerate()
        .map(|(n, &size)| memory.as_slice()[n * 2048..][..size].to_vec())
        .collect();
    let (mut sent, mut received) = (0, 0);
    let started = std::time::Instant::now();
    while received < enough {
        assert!(
            started.elapsed() < Duration::from_secs(240),
            "{received} of {} frames came back",
            sizes.len()
        );
        while sent < sizes.len() && sent - received < 64 {
            let iova = memory.iova() + sent as u64 * 2048;
            if nic.pair(0).tx.send(&[Segment { iova, len: sizes[sent] }], sent as u64).is_err() {
                break;
            }
            sent += 1;
        }
        nic.pair(0).tx.flush();
        nic.pair(0).tx.reap(usize::MAX, |_| ()).unwrap();
        while let Some(frame) = nic.pair(0).rx.receive().unwrap() {
            assert!(received < sizes.len(), "a frame too many: {:x?}", frame.to_vec());
            let mut expected = frames[received].clone();
            if !looped {
                expected.resize(expected.len().max(60), 0);
            }
            assert_eq!(frame.to_vec(), expected, "frame {received}");
            received += 1;
        }
        nic.pair(0).rx.refill();
        nic.wait(Duration::from_micros(10));
    }
    eprintln!("{received} frames in {:?}, board time {:?}", started.elapsed(), simulated.now());
    if enough == sizes.len() {
        world.borrow().assert_clean();
    }
}
