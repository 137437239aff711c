//! Headers of transaction-layer packets: their fields, and how the card builds its own.
//!
//! A header is 128 bits, DW0 in 31:0 (see the architecture); PCI Express Base Specification,
//! section 2.2. What DW1 and above mean depends on the format and type in DW0.

use crate::common::iface::Halves;
use nitor_rtl::prelude::*;

/// DW0 31:24, [Format]'s bits.
pub const MRD32: u64 = 0x00;
pub const MRD64: u64 = 0x20;
pub const MRD_LOCKED32: u64 = 0x01;
pub const MRD_LOCKED64: u64 = 0x21;
pub const MWR32: u64 = 0x40;
pub const MWR64: u64 = 0x60;
pub const IO_RD: u64 = 0x02;
pub const IO_WR: u64 = 0x42;
pub const CFG_RD0: u64 = 0x04;
pub const CFG_WR0: u64 = 0x44;
pub const CFG_RD1: u64 = 0x05;
pub const CFG_WR1: u64 = 0x45;
pub const FETCH_ADD32: u64 = 0x4c;
pub const FETCH_ADD64: u64 = 0x6c;
pub const SWAP32: u64 = 0x4d;
pub const SWAP64: u64 = 0x6d;
pub const CAS32: u64 = 0x4e;
pub const CAS64: u64 = 0x6e;
pub const CPL: u64 = 0x0a;
pub const CPLD: u64 = 0x4a;
pub const CPL_LOCKED: u64 = 0x0b;
pub const CPLD_LOCKED: u64 = 0x4b;
/// Messages, without and with data; bits 2:0 say how they are routed.
pub const MSG: u64 = 0x30;
pub const MSG_D: u64 = 0x70;
/// A message without data to the root complex.
pub const MSG_TO_ROOT: u64 = MSG;

/// Completion status.
pub const SC: u64 = 0;
pub const UR: u64 = 1;
pub const CA: u64 = 4;

/// Message code of an error's message, to which 0 ERR_COR, 1 ERR_NONFATAL, 3 ERR_FATAL is added.
pub const ERR: u64 = 0x30;

/// Format and type.
#[record]
pub struct Format {
    /// Type 3:0.
    pub code: Bits<4>,
    /// Type 4: a message.
    pub message: Bit,
    /// The header has a fourth dword: of a memory request, the address has 64 bits.
    pub wide: Bit,
    pub with_data: Bit,
    pub prefix: Bit,
}

/// What every header begins with.
#[record]
pub struct Dw0 {
    /// Dwords of data or asked for; 0: 1024.
    pub length: Bits<10>,
    pub address_type: Bits<2>,
    /// No snoop, relaxed ordering.
    pub attributes: Bits<2>,
    pub poisoned: Bit,
    /// Digest, processing hints, ID-based ordering.
    pub hints: Bits<5>,
    pub traffic_class: Bits<3>,
    pub reserved: Bit,
    pub format: Format,
}

/// Of a memory request; DW0 and DW1 of any request.
#[record]
pub struct Request {
    pub dw0: Dw0,
    pub first_be: Bits<4>,
    pub last_be: Bits<4>,
    pub tag: Bits<8>,
    pub requester: Bits<16>,
    /// The address; where it is `wide`, its upper half.
    pub dw2: Bits<32>,
    /// The lower half of a wide address.
    pub dw3: Bits<32>,
}

/// Of a message: DW1 has a code in the byte enables' place.
#[record]
pub struct Message {
    pub dw0: Dw0,
    pub code: Bits<8>,
    pub tag: Bits<8>,
    pub requester: Bits<16>,
    pub rest: Bits<64>,
}

#[record]
pub struct Completion {
    pub dw0: Dw0,
    /// Bytes that were still to come, those of this completion among them; 0: 4096.
    pub byte_count: Bits<12>,
    pub byte_count_modified: Bit,
    pub status: Bits<3>,
    pub completer: Bits<16>,
    /// Bits 6:0 of the first byte's address.
    pub lower_address: Bits<7>,
    pub reserved: Bit,
    pub tag: Bits<8>,
    pub requester: Bits<16>,
    pub dw3: Bits<32>,
}

/// The lower half of a request's address.
#[record]
pub struct LowAddress {
    /// Not part of the address.
    pub reserved: Bits<2>,
    /// The dword in its 4 KB page.
    pub dword: Bits<10>,
    pub page: Bits<20>,
}

/// DW2 of a configuration request.
#[record]
pub struct ConfigAddress {
    pub register: Bits<16>,
    pub function: Bits<3>,
    pub device: Bits<5>,
    pub bus: Bits<8>,
}

/// A request's byte enables.
#[record]
pub struct Enables {
    pub first: Bits<4>,
    pub last: Bits<4>,
}

/// A TLP without data.
#[stream]
pub struct Header {
    pub hdr: Bits<128>,
}

/// What goes beside a beat through a queue.
#[record]
pub struct Side {
    pub hdr: Bits<128>,
    pub sop: Bit,
    pub eop: Bit,
}

/// Dwords of data or asked for.
#[kernel]
pub fn dwords(length: Bits<10>) -> Bits<11> {
    if length == 0 {
        lit::<11>(1024)
    } else {
        bit_cast::<11, 10>(length)
    }
}

/// The lower half of a request's address.
#[kernel]
pub fn low_address(request: Request) -> Bits<32> {
    if request.dw0.format.wide {
        request.dw3
    } else {
        request.dw2
    }
}

/// Header of a memory request; `write` chooses the format with data. A 64-bit address only where
/// it is needed.
#[kernel]
pub fn memory_request(
    write: Bit,
    requester: Bits<16>,
    tag: Bits<8>,
    be: Bits<8>,
    addr: Bits<64>,
    dwords: Bits<10>,
) -> Bits<128> {
    let wide = (addr >> 32).any();
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
    let addr = Halves::from_bits(addr);
    let be = Enables::from_bits(be);
    let low = addr.low & 0xffff_fffc;
    let format = Format { wide, with_data: write, ..Format::from_bits(lit::<8>(0)) };
    Request {
        dw0: Dw0 { length: dwords, format, ..Dw0::from_bits(lit::<32>(0)) },
        first_be: be.first,
        last_be: be.last,
        tag,
        requester,
        dw2: if wide { addr.high } else { low },
        dw3: if wide { low } else { lit::<32>(0) },
    }
    .to_bits()
}

/// Header of a message that tells of an error: 0 ERR_COR, 1 ERR_NONFATAL, 3 ERR_FATAL.
#[kernel]
pub fn error_message(requester: Bits<16>, what: Bits<2>) -> Bits<128> {
    let format = Format::from_bits(lit::<8>(MSG_TO_ROOT));
    Message {
        dw0: Dw0 { format, ..Dw0::from_bits(lit::<32>(0)) },
        code: lit::<8>(ERR) | bit_cast::<8, 2>(what),
        tag: lit::<8>(0),
        requester,
        rest: lit::<64>(0),
    }
    .to_bits()
}
