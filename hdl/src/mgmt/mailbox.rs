//! The firmware's mailbox: a 2 KiB buffer and a DMA engine between it and host memory.
//!
//! The registers are those from `nitor_abi::mgmt::DMA_ADDR_LO` to `DMA_CMD`; the buffer, at 0x800,
//! has byte enables. The firmware writes registers by whole dwords, and not while the engine is
//! busy. Before they were written they read anything.
//!
//! A command fails at once, without any DMA, if `blocked` or `flush` is high, if length, buffer
//! offset or host address are no multiples of 4, or if the range leaves the buffer. Length 0
//! succeeds at once. A read is one request to the read engine. It ends when as many pieces ended as
//! were issued, and fails if one did. A write goes out in pieces cut at 64-byte boundaries of the
//! host address, so an aligned entry of 64 bytes is one write. It ends when its last piece was
//! accepted. `core_reset` ends either with failure; `flush` does once the request or piece on offer
//! was taken.
//!
//! The buffer has a RAM for each dword of the row: a beat of read data may belong to two
//! neighbouring rows, but each of its dwords to one.
//!
//! An access to DMA_CMD takes 2 cycles, to other registers and the buffer 3 or more, as read data
//! from the host goes first. A write takes 2 cycles a piece, D/32 + 3 a beat, and as long as it
//! waits for `ready`.
//!
//! `D`, `K`, `L`: the data path's bits, bytes, log2 bytes.

use crate::common::iface::*;
use crate::common::ram::ByteRam;
use nitor_abi::mgmt::{self, dma_cmd};
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum DmaState {
    Idle,
    Check,
    /// The read request is on offer.
    Ask,
    /// Its pieces are under way.
    Arrive,
    /// A piece of a write begins: where, and how long.
    Place,
    Piece,
    /// A beat's words come from the buffer, one a cycle.
    Fill,
    /// The beat is on offer.
    Write,
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum PortState {
    Idle,
    /// The buffer's row is on its way.
    Row,
    Done,
}

/// A byte address on the bus.
#[record]
pub struct BusAddress {
    byte: Bits<2>,
    word: Bits<9>,
    buffer: Bit,
    rest: Bits<4>,
}

/// A byte address in the lanes: what was written to the registers is behind the buffer.
#[record]
pub struct LaneAddress {
    offset: Bits<11>,
    registers: Bit,
}

#[record(layout = nitor_abi::mgmt::DmaState)]
pub struct DmaStatus {
    busy: Bit,
    error: Bit,
}

// Registers, by words.
const ADDR_LO: u64 = 0;
const ADDR_HI: u64 = ((mgmt::DMA_ADDR_HI - mgmt::DMA_ADDR_LO) / 4) as u64;
const LEN: u64 = ((mgmt::DMA_LEN - mgmt::DMA_ADDR_LO) / 4) as u64;
const BUF: u64 = ((mgmt::DMA_BUF - mgmt::DMA_ADDR_LO) / 4) as u64;
const CMD: u64 = ((mgmt::DMA_CMD - mgmt::DMA_ADDR_LO) / 4) as u64;
const READ: u64 = dma_cmd::READ as u64;
const WRITE: u64 = dma_cmd::WRITE as u64;
/// log2 of the buffer's bytes.
const LOG_BUFFER: usize = mgmt::BUFFER_LEN.ilog2() as usize;

#[derive(LogicBlock)]
pub struct Mailbox<const D: usize, const K: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub core_reset: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    /// The firmware has not acknowledged a reset yet.
    pub blocked: Signal<In, Bit>,
    pub bus: RegBusSnk,
    pub read_req: ReadReqSrc,
    pub read: ReadBusSnk<D, K>,
    pub write: WriteReqSrc<D>,
    // 2 KiB are 128 rows of 16 bytes, fewer at greater widths; behind them what was written to the
    // registers, to be read.
    lanes: Vec<ByteRam<32, 4, 8>>,
    port: Reg<PortState>,
    /// The access writes a register in this cycle, its last.
    set: Reg<Bit>,
    rdata: Reg<Bits<32>>,
    lane: Reg<Bits<4>>,
    addr_lo: Reg<Bits<32>>,
    addr_hi: Reg<Bits<32>>,
    len: Reg<Bits<32>>,
    place: Reg<Bits<32>>,
    to_host: Reg<Bit>,
    failed: Reg<Bit>,
    dma: Reg<DmaState>,
    lap: Reg<Bit>,
    all_issued: Reg<Bit>,
    pieces: Reg<Bits<8>>,
    // Bytes written; what follows from them: host address, buffer offset, bytes left; the piece's
    // bytes, and those of them still to go.
    done: Reg<Bits<12>>,
    at: Reg<Bits<64>>,
    from: Reg<Bits<11>>,
    left: Reg<Bits<12>>,
    piece: Reg<Bits<7>>,
    piece_left: Reg<Bits<7>>,
    // The beat on offer was taken a cycle ago.
    took: Reg<Bit>,
    // The piece's first beat was taken.
    mid: Reg<Bit>,
    filled: Reg<Bits<5>>,
    data: Reg<Bits<D>>,
}

