//! First-word-fall-through FIFO between two clocks, with Gray-coded pointers.
//!
//! | port | what |
//! |---|---|
//! | `in_*` | words written, at `in_clock` |
//! | `out_*` | words read, at `out_clock` |
//!
//! 2^A entries of type T in distributed RAM; A >= 2. Each side sees the other's pointer Gray-coded
//! and through two flip-flops, so it sees a change of the pointer whole or not at all.
//!
//! - **Latency**: a side sees what the other did 3 to 4 of its own cycles later. Until then
//!   `out_valid` and `in_ready` may be low though there is a word or a free entry, never high
//!   without.
//! - **Throughput**: a word a cycle on either side as long as 2^A entries cover the round trip (A
//!   of 4 or more for clocks of any ratio up to 4).
//! - **Back-pressure**: `in_ready` is low while the FIFO is full.
//! - **Reset**: each side has a reset of its own. Both must be asserted together for 4 cycles of
//!   the slower clock; the FIFO is then empty.

use super::ram::LutRam;
use nitor_rtl::prelude::*;

#[derive(LogicBlock)]
pub struct AsyncFifo<T: Synth, const A: usize, const P: usize> {
    pub in_clock: Signal<In, Clock>,
    pub in_reset: Signal<In, Bit>,
    pub in_valid: Signal<In, Bit>,
    pub in_ready: Signal<Out, Bit>,
    pub in_data: Signal<In, T>,
    pub out_clock: Signal<In, Clock>,
    pub out_reset: Signal<In, Bit>,
    pub out_valid: Signal<Out, Bit>,
    pub out_ready: Signal<In, Bit>,
    pub out_data: Signal<Out, T>,
    ram: LutRam<T, A>,
    // P = A + 1: the pointers have a lap bit.
    tail: Reg<Bits<P>>,
    tail_gray: Reg<Bits<P>>,
    /// `tail` + 1.
    beyond: Reg<Bits<P>>,
    beyond_gray: Reg<Bits<P>>,
    head_seen: [Reg<Bits<P>>; 2],
    not_full: Reg<Bit>,
    head: Reg<Bits<P>>,
    head_gray: Reg<Bits<P>>,
    /// `head` + 1.
    after: Reg<Bits<P>>,
    after_gray: Reg<Bits<P>>,
    not_empty: Reg<Bit>,
    tail_seen: [Reg<Bits<P>>; 2],
}

impl<T: Synth, const A: usize, const P: usize> Default for AsyncFifo<T, A, P> {
    fn default() -> Self {
        Self {
            in_clock: Default::default(),
            in_reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: Default::default(),
            out_clock: Default::default(),
            out_reset: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: Default::default(),
            ram: Default::default(),
            tail: Default::default(),
            tail_gray: Default::default(),
            beyond: Reg::new(lit::<P>(1)),
            beyond_gray: Reg::new(lit::<P>(1)),
            head_seen: Default::default(),
            not_full: Default::default(),
            head: Default::default(),
            head_gray: Default::default(),
            after: Reg::new(lit::<P>(1)),
            after_gray: Reg::new(lit::<P>(1)),
            not_empty: Default::default(),
            tail_seen: Default::default(),
        }
    }
}

#[kernel]
pub fn gray<const P: usize>(x: Bits<P>) -> Bits<P> {
    x ^ (x >> lit::<4>(1))
}

impl<T: Synth, const A: usize, const P: usize> Logic for AsyncFifo<T, A, P> {
    /// FIFO between two clocks, with Gray-coded pointers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, in_clock, in_reset; tail, tail_gray, beyond, beyond_gray, head_seen[..],
            not_full);
        registers!(self, out_clock, out_reset; head, head_gray, after, after_gray, not_empty,
            tail_seen[..]);
        self.ram.clock.next = self.in_clock.val();

        let push = self.in_valid.val() && self.not_full.q.val();
        self.ram.we.next = push;
        self.ram.waddr.next = self.tail.q.val().get_bits::<A>(0);
        self.ram.wdata.next = self.in_data.val();
        self.head_seen[0].d.next = self.head_gray.q.val();
        self.head_seen[1].d.next = self.head_seen[0].q.val();
        // The FIFO is full when `tail` is a lap ahead of `head`. In Gray code a lap inverts the two
        // upper bits.
        let a_lap_ahead = self.head_seen[1].q.val() ^ lit::<P>(3 << (A - 1));
        let beyond = self.beyond.q.val();
        if push {
            self.tail.d.next = beyond;
            self.tail_gray.d.next = self.beyond_gray.q.val();
            self.beyond.d.next = beyond + 1;
            self.beyond_gray.d.next = gray::<P>(beyond + 1);
            self.not_full.d.next = self.beyond_gray.q.val() != a_lap_ahead;
        } else {
            self.not_full.d.next = self.tail_gray.q.val() != a_lap_ahead;
        }
        self.in_ready.next = self.not_full.q.val();

        let seen = self.tail_seen[1].q.val();
        self.tail_seen[0].d.next = self.tail_gray.q.val();
        self.tail_seen[1].d.next = self.tail_seen[0].q.val();
        let after = self.after.q.val();
        if self.not_empty.q.val() && self.out_ready.val() {
            self.head.d.next = after;
            self.head_gray.d.next = self.after_gray.q.val();
            self.after.d.next = after + 1;
            self.after_gray.d.next = gray::<P>(after + 1);
            self.not_empty.d.next = self.after_gray.q.val() != seen;
        } else {
            self.not_empty.d.next = self.head_gray.q.val() != seen;
        }
        self.ram.raddr.next = self.head.q.val().get_bits::<A>(0);
        self.out_valid.next = self.not_empty.q.val();
        self.out_data.next = self.ram.rdata.val();
    }
}
