//! The event queue: credit, link, keep-alive.

mod card;

use card::*;
use nitor_abi::event::{EventHeader, Group, KeepAlive, SYNDROME_UPDATE_HINTS};
use nitor_abi::feature::{AenqConfig, Hints};
use nitor_abi::mgmt::{self, Counter};
use nitor_fw::Order;

const LINK: u32 = 1 << Group::LinkChange as u16;
const ALIVE: u32 = 1 << Group::KeepAlive as u16;

/// A driver that reads events.
struct Events {
    bench: Bench,
    seen: u16,
}

impl Events {
    fn new() -> Self {
        Events { bench: Bench::new(), seen: 0 }
    }

    fn enable(&mut self, enabled_groups: u32) {
        let set = AenqConfig { supported_groups: 0, enabled_groups };
        self.bench.set(26, &set.to_bytes()).unwrap();
    }

    fn credit(&mut self, head: u16) {
        self.bench.card.host_write(mgmt::AENQ_HEAD_DB, head.into());
        self.bench.poll();
    }

    fn next(&mut self) -> Option<(EventHeader, [u8; 32])> {
        let at = AENQ + u64::from(self.seen % 16) * 64;
        let entry = self.bench.card.bytes(at, 64);
        let header = EventHeader::from_bytes(entry.first_chunk().unwrap());
        let payload = entry[16..48].try_into().unwrap();
        // Not where commands have it.
        assert_eq!(entry[3], 0);
        if header.phase != (self.seen / 16).is_multiple_of(2) {
            return None;
        }
        self.seen = self.seen.wrapping_add(1);
        Some((header, payload))
    }

    fn groups(&mut self) -> Vec<u16> {
        std::iter::from_fn(|| self.next()).map(|(header, _)| header.group).collect()
    }

    fn pass_ms(&mut self, ms: u32) {
        for _ in 0..ms {
            self.bench.card.pass(1000);
            self.bench.poll();
        }
    }
}

#[test]
fn the_link_is_told_in_either_order_of_enabling() {
    for credit_first in [false, true] {
        let mut events = Events::new();
        if credit_first {
            events.credit(16);
            assert_eq!(events.groups(), []);
            events.enable(LINK | ALIVE);
        } else {
            events.enable(LINK | ALIVE);
            events.pass_ms(3000);
            assert_eq!(events.groups(), [], "nothing before the first credit");
            events.credit(16);
        }
        let (header, payload) = events.next().unwrap();
        assert_eq!((header.group, header.syndrome, payload[0]), (0, 0, 1));
        assert_eq!(events.groups(), [4]);
    }
}

#[test]
fn every_event_raises_vector_0() {
    let mut events = Events::new();
    events.enable(LINK | ALIVE);
    let before = events.bench.card.raised;
    events.credit(16);
    assert_eq!(events.bench.card.raised - before, 2);
}

#[test]
fn transitions_are_told() {
    let mut events = Events::new();
    events.enable(LINK);
    events.credit(16);
    assert_eq!(events.next().unwrap().1[0], 1);
    for up in [false, true] {
        events.bench.card.link_up = up;
        events.bench.card.irq |= mgmt::irq::LINK;
        events.bench.poll();
        assert_eq!(events.next().unwrap().1[0], u8::from(up));
        assert!(events.next().is_none());
    }
    // Who enables the group anew has forgotten.
    events.enable(0);
    events.enable(LINK);
    assert_eq!(events.groups(), [0]);
}

#[test]
fn a_sign_of_life_every_second() {
    let mut events = Events::new();
    events.enable(ALIVE);
    events.credit(16);
    assert_eq!(events.groups(), [4]);
    let start = events.bench.card.time;
    for second in 1..=60u64 {
        let drops = [
            (Counter::RxDropsNoDescriptor, second),
            (Counter::RxDropsBadFrame, 2 * second),
            (Counter::TxDropsDmaError, 3 * second),
        ];
        for (counter, value) in drops {
            events.bench.card.counters[counter as usize] = value << 30;
        }
        let (header, payload) = loop {
            events.pass_ms(1);
            if let Some(event) = events.next() {
                break event;
            }
        };
        assert_eq!(header.group, 4);
        let elapsed = events.bench.card.time.wrapping_sub(start);
        assert!(elapsed.abs_diff(second as u32 * 1_000_000) < 1500, "{elapsed} µs");
        assert_eq!(
            KeepAlive::from_bytes(payload.first_chunk().unwrap()),
            KeepAlive {
                rx_drops: (3 * second) << 30,
                tx_drops: (3 * second) << 30,
                rx_overruns: second << 30
            }
        );
        assert!(events.next().is_none());
        let head = events.seen + 16;
        events.credit(head);
    }
}

#[test]
fn a_full_ring_keeps_the_link_and_one_keep_alive() {
    let mut events = Events::new();
    events.enable(LINK | ALIVE);
    events.credit(16);
    events.pass_ms(30_000);
    assert_eq!(events.groups().len(), 16);
    events.bench.card.link_up = false;
    events.pass_ms(1);
    assert!(events.next().is_none());
    events.credit(32);
    assert_eq!(events.groups(), [0, 4]);
    assert_eq!(events.bench.fw.faults().answers_lost, 0);
}

#[test]
fn credit_that_went_back_or_too_far_is_none() {
    for head in [0xfff0, 17, 0x8000] {
        let mut events = Events::new();
        events.enable(LINK);
        events.credit(head);
        assert_eq!(events.groups(), []);
    }
}

