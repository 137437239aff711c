//! A simulated board: its Verilated top from pin to pin, in a thread of its own, behind a real
//! socket or pseudo-terminal.
//!
//! The model includes what is outside the FPGA: the oscillator, the PHYs with their clocks, the
//! host's network stack that wraps datagrams in frames, and at the far end of the wire a peer that
//! sends every frame back, or none. The cable to the host can lose, damage and repeat frames, by a
//! seed.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nitor_block::{Block, Model, Port, PortId};
use nitor_hdl::link::udp::PORT;
use serialport::{SerialPort, TTYPort};

use crate::cable::{Cable, Serial, Udp, BAUD};
use crate::Error;

/// The peer at the far end of a board's wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// No peer; the PHY reports no link.
    Open,
    /// A peer that sends every frame back.
    Echo,
}

/// The probabilities of faults of frames between host and board, in percent each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    pub lost: u8,
    pub damaged: u8,
    pub repeated: u8,
}

/// A simulated board, which stops when this is dropped.
pub struct Simulated {
    stop: Arc<AtomicBool>,
    picoseconds: Arc<AtomicU64>,
    fate: Arc<Mutex<Fate>>,
    thread: Option<JoinHandle<()>>,
    socket: Socket,
}

/// The simulated board's end of the cable.
enum Socket {
    Udp(SocketAddr),
    Tty(TTYPort),
}

impl Simulated {
    /// Powers up `board`.
    pub fn start(board: &str, wire: Wire, seed: u64) -> Result<Self, Error> {
        Self::of(model(board)?, board, wire, seed)
    }

    /// Powers up `board` with an existing model of its top, for example its netlist.
    pub fn of(model: Model, board: &str, wire: Wire, seed: u64) -> Result<Self, Error> {
        let failed = |e: &dyn std::fmt::Display| Error::Simulation(e.to_string());
        let stop = Arc::new(AtomicBool::new(false));
        let picoseconds = Arc::new(AtomicU64::new(0));
        let fate = Arc::new(Mutex::new(Fate::default()));
        let ends = (stop.clone(), picoseconds.clone(), fate.clone());
        let (socket, thread) = if board.starts_with("colorlight") {
            let socket = UdpSocket::bind("127.0.0.1:0").map_err(|e| failed(&e))?;
            socket.set_nonblocking(true).map_err(|e| failed(&e))?;
            let address = socket.local_addr().map_err(|e| failed(&e))?;
            let board = move || ethernet_board(&model, seed, wire, &socket, ends);
            (Socket::Udp(address), std::thread::spawn(board))
        } else {
            let (ours, theirs) = TTYPort::pair().map_err(|e| failed(&e))?;
            let board = move || serial_board(&model, seed, ours, ends);
            (Socket::Tty(theirs), std::thread::spawn(board))
        };
        Ok(Simulated { stop, picoseconds, fate, thread: Some(thread), socket })
    }

    /// The host's end of the cable.
    pub fn cable(&self) -> Result<Box<dyn Cable>, Error> {
        let failed = |e: &dyn std::fmt::Display| Error::Simulation(e.to_string());
        let cable: Box<dyn Cable> = match &self.socket {
            Socket::Udp(address) => Box::new(Udp::open(*address).map_err(|e| failed(&e))?),
            Socket::Tty(port) => {
                Box::new(Serial::on(port.try_clone_native().map_err(|e| failed(&e))?))
            }
        };
        Ok(Box::new(Slow { cable, picoseconds: self.picoseconds.clone() }))
    }

    /// The link by which another process reaches the board.
    pub fn address(&self) -> String {
        match &self.socket {
            Socket::Udp(address) => format!("udp:{address}"),
            Socket::Tty(port) => format!("serial:{}", port.name().unwrap_or_default()),
        }
    }

    /// Sets the faults of the host link from now on.
    pub fn set_fate(&self, fate: Fate) {
        *self.fate.lock().unwrap_or_else(|e| e.into_inner()) = fate;
    }

    /// The time of the board.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.picoseconds.load(Ordering::Relaxed) / 1000)
    }
}

/// A cable to a simulated board, which has a time of its own.
struct Slow {
    cable: Box<dyn Cable>,
    picoseconds: Arc<AtomicU64>,
}

