//! The admin queue: order, phases, wraps, stale bytes, and what goes wrong with it.

mod card;

use card::*;
use nitor_abi::admin::{stats, BasicStats, EniStats, GetStats, Opcode, Status};
use nitor_abi::bar::QueueCaps;
use nitor_abi::feature::{DeviceAttributes, Feature};
use nitor_abi::mgmt::{self, irq, Counter};
use nitor_fw::{Bus, Firmware, Settings};

const GET: u8 = Opcode::GetFeature as u8;

fn get_attributes() -> [u8; 64] {
    let mut body = [0; 64];
    body[17] = Feature::DeviceAttributes as u8;
    body
}

#[test]
fn answers_come_in_order_with_ids_and_phases() {
    for depth in [2, 32] {
        let mut bench = Bench::with_depth(depth);
        // The bench checks id, phase and head of every answer.
        for _ in 0..100 {
            bench.command(GET, &get_attributes()).unwrap();
        }
        assert_eq!(bench.card.raised, 100);
    }
}

#[test]
fn the_doorbell_wraps_at_65536() {
    let mut bench = Bench::with_depth(32);
    for _ in 0..65_536 / 32 + 3 {
        for _ in 0..32 {
            bench.submit(GET, &get_attributes(), 64);
        }
        bench.ring();
        for _ in 0..32 {
            bench.answer().unwrap().1.unwrap();
        }
        assert!(bench.answer().is_none());
    }
}

#[test]
fn one_doorbell_for_a_whole_ring() {
    let mut bench = Bench::new();
    bench.command(GET, &get_attributes()).unwrap();
    bench.card.dmas.clear();
    bench.card.raised = 0;
    for _ in 0..32 {
        bench.submit(GET, &get_attributes(), 64);
    }
    bench.ring();
    for id in 1..33 {
        assert_eq!(bench.answer().unwrap().0.command_id, id % 32);
    }
    // 31 to the ring's end, 1 behind it, at most 16 at once; an interrupt a batch.
    let fetches: Vec<_> =
        bench.card.dmas.iter().filter(|dma| !dma.0).map(|dma| (dma.1 - AQ, dma.2 / 64)).collect();
    assert_eq!(fetches, [(64, 16), (17 * 64, 15), (0, 1)]);
    assert_eq!(bench.card.raised, 3);
}

#[test]
fn entries_are_written_whole_or_with_the_phase_last() {
    let mut bench = Bench::new();
    bench.card.dmas.clear();
    bench.command(GET, &get_attributes()).unwrap();
    assert_eq!(bench.card.dmas[1..], [(true, ACQ, 64)]);

    // A ring that is not aligned to its entries.
    let mut bench = Bench::new();
    bench.card.host_write(mgmt::ACQ_BASE_LO, ACQ as u32 + 16);
    bench.card.dmas.clear();
    bench.submit(GET, &get_attributes(), 64);
    bench.ring();
    assert_eq!(bench.card.dmas[1..], [(true, ACQ + 20, 60), (true, ACQ + 16, 4)]);
}

#[test]
fn stale_bytes_behind_a_command_do_not_matter() {
    let mut bench = Bench::with_depth(2);
    // Leaves bytes of a long command in both slots.
    for _ in 0..2 {
        bench.command(Opcode::SetFeature as u8, &[0xff; 64]).unwrap_err();
    }
    let stats = GetStats { kind: stats::BASIC, ..Default::default() };
    bench.submit(Opcode::GetStats as u8, &stats.to_bytes(), 24);
    bench.ring();
    bench.answer().unwrap().1.unwrap();
}

#[test]
fn what_is_unknown_is_refused_and_the_queue_goes_on() {
    let mut bench = Bench::new();
    for opcode in [0, 5, 6, 7, 10, 12, 0x80, 0xff] {
        assert_eq!(bench.command(opcode, &[0; 64]), Err(Status::BadOpcode));
    }
    for kind in stats::SRD..=255 {
        let stats = GetStats { kind, ..Default::default() };
        assert_eq!(
            bench.command(Opcode::GetStats as u8, &stats.to_bytes()),
            Err(Status::UnsupportedOpcode)
        );
    }
    bench.command(GET, &get_attributes()).unwrap();
}

