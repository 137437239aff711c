//! The memory that the host pushes lines into: BAR2.
//!
//! **Ports.** `write` takes what `pcie/target` took for BAR2, a beat a cycle, any dword alignment,
//! any byte enables, in any order: nothing here depends on lines being whole. `head` and `walk`
//! read a row each; `rdata` has it in the cycle after the one in which the reader's `ready` was
//! high with its `valid`.
//!
//! A beat is rotated into place and written 2 cycles after it arrives, to two rows at most. A
//! doorbell needs longer from the same point to the first read of its lines, so a line is always
//! whole when it is read. Descriptors go before headers: they take one cycle in three at most, so
//! both have their time.
//!
//! Nothing waits here. 2^(P+1) rows; addresses wrap.

use crate::common::iface::*;
use crate::common::ram::BankedRam;
use crate::tx::words::*;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct TxLines<const D: usize, const K: usize, const L: usize, const P: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub write: LineWriteSnk<D>,
    pub head: LineRowSnk,
    pub walk: LineRowSnk,
    pub rdata: Signal<Out, Bits<D>>,
    memory: BankedRam<D, K, P>,
    // The beat as it arrives.
    arrived: Reg<Bit>,
    data: Reg<Bits<D>>,
    dwords: Reg<Bits<5>>,
    first_be: Reg<Bits<4>>,
    last_be: Reg<Bits<4>>,
    addr: Reg<Bits<24>>,
    // The beat rotated into place.
    placed: Reg<Bit>,
    row: Reg<Bits<16>>,
    rotated: Reg<Bits<D>>,
    be_lo: Reg<Bits<K>>,
    be_hi: Reg<Bits<K>>,
}

impl<const D: usize, const K: usize, const L: usize, const P: usize> Logic for TxLines<D, K, L, P> {
    /// Lines as the host pushes them, and two readers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; arrived, placed);
        registers!(self, clock; data, dwords, first_be, last_be, addr, row, rotated, be_lo, be_hi);
        clocked!(self, clock; memory);

        self.arrived.d.next = self.write.valid.val();
        self.data.d.next = self.write.data.val();
        self.dwords.d.next = self.write.dwords.val();
        self.first_be.d.next = self.write.first_be.val();
        self.last_be.d.next = self.write.last_be.val();
        self.addr.d.next = self.write.addr.val();

        let mut mask = lit::<K>(0);
        for i in 0..K / 4 {
            let mut be = if lit::<5>(i) < self.dwords.q.val() { lit::<4>(15) } else { lit::<4>(0) };
            if i == 0 {
                be = be & self.first_be.q.val();
            }
            if lit::<5>(i + 1) == self.dwords.q.val() {
                be = be & self.last_be.q.val();
            }
            mask = mask.set_slice::<4>(4 * i, be);
        }
        let mut data = self.data.q.val();
        for b in 2..L {
            if self.addr.q.val().get_bit(b) {
                data = (data << lit::<16>(8 << b)) | (data >> lit::<16>(D - (8 << b)));
                mask = (mask << lit::<16>(1 << b)) | (mask >> lit::<16>(K - (1 << b)));
            }
        }
        let mut wrapped = lit::<K>(0);
        for i in 0..K - 1 {
            let below = lit::<L>(i) < bit_cast::<L, 24>(self.addr.q.val());
            wrapped = wrapped.replace_bit(i, below);
        }
        self.placed.d.next = self.arrived.q.val();
        self.row.d.next = bit_cast::<16, 24>(self.addr.q.val() >> lit::<24>(L));
        self.rotated.d.next = data;
        self.be_lo.d.next = mask & !wrapped;
        self.be_hi.d.next = mask & wrapped;

        self.memory.we.next = self.placed.q.val();
        self.memory.row.next = self.row.q.val();
        self.memory.data.next = self.rotated.q.val();
        self.memory.be_lo.next = self.be_lo.q.val();
        self.memory.be_hi.next = self.be_hi.q.val();
        self.walk.ready.next = true;
        self.head.ready.next = !self.walk.valid.val();
        self.memory.read_row.next =
            if self.walk.valid.val() { self.walk.row.val() } else { self.head.row.val() };
        self.rdata.next = self.memory.read_data.val();
    }
}
