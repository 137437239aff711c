//! The Toeplitz hash of a 36-byte input under a 40-byte key.
//!
//! Byte i of `key` and `data` is in bits 8i+7:8i; the key in standard order, byte 0 with the most significant bits of
//! the first window. A shorter input is padded with zeros behind, which add nothing to the hash.
//!
//! An input a cycle; the hash is out two cycles later: 32 input bits a group first, then the nine groups.

use nitor_rtl::prelude::*;

const GROUPS: usize = 9;

#[derive(LogicBlock, Default)]
pub struct Toeplitz {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub key: Signal<In, Bits<320>>,
    pub data: Signal<In, Bits<288>>,
    pub hash: Signal<Out, Bits<32>>,
    group: [Reg<Bits<32>>; GROUPS],
    sum: Reg<Bits<32>>,
}

impl Logic for Toeplitz {
    /// Toeplitz hash, two stages.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; group[..], sum);
        let mut key = lit::<320>(0);
        for i in 0..40 {
            key = key.set_slice::<8>(312 - 8 * i, self.key.val().get_bits::<8>(8 * i));
        }
        for g in 0..GROUPS {
            let mut acc = lit::<32>(0);
            for b in 0..32 {
                // Bit b of the group in the order of the wire: most significant first in each byte.
                if self.data.val().get_bit(32 * g + 8 * (b / 8) + 7 - b % 8) {
                    acc = acc ^ key.get_bits::<32>(320 - 32 - 32 * g - b);
                }
            }
            self.group[g].d.next = acc;
        }
        let mut sum = lit::<32>(0);
        for g in 0..GROUPS {
            sum = sum ^ self.group[g].q.val();
        }
        self.sum.d.next = sum;
        self.hash.next = self.sum.q.val();
    }
}
