//! The match unit: the first rule that a frame satisfies, among the ordered rules and among those
//! of groups.
//!
//! Rules are in units ([Unit]) of N, which search side by side: rule n is rule n % N of unit n / N.
//! A unit's memory grows with the square of its rules, so many rules are in several units. The
//! lowest number wins.
//!
//! **Ports.** `key` and `bank`: a frame's headers, and the set of rules that decides. `first`,
//! `first_of_groups`: the rules found. `load` writes to a unit's tables, see [Unit].
//!
//! **Speed.** A key a cycle; what is found is out [`Acl::LATENCY`] cycles later. There is no
//! back-pressure.

use super::unit::Unit;
use super::words::{Bound, Hit, Key, Load};
use nitor_rtl::prelude::*;

#[derive(LogicBlock)]
pub struct Acl<
    const N: usize,
    const G: usize,
    const LA: usize,
    const RA: usize,
    const LP: usize,
    const RP: usize,
> {
    pub clock: Signal<In, Clock>,
    pub key: Signal<In, Key>,
    pub bank: Signal<In, Bit>,
    pub first: Signal<Out, Hit>,
    pub first_of_groups: Signal<Out, Hit>,
    pub load: Signal<In, Bit>,
    pub load_unit: Signal<In, Bits<2>>,
    pub load_to: Signal<In, Load>,
    pub load_bound: Signal<In, Bound<128>>,
    pub load_rules: Signal<In, Bits<N>>,
    units: Vec<Unit<N, G, LA, RA, LP, RP>>,
    out: Reg<Hit>,
    out_of_groups: Reg<Hit>,
    _units: usize,
}

impl<
        const N: usize,
        const G: usize,
        const LA: usize,
        const RA: usize,
        const LP: usize,
        const RP: usize,
    > Acl<N, G, LA, RA, LP, RP>
{
    pub const LATENCY: usize = Unit::<N, G, LA, RA, LP, RP>::LATENCY + 1;

    /// Of 1 to 4 units.
    pub fn new(units: usize) -> Self {
        assert!((1..=4).contains(&units) && units * N <= 4096, "{units} units of {N} rules");
        Self {
            clock: Default::default(),
            key: Default::default(),
            bank: Default::default(),
            first: Default::default(),
            first_of_groups: Default::default(),
            load: Default::default(),
            load_unit: Default::default(),
            load_to: Default::default(),
            load_bound: Default::default(),
            load_rules: Default::default(),
            units: (0..units).map(|_| Unit::default()).collect(),
            out: Default::default(),
            out_of_groups: Default::default(),
            _units: units,
        }
    }
}

impl<
        const N: usize,
        const G: usize,
        const LA: usize,
        const RA: usize,
        const LP: usize,
        const RP: usize,
    > Logic for Acl<N, G, LA, RA, LP, RP>
{
    /// The first rule that matches, of all units.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock; out, out_of_groups);
        let mut first = Hit { some: false, rule: lit::<12>(0) };
        let mut first_of_groups = Hit { some: false, rule: lit::<12>(0) };
        for u in 0..self._units {
            self.units[u].clock.next = self.clock.val();
            self.units[u].key.next = self.key.val();
            self.units[u].bank.next = self.bank.val();
            self.units[u].load.next = self.load.val() && self.load_unit.val() == lit::<2>(u);
            self.units[u].load_to.next = self.load_to.val();
            self.units[u].load_bound.next = self.load_bound.val();
            self.units[u].load_rules.next = self.load_rules.val();
            let hit = self.units[u].first.val();
            if hit.some && !first.some {
                first = Hit { some: true, rule: hit.rule + lit::<12>(u * N) };
            }
            let hit_of_groups = self.units[u].first_of_groups.val();
            if hit_of_groups.some && !first_of_groups.some {
                first_of_groups = Hit { some: true, rule: hit_of_groups.rule + lit::<12>(u * N) };
            }
        }
        self.out.d.next = first;
        self.out_of_groups.d.next = first_of_groups;
        self.first.next = self.out.q.val();
        self.first_of_groups.next = self.out_of_groups.q.val();
    }
}
