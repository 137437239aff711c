//! First part of the read engine: takes the clients' requests in turn and cuts them into pieces.
//!
//! A piece ends at the next multiple of the max read request size (`mrrs` as in Device Control), so
//! it never crosses 4 KB. The host may change `mrrs` while the block cuts a request. The rest of
//! that request is cut at the least `mrrs` there was, since its pieces begin at multiples of no
//! more.
//!
//! The block cuts a piece a cycle, also from one request to the next. A piece shows 3 cycles after
//! its request was taken, 4 if another client had the turn. Each client has a queue of 2 requests;
//! while it is full `req.ready` is low. After each request, however long, the turn goes to the next
//! client that waits. The turn is known a cycle before it is used.
//!
//! While `flush` is high the block takes requests and drops them, and `piece.valid` is low.

use crate::common::iface::*;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct ReadCut {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub flush: Signal<In, Bit>,
    pub req: [ReadReqSnk; 4],
    pub mrrs: Signal<In, Bits<3>>,
    pub piece: PieceSrc,
    queues: [Skid<ReadReq>; 4],
    turn: Reg<Bits<2>>,
    // The request under way, and the bytes to the next multiple of the max read request size.
    room: Reg<Bits<13>>,
    /// The least `mrrs` since the request began.
    least: Reg<Bits<3>>,
    valid: Reg<Bit>,
    client: Reg<Bits<2>>,
    addr: Reg<Bits<64>>,
    len: Reg<Bits<16>>,
    dst: Reg<Bits<20>>,
    op: Reg<Bits<9>>,
    last: Reg<Bit>,
    out: Skid<Piece>,
}

/// The part of a read request that one TLP asks for.
#[stream]
pub struct Piece {
    pub client: Bits<2>,
    pub addr: Bits<64>,
    /// In bytes, 1..=4096.
    pub len: Bits<13>,
    pub dst: Bits<20>,
    pub op: Bits<9>,
    /// This is the operation's last piece.
    pub last: Bit,
}

impl ReadCut {
    /// `small`: a request takes two cycles, a piece too.
    pub fn new(small: bool) -> Self {
        Self {
            queues: std::array::from_fn(|_| Skid::new(small)),
            out: Skid::new(small),
            ..Self::default()
        }
    }
}

/// Bytes of a size in Device Control's encoding.
#[kernel]
fn bytes(size: Bits<3>) -> Bits<13> {
    match size {
        0 => lit::<13>(128),
        1 => lit::<13>(256),
        2 => lit::<13>(512),
        3 => lit::<13>(1024),
        4 => lit::<13>(2048),
        _ => lit::<13>(4096),
    }
}

impl Logic for ReadCut {
    /// Read requests of four clients, cut at multiples of the max read request size.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; queues[..], out);
        registers!(self, clock, reset; turn, room, valid, last);
        registers!(self, clock; client, addr, len, dst, op, least);
        let flush = self.flush.val();
        let turn = self.turn.q.val();
        let mut found = false;
        let mut request = ReadReq::from_bits(lit::<110>(0));
        for c in 0..4 {
            if turn == lit::<2>(c) {
                found = self.queues[c].out_valid.val();
                request = self.queues[c].out_data.val();
            }
        }
        for c in 0..4 {
            self.queues[c].in_valid.next = self.req[c].valid.val();
            self.queues[c].in_data.next = self.req[c].get();
            self.req[c].ready.next = self.queues[c].in_ready.val();
        }

        let mrrs = self.mrrs.val();
        let size = bytes(mrrs);
        let least = self.least.q.val();
        let least = if mrrs < least { mrrs } else { least };
        let over = bit_cast::<13, 64>(request.addr) & (size - 1);
        let room = self.room.q.val();
        let is_last = self.len.q.val() <= bit_cast::<16, 13>(room);
        let len = if is_last { bit_cast::<13, 16>(self.len.q.val()) } else { room };

        let out_free = self.out.in_ready.val() || flush;
        let cut = self.valid.q.val() && out_free;
        let free = !self.valid.q.val() || (cut && is_last) || flush;
        for c in 0..4 {
            self.queues[c].out_ready.next = free && turn == lit::<2>(c);
        }
        if !found || free {
            let mut others = false;
            for i in 1..4 {
                let at = turn + lit::<2>(i);
                for c in 0..4 {
                    if !others && at == lit::<2>(c) && self.queues[c].out_valid.val() {
                        others = true;
                        self.turn.d.next = at;
                    }
                }
            }
        }
        if cut {
            self.room.d.next = bytes(least);
            self.least.d.next = least;
            self.addr.d.next = self.addr.q.val() + bit_cast::<64, 13>(len);
            self.len.d.next = self.len.q.val() - bit_cast::<16, 13>(len);
            self.dst.d.next = self.dst.q.val() + bit_cast::<20, 13>(len);
        }
        if free {
            self.valid.d.next = found && !flush;
        }
        if found && free {
            self.client.d.next = turn;
            self.room.d.next = size - over;
            self.least.d.next = mrrs;
            self.addr.d.next = request.addr;
            self.len.d.next = request.len;
            self.dst.d.next = request.dst;
            self.op.d.next = request.op;
            self.last.d.next = request.last;
        }
        self.out.in_valid.next = self.valid.q.val() && !flush;
        self.out.in_data.next = Piece {
            client: self.client.q.val(),
            addr: self.addr.q.val(),
            len,
            dst: self.dst.q.val(),
            op: self.op.q.val(),
            last: self.last.q.val() && is_last,
        };
        self.out.out_ready.next = self.piece.ready.val() || flush;
        self.piece.valid.next = self.out.out_valid.val() && !flush;
        self.piece.put(self.out.out_data.val());
    }
}