impl Cable for Slow {
    fn send(&mut self, frame: &[u8]) -> std::io::Result<()> {
        self.cable.send(frame)
    }

    fn receive(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        self.cable.receive()
    }

    fn patience(&self) -> Duration {
        self.cable.patience()
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.picoseconds.load(Ordering::Relaxed) / 1000)
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Ends = (Arc<AtomicBool>, Arc<AtomicU64>, Arc<Mutex<Fate>>);

/// Verilates a board's top with the simulation models of the FPGA's cells.
pub fn model(board: &str) -> Result<Model, Error> {
    let failed = |e: &dyn std::fmt::Display| Error::Simulation(e.to_string());
    let design = nitor_hdl::emit_board(board).map_err(|e| failed(&e))?;
    let ports: Vec<Port> = design
        .ports()
        .iter()
        .map(|port| match port.direction {
            nitor_rtl::Direction::In => Port::input(&port.name, port.width),
            nitor_rtl::Direction::Out => Port::output(&port.name, port.width),
        })
        .collect();
    let verilog = format!("{design}\n{CELLS}");
    Model::build_large(verilog, design.top(), &ports).map_err(|e| failed(&e))
}

/// Models of the FPGA's own cells that boards use.
pub const CELLS: &str = include_str!("../../cells/ecp5.v");
/// A model of the FPGA's block RAM, which Yosys' models leave out.
pub const BLOCK_RAM: &str = include_str!("../../cells/dp16kd.v");

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    fn hit(&mut self, percent: u8) -> bool {
        self.next() % 100 < u64::from(percent)
    }

    /// The copies of a frame that arrive.
    fn copies(&mut self, frame: Vec<u8>, fate: Fate) -> Vec<Vec<u8>> {
        if self.hit(fate.lost) {
            return vec![];
        }
        let mut frame = frame;
        if self.hit(fate.damaged) && !frame.is_empty() {
            let at = self.next() as usize % frame.len();
            frame[at] ^= 1 << (self.next() % 8);
        }
        if self.hit(fate.repeated) {
            return vec![frame.clone(), frame];
        }
        vec![frame]
    }
}

/// Picoseconds of half a period of the PLL's oscillator, which the models need on the clock pin.
const HALF: u64 = 1000;

/// The pins of a PHY: RGMII, with whole frames on the far side.
struct Phy {
    rxc: PortId,
    rx_ctl: PortId,
    rxd: PortId,
    txc: PortId,
    tx_ctl: PortId,
    txd: PortId,
    up: bool,
    // To the board: bytes with preamble and FCS, and how many idle ones follow.
    line: VecDeque<Option<u8>>,
    now: Option<u8>,
    // From the board.
    txc_was: bool,
    low: u8,
    low_ctl: bool,
    open: Vec<u8>,
    spoilt: bool,
    pub frames: VecDeque<Vec<u8>>,
}

impl Phy {
    fn new(block: &Block, name: &str, up: bool) -> Self {
        let port = |pin: &str| block.port(&format!("{name}_{pin}"));
        Phy {
            rxc: port("rxc"),
            rx_ctl: port("rx_ctl"),
            rxd: port("rxd"),
            txc: port("txc"),
            tx_ctl: port("tx_ctl"),
            txd: port("txd"),
            up,
            line: VecDeque::new(),
            now: None,
            txc_was: false,
            low: 0,
            low_ctl: false,
            open: Vec::new(),
            spoilt: false,
            frames: VecDeque::new(),
        }
    }

    /// Queues a frame without FCS towards the board. A spoilt frame gets a wrong FCS.
    fn give(&mut self, frame: &[u8], spoilt: bool) {
        let mut bytes = frame.to_vec();
        bytes.resize(frame.len().max(60), 0);
        let fcs = crc32fast::hash(&bytes) ^ u32::from(spoilt);
        self.line.extend([Some(0x55); 7]);
        self.line.push_back(Some(0xd5));
        self.line.extend(bytes.into_iter().chain(fcs.to_le_bytes()).map(Some));
        self.line.extend([None; 12]);
    }