impl<const D: usize, const K: usize, const L: usize> Default for Mailbox<D, K, L> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            core_reset: Default::default(),
            flush: Default::default(),
            blocked: Default::default(),
            bus: Default::default(),
            read_req: Default::default(),
            read: Default::default(),
            write: Default::default(),
            lanes: (0..D / 32).map(|_| Default::default()).collect(),
            port: Default::default(),
            set: Default::default(),
            rdata: Default::default(),
            lane: Default::default(),
            addr_lo: Default::default(),
            addr_hi: Default::default(),
            len: Default::default(),
            place: Default::default(),
            to_host: Default::default(),
            failed: Default::default(),
            dma: Default::default(),
            lap: Default::default(),
            all_issued: Default::default(),
            pieces: Default::default(),
            done: Default::default(),
            at: Default::default(),
            from: Default::default(),
            left: Default::default(),
            piece: Default::default(),
            piece_left: Default::default(),
            took: Default::default(),
            mid: Default::default(),
            filled: Default::default(),
            data: Default::default(),
        }
    }
}

impl<const D: usize, const K: usize, const L: usize> Logic for Mailbox<D, K, L> {
    /// Buffer and DMA engine of the firmware.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; port, set, lane, addr_lo, addr_hi, len, place, to_host);
        registers!(self, clock, reset; failed, dma, lap, all_issued, pieces, done, from, left);
        registers!(self, clock, reset; piece, piece_left, took, mid, filled);
        registers!(self, clock; rdata, at, data);
        clocked!(self, clock; lanes[..]);

        let abort = self.flush.val() || self.core_reset.val();
        let idle = self.dma.q.val() == DmaState::Idle;
        let filling = self.dma.q.val() == DmaState::Fill;
        let bus_addr = BusAddress::from_bits(self.bus.addr.val());
        let wdata = self.bus.wdata.val();
        let in_buffer = bus_addr.buffer;
        let access = self.bus.valid.val() && self.port.q.val() == PortState::Idle;

        // The buffer's write port: read data from the host can't wait, the bus can.
        let arriving =
            self.read.data_valid.val() && self.read.data_client.val() == lit::<2>(client::MGMT);
        let register = bit_cast::<3, 9>(bus_addr.word);
        let is_command = !in_buffer && register >= CMD;
        // Registers are written by whole dwords, and while nothing is under way.
        let writes = access && self.bus.write.val() && !arriving;
        let set = writes && !in_buffer && self.bus.be.val().all() && idle;
        let bus_write = (writes && in_buffer) || (set && !is_command);
        let bus_place =
            LaneAddress { offset: bit_cast::<11, 16>(self.bus.addr.val()), registers: !in_buffer };
        let bus_row = bit_cast::<8, 12>(bus_place.to_bits::<12>() >> lit::<4>(L));
        let bus_lane = bit_cast::<4, 9>(bus_addr.word) & lit::<4>(K / 4 - 1);
        // Its read port: a write's words first.
        let read_row =
            if filling { bit_cast::<8, 11>(self.from.q.val() >> lit::<4>(L)) } else { bus_row };
        self.lane.d.next = if filling {
            bit_cast::<4, 11>(self.from.q.val() >> 2) & lit::<4>(K / 4 - 1)
        } else {
            bus_lane
        };
        let data_row = bit_cast::<7, 16>(self.read.data_row.val());
        let row = if arriving { bit_cast::<8, 7>(data_row) } else { bus_row };
        let row_after = bit_cast::<8, 7>(data_row + 1);
        let mut word = lit::<32>(0);
        for i in 0..D / 32 {
            let hi = self.read.be_hi.val().get_bits::<4>(4 * i);
            let be = if arriving {
                self.read.be_lo.val().get_bits::<4>(4 * i) | hi
            } else if bus_write && bus_lane == lit::<4>(i) {
                self.bus.be.val()
            } else {
                lit::<4>(0)
            };
            self.lanes[i].be.next = be;
            self.lanes[i].waddr.next = if arriving && hi.any() { row_after } else { row };
            self.lanes[i].wdata.next =
                if arriving { self.read.data.val().get_bits::<32>(32 * i) } else { wdata };
            self.lanes[i].raddr.next = read_row;
            if self.lane.q.val() == lit::<4>(i) {
                word = self.lanes[i].rdata.val();
            }
        }

