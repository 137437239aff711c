//! The firmware's mailbox: a 2 KiB buffer and a DMA engine between it and host memory.
//!
//! `bus` addresses: 0x100 DMA_ADDR_LO, 0x104 DMA_ADDR_HI, 0x108 DMA_LEN, 0x10C DMA_BUF, 0x110 DMA_CMD (1: host to
//! buffer, 2: buffer to host; reads 0: busy, 1: the last one failed), 0x800..0xFFF the buffer, with byte enables. Registers are written
//! by whole dwords, and not while busy.
//!
//! A command fails at once, without any DMA, if `blocked` or `flush` is high, if length or buffer offset are no
//! multiples of 4, if the range leaves the buffer, or if a write's host address is no multiple of 4. Length 0 succeeds at once.
//! A read is one request to the read engine; it ends when as many pieces ended as were issued, and fails if one did.
//! A write goes out in pieces cut at 64-byte boundaries of the host address, so an aligned entry of 64 bytes is one
//! write; it ends when the last was accepted. `flush`, once what is on offer was
//! taken, or `core_reset` ends either with failure.
//!
//! Register access 2 cycles, buffer access 3 or more (read data from the host goes first); writes take 19 cycles
//! a piece and as long as it waits for `ready`.
//!
//! `D`, `K`, `L`: the data path's bits, bytes, log2 bytes.

use crate::common::iface::*;
use crate::common::ram::BankedRam;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum DmaState {
    Idle,
    Check,
    /// The read request stands.
    Ask,
    /// Its pieces are under way.
    Arrive,
    /// A piece of a write begins.
    Piece,
    /// Its words come from the buffer, one a cycle.
    Fill,
    /// The write stands.
    Write,
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum PortState {
    Idle,
    /// The buffer's row is on its way.
    Row,
    Done,
}

#[derive(LogicBlock, Default)]
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
    pub write: WriteReqSrc,
    // 128 rows: 2 KiB of 16 bytes; more than needed at greater widths.
    buffer: BankedRam<D, K, 6>,
    port: Reg<PortState>,
    rdata: Reg<Bits<32>>,
    word_at: Reg<Bits<L>>,
    addr: Reg<Bits<64>>,
    len: Reg<Bits<32>>,
    place: Reg<Bits<32>>,
    to_host: Reg<Bit>,
    failed: Reg<Bit>,
    dma: Reg<DmaState>,
    lap: Reg<Bit>,
    all_issued: Reg<Bit>,
    pieces: Reg<Bits<8>>,
    // Where the write is: host address, buffer offset, bytes left, the piece's bytes.
    at: Reg<Bits<64>>,
    from: Reg<Bits<11>>,
    left: Reg<Bits<12>>,
    piece: Reg<Bits<7>>,
    filled: Reg<Bits<5>>,
    data: Reg<Bits<512>>,
}

/// Word at byte `at` of a row.
#[kernel]
fn row_word<const D: usize, const L: usize>(row: Bits<D>, at: Bits<L>) -> Bits<32> {
    let shift = bit_cast::<9, L>(at) << lit::<2>(3);
    bit_cast::<32, D>(row >> shift)
}

