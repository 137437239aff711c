//! Records: words with named fields.

use num_bigint::BigUint;
use rust_hdl_core::prelude::*;
use rust_hdl_core::type_descriptor::{TypeDescriptor, TypeField, TypeKind};
use std::ops::Range;

/// The content of a register, a memory or a port: bits, or a record of words.
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

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub width: usize,
    /// The lowest bit and the width of each piece of the field, the least significant first.
    pub places: Vec<(usize, usize)>,
}

impl Field {
    /// The value of the field in a record.
    pub fn of(&self, record: &BigUint) -> BigUint {
        let mut value = BigUint::default();
        let mut from = 0;
        for &(at, width) in &self.places {
            value |= ((record >> at) & ones(width)) << from;
            from += width;
        }
        value
    }
}

fn ones(width: usize) -> BigUint {
    (BigUint::from(1u8) << width) - 1u8
}

/// Fields of these widths, one above the other.
#[doc(hidden)]
pub fn in_order(fields: &[(&'static str, usize)]) -> Vec<Field> {
    let mut at = 0;
    let mut place = |&(name, width): &(&'static str, usize)| {
        at += width;
        Field { name, width, places: vec![(at - width, width)] }
    };
    fields.iter().map(&mut place).collect()
}

/// The places of each field in a layout: its pieces, the least significant first.
pub type Layout = [(&'static str, &'static [Range<usize>])];

/// Fields of these widths where a layout has them.
#[doc(hidden)]
pub fn laid_out(record: &str, layout: &Layout, fields: &[(&'static str, usize)]) -> Vec<Field> {
    let place = |&(name, width): &(&'static str, usize)| {
        let Some((_, pieces)) = layout.iter().find(|f| f.0 == name) else {
            panic!("{record}: the layout has no field `{name}`");
        };
        let places: Vec<_> = pieces.iter().map(|p| (p.start, p.len())).collect();
        let bits: usize = places.iter().map(|p| p.1).sum();
        assert_eq!(width, bits, "{record}: the layout has another width for `{name}`");
        Field { name, width, places }
    };
    fields.iter().map(place).collect()
}

/// The word that has these values in its fields.
#[doc(hidden)]
pub fn scatter<T: Record>(values: impl IntoIterator<Item = BigUint>) -> BigUint {
    let mut word = BigUint::default();
    for (field, mut value) in T::fields().into_iter().zip(values) {
        for (at, width) in field.places {
            word |= (&value & ones(width)) << at;
            value >>= width;
        }
    }
    word
}

/// A struct marked `#[record]`: its first field has the lowest bits, unless a layout says
/// otherwise.
pub trait Record: Word {
    fn fields() -> Vec<Field>;

    /// All fields as bits; `N` is the sum of their widths.
    fn to_bits<const N: usize>(self) -> Bits<N> {
        assert_eq!(N, Self::BITS, "{}", std::any::type_name::<Self>());
        self.pack().into()
    }

    fn from_bits<const N: usize>(bits: Bits<N>) -> Self {
        assert_eq!(N, Self::BITS, "{}", std::any::type_name::<Self>());
        Self::unpack(&bits.into())
    }
}

/// An end of a stream: a signal for each field of a record. `#[stream]` makes the two ends.
pub trait Carries {
    type Payload: Record;

    /// In a kernel: reads the payload from the signals.
    fn get(&self) -> Self::Payload;

    /// In a kernel: drives all payload signals, but not `valid` and `ready`.
    fn put(&mut self, payload: Self::Payload);

    #[doc(hidden)]
    fn connect_payload(&mut self);
}

/// The type of a record for RustHDL: its pieces in the order of their places. Bits of no field have
/// no name.
#[doc(hidden)]
pub fn descriptor<T: Record>(
    name: &str,
    fields: impl IntoIterator<Item = TypeDescriptor>,
) -> TypeDescriptor {
    let bits = |width: usize| TypeDescriptor { name: "bits".into(), kind: TypeKind::Bits(width) };
    let mut pieces = vec![];
    for (field, of) in T::fields().into_iter().zip(fields) {
        match field.places.as_slice() {
            &[(at, width)] => pieces.push((at, width, field.name.to_string(), of)),
            &[lo, hi] => {
                for ((at, width), end) in [(lo, "lo"), (hi, "hi")] {
                    pieces.push((at, width, format!("{}_{end}", field.name), bits(width)));
                }
            }
            places => {
                // Pieces of a field in several places get no names: these would be numbers.
                let nameless = |&(at, width): &_| (at, width, String::new(), bits(width));
                pieces.extend(places.iter().map(nameless));
            }
        }
    }
    pieces.sort_by_key(|p| p.0);
    let (mut all, mut end) = (vec![], 0);
    let mut put = |fieldname: String, kind| all.push(Box::new(TypeField { fieldname, kind }));
    for (at, width, name, of) in pieces {
        if at > end {
            put(String::new(), bits(at - end));
        }
        put(name, of);
        end = at + width;
    }
    if T::BITS > end {
        put(String::new(), bits(T::BITS - end));
    }
    TypeDescriptor { name: name.to_string(), kind: TypeKind::Composite(all) }
}

/// A literal as wide as any record.
#[doc(hidden)]
pub fn literal(value: BigUint) -> VerilogLiteral {
    Bits::<4096>::from(value).into()
}
