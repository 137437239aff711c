//! Packets get a place in the TX buffer, and their segments are asked for.
//!
//! **Ports.** `packet_*` and `seg_*` from `tx/parse`; `data` asks for the payload: a packet starts at a row of its own and its segments lie end
//! to end, all as one operation {lap, slot}; `info_*` tells `tx/out` of each packet, in order, before its first request.
//! `push_*` tells `tx/llq` where a packet's pushed bytes are and go; the segments lie behind them. `free_rows` and `free_slot` come back from `tx/out`, both in the order of the packets.
//!
//! **Room.** The buffer is a ring of 2^(B+1) rows, a packet takes as many as its bytes need; operation slots are a ring of 2^S, and
//! only a packet that reads takes one: not one that is pushed whole. A packet waits until there is room for all of it. It always comes: whatever is
//! before it needs nothing more from here.
//!
//! **Too long.** A packet over `max_frame` (or over 16384 bytes, or the buffer) is bad: its segments are passed over,
//! it goes on without rows and slot.
//!
//! **Speed.** A packet of one segment takes 2 cycles, one of n takes n + 1; 3 cycles from a packet at the input to its request.

use crate::common::fifo::Fifo;
use crate::common::iface::*;
use nitor_rtl::prelude::*;

/// So that no operation has more than 255 pieces: 128 of 128 bytes each, and two more in every segment.
const MAX_LEN: usize = 16384;

#[derive(LogicBlock, Default)]
pub struct TxGather<const K: usize, const L: usize, const S: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub max_frame: Signal<In, Bits<16>>,
    pub packet_valid: Signal<In, Bit>,
    pub packet_ready: Signal<Out, Bit>,
    pub packet_cq: Signal<In, Bits<8>>,
    pub packet_req_id: Signal<In, Bits<16>>,
    pub packet_len: Signal<In, Bits<17>>,
    pub packet_count: Signal<In, Bits<5>>,
    pub packet_push: Signal<In, Bits<8>>,
    pub packet_line: Signal<In, Bits<16>>,
    pub packet_bad: Signal<In, Bit>,
    pub packet_dma: Signal<In, Bit>,
    pub packet_silent: Signal<In, Bit>,
    pub packet_marker: Signal<In, Bit>,
    pub seg_valid: Signal<In, Bit>,
    pub seg_ready: Signal<Out, Bit>,
    pub seg_addr: Signal<In, Bits<48>>,
    pub seg_len: Signal<In, Bits<16>>,
    pub data: ReadReqSrc,
    pub push_valid: Signal<Out, Bit>,
    pub push_ready: Signal<In, Bit>,
    pub push_line: Signal<Out, Bits<16>>,
    pub push_row: Signal<Out, Bits<16>>,
    pub push_len: Signal<Out, Bits<8>>,
    pub info_valid: Signal<Out, Bit>,
    pub info_ready: Signal<In, Bit>,
    pub info_row: Signal<Out, Bits<16>>,
    pub info_len: Signal<Out, Bits<16>>,
    pub info_cq: Signal<Out, Bits<8>>,
    pub info_req_id: Signal<Out, Bits<16>>,
    /// The packet has rows and becomes a frame; no other flag but the next two is set.
    pub info_read: Signal<Out, Bit>,
    /// It has the next operation slot.
    pub info_slot: Signal<Out, Bit>,
    /// Its first bytes are pushed.
    pub info_push: Signal<Out, Bit>,
    pub info_bad: Signal<Out, Bit>,
    pub info_dma: Signal<Out, Bit>,
    pub info_silent: Signal<Out, Bit>,
    pub info_marker: Signal<Out, Bit>,
    pub free_rows: Signal<In, Bits<16>>,
    pub free_slot: Signal<In, Bit>,
    limit: Reg<Bits<16>>,
    // The packet looked at.
    held: Reg<Bit>,
    cq: Reg<Bits<8>>,
    req_id: Reg<Bits<16>>,
    len: Reg<Bits<17>>,
    count: Reg<Bits<5>>,
    push: Reg<Bits<8>>,
    line: Reg<Bits<16>>,
    bad: Reg<Bit>,
    dma: Reg<Bit>,
    silent: Reg<Bit>,
    marker: Reg<Bit>,
    // Rows and operation slots.
    row: Reg<Bits<16>>,
    rows_used: Reg<Bits<16>>,
    slot: Reg<Bits<S>>,
    even_lap: Reg<Bit>,
    slots_used: Reg<Bits<9>>,
    // Told to `tx/out`.
    told: Reg<Bit>,
    told_row: Reg<Bits<16>>,
    told_len: Reg<Bits<16>>,
    told_cq: Reg<Bits<8>>,
    told_req_id: Reg<Bits<16>>,
    told_flags: Reg<Bits<7>>,
    // The packet whose segments pass.
    left: Reg<Bits<5>>,
    skip: Reg<Bit>,
    dst: Reg<Bits<20>>,
    op: Reg<Bits<9>>,
    requests: Fifo<94, 2>,
}

