//! Finds the range that a number is in, among at most 2^L ranges which cover all numbers of W bits.
//!
//! A range begins at its bound, the first one at 0: at most 2^L - 1 bounds, ascending. `index` is
//! the number of bounds that are at most `key`. The bounds are the nodes of a balanced search tree,
//! whose levels have a memory each: node i of level l has the children 2i and 2i + 1 in the next.
//! A node that is `open` is above all keys: with fewer bounds, the last nodes are open.
//!
//! There are two trees. `bank` chooses one for each key. A node of the other may be written in each
//! cycle: `load_at` says which.
//!
//! **Speed.** A key a cycle; its index is out 2L + 1 cycles later ([`Ranges::LATENCY`]). A level
//! takes two cycles: its memory is read in one, and the key compared in the other. There is no
//! back-pressure.

use super::words::{Bound, NodeAt, Search};
use crate::common::ram::BlockRam;
use nitor_rtl::prelude::*;

#[derive(LogicBlock)]
pub struct Ranges<const W: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub key: Signal<In, Bits<W>>,
    pub bank: Signal<In, Bit>,
    pub index: Signal<Out, Bits<L>>,
    pub load: Signal<In, Bit>,
    pub load_at: Signal<In, NodeAt>,
    pub load_bound: Signal<In, Bound<W>>,
    levels: Vec<BlockRam<Bound<W>, L>>,
    /// The search of which level l reads its memory, and of which it compares the key; behind the
    /// last level, what was found.
    reads: Vec<Reg<Search<W, L>>>,
    compares: Vec<Reg<Search<W, L>>>,
}

impl<const W: usize, const L: usize> Default for Ranges<W, L> {
    fn default() -> Self {
        assert!((1..=14).contains(&L), "a search tree has 1 to 14 levels");
        Self {
            clock: Default::default(),
            key: Default::default(),
            bank: Default::default(),
            index: Default::default(),
            load: Default::default(),
            load_at: Default::default(),
            load_bound: Default::default(),
            levels: (0..L).map(|level| BlockRam::of_depth(level + 1)).collect(),
            reads: (0..=L).map(|_| Reg::default()).collect(),
            compares: (0..L).map(|_| Reg::default()).collect(),
        }
    }
}

impl<const W: usize, const L: usize> Ranges<W, L> {
    pub const LATENCY: usize = 2 * L + 1;
}

impl<const W: usize, const L: usize> Logic for Ranges<W, L> {
    /// A search tree whose levels work side by side.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock; reads[..], compares[..]);
        self.reads[0].d.next =
            Search { node: lit::<L>(0), key: self.key.val(), bank: self.bank.val() };
        let load_at = self.load_at.val();
        let load_place = (bit_cast::<L, 14>(load_at.node) << lit::<L>(1))
            | bit_cast::<L, 1>(load_at.bank.into());
        for l in 0..L {
            let search = self.reads[l].q.val();
            let place = (search.node << lit::<L>(1)) | bit_cast::<L, 1>(search.bank.into());
            self.levels[l].clock.next = self.clock.val();
            self.levels[l].raddr.next = place;
            self.levels[l].we.next = self.load.val() && load_at.level == lit::<4>(l);
            self.levels[l].waddr.next = load_place;
            self.levels[l].wdata.next = self.load_bound.val();
            self.compares[l].d.next = search;
            let found = self.compares[l].q.val();
            let bound = self.levels[l].rdata.val();
            let upper = !bound.open && found.key >= bound.at;
            let node = (found.node << lit::<L>(1)) | bit_cast::<L, 1>(upper.into());
            self.reads[l + 1].d.next = Search { node, ..found };
        }
        self.index.next = self.reads[L].q.val().node;
    }
}