        self.set.d.next = set;
        let set = self.set.q.val();
        if set && register == ADDR_LO {
            self.addr_lo.d.next = wdata;
        }
        if set && register == ADDR_HI {
            self.addr_hi.d.next = wdata;
        }
        if set && register == LEN {
            self.len.d.next = wdata;
        }
        if set && register == BUF {
            self.place.d.next = wdata;
        }
        let command = if set && register == CMD { bit_cast::<2, 32>(wdata) } else { lit::<2>(0) };
        let addr = Halves { low: self.addr_lo.q.val(), high: self.addr_hi.q.val() };
        let addr = addr.to_bits::<64>();
        match self.port.q.val() {
            PortState::Idle => {
                if access {
                    self.port.d.next = PortState::Done;
                    self.rdata.d.next =
                        DmaStatus { busy: !idle, error: self.failed.q.val() }.to_bits();
                    if self.bus.write.val() {
                        if arriving {
                            self.port.d.next = PortState::Idle;
                        }
                    } else if is_command {
                        self.port.d.next = PortState::Done;
                    } else if filling {
                        self.port.d.next = PortState::Idle;
                    } else {
                        self.port.d.next = PortState::Row;
                    }
                }
            }
            PortState::Row => {
                self.rdata.d.next = word;
                self.port.d.next = PortState::Done;
            }
            PortState::Done => {
                self.port.d.next = PortState::Idle;
            }
        }
        self.bus.ready.next = self.port.q.val() == PortState::Done;
        self.bus.rdata.next = self.rdata.q.val();

        // The lap tells the operation's pieces from those of an aborted one.
        let op = Op { slot: lit::<8>(0), lap: self.lap.q.val() };
        let op = op.to_bits::<9>();
        let issued = self.read.issue_valid.val()
            && self.read.issue_client.val() == lit::<2>(client::MGMT)
            && self.read.issue_op.val() == op;
        let ended = self.read.done_valid.val()
            && self.read.done_client.val() == lit::<2>(client::MGMT)
            && self.read.done_op.val() == op;
        if issued && !ended {
            self.pieces.d.next = self.pieces.q.val() + 1;
        }
        if ended && !issued {
            self.pieces.d.next = self.pieces.q.val() - 1;
        }
        if issued && self.read.issue_last.val() {
            self.all_issued.d.next = true;
        }

