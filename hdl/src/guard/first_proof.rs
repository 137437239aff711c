//! Proof of [First]: what it gives is a rule that matches, of the right set, and no lower one does.

use super::first::First;
use nitor_rtl::prelude::*;

/// Any number is compared with what is given of 64 rules.
#[derive(LogicBlock, Default)]
pub struct FirstLowest {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub rules: Signal<In, Bits<64>>,
    pub ordered: Signal<In, Bits<4>>,
    pub any_number: Signal<In, Bits<6>>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    first: First<64, 4>,
    // The inputs, as far back as the outputs are.
    rules_before: [Reg<Bits<64>>; 3],
    ordered_before: [Reg<Bits<4>>; 3],
    filled: Reg<Bits<2>>,
}

impl Logic for FirstLowest {
    /// Of the rules that match, the lowest of each set.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; filled);
        registers!(self, clock; rules_before[..], ordered_before[..]);
        clocked!(self, clock; first);
        self.first.rules.next = self.rules.val();
        self.first.ordered.next = self.ordered.val();
        self.rules_before[0].d.next = self.rules.val();
        self.ordered_before[0].d.next = self.ordered.val();
        for i in 1..3 {
            self.rules_before[i].d.next = self.rules_before[i - 1].q.val();
            self.ordered_before[i].d.next = self.ordered_before[i - 1].q.val();
        }
        let filled = self.filled.q.val();
        self.filled.d.next = if filled == 3 { filled } else { filled + 1 };

        let rules = self.rules_before[2].q.val();
        let ordered = self.ordered_before[2].q.val();
        let number = self.any_number.val();
        let matches = rules.get_bit(number.index());
        let is_ordered = ordered.get_bit((number >> lit::<6>(4)).index());
        let first = self.first.first.val();
        let first_of_groups = self.first.first_of_groups.val();
        let found = first.rule;
        let found_of_groups = first_of_groups.rule;
        let wide = bit_cast::<12, 6>(number);
        self.given.next = true;
        self.ok.next = filled != 3
            || ((!first.some
                || (found < lit::<12>(64)
                    && rules.get_bit(bit_cast::<6, 12>(found).index())
                    && ordered.get_bit((bit_cast::<6, 12>(found) >> lit::<6>(4)).index())))
                && (!first_of_groups.some
                    || (found_of_groups < lit::<12>(64)
                        && rules.get_bit(bit_cast::<6, 12>(found_of_groups).index())
                        && !ordered.get_bit(
                            (bit_cast::<6, 12>(found_of_groups) >> lit::<6>(4)).index(),
                        )))
                && (!(matches && is_ordered) || (first.some && found <= wide))
                && (!(matches && !is_ordered)
                    || (first_of_groups.some && found_of_groups <= wide)));
    }
}
