//! The match unit: the first rule that a frame satisfies, among the ordered rules and among those
//! of groups.
//!
//! Rules are in slices ([Slice]) of N, which search side by side: rule n is rule n % N of slice
//! n / N. A slice's memory grows with the square of its rules, so many rules are in several slices.
//! The lowest number wins.
//!
//! | port | |
//! |---|---|
//! | `key` | a frame's headers, one in each cycle |
//! | `first`, `first_of_groups` | the rules found for the key of [`Acl::LATENCY`] cycles ago |
//! | `load_*` | a write to a table; `load_slice` is not looked at for a switch of the bank |
//!
//! **Sets.** A set is written to the bank that is not in force. A write to table `SWITCH` brings
//! that bank into force for all slices, from one key to the next. Behind a switch `load_ready` is
//! low until no key of the bank before is in flight, so that what they need is not overwritten.
//! After reset there is no set, and no rule is found until the first switch.
//!
//! **Speed.** A key a cycle; what is found is out [`Acl::LATENCY`] cycles later. There is no
//! back-pressure on keys. A write a cycle, but for the pause behind a switch.

use super::slice::{table, Slice};
use super::words::{Bound, Hit, Key, Load};
use crate::common::delay::Delay;
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
    pub reset: Signal<In, Bit>,
    pub key: Signal<In, Key>,
    pub first: Signal<Out, Hit>,
    pub first_of_groups: Signal<Out, Hit>,
    pub load_valid: Signal<In, Bit>,
    pub load_ready: Signal<Out, Bit>,
    pub load_slice: Signal<In, Bits<2>>,
    pub load_to: Signal<In, Load>,
    pub load_bound: Signal<In, Bound<128>>,
    pub load_rules: Signal<In, Bits<N>>,
    slices: Vec<Slice<N, G, LA, RA, LP, RP>>,
    bank: Reg<Bit>,
    /// A set has been brought into force.
    loaded: Reg<Bit>,
    /// Of the key whose rules are found now.
    was_loaded: Delay<Bit>,
    /// Cycles until no key of the bank before is in flight.
    in_flight: Reg<Bits<6>>,
    out: Reg<Hit>,
    out_of_groups: Reg<Hit>,
    _slices: usize,
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
    pub const LATENCY: usize = Slice::<N, G, LA, RA, LP, RP>::LATENCY + 1;

    /// Of 1 to 4 slices.
    pub fn new(slices: usize) -> Self {
        assert!((1..=4).contains(&slices) && slices * N <= 4096, "{slices} slices of {N} rules");
        Self {
            clock: Default::default(),
            reset: Default::default(),
            key: Default::default(),
            first: Default::default(),
            first_of_groups: Default::default(),
            load_valid: Default::default(),
            load_ready: Default::default(),
            load_slice: Default::default(),
            load_to: Default::default(),
            load_bound: Default::default(),
            load_rules: Default::default(),
            slices: (0..slices).map(|_| Slice::default()).collect(),
            bank: Default::default(),
            loaded: Default::default(),
            was_loaded: Delay::new(Self::LATENCY - 1),
            in_flight: Default::default(),
            out: Default::default(),
            out_of_groups: Default::default(),
            _slices: slices,
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
    /// The first rule that matches, of all slices.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; bank, loaded, in_flight);
        registers!(self, clock; out, out_of_groups);
        clocked!(self, clock; was_loaded);
        let in_flight = self.in_flight.q.val();
        let ready = in_flight == 0;
        let load = self.load_valid.val() && ready;
        let to = self.load_to.val();
        if !ready {
            self.in_flight.d.next = in_flight - 1;
        }
        if load && to.table == lit::<5>(table::SWITCH) {
            self.bank.d.next = to.at.bank;
            self.loaded.d.next = true;
            self.in_flight.d.next = lit::<6>(Self::LATENCY);
        }
        self.load_ready.next = ready;
        self.was_loaded.input.next = self.loaded.q.val();

        let mut first = Hit { some: false, rule: lit::<12>(0) };
        let mut first_of_groups = Hit { some: false, rule: lit::<12>(0) };
        for s in 0..self._slices {
            self.slices[s].clock.next = self.clock.val();
            self.slices[s].key.next = self.key.val();
            self.slices[s].bank.next = self.bank.q.val();
            self.slices[s].load.next = load && self.load_slice.val() == lit::<2>(s);
            self.slices[s].load_to.next = to;
            self.slices[s].load_bound.next = self.load_bound.val();
            self.slices[s].load_rules.next = self.load_rules.val();
            let hit = self.slices[s].first.val();
            if hit.some && !first.some {
                first = Hit { some: true, rule: hit.rule + lit::<12>(s * N) };
            }
            let hit_of_groups = self.slices[s].first_of_groups.val();
            if hit_of_groups.some && !first_of_groups.some {
                first_of_groups = Hit { some: true, rule: hit_of_groups.rule + lit::<12>(s * N) };
            }
        }
        let loaded = self.was_loaded.output.val();
        self.out.d.next = Hit { some: first.some && loaded, rule: first.rule };
        self.out_of_groups.d.next =
            Hit { some: first_of_groups.some && loaded, rule: first_of_groups.rule };
        self.first.next = self.out.q.val();
        self.first_of_groups.next = self.out_of_groups.q.val();
    }
}