        let len = self.len.q.val();
        let place = self.place.q.val();
        let end = bit_cast::<13, 32>(len & 0xfff) + bit_cast::<13, 32>(place & 0xfff);
        let beyond = (end >> lit::<4>(LOG_BUFFER + 1)).any()
            || ((end >> lit::<4>(LOG_BUFFER)).any() && bit_cast::<LOG_BUFFER, 13>(end).any());
        let bad = beyond
            || (len >> 12).any()
            || (place >> 12).any()
            || (len & 3).any()
            || (place & 3).any()
            || (addr & 3).any();
        // These follow the bytes written, a cycle later.
        self.at.d.next = addr + bit_cast::<64, 12>(self.done.q.val());
        self.left.d.next = bit_cast::<12, 32>(len) - self.done.q.val();
        let last = self.piece_left.q.val() <= lit::<7>(K);
        match self.dma.q.val() {
            DmaState::Idle => {
                if command == READ || command == WRITE {
                    self.to_host.d.next = command == WRITE;
                    self.failed.d.next = abort || self.blocked.val();
                    if !self.blocked.val() {
                        self.dma.d.next = DmaState::Check;
                    }
                }
            }
            DmaState::Check => {
                self.lap.d.next = !self.lap.q.val();
                self.all_issued.d.next = false;
                self.pieces.d.next = lit::<8>(0);
                self.done.d.next = lit::<12>(0);
                if bad || !len.any() {
                    self.failed.d.next = bad;
                    self.dma.d.next = DmaState::Idle;
                } else if self.to_host.q.val() {
                    self.dma.d.next = DmaState::Place;
                } else {
                    self.dma.d.next = DmaState::Ask;
                }
            }
            DmaState::Ask => {
                if self.read_req.ready.val() {
                    self.dma.d.next = DmaState::Arrive;
                }
            }
            DmaState::Arrive => {
                if self.all_issued.q.val() && !self.pieces.q.val().any() {
                    self.dma.d.next = DmaState::Idle;
                }
            }
            DmaState::Place => {
                self.from.d.next =
                    bit_cast::<11, 32>(place) + bit_cast::<11, 12>(self.done.q.val());
                self.dma.d.next = DmaState::Piece;
            }
            DmaState::Piece => {
                let room = lit::<7>(64) - bit_cast::<7, 64>(self.at.q.val() & 63);
                let piece = if self.left.q.val() < bit_cast::<12, 7>(room) {
                    bit_cast::<7, 12>(self.left.q.val())
                } else {
                    room
                };
                self.piece.d.next = piece;
                self.piece_left.d.next = piece;
                self.filled.d.next = lit::<5>(0);
                self.dma.d.next = DmaState::Fill;
            }
            DmaState::Fill => {
                // Always a whole beat of words, so that the first ends up at byte 0.
                self.filled.d.next = self.filled.q.val() + 1;
                self.data.d.next = (bit_cast::<D, 32>(word) << lit::<10>(D - 32))
                    | (self.data.q.val() >> lit::<10>(32));
                if self.filled.q.val() == lit::<5>(D / 32) {
                    self.dma.d.next = DmaState::Write;
                } else {
                    self.from.d.next = self.from.q.val() + 4;
                }
            }
            DmaState::Write => {
                if self.took.q.val() {
                    self.filled.d.next = lit::<5>(0);
                    self.piece_left.d.next = self.piece_left.q.val() - lit::<7>(K);
                    self.mid.d.next = !last;
                    if !last {
                        self.dma.d.next = DmaState::Fill;
                    } else {
                        let piece = bit_cast::<12, 7>(self.piece.q.val());
                        self.done.d.next = self.done.q.val() + piece;
                        self.dma.d.next = if self.left.q.val() == piece {
                            DmaState::Idle
                        } else {
                            DmaState::Place
                        };
                    }
                }
            }
        }
        if self.dma.q.val() != DmaState::Idle && self.read.done_err.val() && ended {
            self.failed.d.next = true;
        }
        if abort && !idle {
            self.failed.d.next = true;
        }
        // A request or beat on offer stays there, unless the core is reset; once it was taken the
        // operation ends.
        let offering = match self.dma.q.val() {
            DmaState::Ask | DmaState::Write => true,
            DmaState::Fill => self.mid.q.val(),
            _ => false,
        };
        if abort && (self.core_reset.val() || !offering) {
            self.dma.d.next = DmaState::Idle;
            self.mid.d.next = false;
        }

        self.read_req.valid.next = self.dma.q.val() == DmaState::Ask;
        self.read_req.addr.next = addr;
        self.read_req.len.next = bit_cast::<16, 32>(len);
        self.read_req.dst.next = bit_cast::<20, 32>(place);
        self.read_req.op.next = op;
        self.read_req.last.next = true;
        let offers = self.dma.q.val() == DmaState::Write && !self.took.q.val();
        self.took.d.next = offers && self.write.ready.val() && !self.core_reset.val();
        self.write.valid.next = offers;
        self.write.addr.next = self.at.q.val();
        self.write.len.next = self.piece.q.val();
        self.write.data.next = self.data.q.val();
        self.write.last.next = last;
    }
}
