//! Cables to boards: carry the frames of the host link over UDP or a serial line.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nitor_hdl::link::udp::{MAGIC, PORT};
use serialport::{SerialPort, TTYPort};

use crate::Error;

/// A cable, which carries each frame whole or not at all.
pub trait Cable: Send {
    fn send(&mut self, frame: &[u8]) -> io::Result<()>;
    /// The next received frame, if there is one; does not wait.
    fn receive(&mut self) -> io::Result<Option<Vec<u8>>>;
    /// How long to wait for an acknowledgement.
    fn patience(&self) -> Duration;
    /// The time of the board, which is real time unless the board is simulated.
    fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// The place of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Udp(SocketAddr),
    Serial(String),
    Simulated(String),
}

impl FromStr for Link {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::Name(text.into());
        match text.split_once(':').ok_or_else(unknown)? {
            ("udp", address) => {
                let with_port = match address.contains(':') {
                    true => address.to_string(),
                    false => format!("{address}:{PORT}"),
                };
                let found = with_port.to_socket_addrs().map_err(|e| Error::Link(text.into(), e))?;
                found.into_iter().find(SocketAddr::is_ipv4).map(Link::Udp).ok_or_else(unknown)
            }
            ("serial", device) if !device.is_empty() => Ok(Link::Serial(device.into())),
            ("sim", board) if nitor_hdl::BOARDS.contains(&board) => {
                Ok(Link::Simulated(board.into()))
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Link::Udp(address) => write!(f, "udp:{address}"),
            Link::Serial(device) => write!(f, "serial:{device}"),
            Link::Simulated(board) => write!(f, "sim:{board}"),
        }
    }
}

impl Link {
    /// Opens the cable to a real board. A simulated one has its own.
    pub fn cable(&self) -> Result<Box<dyn Cable>, Error> {
        let failed = |error| Error::Link(self.to_string(), error);
        Ok(match self {
            Link::Udp(address) => Box::new(Udp::open(*address).map_err(failed)?),
            Link::Serial(device) => Box::new(Serial::open(device).map_err(failed)?),
            Link::Simulated(_) => return Err(Error::Name(self.to_string())),
        })
    }
}

/// Frames in UDP datagrams.
pub struct Udp {
    socket: UdpSocket,
    to: SocketAddr,
    buffer: Vec<u8>,
}

impl Udp {
    /// To a board at `to`, which may be the subnet's broadcast address.
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        let local = if to.ip().is_loopback() { "127.0.0.1:0" } else { "0.0.0.0:0" };
        // The socket is not connected: answers come from the board's own address.
        let socket = UdpSocket::bind(local)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        Ok(Udp { socket, to, buffer: vec![0; 2048] })
    }
}

impl Cable for Udp {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let mut datagram = (MAGIC as u16).to_le_bytes().to_vec();
        datagram.extend(frame);
        match self.socket.send_to(&datagram, self.to) {
            Ok(_) => Ok(()),
            // The datagram is lost, as on the wire; the session repeats it.
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.socket.recv_from(&mut self.buffer) {
                Ok((len, _)) => {
                    let datagram = &self.buffer[..len];
                    if let Some(frame) = datagram.strip_prefix(&(MAGIC as u16).to_le_bytes()) {
                        return Ok(Some(frame.to_vec()));
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                // This is the answer to a datagram that no socket received.
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(2)
    }
}

/// The baud rate of the boards' serial links.
pub const BAUD: u32 = 3_000_000;

const END: u8 = 0xc0;
const ESC: u8 = 0xdb;
const ESC_END: u8 = 0xdc;
const ESC_ESC: u8 = 0xdd;

/// Frames on a serial line: SLIP and a CRC-32, see `nitor_hdl::link::serial`.
pub struct Serial {
    port: TTYPort,
    open: Vec<u8>,
    escaped: bool,
    arrived: std::collections::VecDeque<u8>,
}

impl Serial {
    pub fn open(device: &str) -> io::Result<Self> {
        let port = serialport::new(device, BAUD).timeout(Duration::from_millis(1)).open_native()?;
        Ok(Self::on(port))
    }

    /// On an open port or pseudo-terminal.
    pub fn on(port: TTYPort) -> Self {
        Serial { port, open: Vec::new(), escaped: false, arrived: Default::default() }
    }
}

/// A frame as it is sent over the line.
pub fn slip(frame: &[u8]) -> Vec<u8> {
    let crc = crc32fast::hash(frame).to_le_bytes();
    let mut line = vec![END];
    for &byte in frame.iter().chain(&crc) {
        match byte {
            END => line.extend([ESC, ESC_END]),
            ESC => line.extend([ESC, ESC_ESC]),
            _ => line.push(byte),
        }
    }
    line.push(END);
    line
}

/// Removes the CRC; none if it is wrong.
fn checked(mut frame: Vec<u8>) -> Option<Vec<u8>> {
    let crc = frame.split_off(frame.len().checked_sub(4)?);
    (!frame.is_empty() && crc32fast::hash(&frame).to_le_bytes() == crc[..]).then_some(frame)
}

impl Cable for Serial {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.port.write_all(&slip(frame))
    }

    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let waiting = self.port.bytes_to_read()? as usize;
        if waiting > 0 {
            let mut bytes = vec![0; waiting];
            let len = self.port.read(&mut bytes)?;
            self.arrived.extend(&bytes[..len]);
        }
        while let Some(byte) = self.arrived.pop_front() {
            if byte == END {
                self.escaped = false;
                if let Some(frame) = checked(std::mem::take(&mut self.open)) {
                    return Ok(Some(frame));
                }
            } else if byte == ESC && !self.escaped {
                self.escaped = true;
            } else {
                let plain = match (self.escaped, byte) {
                    (true, ESC_END) => END,
                    (true, ESC_ESC) => ESC,
                    _ => byte,
                };
                self.escaped = false;
                self.open.push(plain);
            }
        }
        Ok(None)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(30)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_have_names() {
        for name in ["udp:127.0.0.1:20052", "serial:/dev/ttyUSB0", "sim:ulx3s-85f"] {
            assert_eq!(name.parse::<Link>().unwrap().to_string(), name);
        }
        assert_eq!(
            "udp:192.168.77.2".parse::<Link>().unwrap().to_string(),
            "udp:192.168.77.2:20052"
        );
        for name in ["", "udp", "serial:", "sim:arty", "pcie:0", "udp:1.2.3.4:port"] {
            assert!(name.parse::<Link>().is_err(), "{name}");
        }
    }

    #[test]
    fn slip_hides_its_own_bytes() {
        let line = slip(&[END, 1, ESC, 2]);
        assert_eq!(line[..7], [END, ESC, ESC_END, 1, ESC, ESC_ESC, 2]);
        assert_eq!(line.iter().filter(|&&b| b == END).count(), 2);
    }
}
