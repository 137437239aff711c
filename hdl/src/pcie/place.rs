//! Last part of the read engine: turns each beat into the place of the client's memory it belongs to.
//!
//! Byte 0 of the beat goes to byte address `dst`; bytes `lead`..`until` count. The beat is rotated left by `dst` modulo K in two steps; bytes that
//! did not wrap go to `row`, the others to `row + 1`. One beat a cycle, 3 cycles through; `done`, `err`, `client` and `op` go
//! along, with or without a beat, so nothing overtakes. Nothing is ever refused or held.

use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct ReadPlace<const D: usize, const K: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub beat: Signal<In, Bit>,
    pub data: Signal<In, Bits<D>>,
    pub dst: Signal<In, Bits<20>>,
    pub lead: Signal<In, Bits<2>>,
    /// 0..=4099: more than K means all.
    pub until: Signal<In, Bits<13>>,
    pub done: Signal<In, Bit>,
    pub err: Signal<In, Bit>,
    pub client: Signal<In, Bits<2>>,
    pub op: Signal<In, Bits<9>>,
    pub out_beat: Signal<Out, Bit>,
    pub out_data: Signal<Out, Bits<D>>,
    pub out_row: Signal<Out, Bits<16>>,
    pub be_lo: Signal<Out, Bits<K>>,
    pub be_hi: Signal<Out, Bits<K>>,
    pub out_done: Signal<Out, Bit>,
    pub out_err: Signal<Out, Bit>,
    pub out_client: Signal<Out, Bits<2>>,
    pub out_op: Signal<Out, Bits<9>>,
    // As it came, half rotated, rotated.
    p_beat: [Reg<Bit>; 3],
    p_data: [Reg<Bits<D>>; 3],
    p_mask: [Reg<Bits<K>>; 3],
    p_dst: [Reg<Bits<20>>; 3],
    p_done: [Reg<Bit>; 3],
    p_err: [Reg<Bit>; 3],
    p_client: [Reg<Bits<2>>; 3],
    p_op: [Reg<Bits<9>>; 3],
    /// Lanes that wrapped.
    wrapped: Reg<Bits<K>>,
}

impl<const D: usize, const K: usize, const L: usize> Logic for ReadPlace<D, K, L> {
    /// Rotates read data into place.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; p_beat[..], p_mask[..]);
        registers!(self, clock, reset; p_done[..], wrapped);
        registers!(self, clock; p_data[..], p_dst[..], p_err[..], p_client[..], p_op[..]);
        let ones = lit::<K>(0) - lit::<K>(1);
        let until = self.until.val();
        let all = (until >> lit::<4>(L)).any();
        let tail = ones << bit_cast::<L, 13>(until);
        let mask = (if all { ones } else { !tail }) & (ones << self.lead.val());
        self.p_beat[0].d.next = self.beat.val();
        self.p_data[0].d.next = self.data.val();
        self.p_mask[0].d.next = mask;
        self.p_dst[0].d.next = self.dst.val();
        self.p_done[0].d.next = self.done.val();
        self.p_err[0].d.next = self.err.val();
        self.p_client[0].d.next = self.client.val();
        self.p_op[0].d.next = self.op.val();

        // By 0..7 lanes, then by multiples of 8.
        for s in 1..3 {
            self.p_beat[s].d.next = self.p_beat[s - 1].q.val();
            self.p_dst[s].d.next = self.p_dst[s - 1].q.val();
            self.p_done[s].d.next = self.p_done[s - 1].q.val();
            self.p_err[s].d.next = self.p_err[s - 1].q.val();
            self.p_client[s].d.next = self.p_client[s - 1].q.val();
            self.p_op[s].d.next = self.p_op[s - 1].q.val();
            let mut data = self.p_data[s - 1].q.val();
            let mut mask = self.p_mask[s - 1].q.val();
            for b in 0..L {
                if b / 3 == s - 1 {
                    if self.p_dst[s - 1].q.val().get_bit(b) {
                        data = (data << lit::<16>(8 << b)) | (data >> lit::<16>(D - (8 << b)));
                        mask = (mask << lit::<16>(1 << b)) | (mask >> lit::<16>(K - (1 << b)));
                    }
                }
            }
            self.p_data[s].d.next = data;
            self.p_mask[s].d.next = mask;
        }
        let wrapped = !(ones << bit_cast::<L, 20>(self.p_dst[1].q.val()));
        self.wrapped.d.next = wrapped;

        self.out_beat.next = self.p_beat[2].q.val();
        self.out_data.next = self.p_data[2].q.val();
        self.out_row.next = bit_cast::<16, 20>(self.p_dst[2].q.val() >> lit::<20>(L));
        self.be_lo.next = self.p_mask[2].q.val() & !self.wrapped.q.val();
        self.be_hi.next = self.p_mask[2].q.val() & self.wrapped.q.val();
        self.out_done.next = self.p_done[2].q.val();
        self.out_err.next = self.p_err[2].q.val();
        self.out_client.next = self.p_client[2].q.val();
        self.out_op.next = self.p_op[2].q.val();
    }
}
