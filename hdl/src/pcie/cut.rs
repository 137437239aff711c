//! First half of the read engine: takes the clients' requests in turn and cuts them into pieces.
//!
//! A piece ends at the next multiple of the max read request size (`mrrs` as in Device Control), so it never crosses 4 KB. The host may change that
//! while a request is cut: what is left of it is cut at the least there was, as its pieces begin at multiples of no more. One piece a cycle,
//! also from one request to the next; a piece shows 3 cycles after its request was taken, 4 if another client had the turn. Each client has a queue of 2;
//! when it is full `req.ready` falls. The turn goes round after each request, however long, to those that wait; whose it is, is known a cycle before.
//!
//! While `flush` is high requests are taken and forgotten, and `piece_valid` falls.

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
    pub piece_valid: Signal<Out, Bit>,
    pub piece_ready: Signal<In, Bit>,
    pub piece_client: Signal<Out, Bits<2>>,
    pub piece_addr: Signal<Out, Bits<64>>,
    /// 1..=4096
    pub piece_len: Signal<Out, Bits<13>>,
    pub piece_dst: Signal<Out, Bits<20>>,
    pub piece_op: Signal<Out, Bits<9>>,
    /// The last one of the operation.
    pub piece_last: Signal<Out, Bit>,
    // {last, op, dst, len, addr}
    queues: [Skid<Bits<110>>; 4],
    turn: Reg<Bits<2>>,
    // The request being cut, and the bytes to the next multiple.
    room: Reg<Bits<13>>,
    /// The least `mrrs` since it began.
    least: Reg<Bits<3>>,
    valid: Reg<Bit>,
    client: Reg<Bits<2>>,
    addr: Reg<Bits<64>>,
    len: Reg<Bits<16>>,
    dst: Reg<Bits<20>>,
    op: Reg<Bits<9>>,
    last: Reg<Bit>,
    /// The piece cut off: {last, op, dst, len, addr, client}.
    out: Skid<Bits<PIECE_BITS>>,
}

const PIECE_BITS: usize = 109;

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

/// A size as Device Control has it.
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
        let mut request = lit::<110>(0);
        for c in 0..4 {
            if turn == lit::<2>(c) {
                found = self.queues[c].out_valid.val();
                request = self.queues[c].out_data.val();
            }
        }
        for c in 0..4 {
            self.queues[c].in_valid.next = self.req[c].valid.val();
            self.queues[c].in_data.next = cat::<1, 109, 110>(
                Bits::<1>::from(self.req[c].last.val()),
                cat::<9, 100, 109>(
                    self.req[c].op.val(),
                    cat::<20, 80, 100>(
                        self.req[c].dst.val(),
                        cat::<16, 64, 80>(self.req[c].len.val(), self.req[c].addr.val()),
                    ),
                ),
            );
            self.req[c].ready.next = self.queues[c].in_ready.val();
        }

        let mrrs = self.mrrs.val();
        let size = bytes(mrrs);
        let least = self.least.q.val();
        let least = if mrrs < least { mrrs } else { least };
        let over = request.get_bits::<13>(0) & (size - 1);
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
            self.addr.d.next = request.get_bits::<64>(0);
            self.len.d.next = request.get_bits::<16>(64);
            self.dst.d.next = request.get_bits::<20>(80);
            self.op.d.next = request.get_bits::<9>(100);
            self.last.d.next = request.get_bit(109);
        }
        self.out.in_valid.next = self.valid.q.val() && !flush;
        self.out.in_data.next = cat::<30, 79, PIECE_BITS>(
            cat::<10, 20, 30>(
                cat::<1, 9, 10>((self.last.q.val() && is_last).into(), self.op.q.val()),
                self.dst.q.val(),
            ),
            cat::<13, 66, 79>(len, cat::<64, 2, 66>(self.addr.q.val(), self.client.q.val())),
        );
        self.out.out_ready.next = self.piece_ready.val() || flush;
        let piece = self.out.out_data.val();
        self.piece_valid.next = self.out.out_valid.val() && !flush;
        self.piece_client.next = piece.get_bits::<2>(0);
        self.piece_addr.next = piece.get_bits::<64>(2);
        self.piece_len.next = piece.get_bits::<13>(66);
        self.piece_dst.next = piece.get_bits::<20>(79);
        self.piece_op.next = piece.get_bits::<9>(99);
        self.piece_last.next = piece.get_bit(108);
    }
}
