//! Where bytes of a frame are in its beats, and descriptors in rows: lanes of K bytes, 2^L.

use super::words::Place;
use nitor_rtl::prelude::*;

/// The row of the descriptor cache that a descriptor is in.
#[kernel]
pub fn desc_row<const L: usize>(place: Place) -> Bits<16> {
    bit_cast::<16, 9>(place.to_bits::<9>() >> lit::<9>(L - 4))
}

/// The bit of its row at which the descriptor with this index begins.
#[kernel]
pub fn desc_shift<const K: usize>(index: Bits<4>) -> Bits<11> {
    (bit_cast::<11, 4>(index) << lit::<11>(7)) & lit::<11>(8 * (K - 1))
}

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

/// A word of the wire, of its two bytes.
#[kernel]
pub fn word(high: Bits<8>, low: Bits<8>) -> Bits<16> {
    cat::<8, 8, 16>(high, low)
}

/// Bytes of a word changed places, if `odd`.
#[kernel]
pub fn turned(sum: Bits<16>, odd: Bit) -> Bits<16> {
    if odd {
        (sum << lit::<16>(8)) | (sum >> lit::<16>(8))
    } else {
        sum
    }
}

/// A sum of words with its carry added in.
#[kernel]
pub fn fold(sum: Bits<17>) -> Bits<16> {
    bit_cast::<16, 17>(sum) + bit_cast::<16, 17>(sum >> lit::<17>(16))
}
