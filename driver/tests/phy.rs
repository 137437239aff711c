//! TCP over the card by smoltcp: two sockets of one stack talk through the loop.

#![cfg(feature = "smoltcp")]

mod soft;

use nitor_driver::{Config, Mode, Phy, QueueFault, ResetReason};
use smoltcp::iface::{Config as StackConfig, Interface, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};
use soft::*;
use std::time::Duration;

const A: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
const B: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);

fn now(card: &SoftCard) -> Instant {
    Instant::from_micros(card.inner().now.as_micros() as i64)
}

fn config(rx_buffer_len: u16) -> Config {
    Config { tx_depth: 64, rx_depth: 256, rx_buffer_len, mode: Mode::Polling, ..Config::default() }
}

/// Two cards, joined by a wire.
struct Side {
    card: SoftCard,
    ena: nitor_driver::Ena<SoftCard>,
    phy: Phy<SoftCard>,
    stack: Interface,
}

impl Side {
    fn new(address: Ipv4Address, last: u8, rx_buffer_len: u16) -> Self {
        let card = SoftCard::new();
        card.inner().loopback = false;
        let ena = card.open(config(rx_buffer_len)).unwrap();
        let mut phy = Phy::new(&ena, 8).unwrap();
        let mac = EthernetAddress([2, 0, 0, 0, 0, last]);
        let mut ena = ena;
        let time = now(&card);
        let mut stack =
            Interface::new(StackConfig::new(mac.into()), &mut phy.on(ena.pair(0)), time);
        stack.update_ip_addrs(|all| all.push(IpCidr::new(address.into(), 24)).unwrap());
        Side { card, ena, phy, stack }
    }

    fn poll(&mut self, sockets: &mut SocketSet<'_>) {
        let time = now(&self.card);
        self.stack.poll(time, &mut self.phy.on(self.ena.pair(0)), sockets);
        self.ena.wait(Duration::from_micros(50));
    }
}

fn socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; 16384]);
    tcp::Socket::new(buffer(), buffer())
}

#[test]
fn a_file_crosses_by_tcp() {
    // Buffers for whole frames, and such that frames take several.
    for rx_buffer_len in [2048, 400] {
        let mut a = Side::new(A, 1, rx_buffer_len);
        let mut b = Side::new(B, 2, rx_buffer_len);
        let (mut at_a, mut at_b) = (SocketSet::new(vec![]), SocketSet::new(vec![]));
        let (client, server) = (at_a.add(socket()), at_b.add(socket()));
        at_b.get_mut::<tcp::Socket>(server).listen(80).unwrap();
        let context = a.stack.context();
        at_a.get_mut::<tcp::Socket>(client).connect(context, (B, 80), 4000).unwrap();

        let file: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let (mut sent, mut got) = (0, Vec::new());
        for _ in 0..100_000 {
            a.poll(&mut at_a);
            b.poll(&mut at_b);
            let from_a: Vec<_> = a.card.inner().wire.drain(..).collect();
            let from_b: Vec<_> = b.card.inner().wire.drain(..).collect();
            from_a.iter().for_each(|frame| b.card.inner().receive(frame));
            from_b.iter().for_each(|frame| a.card.inner().receive(frame));
            let socket = at_b.get_mut::<tcp::Socket>(server);
            if sent < file.len() && socket.can_send() {
                sent += socket.send_slice(&file[sent..]).unwrap();
            }
            let socket = at_a.get_mut::<tcp::Socket>(client);
            if socket.can_recv() {
                socket.recv(|bytes| (bytes.len(), got.extend_from_slice(bytes))).unwrap();
            }
            if got.len() == file.len() {
                break;
            }
        }
        assert!(got == file, "{} of {} bytes", got.len(), file.len());
        assert_eq!((a.phy.fault(), a.ena.health()), (None, None));
        assert_eq!(b.phy.on(b.ena.pair(0)).capabilities().max_transmission_unit, 1514);
        assert_eq!(b.card.inner().faults, Vec::<String>::new());
    }
}

#[test]
fn goes_on_after_a_reset() {
    let mut side = Side::new(A, 1, 2048);
    let mut sockets = SocketSet::new(vec![]);
    let client = sockets.add(socket());
    let context = side.stack.context();
    sockets.get_mut::<tcp::Socket>(client).connect(context, (B, 80), 4000).unwrap();
    side.card.inner().wrong.no_tx_completions = true;
    // More resets than there are slots: none is lost for good.
    for _ in 0..20 {
        for _ in 0..4 {
            side.poll(&mut sockets);
            side.ena.wait(Duration::from_millis(1100));
        }
        assert!(!side.card.inner().wire.is_empty(), "asks for the address of the other");
        side.ena.recover(ResetReason::UserTrigger).unwrap();
    }
    assert_eq!(side.card.inner().faults, Vec::<String>::new());
}

/// A fault is told while there is one: who resets the card because of it does so once.
#[test]
fn a_fault_ends_with_the_reset() {
    let tx: fn(&mut Misbehaviour) = |wrong| wrong.tx_completion = Some(|entry| entry[1] = 0xff);
    let rx: fn(&mut Misbehaviour) = |wrong| wrong.rx_completion = Some(|entry| entry[7] = 0xff);
    for (spoil, fault) in [(tx, QueueFault::TxReqId), (rx, QueueFault::RxReqId)] {
        let mut side = Side::new(A, 1, 2048);
        let mut sockets = SocketSet::new(vec![]);
        let client = sockets.add(socket());
        let context = side.stack.context();
        sockets.get_mut::<tcp::Socket>(client).connect(context, (B, 80), 4000).unwrap();
        spoil(&mut side.card.inner().wrong);
        for _ in 0..4 {
            side.poll(&mut sockets);
            side.card.inner().receive(&[0xff; 60]);
        }
        assert_eq!(side.phy.fault(), Some(fault));
        side.card.inner().wrong = Misbehaviour::default();
        side.ena.recover(fault.reset_reason()).unwrap();
        side.poll(&mut sockets);
        assert_eq!((side.phy.fault(), side.ena.health()), (None, None));
    }
}