impl<const K: usize, const L: usize, const S: usize, const B: usize> Logic
    for TxGather<K, L, S, B>
{
    /// Gives packets rows and slots, and turns their segments into read requests.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; limit, held, cq, req_id, len, count, push, line, bad, dma, silent, marker, row, rows_used, slot,
            even_lap, slots_used, told, told_row, told_len, told_cq, told_req_id, told_flags, left, skip, dst, op);
        clocked!(self, clock, reset; requests);

        let buffer = if (1 << (B + 1 + L)) < MAX_LEN {
            lit::<16>(1 << (B + 1 + L))
        } else {
            lit::<16>(MAX_LEN)
        };
        self.limit.d.next =
            if self.max_frame.val() < buffer { self.max_frame.val() } else { buffer };

        // ---- The packet looked at.
        self.packet_ready.next = !self.held.q.val();
        if !self.held.q.val() {
            self.held.d.next = self.packet_valid.val();
            self.cq.d.next = self.packet_cq.val();
            self.req_id.d.next = self.packet_req_id.val();
            self.len.d.next = self.packet_len.val();
            self.count.d.next = self.packet_count.val();
            self.push.d.next = self.packet_push.val();
            self.line.d.next = self.packet_line.val();
            self.bad.d.next = self.packet_bad.val();
            self.dma.d.next = self.packet_dma.val();
            self.silent.d.next = self.packet_silent.val();
            self.marker.d.next = self.packet_marker.val();
        }
        let plain = !self.bad.q.val() && !self.dma.q.val() && !self.marker.q.val();
        let too_long = self.len.q.val() > bit_cast::<17, 16>(self.limit.q.val());
        let read = plain && !too_long;
        let rows = bit_cast::<16, 17>((self.len.q.val() + lit::<17>(K - 1)) >> lit::<17>(L));
        let fits = self.rows_used.q.val() + rows <= lit::<16>(1 << (B + 1))
            && self.slots_used.q.val() != lit::<9>(1 << S);
        let push = self.push.q.val();
        let pushes = read && push.any();
        let go = self.held.q.val()
            && !self.told.q.val()
            && self.left.q.val() == 0
            && ((fits && (self.push_ready.val() || !push.any())) || !read);
        self.push_valid.next = go && pushes;
        self.push_line.next = self.line.q.val();
        self.push_row.next = self.row.q.val();
        self.push_len.next = push;
        let asks = read && self.count.q.val() != 0;

        // ---- Its place.
        let mut used = self.rows_used.q.val();
        let mut slots = self.slots_used.q.val();
        used = used - self.free_rows.val();
        if self.free_slot.val() {
            slots = slots - 1;
        }
        if self.info_ready.val() {
            self.told.d.next = false;
        }
        if go {
            self.held.d.next = false;
            self.told.d.next = true;
            self.told_row.d.next = self.row.q.val();
            self.told_len.d.next = bit_cast::<16, 17>(self.len.q.val());
            self.told_cq.d.next = self.cq.q.val();
            self.told_req_id.d.next = self.req_id.q.val();
            let parts = cat::<1, 1, 2>(pushes.into(), asks.into());
            self.told_flags.d.next = cat::<4, 3, 7>(
                cat::<2, 2, 4>(
                    parts,
                    cat::<1, 1, 2>(self.marker.q.val().into(), self.silent.q.val().into()),
                ),
                cat::<1, 2, 3>(
                    self.dma.q.val().into(),
                    cat::<1, 1, 2>((self.bad.q.val() || (plain && too_long)).into(), read.into()),
                ),
            );
            self.left.d.next = self.count.q.val();
            self.skip.d.next = !read;
            self.dst.d.next =
                (bit_cast::<20, 16>(self.row.q.val()) << lit::<20>(L)) + bit_cast::<20, 8>(push);
            self.op.d.next = cat::<1, 8, 9>(
                (!self.even_lap.q.val()).into(),
                bit_cast::<8, S>(self.slot.q.val()),
            );
            if read {
                self.row.d.next = (self.row.q.val() + rows) & lit::<16>((1 << (B + 1)) - 1);
                used = used + rows;
            }
            if asks {
                self.slot.d.next = self.slot.q.val() + 1;
                if self.slot.q.val().all() {
                    self.even_lap.d.next = !self.even_lap.q.val();
                }
                slots = slots + 1;
            }
        }
        self.rows_used.d.next = used;
        self.slots_used.d.next = slots;
        self.info_valid.next = self.told.q.val();
        self.info_row.next = self.told_row.q.val();
        self.info_len.next = self.told_len.q.val();
        self.info_cq.next = self.told_cq.q.val();
        self.info_req_id.next = self.told_req_id.q.val();
        let flags = self.told_flags.q.val();
        self.info_read.next = flags.get_bit(0);
        self.info_bad.next = flags.get_bit(1);
        self.info_dma.next = flags.get_bit(2);
        self.info_silent.next = flags.get_bit(3);
        self.info_marker.next = flags.get_bit(4);
        self.info_slot.next = flags.get_bit(5);
        self.info_push.next = flags.get_bit(6);

        // ---- Its segments. None is asked for before `tx/out` knows of the packet.
        let open = self.left.q.val() != 0
            && self.requests.in_ready.val()
            && (!self.told.q.val() || self.info_ready.val());
        let pass = open && self.seg_valid.val();
        self.seg_ready.next = open;
        if pass {
            self.left.d.next = self.left.q.val() - 1;
            self.dst.d.next = self.dst.q.val() + bit_cast::<20, 16>(self.seg_len.val());
        }
        self.requests.in_valid.next = pass && !self.skip.q.val();
        self.requests.in_data.next = cat::<64, 30, 94>(
            cat::<48, 16, 64>(self.seg_addr.val(), self.seg_len.val()),
            cat::<20, 10, 30>(
                self.dst.q.val(),
                cat::<9, 1, 10>(self.op.q.val(), (self.left.q.val() == 1).into()),
            ),
        );
        let ask = self.requests.out_data.val();
        self.data.valid.next = self.requests.out_valid.val();
        self.requests.out_ready.next = self.data.ready.val();
        self.data.addr.next = bit_cast::<64, 48>(ask.get_bits::<48>(46));
        self.data.len.next = ask.get_bits::<16>(30);
        self.data.dst.next = ask.get_bits::<20>(10);
        self.data.op.next = ask.get_bits::<9>(1);
        self.data.last.next = ask.get_bit(0);
    }
}
