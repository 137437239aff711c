//! The same seed gives the same trace: every TLP, every frame, every cycle.

mod support;

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use nitor_driver::Config;
use nitor_sim::host::Pressure;
use nitor_sim::wire::WireConfig;
use nitor_sim::HostConfig;
use support::{run, seed, Rig, Traffic, INTERRUPTS};

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the wire saw, and when each TLP crossed the link.
fn trace(width: u32, seed: u64) -> (Vec<u8>, String) {
    let config = Config { pairs: 2, mode: INTERRUPTS, ..Config::default() };
    let host = |host| HostConfig { pressure: Pressure::all(0.1), ..host };
    let mut rig = Rig::with(width, seed, config, WireConfig::default(), host);
    let capture = Shared::default();
    rig.world.borrow_mut().start_capture(Box::new(capture.clone())).unwrap();
    rig.world.borrow_mut().host_mut(0).root.keep_stamps(true);
    let traffic = Traffic { frames: 60, lengths: 1..=1514, ..Traffic::default() };
    run(&mut rig, &traffic, false);
    rig.world.borrow_mut().finish_capture().unwrap();
    let stamps = rig.world.borrow_mut().host_mut(0).root.take_stamps();
    assert!(stamps.len() > 100);
    let bytes = capture.0.borrow().clone();
    (bytes, format!("{stamps:?}"))
}

#[test]
fn same_seed_same_trace() {
    for width in [128, 512] {
        let first = trace(width, seed(40));
        assert!(first == trace(width, seed(40)));
        let other = trace(width, seed(41));
        assert!(first.0 != other.0 && first.1 != other.1);
    }
}
