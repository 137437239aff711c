//! Words with named fields.

use num_bigint::BigUint;
use rust_hdl_core::prelude::*;

/// What a register, a memory or a port holds: bits, or fields that are words themselves.
pub trait Word: Synth {
    fn pack(self) -> BigUint;
    fn unpack(bits: &BigUint) -> Self;
}

impl<const N: usize> Word for Bits<N> {
    fn pack(self) -> BigUint {
        self.into()
    }

    fn unpack(bits: &BigUint) -> Self {
        (bits & ((BigUint::from(1u8) << N) - 1u8)).into()
    }
}

impl Word for Bit {
    fn pack(self) -> BigUint {
        BigUint::from(u8::from(self))
    }

    fn unpack(bits: &BigUint) -> Self {
        bits.bit(0)
    }
}

/// A field's name, the place of its lowest bit, and its width.
pub type Field = (&'static str, usize, usize);

/// A struct marked `#[record]`: its first field has the lowest bits.
pub trait Record: Word {
    fn fields() -> Vec<Field>;

    /// All fields as bits; `N` is their sum.
    fn to_bits<const N: usize>(self) -> Bits<N> {
        assert_eq!(N, Self::BITS, "{}", std::any::type_name::<Self>());
        self.pack().into()
    }

    fn from_bits<const N: usize>(bits: Bits<N>) -> Self {
        assert_eq!(N, Self::BITS, "{}", std::any::type_name::<Self>());
        Self::unpack(&bits.into())
    }
}

/// A literal as wide as any record.
#[doc(hidden)]
pub fn literal(value: BigUint) -> VerilogLiteral {
    Bits::<4096>::from(value).into()
}
