//! The CRC-32 of Ethernet's FCS (IEEE 802.3, 3.2.9): bits least significant first, polynomial
//! 04C11DB7 reflected.

use nitor_rtl::prelude::*;

/// The remainder before the first byte.
pub const START: u32 = 0xffff_ffff;
/// The remainder after a frame and its FCS.
pub const GOOD: u32 = 0xdebb_20e3;

/// The remainder `crc` with one more byte.
#[kernel]
pub fn crc32_byte(crc: Bits<32>, byte: Bits<8>) -> Bits<32> {
    let mut next = crc ^ bit_cast::<32, 8>(byte);
    for _i in 0..8 {
        let shifted = next >> lit::<6>(1);
        next = if next.get_bit(0) { shifted ^ lit::<32>(0xedb8_8320u32) } else { shifted };
    }
    next
}

/// `word` shifted down by a byte, with `byte` on top.
#[kernel]
pub fn shift_in(word: Bits<32>, byte: Bits<8>) -> Bits<32> {
    cat::<8, 24, 32>(byte, word.get_bits::<24>(8))
}
