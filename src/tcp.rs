//! Transfers a file over TCP with a smoltcp stack on each card: host A serves it, host B fetches
//! it.

use crate::machine::Host;
use crate::report::Failure;
use crate::signals;
use nitor_driver::Phy;
use nitor_sim::{HostFunction, CYCLE_NS};
use serde::Serialize;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv4Address};
use std::time::Duration;

#[derive(Serialize)]
pub struct Fetched {
    pub bytes: usize,
    pub cycles: u64,
    pub bits_per_cycle: f64,
}

/// A host's stack on its card.
struct Stack {
    host: Host,
    phy: Phy<HostFunction>,
    iface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
}

const PORT: u16 = 80;
const SOCKET_BUFFER: usize = 65_535;

impl Stack {
    fn new(mut host: Host, address: Ipv4Address) -> Result<Self, Failure> {
        let mut phy =
            Phy::new(&host.nic, 256).map_err(|e| Failure::Check(format!("smoltcp device: {e}")))?;
        let config = Config::new(EthernetAddress(host.nic.mac()).into());
        let now = Instant::from_micros(host.now().as_micros() as i64);
        let mut iface = Interface::new(config, &mut phy.on(host.nic.pair(0)), now);
        iface.update_ip_addrs(|addresses| {
            // An empty list has room for one address.
            let _ = addresses.push(IpCidr::new(IpAddress::Ipv4(address), 24));
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; SOCKET_BUFFER]);
        let mut sockets = SocketSet::new(vec![]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        let socket = sockets.add(socket);
        Ok(Self { host, phy, iface, sockets, socket })
    }

    fn poll(&mut self) {
        let interrupted = self.host.interrupted();
        let now = Instant::from_micros(self.host.now().as_micros() as i64);
        // Timers, and data that the application wants to send, need no interrupt.
        self.iface.poll(now, &mut self.phy.on(self.host.nic.pair(0)), &mut self.sockets);
        if interrupted {
            let pair = self.host.nic.pair(0);
            pair.rx.refill();
            pair.unmask();
        }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.socket)
    }
}

/// Byte `i` of the file.
fn content(i: usize) -> u8 {
    (i.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// Simulated time without progress after which the transfer has failed.
const PATIENCE: Duration = Duration::from_millis(100);

/// Host B fetches `len` bytes from host A.
pub fn fetch(a: Host, b: Host, len: usize) -> Result<Fetched, Failure> {
    let (server, client) = (Ipv4Address::new(10, 0, 0, 1), Ipv4Address::new(10, 0, 0, 2));
    let mut a = Stack::new(a, server)?;
    let mut b = Stack::new(b, client)?;
    let failed = |what: &str| Failure::Check(format!("TCP: {what}"));
    a.socket().listen(PORT).map_err(|e| failed(&format!("the server cannot listen: {e}")))?;
    let socket = b.sockets.get_mut::<tcp::Socket>(b.socket);
    socket
        .connect(b.iface.context(), (IpAddress::Ipv4(server), PORT), 49_152)
        .map_err(|e| failed(&format!("the client cannot connect: {e}")))?;
    let begin = a.host.now();
    let mut progress = begin;
    let (mut sent, mut received) = (0, 0);
    let mut chunk = vec![];
    while received < len {
        signals::check(|| format!("TCP: {received} of {len} bytes had come"))?;
        a.poll();
        b.poll();
        if sent < len && a.socket().can_send() {
            let room = a.socket().send_capacity() - a.socket().send_queue();
            chunk.clear();
            chunk.extend((sent..len.min(sent + room)).map(content));
            sent += a.socket().send_slice(&chunk).map_err(|e| failed(&e.to_string()))?;
            if sent == len {
                a.socket().close();
            }
        }
        while b.socket().can_recv() {
            let wrong = b
                .socket()
                .recv(|bytes| {
                    let wrong = (0..bytes.len()).find(|&i| bytes[i] != content(received + i));
                    received += bytes.len();
                    (bytes.len(), wrong)
                })
                .map_err(|e| failed(&e.to_string()))?;
            if wrong.is_some() {
                return Err(failed(&format!("a wrong byte among the first {received}")));
            }
            progress = b.host.now();
        }
        if b.host.now() - progress > PATIENCE {
            return Err(failed(&format!("stuck after {received} of {len} bytes")));
        }
    }
    let cycles = (b.host.now() - begin).as_nanos() as u64 / CYCLE_NS;
    Ok(Fetched { bytes: received, cycles, bits_per_cycle: (received * 8) as f64 / cycles as f64 })
}
