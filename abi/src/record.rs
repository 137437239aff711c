//! The `record!` macro: a struct and where its fields are, in bits.

use core::ops::Range;

use bitvec::field::BitField;
use bitvec::order::Lsb0;
use bitvec::slice::BitSlice;

pub type Bits = BitSlice<u8, Lsb0>;

/// Bits `msb` down to `lsb` of 32-bit word `n`.
pub const fn word(n: usize, msb: usize, lsb: usize) -> Range<usize> {
    32 * n + lsb..32 * n + msb + 1
}

/// Bits `msb` down to `lsb` of byte `n`.
pub const fn byte(n: usize, msb: usize, lsb: usize) -> Range<usize> {
    8 * n + lsb..8 * n + msb + 1
}

/// `len` bytes from byte `offset` on.
pub const fn at(offset: usize, len: usize) -> Range<usize> {
    8 * offset..8 * (offset + len)
}

/// What can be a record's field. One in several pieces has the least significant first.
pub trait Field {
    fn get(bits: &Bits, places: &[Range<usize>]) -> Self;
    fn set(&self, bits: &mut Bits, places: &[Range<usize>]);
}

impl Field for u64 {
    fn get(bits: &Bits, places: &[Range<usize>]) -> Self {
        places.iter().rev().fold(0, |value, place| {
            let piece: u64 = bits[place.clone()].load_le();
            if place.len() == 64 {
                piece
            } else {
                value << place.len() | piece
            }
        })
    }

    fn set(&self, bits: &mut Bits, places: &[Range<usize>]) {
        let mut rest = *self;
        for place in places {
            bits[place.clone()].store_le(rest);
            rest = rest.checked_shr(place.len() as u32).unwrap_or(0);
        }
    }
}

macro_rules! narrower {
    ($($int:ty),*) => {$(
        impl Field for $int {
            fn get(bits: &Bits, places: &[Range<usize>]) -> Self {
                u64::get(bits, places) as $int
            }
            fn set(&self, bits: &mut Bits, places: &[Range<usize>]) {
                u64::from(*self).set(bits, places);
            }
        }
    )*};
}

narrower!(u8, u16, u32);

impl Field for bool {
    fn get(bits: &Bits, places: &[Range<usize>]) -> Self {
        u64::get(bits, places) != 0
    }

    fn set(&self, bits: &mut Bits, places: &[Range<usize>]) {
        u64::from(*self).set(bits, places);
    }
}

impl<const N: usize> Field for [u8; N] {
    fn get(bits: &Bits, places: &[Range<usize>]) -> Self {
        let mut bytes = [0; N];
        for (byte, place) in bytes.iter_mut().zip(bits[places[0].clone()].chunks_exact(8)) {
            *byte = place.load_le();
        }
        bytes
    }

    fn set(&self, bits: &mut Bits, places: &[Range<usize>]) {
        for (byte, place) in self.iter().zip(bits[places[0].clone()].chunks_exact_mut(8)) {
            place.store_le(*byte);
        }
    }
}

/// Defines a record: `struct Name: bytes { field: type = place, place..; }`.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident: $len:literal {
        $($(#[$doc:meta])* $field:ident: $ty:ty = $($place:expr),+;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $ty,)*
        }

        impl $name {
            /// Bytes of the packed form.
            pub const LEN: usize = $len;

            /// Where each field is, in bits of the packed form.
            pub const LAYOUT: &'static [(&'static str, &'static [::core::ops::Range<usize>])] =
                &[$((stringify!($field), &[$($place),+])),*];

            /// What each field means, as attributes.
            pub const DOCS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($field), concat!($(stringify!($doc)),*))),*];

            pub fn from_bytes(bytes: &[u8; $len]) -> Self {
                let bits = $crate::record::Bits::from_slice(bytes);
                Self { $($field: $crate::record::Field::get(bits, &[$($place),+]),)* }
            }

            pub fn to_bytes(&self) -> [u8; $len] {
                let mut bytes = [0; $len];
                self.put(&mut bytes);
                bytes
            }

            /// Whether each field has room for its value; packed, what has not is cut.
            pub fn fits(&self) -> bool {
                Self::from_bytes(&self.to_bytes()) == *self
            }

            /// Writes the fields into `bytes` and leaves the other bits as they are.
            pub fn put(&self, bytes: &mut [u8; $len]) {
                let bits = $crate::record::Bits::from_slice_mut(bytes);
                $($crate::record::Field::set(&self.$field, bits, &[$($place),+]);)*
            }
        }

        impl Default for $name {
            /// All zero.
            fn default() -> Self {
                Self::from_bytes(&[0; $len])
            }
        }
    };
}

/// A record of one 32-bit register.
macro_rules! register {
    ($(#[$meta:meta])* $name:ident { $($fields:tt)* }) => {
        record! { $(#[$meta])* $name: 4 { $($fields)* } }

        impl From<u32> for $name {
            fn from(value: u32) -> Self {
                Self::from_bytes(&value.to_le_bytes())
            }
        }

        impl From<$name> for u32 {
            fn from(register: $name) -> u32 {
                u32::from_le_bytes(register.to_bytes())
            }
        }
    };
}

/// Defines addresses of registers, each a constant, and `$all`, the table of them: name, address,
/// who may do what, and what it means, as attributes.
macro_rules! addresses {
    ($(#[$about:meta])* $all:ident: $ty:ty {
        $($(#[$doc:meta])* $name:ident = $value:expr, $access:ident;)*
    }) => {
        $($(#[$doc])* pub const $name: $ty = $value;)*

        $(#[$about])*
        pub const $all: &[(&str, $ty, &str, &str)] =
            &[$((stringify!($name), $value, stringify!($access), concat!($(stringify!($doc)),*))),*];
    };
}