impl<const D: usize, const K: usize, const L: usize> Logic for Mailbox<D, K, L> {
    /// Buffer and DMA engine of the firmware.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; port, rdata, word_at, addr, len, place, to_host, failed, dma, lap,
            all_issued, pieces, at, from, left, piece, filled, data);
        clocked!(self, clock; buffer);

        let abort = self.flush.val() || self.core_reset.val();
        let idle = self.dma.q.val() == DmaState::Idle;
        let filling = self.dma.q.val() == DmaState::Fill;
        let bus_addr = self.bus.addr.val();
        let wdata = self.bus.wdata.val();
        let in_buffer = bus_addr.get_bit(11);
        let access = self.bus.valid.val() && self.port.q.val() == PortState::Idle;

        // The buffer's write port: read data can't wait, the bus can.
        let arriving =
            self.read.data_valid.val() && self.read.data_client.val() == lit::<2>(client::MGMT);
        let bus_write = access && in_buffer && self.bus.write.val() && !arriving;
        let mut words = lit::<D>(0);
        for i in 0..D / 32 {
            words = words.set_slice::<32>(32 * i, wdata);
        }
        let bus_row = bit_cast::<16, 11>(bus_addr.get_bits::<11>(0)) >> lit::<4>(L);
        let bus_at = bit_cast::<L, 16>(bus_addr);
        self.buffer.we.next = arriving || bus_write;
        self.buffer.row.next = if arriving { self.read.data_row.val() } else { bus_row };
        self.buffer.data.next = if arriving { self.read.data.val() } else { words };
        self.buffer.be_lo.next = if arriving {
            self.read.be_lo.val()
        } else {
            bit_cast::<K, 4>(self.bus.be.val()) << bus_at
        };
        self.buffer.be_hi.next = if arriving { self.read.be_hi.val() } else { lit::<K>(0) };

        // Its read port: a write's words first.
        let fill_at = self.from.q.val() + (bit_cast::<11, 5>(self.filled.q.val()) << lit::<2>(2));
        self.buffer.read_row.next =
            if filling { bit_cast::<16, 11>(fill_at) >> lit::<4>(L) } else { bus_row };
        self.word_at.d.next = if filling { bit_cast::<L, 11>(fill_at) } else { bus_at };
        let word = row_word::<D, L>(self.buffer.read_data.val(), self.word_at.q.val());

        let mut command = lit::<2>(0);
        match self.port.q.val() {
            PortState::Idle => {
                if access {
                    self.port.d.next = PortState::Done;
                    self.rdata.d.next = lit::<32>(0);
                    if in_buffer {
                        if self.bus.write.val() {
                            if arriving {
                                self.port.d.next = PortState::Idle;
                            }
                        } else if filling {
                            self.port.d.next = PortState::Idle;
                        } else {
                            self.port.d.next = PortState::Row;
                        }
                    } else {
                        let set = self.bus.write.val() && self.bus.be.val().all() && idle;
                        match bus_addr {
                            0x100 => {
                                self.rdata.d.next = self.addr.q.val().get_bits::<32>(0);
                                if set {
                                    self.addr.d.next = cat::<32, 32, 64>(
                                        self.addr.q.val().get_bits::<32>(32),
                                        wdata,
                                    );
                                }
                            }
                            0x104 => {
                                self.rdata.d.next = self.addr.q.val().get_bits::<32>(32);
                                if set {
                                    self.addr.d.next = cat::<32, 32, 64>(
                                        wdata,
                                        self.addr.q.val().get_bits::<32>(0),
                                    );
                                }
                            }
                            0x108 => {
                                self.rdata.d.next = self.len.q.val();
                                if set {
                                    self.len.d.next = wdata;
                                }
                            }
                            0x10c => {
                                self.rdata.d.next = self.place.q.val();
                                if set {
                                    self.place.d.next = wdata;
                                }
                            }
                            0x110 => {
                                self.rdata.d.next = bit_cast::<32, 2>(cat::<1, 1, 2>(
                                    self.failed.q.val().into(),
                                    (!idle).into(),
                                ));
                                if set {
                                    command = wdata.get_bits::<2>(0);
                                }
                            }
                            _ => {}
                        }
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

        // The operation's life tells its pieces from those of one that was aborted.
        let op = cat::<1, 8, 9>(self.lap.q.val().into(), lit::<8>(0));
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
        let end = bit_cast::<13, 32>(len) + bit_cast::<13, 32>(place);
        let bad = len > 2048
            || place > 2048
            || end > 2048
            || len.get_bits::<2>(0).any()
            || place.get_bits::<2>(0).any()
            || (self.to_host.q.val() && self.addr.q.val().get_bits::<2>(0).any());
        match self.dma.q.val() {
            DmaState::Idle => {
                if command == 1 || command == 2 {
                    self.to_host.d.next = command == 2;
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
                self.at.d.next = self.addr.q.val();
                self.from.d.next = bit_cast::<11, 32>(place);
                self.left.d.next = bit_cast::<12, 32>(len);
                if bad || !len.any() {
                    self.failed.d.next = bad;
                    self.dma.d.next = DmaState::Idle;
                } else if self.to_host.q.val() {
                    self.dma.d.next = DmaState::Piece;
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
            DmaState::Piece => {
                let room = lit::<12>(64) - bit_cast::<12, 6>(self.at.q.val().get_bits::<6>(0));
                self.piece.d.next = bit_cast::<7, 12>(if self.left.q.val() < room {
                    self.left.q.val()
                } else {
                    room
                });
                self.filled.d.next = lit::<5>(0);
                self.dma.d.next = DmaState::Fill;
            }
            DmaState::Fill => {
                // Always sixteen shifts, so that the first word ends at byte 0.
                self.filled.d.next = self.filled.q.val() + 1;
                self.data.d.next = cat::<32, 480, 512>(word, self.data.q.val().get_bits::<480>(32));
                if self.filled.q.val() == 16 {
                    self.dma.d.next = DmaState::Write;
                }
            }
            DmaState::Write => {
                if self.write.ready.val() {
                    let piece = self.piece.q.val();
                    self.at.d.next = self.at.q.val() + bit_cast::<64, 7>(piece);
                    self.from.d.next = self.from.q.val() + bit_cast::<11, 7>(piece);
                    self.left.d.next = self.left.q.val() - bit_cast::<12, 7>(piece);
                    self.dma.d.next = if self.left.q.val() == bit_cast::<12, 7>(piece) {
                        DmaState::Idle
                    } else {
                        DmaState::Piece
                    };
                }
            }
        }
        if self.dma.q.val() != DmaState::Idle && self.read.done_err.val() && ended {
            self.failed.d.next = true;
        }
        if abort && !idle {
            self.failed.d.next = true;
        }
        // What is on offer stays on offer, unless the core is reset.
        let offering = match self.dma.q.val() {
            DmaState::Ask => !self.read_req.ready.val(),
            DmaState::Write => !self.write.ready.val(),
            _ => false,
        };
        if abort && (self.core_reset.val() || !offering) {
            self.dma.d.next = DmaState::Idle;
        }

        self.read_req.valid.next = self.dma.q.val() == DmaState::Ask;
        self.read_req.addr.next = self.addr.q.val();
        self.read_req.len.next = bit_cast::<16, 32>(len);
        self.read_req.dst.next = bit_cast::<20, 32>(place);
        self.read_req.op.next = op;
        self.read_req.last.next = true;
        self.write.valid.next = self.dma.q.val() == DmaState::Write;
        self.write.addr.next = self.at.q.val();
        self.write.len.next = self.piece.q.val();
        self.write.data.next = self.data.q.val();
    }
}