    /// Drives the pins at `step` times [HALF]; true if an input changed.
    fn drive(&mut self, block: &mut Block, step: u64) -> bool {
        // Four nanoseconds a nibble; the clock's edges are in the middle, as if delayed.
        match step % 8 {
            0 => self.now = self.line.pop_front().flatten(),
            4 => {}
            3 => {
                block.set(self.rxc, 1);
                return true;
            }
            7 => {
                block.set(self.rxc, 0);
                return true;
            }
            _ => return false,
        }
        // Between frames: full duplex, a gigabit, link.
        let idle = if self.up { 0xdd } else { 0xcc };
        let byte = u64::from(self.now.unwrap_or(idle));
        block.set(self.rx_ctl, self.now.is_some().into());
        block.set(self.rxd, if step.is_multiple_of(8) { byte & 15 } else { byte >> 4 });
        true
    }

    fn sample(&mut self, block: &Block) {
        let txc = block.get(self.txc) == 1;
        if txc == self.txc_was {
            return;
        }
        self.txc_was = txc;
        let nibble = block.get(self.txd) as u8;
        let ctl = block.get(self.tx_ctl) == 1;
        if txc {
            (self.low, self.low_ctl) = (nibble, ctl);
        } else if self.low_ctl {
            self.open.push(self.low | nibble << 4);
            self.spoilt |= !ctl;
        } else if !self.open.is_empty() {
            let bytes = std::mem::take(&mut self.open);
            let spoilt = std::mem::take(&mut self.spoilt);
            if let (false, Some(frame)) = (spoilt, whole(&bytes)) {
                self.frames.push_back(frame);
            }
        }
    }
}

/// A frame without preamble and FCS, if both are right.
fn whole(bytes: &[u8]) -> Option<Vec<u8>> {
    let frame = bytes.strip_prefix(&[0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5])?;
    let (frame, fcs) = frame.split_at_checked(frame.len().checked_sub(4)?)?;
    (crc32fast::hash(frame).to_le_bytes() == fcs && frame.len() >= 60).then(|| frame.to_vec())
}

const HOST_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const HOST_IP: [u8; 4] = [192, 168, 77, 1];

