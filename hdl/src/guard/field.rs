//! The rules that hold for a field of a frame: a bit for each of N rules.
//!
//! The field has an index of I bits: the number of the range that it is in, or the field itself. An
//! index stands for a row, and a row has the rules. Indices with the same rules share a row. There
//! are two tables of indices; `bank` chooses one for each index. The rows belong to no bank: a new
//! table names rows that the table in use does not name.
//!
//! **Speed.** An index a cycle; its rules are out 2 cycles later ([`LATENCY`]). There is no
//! back-pressure. An index or a row may be written in each cycle. The indices of the other bank are
//! read at the key's index as well, and what they give is not used.

use crate::common::ram::BlockRam;
use nitor_rtl::prelude::*;

pub const LATENCY: usize = 2;

#[derive(LogicBlock, Default)]
pub struct Field<const N: usize, const I: usize, const R: usize> {
    pub clock: Signal<In, Clock>,
    pub index: Signal<In, Bits<I>>,
    pub bank: Signal<In, Bit>,
    pub rules: Signal<Out, Bits<N>>,
    pub load_index: Signal<In, Bit>,
    pub load_bank: Signal<In, Bit>,
    pub load_at: Signal<In, Bits<I>>,
    pub load_row: Signal<In, Bit>,
    /// The row that an index is to stand for, or whose rules are written.
    pub row: Signal<In, Bits<R>>,
    pub load_rules: Signal<In, Bits<N>>,
    indices: [BlockRam<Bits<R>, I>; 2],
    rows: BlockRam<Bits<N>, R>,
    banked: Reg<Bit>,
}

impl<const N: usize, const I: usize, const R: usize> Logic for Field<N, I, R> {
    /// The rules that hold for an index.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock; banked);
        clocked!(self, clock; rows);
        for b in 0..2 {
            self.indices[b].clock.next = self.clock.val();
            self.indices[b].raddr.next = self.index.val();
            self.indices[b].we.next =
                self.load_index.val() && self.load_bank.val() == (lit::<1>(b) == 1);
            self.indices[b].waddr.next = self.load_at.val();
            self.indices[b].wdata.next = self.row.val();
        }
        self.banked.d.next = self.bank.val();
        self.rows.raddr.next = if self.banked.q.val() {
            self.indices[1].rdata.val()
        } else {
            self.indices[0].rdata.val()
        };
        self.rows.we.next = self.load_row.val();
        self.rows.waddr.next = self.row.val();
        self.rows.wdata.next = self.load_rules.val();
        self.rules.next = self.rows.rdata.val();
    }
}
