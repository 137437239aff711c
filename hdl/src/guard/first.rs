//! The first of N rules that match, in each of two sets: the ordered rules, and those of groups.
//!
//! Rules come in G = N / 16 blocks of 16; `ordered` says which blocks are of the ordered set. The
//! lowest number wins.
//!
//! **Speed.** N rules a cycle; the numbers are out 3 cycles later: the first in each block, in 16
//! blocks, in all. There is no back-pressure.

use super::words::Hit;
use nitor_rtl::prelude::*;

#[derive(LogicBlock)]
pub struct First<const N: usize, const G: usize> {
    pub clock: Signal<In, Clock>,
    pub rules: Signal<In, Bits<N>>,
    pub ordered: Signal<In, Bits<G>>,
    pub first: Signal<Out, Hit>,
    pub first_of_groups: Signal<Out, Hit>,
    /// Of each block: whether a rule matches, and its first one.
    some: Reg<Bits<G>>,
    at: Vec<Reg<Bits<4>>>,
    is_ordered: Reg<Bits<G>>,
    /// Of 16 blocks, for the ordered rules and for the others.
    of_ordered: Vec<Reg<Hit>>,
    of_groups: Vec<Reg<Hit>>,
    out: Reg<Hit>,
    out_of_groups: Reg<Hit>,
    _sixteens: usize,
}

impl<const N: usize, const G: usize> Default for First<N, G> {
    fn default() -> Self {
        let whole = G <= 16 || G.is_multiple_of(16);
        assert!(N == 16 * G && (1..=256).contains(&G) && whole, "{N} rules in {G} blocks");
        let sixteens = G.div_ceil(16);
        Self {
            clock: Default::default(),
            rules: Default::default(),
            ordered: Default::default(),
            first: Default::default(),
            first_of_groups: Default::default(),
            some: Default::default(),
            at: (0..G).map(|_| Reg::default()).collect(),
            is_ordered: Default::default(),
            of_ordered: (0..sixteens).map(|_| Reg::default()).collect(),
            of_groups: (0..sixteens).map(|_| Reg::default()).collect(),
            out: Default::default(),
            out_of_groups: Default::default(),
            _sixteens: sixteens,
        }
    }
}

impl<const N: usize, const G: usize> First<N, G> {
    pub const LATENCY: usize = 3;
    const IN_SIXTEEN: usize = if G < 16 { G } else { 16 };
}

/// The number of the lowest bit that is set.
#[kernel]
fn lowest(x: Bits<16>) -> Bits<4> {
    let one = x & (!x + 1);
    let mut number = lit::<4>(0);
    for bit in 0..4 {
        // Bits whose numbers have this bit: 0xaaaa, 0xcccc, 0xf0f0, 0xff00.
        let numbered = lit::<16>((0xffff / ((1 << (1 << bit)) + 1)) << (1 << bit));
        number = number.replace_bit(bit, (one & numbered).any());
    }
    number
}

impl<const N: usize, const G: usize> Logic for First<N, G> {
    /// The first rule that matches, of the ordered ones and of those of groups.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock; some, at[..], is_ordered, of_ordered[..], of_groups[..]);
        registers!(self, clock; out, out_of_groups);
        let rules = self.rules.val();
        let mut some = lit::<G>(0);
        for g in 0..G {
            let block = rules.get_bits::<16>(16 * g);
            some = some.replace_bit(g, block.any());
            if block.any() {
                self.at[g].d.next = lowest(block);
            }
        }
        self.some.d.next = some;
        self.is_ordered.d.next = self.ordered.val();

        let ordered = self.some.q.val() & self.is_ordered.q.val();
        let of_groups = self.some.q.val() & !self.is_ordered.q.val();
        for h in 0..self._sixteens {
            let mut first = Hit { some: false, rule: lit::<12>(0) };
            let mut first_of_groups = Hit { some: false, rule: lit::<12>(0) };
            for i in 0..Self::IN_SIXTEEN {
                let rule =
                    lit::<12>(256 * h + 16 * i) | bit_cast::<12, 4>(self.at[16 * h + i].q.val());
                if !first.some && ordered.get_bit(16 * h + i) {
                    first = Hit { some: true, rule };
                }
                if !first_of_groups.some && of_groups.get_bit(16 * h + i) {
                    first_of_groups = Hit { some: true, rule };
                }
            }
            self.of_ordered[h].d.next = first;
            self.of_groups[h].d.next = first_of_groups;
        }

        let mut out = self.of_ordered[0].q.val();
        let mut out_of_groups = self.of_groups[0].q.val();
        for h in 1..self._sixteens {
            if !out.some {
                out = self.of_ordered[h].q.val();
            }
            if !out_of_groups.some {
                out_of_groups = self.of_groups[h].q.val();
            }
        }
        self.out.d.next = out;
        self.out_of_groups.d.next = out_of_groups;
        self.first.next = self.out.q.val();
        self.first_of_groups.next = self.out_of_groups.q.val();
    }
}
