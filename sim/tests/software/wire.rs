//! Wires between cards in software, and the captures of them.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use crate::card::{Op, SoftCard};
use nitor_sim::wire::WireConfig;
use nitor_sim::{HostConfig, World, CYCLE_NS, REACTION};
use pcap_file::pcapng::{Block, PcapNgReader};

fn frame(number: u8) -> Vec<u8> {
    vec![number; 60 + usize::from(number)]
}

fn frames(numbers: std::ops::Range<u8>, every: u64) -> Vec<(u64, Op)> {
    numbers.map(|n| (u64::from(n) * every, Op::Frame { bytes: frame(n) })).collect()
}

#[test]
fn frames_arrive_after_the_delay_in_both_directions() {
    let mut world = World::new(1);
    let (a, log_a) = SoftCard::new(frames(0..10, 5), 1);
    let (b, log_b) = SoftCard::new(frames(10..20, 5), 1);
    world.add_host_with(a, HostConfig::new(128)).unwrap();
    world.add_host_with(b, HostConfig::new(128)).unwrap();
    let wire = world.connect(0, 1, WireConfig { delay: 100, ..WireConfig::default() });
    world.step(1_000);
    for (log, numbers) in [(log_b, 0..10), (log_a, 10..20)] {
        let expected: Vec<_> = numbers.map(|n| (u64::from(n) * 5 + 100, frame(n), false)).collect();
        assert_eq!(log.borrow().frames, expected);
    }
    assert_eq!(world.wire(wire).stats.carried, 20);
}

#[test]
fn a_loop_returns_frames_and_a_pulled_wire_none() {
    let mut world = World::new(1);
    let (card, log) = SoftCard::new(frames(0..10, 100), 1);
    world.add_host_with(card, HostConfig::new(128)).unwrap();
    let wire = world.connect(0, 0, WireConfig::default());
    world.step(450);
    world.set_link(wire, false);
    world.step(300);
    world.set_link(wire, true);
    world.step(1_000);
    let arrived: Vec<_> = log.borrow().frames.iter().map(|(_, frame, _)| frame[0]).collect();
    assert_eq!(arrived, [0, 1, 2, 3, 4, 8, 9]);
    assert_eq!(world.wire(wire).stats.unplugged, 3);
}

#[test]
fn loss_and_damage_depend_on_the_seed_alone() {
    let run = |seed, window| {
        let mut world = World::new(seed);
        world.set_window(window);
        let (card, log) = SoftCard::new(frames(0..200, 3), 1);
        world.add_host_with(card, HostConfig::new(128)).unwrap();
        world.connect(0, 0, WireConfig { loss: 0.2, damage: 0.2, ..WireConfig::default() });
        world.step(2_000);
        let arrived: Vec<_> =
            log.borrow().frames.iter().map(|(_, frame, error)| (frame[0], *error)).collect();
        arrived
    };
    let arrived = run(1, REACTION);
    assert!((120..190).contains(&arrived.len()));
    assert!((15..60).contains(&arrived.iter().filter(|(_, error)| *error).count()));
    assert_eq!(run(1, 5), arrived);
    assert_ne!(run(2, REACTION), arrived);
}

/// A file that stays readable after the world has taken it.
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

#[test]
fn a_capture_has_every_frame_with_its_nanosecond() {
    let run = |window| {
        let mut world = World::new(1);
        world.set_window(window);
        let (a, _) = SoftCard::new(frames(0..50, 7), 1);
        let (b, _) = SoftCard::new(frames(50..100, 5), 1);
        world.add_host_with(a, HostConfig::new(128)).unwrap();
        world.add_host_with(b, HostConfig::new(128)).unwrap();
        world.connect(0, 1, WireConfig::default());
        let file = Shared::default();
        world.start_capture(Box::new(file.clone())).unwrap();
        world.step(1_000);
        world.finish_capture().unwrap();
        file.0.take()
    };
    let file = run(REACTION);
    assert_eq!(file, run(3));

    let mut reader = PcapNgReader::new(&file[..]).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap().into_owned() {
            packets.push((packet.timestamp, packet.interface_id, packet.data.into_owned()));
        }
    }
    let names: Vec<String> =
        reader.interfaces().iter().map(|interface| format!("{:?}", interface.options)).collect();
    assert!(names[0].contains("card0-to-card1") && names[1].contains("card1-to-card0"));
    assert!(names.iter().all(|name| name.contains("IfTsResol(9)")), "{names:?}");
    assert_eq!(packets.len(), 100);
    assert!(packets.is_sorted_by_key(|(time, ..)| *time));
    for (time, interface, data) in packets {
        let number = data[0];
        assert_eq!(data, frame(number));
        let (expected, every) = if number < 50 { (0, 7) } else { (1, 5) };
        assert_eq!(interface, expected);
        assert_eq!(time.as_nanos() as u64, u64::from(number) * every * CYCLE_NS);
    }
}
