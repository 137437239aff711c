//! Registers, literals and slices for kernels, as RustHDL's simulator runs them.

use crate::build::{DOC_MARK, TYPE_MARK};
use num_bigint::BigUint;
use rust_hdl_core::prelude::*;

/// Marks a register's initial value for the emitter, which inlines registers in their parent.
pub(crate) const REG_MARK: &str = "//nitor:reg ";

/// Flip-flops with a synchronous reset.
#[derive(LogicBlock, Default)]
pub struct Reg<T: Synth> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub d: Signal<In, T>,
    pub q: Signal<Out, T>,
    _init: T,
}

impl<T: Synth> Reg<T> {
    /// A register that resets to `init`.
    pub fn new(init: T) -> Self {
        Self { _init: init, ..Self::default() }
    }
}

impl<T: Synth> Logic for Reg<T> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.q.next = if self.reset.val() { self._init } else { self.d.val() };
        }
    }

    fn connect(&mut self) {
        self.q.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!("{REG_MARK}{:x}", self._init.verilog()))
    }
}

/// Verilog text of a leaf primitive. Ports are declared by the emitter, outputs as `reg`.
pub fn leaf<T>(doc: &str, body: &str) -> Verilog {
    let name = std::any::type_name::<T>();
    let doc: String = doc.lines().map(|l| format!("//{DOC_MARK}{l}\n")).collect();
    Verilog::Custom(format!("//{TYPE_MARK}{name}\n{doc}{body}"))
}

/// A value that [lit] accepts.
pub trait LiteralValue {
    /// The value as a number, or what is wrong with it.
    fn value(self) -> Result<u128, String>;
}

macro_rules! literal_value {
    ($($t:ty),*) => {$(
        impl LiteralValue for $t {
            fn value(self) -> Result<u128, String> {
                u128::try_from(self).map_err(|_| format!("{self} is negative"))
            }
        }
    )*};
}
literal_value!(i32, u8, u16, u32, u64, u128, usize);

impl LiteralValue for bool {
    fn value(self) -> Result<u128, String> {
        Ok(u128::from(self))
    }
}

/// The value, if it fits in so many bits.
pub(crate) fn fitting(value: u128, width: usize) -> Result<u128, String> {
    match width < 128 && value >> width != 0 {
        true => Err(format!("{value:#x} does not fit in {width} bits")),
        false => Ok(value),
    }
}

/// An `N`-bit literal.
#[track_caller]
pub fn lit<const N: usize>(value: impl LiteralValue) -> Bits<N> {
    let value = value.value().and_then(|value| fitting(value, N));
    BigUint::from(value.unwrap_or_else(|fault| panic!("{fault}"))).into()
}

/// The value that a `match` on numbers compares.
pub fn match_key<const N: usize>(value: Bits<N>) -> u128 {
    assert!(N <= 128, "a match on {N} bits");
    bit_cast::<128, N>(value).to_u128()
}

/// `hi` above `lo`; C = A + B.
pub fn cat<const A: usize, const B: usize, const C: usize>(hi: Bits<A>, lo: Bits<B>) -> Bits<C> {
    assert_eq!(A + B, C);
    let mut bits = bit_cast::<C, B>(lo);
    bits.set_bits::<A>(B, hi);
    bits
}

pub trait BitsExt {
    /// This value with M bits from `index` on replaced.
    fn set_slice<const M: usize>(self, index: usize, value: Bits<M>) -> Self;
}

impl<const N: usize> BitsExt for Bits<N> {
    fn set_slice<const M: usize>(mut self, index: usize, value: Bits<M>) -> Self {
        for i in 0..M {
            if index + i < N {
                self = self.replace_bit(index + i, value.get_bit(i));
            }
        }
        self
    }
}