#[test]
fn extended_statistics_are_all_counters() {
    let mut bench = Bench::new();
    for (i, counter) in bench.card.counters.iter_mut().enumerate() {
        *counter = 0xffff_ffff_0000 + i as u64;
    }
    let len = 8 * Counter::ALL.len();
    let get = GetStats { kind: stats::EXTENDED, ..Default::default() }.to_bytes();
    let too_short = bench.with_control(len as u32 - 1).command(Opcode::GetStats as u8, &get);
    assert_eq!(too_short, Err(Status::IllegalParameter));
    bench.with_control(len as u32).command(Opcode::GetStats as u8, &get).unwrap();
    let bytes = bench.card.bytes(CONTROL, len).to_vec();
    for (i, value) in bytes.chunks_exact(8).enumerate() {
        assert_eq!(value, (0xffff_ffff_0000 + i as u64).to_le_bytes());
    }
}

#[test]
fn packets_dropped_at_a_limit() {
    let mut bench = Bench::new();
    bench.card.counters[Counter::RxDropsNoRoom as usize] = 1 << 40;
    bench.reset();
    bench.card.counters[Counter::RxDropsNoRoom as usize] += 77;
    bench.card.counters[Counter::RxDropsNoDescriptor as usize] += 5;
    let get = GetStats { kind: stats::ENI, ..Default::default() }.to_bytes();
    let answer = head(bench.command(Opcode::GetStats as u8, &get));
    let expected = EniStats { bw_in_exceeded: 77, ..Default::default() };
    assert_eq!(EniStats::from_bytes(&answer), expected);
}

#[test]
fn statistics_are_the_ports_since_the_reset() {
    let mut bench = Bench::new();
    for (i, counter) in bench.card.counters.iter_mut().enumerate() {
        *counter = 0xffff_ffff_0000 + i as u64;
    }
    bench.reset();
    for counter in &Counter::ALL[..11] {
        bench.card.counters[*counter as usize] += 1 << (4 * (*counter as u8));
    }
    // All three fields are left 0 by drivers, or set to anything.
    for (scope, queue_idx, device_id) in [(0, 0, 0), (1, 7, 0xffff)] {
        let stats = GetStats {
            kind: stats::BASIC,
            scope,
            queue_idx,
            device_id,
            requested_metrics: u64::MAX,
        };
        let answer = bench.command(Opcode::GetStats as u8, &stats.to_bytes());
        assert_eq!(
            BasicStats::from_bytes(&answer.unwrap()),
            BasicStats {
                tx_packets: 0x1,
                tx_bytes: 0x10,
                rx_packets: 0x100,
                rx_bytes: 0x1000,
                rx_drops: 0x100_1111_0000,
                rx_overruns: 0x1_0000,
                tx_drops: 0x11_0000_0000,
            }
        );
    }
}

#[test]
fn a_wrong_phase_is_answered_as_malformed() {
    let mut bench = Bench::new();
    bench.submit(GET, &get_attributes(), 64);
    bench.card.bytes(AQ, 64)[3] = 0;
    bench.ring();
    assert_eq!(bench.answer().unwrap().1, Err(Status::MalformedRequest));
    assert_eq!(bench.fw.faults().bad_phase, 1);
    bench.command(GET, &get_attributes()).unwrap();
}

#[test]
fn a_doorbell_beyond_the_ring_is_ignored() {
    let mut bench = Bench::new();
    for doorbell in [33, 0xffff, 0xffff] {
        bench.card.host_write(mgmt::AQ_DB, doorbell);
        bench.poll();
    }
    assert!(bench.answer().is_none());
    assert_eq!(bench.fw.faults().bad_doorbell, 2);
    bench.command(GET, &get_attributes()).unwrap();
}

#[test]
fn rings_that_are_not_set_up_are_left_alone() {
    for (register, value) in [
        (mgmt::AQ_CAPS, 0),
        (mgmt::ACQ_CAPS, 0),
        (mgmt::AQ_CAPS, 0x0020_0020),
        (mgmt::ACQ_CAPS, 0x0040_0000),
    ] {
        let mut bench = Bench::new();
        bench.card.host_write(register, value);
        bench.card.dmas.clear();
        bench.submit(GET, &get_attributes(), 64);
        bench.ring();
        assert!(bench.card.dmas.is_empty());
    }
}

