//! Last part of the read engine: turns each beat into the place of the client's memory where it
//! belongs.
//!
//! Byte 0 of the beat goes to byte address `dst`; bytes `lead`..`until` count. The block rotates
//! the beat left by `dst` modulo K in two steps. Bytes that did not wrap go to `row`, the others to
//! `row + 1`. It takes a beat a cycle, and 3 cycles for each. `done`, `err`, `client` and `op` go
//! along, with or without a beat, so nothing overtakes. The block refuses and holds nothing.

use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct ReadPlace<const D: usize, const K: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub beat: Signal<In, Bit>,
    pub data: Signal<In, Bits<D>>,
    pub dst: Signal<In, Bits<20>>,
    pub lead: Signal<In, Bits<2>>,
    /// 0..=4099; more than K: all bytes count.
    pub until: Signal<In, Bits<13>>,
    pub done: Signal<In, Bit>,
    pub err: Signal<In, Bit>,
    pub client: Signal<In, Bits<2>>,
    pub op: Signal<In, Bits<9>>,
    pub out: PlacedSrc<D, K>,
    // The beat as it came, half rotated, rotated.
    p_beat: [Reg<Bit>; 3],
    p_data: [Reg<Bits<D>>; 3],
    p_mask: [Reg<Bits<K>>; 3],
    p_done: [Reg<Bit>; 3],
    p_side: [Reg<Side>; 3],
    /// Lanes that wrapped.
    wrapped: Reg<Bits<K>>,
}

/// A beat in its place, and the end of a piece.
#[stream(bus)]
pub struct Placed<const D: usize, const K: usize> {
    pub beat: Bit,
    pub data: Bits<D>,
    pub row: Bits<16>,
    pub be_lo: Bits<K>,
    pub be_hi: Bits<K>,
    pub done: Bit,
    pub err: Bit,
    pub client: Bits<2>,
    pub op: Bits<9>,
}

/// What goes beside a beat, and does not change.
#[record]
pub struct Side {
    dst: Bits<20>,
    err: Bit,
    client: Bits<2>,
    op: Bits<9>,
}

impl<const D: usize, const K: usize, const L: usize> Logic for ReadPlace<D, K, L> {
    /// Rotates read data into place.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; p_beat[..], p_mask[..]);
        registers!(self, clock, reset; p_done[..], wrapped);
        registers!(self, clock; p_data[..], p_side[..]);
        let ones = lit::<K>(0) - lit::<K>(1);
        let until = self.until.val();
        let all = (until >> lit::<4>(L)).any();
        let tail = ones << bit_cast::<L, 13>(until);
        let mask = (if all { ones } else { !tail }) & (ones << self.lead.val());
        self.p_beat[0].d.next = self.beat.val();
        self.p_data[0].d.next = self.data.val();
        self.p_mask[0].d.next = mask;
        self.p_done[0].d.next = self.done.val();
        self.p_side[0].d.next = Side {
            dst: self.dst.val(),
            err: self.err.val(),
            client: self.client.val(),
            op: self.op.val(),
        };

        // By 0..7 lanes, then by multiples of 8.
        for s in 1..3 {
            self.p_beat[s].d.next = self.p_beat[s - 1].q.val();
            self.p_done[s].d.next = self.p_done[s - 1].q.val();
            self.p_side[s].d.next = self.p_side[s - 1].q.val();
            let mut data = self.p_data[s - 1].q.val();
            let mut mask = self.p_mask[s - 1].q.val();
            for b in 0..L {
                if b / 3 == s - 1 {
                    if self.p_side[s - 1].q.val().dst.get_bit(b) {
                        data = (data << lit::<16>(8 << b)) | (data >> lit::<16>(D - (8 << b)));
                        mask = (mask << lit::<16>(1 << b)) | (mask >> lit::<16>(K - (1 << b)));
                    }
                }
            }
            self.p_data[s].d.next = data;
            self.p_mask[s].d.next = mask;
        }
        let wrapped = !(ones << bit_cast::<L, 20>(self.p_side[1].q.val().dst));
        self.wrapped.d.next = wrapped;

        let side = self.p_side[2].q.val();
        self.out.put(Placed {
            beat: self.p_beat[2].q.val(),
            data: self.p_data[2].q.val(),
            row: bit_cast::<16, 20>(side.dst >> lit::<20>(L)),
            be_lo: self.p_mask[2].q.val() & !self.wrapped.q.val(),
            be_hi: self.p_mask[2].q.val() & self.wrapped.q.val(),
            done: self.p_done[2].q.val(),
            err: side.err,
            client: side.client,
            op: side.op,
        });
    }
}
