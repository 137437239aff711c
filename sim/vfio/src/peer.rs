//! A host on the wire, as the peer of a guest that is alone: answers ARP, neighbour discovery and
//! pings, and has the services of inetd.
//!
//! | port | TCP | UDP |
//! |---|---|---|
//! | 7 | echo | echo |
//! | 9 | discard | discard |
//! | 19 | characters, without end | |

use std::collections::VecDeque;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

/// The peer's addresses.
pub const MAC: [u8; 6] = [0x02, 0x4e, 0x49, 0x54, 0xff, 0x01];
pub const IPV4: [u8; 4] = [10, 77, 0, 1];
pub const IPV6: [u16; 8] = [0xfd4e, 0, 0, 0, 0, 0, 0, 1];

const ECHO: u16 = 7;
const DISCARD: u16 = 9;
const CHARACTERS: u16 = 19;
/// The most connections at a time, for each service.
const CONNECTIONS: usize = 8;
const BUFFER: usize = 1 << 18;
const MTU: usize = 9001;

/// Counts of the peer's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerStats {
    pub frames_in: u64,
    pub frames_out: u64,
    /// Bytes received by TCP.
    pub tcp_bytes: u64,
    /// Datagrams received.
    pub datagrams: u64,
}

/// Queues of frames to and from the peer.
#[derive(Default)]
struct Port {
    came: VecDeque<Vec<u8>>,
    go: VecDeque<Vec<u8>>,
}

struct RxToken(Vec<u8>);
struct TxToken<'a>(&'a mut VecDeque<Vec<u8>>);

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

/// The most frames queued for the card, which would drop frames that it has no room for.
const WAITING: usize = 64;

impl Device for Port {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken, TxToken<'_>)> {
        Some((RxToken(self.came.pop_front()?), TxToken(&mut self.go)))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        (self.go.len() < WAITING).then_some(TxToken(&mut self.go))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MTU + 14;
        capabilities
    }
}

/// See the module.
pub struct Peer {
    port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
    tcp: Vec<(u16, SocketHandle)>,
    udp: Vec<(u16, SocketHandle)>,
    /// Bytes of the endless stream so far, of each connection.
    sent: Vec<usize>,
    pub stats: PeerStats,
}

impl Default for Peer {
    fn default() -> Self {
        Self::new()
    }
}

impl Peer {
    pub fn new() -> Self {
        let mut port = Port::default();
        let config = Config::new(EthernetAddress(MAC).into());
        let mut interface = Interface::new(config, &mut port, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // Two addresses in an empty list: there is room.
            let [a, b, c, d] = IPV4;
            let _ = addresses.push(IpCidr::new(IpAddress::v4(a, b, c, d), 24));
            let [a, b, c, d, e, f, g, h] = IPV6;
            let _ = addresses.push(IpCidr::new(IpAddress::v6(a, b, c, d, e, f, g, h), 64));
        });
        let mut sockets = SocketSet::new(Vec::new());
        let mut tcp = Vec::new();
        for port in [ECHO, DISCARD, CHARACTERS] {
            for _ in 0..CONNECTIONS {
                let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
                let mut socket = tcp::Socket::new(buffer(), buffer());
                socket.set_nagle_enabled(false);
                tcp.push((port, sockets.add(socket)));
            }
        }
        let mut udp = Vec::new();
        for port in [ECHO, DISCARD] {
            let buffer =
                || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 256], vec![0; BUFFER]);
            udp.push((port, sockets.add(udp::Socket::new(buffer(), buffer()))));
        }
        let sent = vec![0; tcp.len()];
        Peer { port, interface, sockets, tcp, udp, sent, stats: PeerStats::default() }
    }

    /// A frame has come from the wire.
    pub fn receive(&mut self, frame: Vec<u8>) {
        self.stats.frames_in += 1;
        self.port.came.push_back(frame);
    }

    /// The next frame for the wire.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        let frame = self.port.go.pop_front()?;
        self.stats.frames_out += 1;
        Some(frame)
    }

    /// How long it may be left alone, if anything is under way.
    pub fn next(&mut self, now: Duration) -> Option<Duration> {
        let now = Instant::from_micros(now.as_micros() as i64);
        self.interface.poll_delay(now, &self.sockets).map(Duration::from)
    }

    /// Does what there is to do at time `now`.
    pub fn poll(&mut self, now: Duration) {
        let now = Instant::from_micros(now.as_micros() as i64);
        self.interface.poll(now, &mut self.port, &mut self.sockets);
        if self.serve() {
            self.interface.poll(now, &mut self.port, &mut self.sockets);
        }
    }

    /// The services; true if there may be something to send.
    fn serve(&mut self) -> bool {
        let mut any = false;
        for ((port, handle), sent) in self.tcp.iter().zip(&mut self.sent) {
            let socket = self.sockets.get_mut::<tcp::Socket>(*handle);
            if !socket.is_open() {
                *sent = 0;
                // A closed socket, a port that is not 0: it listens.
                let _ = socket.listen(*port);
            }
            any |= serve_tcp(*port, socket, sent, &mut self.stats);
        }
        for (port, handle) in &self.udp {
            let socket = self.sockets.get_mut::<udp::Socket>(*handle);
            if !socket.is_open() {
                let _ = socket.bind(*port);
            }
            while let Ok((bytes, from)) = socket.recv().map(|(bytes, from)| (bytes.to_vec(), from))
            {
                self.stats.datagrams += 1;
                if *port == ECHO {
                    any |= socket.send_slice(&bytes, from).is_ok();
                }
            }
        }
        any
    }
}

/// Serves one connection; true if it may have something to send.
fn serve_tcp(port: u16, socket: &mut tcp::Socket, sent: &mut usize, stats: &mut PeerStats) -> bool {
    let mut any = false;
    while socket.can_recv() {
        let room = match port {
            ECHO => socket.send_capacity() - socket.send_queue(),
            _ => usize::MAX,
        };
        let Ok(bytes) = socket.recv(|bytes| {
            let taken = bytes.len().min(room);
            (taken, bytes[..taken].to_vec())
        }) else {
            break;
        };
        stats.tcp_bytes += bytes.len() as u64;
        any = true;
        if bytes.is_empty() {
            break;
        }
        if port == ECHO {
            // There is room.
            let _ = socket.send_slice(&bytes);
        }
    }
    if port == CHARACTERS && socket.can_send() {
        let room = socket.send_capacity() - socket.send_queue();
        let line: Vec<u8> = (*sent..*sent + room).map(character).collect();
        if let Ok(taken) = socket.send_slice(&line) {
            *sent += taken;
            any |= taken > 0;
        }
    }
    // The guest has sent everything, and has received all answers. The endless stream ends with its
    // reader.
    if port != CHARACTERS && !socket.may_recv() && socket.may_send() && !socket.can_recv() {
        socket.close();
        any = true;
    }
    any
}

/// Character `index` of the endless stream: printable, a line feed after each 72.
fn character(index: usize) -> u8 {
    let (line, column) = (index / 73, index % 73);
    if column == 72 {
        b'\n'
    } else {
        b' ' + ((line + column) % 95) as u8
    }
}