#[test]
fn the_count_of_events_wraps() {
    let mut events = Events::new();
    events.enable(LINK);
    events.credit(16);
    for n in 0..0x1_0010u32 {
        assert_eq!(events.groups(), [0], "{n}");
        events.bench.card.link_up = n % 2 == 1;
        let head = events.seen.wrapping_add(16);
        events.credit(head);
    }
}

#[test]
fn a_reset_silences() {
    let mut events = Events::new();
    events.enable(LINK | ALIVE);
    events.credit(16);
    events.bench.reset();
    events.bench.card.dmas.clear();
    events.pass_ms(5000);
    assert!(events.bench.card.dmas.is_empty());
    events.seen = 0;
    events.credit(16);
    events.enable(LINK | ALIVE);
    assert_eq!(events.groups(), [0, 4]);
}

#[test]
fn events_wait_for_bus_mastering() {
    let mut events = Events::new();
    events.enable(LINK);
    events.bench.card.bus_master = false;
    events.bench.card.dmas.clear();
    events.credit(16);
    events.pass_ms(10);
    assert!(events.bench.card.dmas.is_empty());
    events.bench.card.bus_master = true;
    events.pass_ms(1);
    assert_eq!(events.groups(), [0]);
}

/// Every group there is.
const ALL: u32 = 0x9f;
const HINTS: Hints = Hints {
    mmio_read_timeout_ms: 1,
    driver_watchdog_timeout_ms: 2000,
    missing_tx_completion_timeout_ms: 3,
    missed_tx_completions_to_reset: 4,
    admin_completion_timeout_ms: 5,
    netdev_watchdog_timeout_ms: 6,
    max_tx_sgl: 0,
    max_rx_sgl: 0,
};

#[test]
fn orders_become_events() {
    for (order, group) in [
        (Order::Fatal, Group::FatalError),
        (Order::Warn, Group::Warning),
        (Order::RequestReset, Group::DeviceRequestReset),
        (Order::Hints(HINTS), Group::Notification),
    ] {
        let mut events = Events::new();
        events.enable(ALL);
        events.credit(16);
        assert_eq!(events.groups(), [0, 4]);
        events.bench.card.orders.push_back(order);
        events.pass_ms(1);
        let (header, payload) = events.next().unwrap();
        assert_eq!(header.group, group as u16);
        let hints = matches!(order, Order::Hints(_));
        assert_eq!(header.syndrome, if hints { SYNDROME_UPDATE_HINTS } else { 0 });
        assert_eq!(payload, if hints { HINTS.to_bytes() } else { [0; 32] });
        events.pass_ms(5);
        assert!(events.next().is_none(), "once");
    }
}

#[test]
fn orders_wait_for_room_and_interest_and_are_forgotten_at_a_reset() {
    let mut events = Events::new();
    events.enable(LINK);
    events.bench.card.orders.extend([Order::RequestReset, Order::Fatal, Order::Fatal]);
    events.pass_ms(3);
    events.credit(16);
    assert_eq!(events.groups(), [0]);
    events.enable(ALL & !ALIVE);
    assert_eq!(events.groups(), [1, 7]);
    // The ring is full.
    let head = events.seen;
    events.credit(head);
    events.bench.card.orders.push_back(Order::Warn);
    events.pass_ms(3);
    assert_eq!(events.groups(), []);
    events.credit(head + 1);
    assert_eq!(events.groups(), [2]);

    events.bench.card.orders.push_back(Order::RequestReset);
    events.pass_ms(1);
    events.bench.reset();
    events.seen = 0;
    events.enable(ALL & !ALIVE);
    events.credit(16);
    assert_eq!(events.groups(), [0]);
}

#[test]
fn silence_lasts_until_a_reset_or_the_next_order() {
    let mut events = Events::new();
    events.enable(ALIVE);
    events.credit(16);
    assert_eq!(events.groups(), [4]);
    events.bench.card.orders.push_back(Order::FallSilent);
    events.pass_ms(20_000);
    assert_eq!(events.groups(), []);
    events.bench.card.orders.push_back(Order::Speak);
    events.pass_ms(2);
    assert_eq!(events.groups(), [4], "at once, and one alone");
    events.bench.card.orders.push_back(Order::FallSilent);
    events.pass_ms(3000);
    assert_eq!(events.groups(), []);
    events.bench.reset();
    events.seen = 0;
    events.enable(ALIVE);
    events.credit(16);
    assert_eq!(events.groups(), [4]);
    events.pass_ms(1001);
    assert_eq!(events.groups(), [4]);
}

#[test]
fn hints_stay() {
    let mut events = Events::new();
    let told = |events: &mut Events| Hints::from_bytes(&head(events.bench.get(3)));
    assert_eq!(told(&mut events), Hints::default());
    events.bench.card.orders.push_back(Order::Hints(HINTS));
    events.pass_ms(1);
    assert_eq!(told(&mut events), HINTS);
    events.bench.reset();
    assert_eq!(told(&mut events), HINTS);
}

/// Whatever comes at once, the firmware goes on serving.
#[test]
fn many_orders() {
    let mut events = Events::new();
    events.enable(ALL);
    for _ in 0..100 {
        events.bench.card.orders.extend([Order::Warn, Order::Hints(HINTS), Order::Fatal]);
    }
    events.credit(16);
    events.pass_ms(30);
    assert!(events.bench.card.orders.is_empty());
    events.bench.get(1).unwrap();
    assert_eq!(events.groups().len(), 16);
}
