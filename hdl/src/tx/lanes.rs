//! Where bytes of a frame are in its beats: lanes of K bytes, 2^L.

use nitor_rtl::prelude::*;

/// The beat that the frame's byte `at` is in.
#[kernel]
pub fn beat<const L: usize>(at: Bits<10>) -> Bits<7> {
    bit_cast::<7, 10>(at >> lit::<10>(L))
}

/// Byte `at`'s lane.
#[kernel]
pub fn lane<const K: usize>(at: Bits<10>) -> Bits<K> {
    let lane = at & lit::<10>(K - 1);
    let mut lanes = lit::<K>(0);
    for i in 0..K {
        lanes = lanes.replace_bit(i, lane == lit::<10>(i));
    }
    lanes
}

/// Lanes of a beat from byte `at` on: all if that is in a beat `before`, some if `here`.
#[kernel]
pub fn since<const K: usize>(at: Bits<10>, before: Bit, here: Bit) -> Bits<K> {
    let lane = at & lit::<10>(K - 1);
    let mut lanes = lit::<K>(0);
    for i in 0..K {
        lanes = lanes.replace_bit(i, before || (here && lane <= lit::<10>(i)));
    }
    lanes
}

/// `lanes` if on.
#[kernel]
pub fn only<const K: usize>(on: Bit, lanes: Bits<K>) -> Bits<K> {
    if on {
        lanes
    } else {
        lit::<K>(0)
    }
}

#[kernel]
pub fn gate(on: Bit, byte: Bits<8>) -> Bits<8> {
    if on {
        byte
    } else {
        lit::<8>(0)
    }
}

/// The byte in the one lane of `lanes`.
#[kernel]
pub fn pick<const D: usize, const K: usize>(data: Bits<D>, lanes: Bits<K>) -> Bits<8> {
    let mut byte = lit::<8>(0);
    for i in 0..K {
        byte = byte | gate(lanes.get_bit(i), data.get_bits::<8>(8 * i));
    }
    byte
}

/// Bytes of a word changed places, if `odd`.
#[kernel]
pub fn turned(sum: Bits<16>, odd: Bit) -> Bits<16> {
    if odd {
        cat::<8, 8, 16>(sum.get_bits::<8>(0), sum.get_bits::<8>(8))
    } else {
        sum
    }
}