/// A datagram as the host's network stack puts it on the wire, to the broadcast address of the
/// subnet.
fn wrapped(datagram: &[u8], port: u16) -> Vec<u8> {
    let mut frame = [[0xff; 6], HOST_MAC].concat();
    frame.extend([8, 0, 0x45, 0]);
    frame.extend((28 + datagram.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend(HOST_IP);
    frame.extend([192, 168, 77, 255]);
    frame.extend(port.to_be_bytes());
    frame.extend((PORT as u16).to_be_bytes());
    frame.extend((8 + datagram.len() as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(datagram);
    frame
}

/// A frame's datagram and the port it is for, if every header is right.
fn unwrapped(frame: &[u8]) -> Option<(u16, &[u8])> {
    let short = |at: usize| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?));
    let sum = (14..34).step_by(2).map(|at| short(at).map(u32::from)).sum::<Option<u32>>()?;
    let folded = (sum >> 16) + (sum & 0xffff);
    let total = usize::from(short(16)?);
    let right = frame[..6] == HOST_MAC
        && short(12)? == 0x0800
        && frame[14] == 0x45
        && frame[23] == 17
        && folded == 0xffff
        && frame[30..34] == HOST_IP
        && short(38)? as usize + 20 == total;
    right.then_some(())?;
    Some((short(36)?, frame.get(42..14 + total)?))
}

/// Steps between polls of the socket.
const LOOK: u64 = 512;

fn ethernet_board(model: &Model, seed: u64, wire: Wire, socket: &UdpSocket, ends: Ends) {
    let (stop, picoseconds, fate) = ends;
    let mut dice = Dice(seed);
    let mut block = model.block(seed);
    let clock = block.port("clk");
    let button = block.port("button");
    let mut wire_phy = Phy::new(&block, "wire", wire == Wire::Echo);
    let mut host_phy = Phy::new(&block, "host", true);
    let mut peer: Option<SocketAddr> = None;
    let mut buffer = vec![0; 2048];
    block.set(button, 1);
    let mut step = 0u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..LOOK {
            block.set(clock, step & 1);
            wire_phy.drive(&mut block, step);
            host_phy.drive(&mut block, step + 2);
            block.eval();
            wire_phy.sample(&block);
            host_phy.sample(&block);
            step += 1;
        }
        picoseconds.store(step * HALF, Ordering::Relaxed);
        while let Some(frame) = wire_phy.frames.pop_front() {
            if wire == Wire::Echo {
                wire_phy.give(&frame, false);
            }
        }
        let fate = *fate.lock().unwrap_or_else(|e| e.into_inner());
        while let Some(frame) = host_phy.frames.pop_front() {
            let Some((port, datagram)) = unwrapped(&frame) else { continue };
            let Some(to) = peer.filter(|peer| peer.port() == port) else { continue };
            if dice.hit(fate.damaged) {
                continue; // the host's network card drops it
            }
            let quiet = Fate { damaged: 0, ..fate };
            for copy in dice.copies(datagram.to_vec(), quiet) {
                let _ = socket.send_to(&copy, to);
            }
        }
        // The cable holds a few frames, as a switch would.
        while host_phy.line.len() < 8000 {
            let Ok((len, from)) = socket.recv_from(&mut buffer) else { break };
            peer = Some(from);
            let spoilt = dice.hit(fate.damaged);
            let quiet = Fate { damaged: 0, ..fate };
            for copy in dice.copies(wrapped(&buffer[..len], from.port()), quiet) {
                host_phy.give(&copy, spoilt);
            }
        }
    }
}

/// Half clock periods a bit of the serial line takes, times 3.
const THIRDS: u64 = 3 * 1_000_000_000_000 / HALF / BAUD as u64;

fn serial_board(model: &Model, seed: u64, mut port: TTYPort, ends: Ends) {
    let (stop, picoseconds, fate) = ends;
    let mut dice = Dice(seed);
    let mut block = model.block(seed);
    let (clock, button) = (block.port("clk"), block.port("button"));
    let (rx, tx) = (block.port("uart_rx"), block.port("uart_tx"));
    block.set(button, 0);
    block.set(rx, 1);
    let mut to_board: VecDeque<u8> = VecDeque::new();
    let mut from_board = Vec::new();
    // Bits to go, and when the next begins, in thirds of a step.
    let (mut sending, mut send_at) = (0u16, 0);
    let (mut taking, mut take_at, mut taken) = (0, 0, 0u16);
    let mut step = 0u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..LOOK {
            block.set(clock, step & 1);
            if step * 3 >= send_at {
                if sending <= 1 {
                    if let Some(byte) = to_board.pop_front() {
                        // A marker above start, 8 bits and stop.
                        sending = 1 << 10 | 1 << 9 | u16::from(byte) << 1;
                        send_at = step * 3;
                    }
                }
                if sending > 1 {
                    block.set(rx, u64::from(sending & 1));
                    sending >>= 1;
                    send_at += THIRDS;
                }
            }
            block.eval();
            let line = block.get(tx) as u16;
            if taking == 0 {
                if line == 0 {
                    (taking, taken, take_at) = (10, 0, step * 3 + THIRDS / 2);
                }
            } else if step * 3 >= take_at {
                taken |= line << (10 - taking);
                taking -= 1;
                take_at += THIRDS;
                if taking == 0 && taken & 0x201 == 0x200 {
                    from_board.push((taken >> 1) as u8);
                }
            }
            step += 1;
        }
        picoseconds.store(step * HALF, Ordering::Relaxed);
        let fate = *fate.lock().unwrap_or_else(|e| e.into_inner());
        // On a serial line, faults affect single bytes.
        let spoil = |dice: &mut Dice, bytes: &mut Vec<u8>| {
            bytes.retain_mut(|byte| {
                if dice.next() % 20_000 < u64::from(fate.damaged) * 10 {
                    *byte ^= 1 << (dice.next() % 8);
                }
                dice.next() % 20_000 >= u64::from(fate.lost) * 10
            });
        };
        if !from_board.is_empty() {
            spoil(&mut dice, &mut from_board);
            let _ = port.write_all(&from_board);
            from_board.clear();
        }
        if to_board.len() < 64 {
            let waiting = port.bytes_to_read().unwrap_or(0).min(4096) as usize;
            if waiting > 0 {
                let mut bytes = vec![0; waiting];
                let len = port.read(&mut bytes).unwrap_or(0);
                bytes.truncate(len);
                spoil(&mut dice, &mut bytes);
                to_board.extend(bytes);
            }
        }
    }
}
