//! Transaction-layer packet headers: formats, fields, and how the card builds its own.
//!
//! A header is 128 bits, DW0 in 31:0 (see the architecture); PCI Express Base Specification, section 2.2.

use nitor_rtl::prelude::*;

/// DW0 31:24, format and type.
pub const MRD32: u64 = 0x00;
pub const MRD64: u64 = 0x20;
pub const MWR32: u64 = 0x40;
pub const MWR64: u64 = 0x60;
pub const CFG_RD0: u64 = 0x04;
pub const CFG_WR0: u64 = 0x44;
pub const CPL: u64 = 0x0a;
pub const CPLD: u64 = 0x4a;
pub const CPL_LOCKED: u64 = 0x0b;
pub const CPLD_LOCKED: u64 = 0x4b;
/// A message without data to the root complex.
pub const MSG_TO_ROOT: u64 = 0x30;

/// Completion status.
pub const SC: u64 = 0;
pub const UR: u64 = 1;
pub const CA: u64 = 4;

/// Header of a memory request; `write` chooses the format with data. A 64-bit address only where it is needed.
#[kernel]
pub fn memory_request(
    write: Bit,
    requester: Bits<16>,
    tag: Bits<8>,
    be: Bits<8>,
    addr: Bits<64>,
    dwords: Bits<10>,
) -> Bits<128> {
    let wide = addr.get_bits::<32>(32).any();
    request_header(write, requester, tag, be, wide, addr, dwords)
}

/// The same, where it's known whether the address is `wide`.
#[kernel]
pub fn request_header(
    write: Bit,
    requester: Bits<16>,
    tag: Bits<8>,
    be: Bits<8>,
    wide: Bit,
    addr: Bits<64>,
    dwords: Bits<10>,
) -> Bits<128> {
    let low = addr.get_bits::<32>(0) & lit::<32>(0xffff_fffcu32);
    let dw0 = bit_cast::<32, 10>(dwords).replace_bit(30, write).replace_bit(29, wide);
    let dw1 = cat::<16, 16, 32>(requester, cat::<8, 8, 16>(tag, be));
    let dw2 = if wide { addr.get_bits::<32>(32) } else { low };
    let dw3 = if wide { low } else { lit::<32>(0) };
    cat::<64, 64, 128>(cat::<32, 32, 64>(dw3, dw2), cat::<32, 32, 64>(dw1, dw0))
}

/// Header of a message that tells of an error: 0 ERR_COR, 1 ERR_NONFATAL, 3 ERR_FATAL.
#[kernel]
pub fn error_message(requester: Bits<16>, what: Bits<2>) -> Bits<128> {
    lit::<128>(0)
        .set_slice::<8>(24, lit::<8>(MSG_TO_ROOT))
        .set_slice::<2>(32, what)
        .set_slice::<2>(36, lit::<2>(3))
        .set_slice::<16>(48, requester)
}