#[test]
fn rings_of_any_depth_work() {
    let mut bench = Bench::new();
    bench.card.host_write(mgmt::AQ_CAPS, QueueCaps { depth: 5, entry_size: 64 }.into());
    bench.card.host_write(mgmt::ACQ_CAPS, QueueCaps { depth: 3, entry_size: 64 }.into());
    bench.depth = 5;
    for n in 0..20u16 {
        bench.submit(GET, &get_attributes(), 64);
        bench.ring();
        let at = ACQ + u64::from(n % 3) * 64;
        assert_eq!(bench.card.bytes(at, 4), [(n % 5) as u8, 0, 0, u8::from(n / 3 % 2 == 0)]);
    }
}

#[test]
fn failed_fetches_are_repeated_then_given_up() {
    let mut bench = Bench::new();
    bench.card.dma_failures = 2;
    bench.command(GET, &get_attributes()).unwrap();
    assert_eq!(bench.fw.faults().dma_errors, 2);

    bench.card.dma_failures = 3;
    bench.submit(GET, &get_attributes(), 64);
    bench.ring();
    assert!(bench.answer().is_none());
    assert_eq!(bench.fw.faults().commands_lost, 1);
    // The driver would time out; the card is ready for more all the same.
    bench.command(GET, &get_attributes()).unwrap();
}

#[test]
fn dma_that_never_ends_does_not_wedge() {
    let mut bench = Bench::new();
    bench.card.dma_stuck = true;
    bench.submit(GET, &get_attributes(), 64);
    bench.ring();
    bench.card.dma_stuck = false;
    assert_eq!(bench.fw.faults().commands_lost, 1);
    bench.reset();
    bench.command(GET, &get_attributes()).unwrap();
}

#[test]
fn commands_wait_for_bus_mastering() {
    let mut bench = Bench::new();
    bench.card.bus_master = false;
    bench.card.dmas.clear();
    bench.submit(GET, &get_attributes(), 64);
    bench.ring();
    assert!(bench.card.dmas.is_empty());
    bench.card.bus_master = true;
    bench.card.pass(1000);
    bench.poll();
    bench.answer().unwrap().1.unwrap();
}

#[test]
fn a_reset_forgets_a_half_served_queue() {
    let mut bench = Bench::new();
    for _ in 0..7 {
        bench.command(GET, &get_attributes()).unwrap();
    }
    // Doorbell and reset are seen together.
    bench.card.host_write(mgmt::AQ_DB, 9);
    bench.reset();
    let attributes = DeviceAttributes::from_bytes(&head(bench.command(GET, &get_attributes())));
    assert_eq!((attributes.mac, attributes.max_mtu), (MAC, 9216));
}

#[test]
fn a_function_level_reset_is_a_reset() {
    let mut bench = Bench::new();
    bench.command(GET, &get_attributes()).unwrap();
    bench.card.reset();
    bench.card.irq = irq::FUNCTION_RESET;
    bench.poll();
    assert!(!bench.card.blocked);
    bench.reset();
    bench.command(GET, &get_attributes()).unwrap();
}

#[test]
fn run_serves_until_the_end_of_time() {
    /// Ends the test by unwinding, as a simulation does when it drops its firmware.
    struct Mortal(Card, usize);
    impl Bus for Mortal {
        fn read32(&mut self, address: u16) -> u32 {
            self.0.read32(address)
        }
        fn write32(&mut self, address: u16, value: u32) {
            self.0.write32(address, value);
        }
        fn wait(&mut self) {
            assert!(self.0.irq == 0, "waits while there is something to do");
            if self.1 == 0 {
                std::panic::resume_unwind(Box::new("the end"));
            }
            self.1 -= 1;
            self.0.wait();
        }
    }
    let mut bus = Mortal(Card::new(), 10);
    bus.0.reset();
    let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Firmware::new(Settings::new(MAC)).run(&mut bus)
    }));
    assert_eq!(end.unwrap_err().downcast_ref(), Some(&"the end"));
    assert_eq!((bus.1, bus.0.blocked), (0, false));
}
