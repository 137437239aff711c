//! The language layer of the RTL: registers and helpers for kernels, and the Verilog emitter.
//!
//! The passes from a kernel to Verilog, each a module:
//!
//! | step | what it does |
//! |---|---|
//! | `build` | `#[kernel]` calls it: builds the kernel's `tree`, with loops unrolled |
//! | `mutate` | makes one change, to measure the tests |
//! | `check` | sets widths, folds constants |
//! | `lower` | turns what Verilog has no expression for into statements; drops unread values |
//! | `flow` | groups the statements that need one `always @*` |
//! | `roll` | rolls loops up again where all turns are alike |
//! | `module`, `text` | the Verilog: one module for each distinct block, children first |
//!
//! `emit` reports an error with the path of the block: a signal without a driver, a latch, a
//! literal that does not fit, an expression without a width.

pub mod build;
mod check;
pub mod emit;
mod flow;
mod lower;
mod module;
mod mutate;
mod names;
pub mod record;
mod roll;
mod shape;
mod text;
pub mod tree;
mod types;

pub use emit::{emit, with_stack, Design, Direction, EmitError, Module, Port};
pub use num_bigint::BigUint;
pub use record::{Carries, Field, Layout, Record, Word};
pub use types::{cat, leaf, lit, match_key, BitsExt, LiteralValue, Reg};

#[cfg(doctest)]
#[doc = include_str!("../../../docs/kernel-language.md")]
struct KernelLanguage;

/// Everything that a file of RTL imports.
pub mod prelude {
    pub use crate::record::{Carries, Record, Word};
    pub use crate::types::{cat, leaf, lit, BitsExt, Reg};
    pub use crate::{clocked, registers};
    pub use nitor_kernel::{kernel, record, stream};
    pub use rust_hdl_core::ast::VerilogLiteral;
    pub use rust_hdl_core::prelude::*;
    pub use rust_hdl_core::synth::{Synth, VCDValue};
    pub use rust_hdl_core::type_descriptor::{TypeDescriptor, TypeField, TypeKind};
}

/// In a kernel: wires clock and reset of registers and makes them keep their value by default.
/// Without a reset: for data that another register marks as valid.
#[macro_export]
macro_rules! registers {
    ($me:ident, $clock:ident, $reset:ident; $($reg:ident $([$all:tt])?),* $(,)?) => {
        $($crate::registers!(@one $me, $clock, $me.$reset.val(), $reg $([$all])?);)*
    };
    ($me:ident, $clock:ident; $($reg:ident $([$all:tt])?),* $(,)?) => {
        $($crate::registers!(@one $me, $clock, false, $reg $([$all])?);)*
    };
    (@one $me:ident, $clock:ident, $reset:expr, $reg:ident) => {
        $me.$reg.clock.next = $me.$clock.val();
        $me.$reg.reset.next = $reset;
        $me.$reg.d.next = $me.$reg.q.val();
    };
    (@one $me:ident, $clock:ident, $reset:expr, $reg:ident [$all:tt]) => {
        for reg in $me.$reg.iter_mut() {
            reg.clock.next = $me.$clock.val();
            reg.reset.next = $reset;
            reg.d.next = reg.q.val();
        }
    };
}

/// In a kernel: wires the clock, and the reset if given, of sub-blocks.
#[macro_export]
macro_rules! clocked {
    ($me:ident, $clock:ident $(, $reset:ident)?; $($sub:tt)*) => {
        $crate::clocked!(@list $me, $clock, ($($reset)?); $($sub)*);
    };
    (@list $me:ident, $clock:ident, $reset:tt;) => {};
    (@list $me:ident, $clock:ident, $reset:tt; $sub:ident [$all:tt] $(, $($rest:tt)*)?) => {
        for sub in $me.$sub.iter_mut() {
            $crate::clocked!(@one $me, $clock, $reset, sub);
        }
        $crate::clocked!(@list $me, $clock, $reset; $($($rest)*)?);
    };
    (@list $me:ident, $clock:ident, $reset:tt; $sub:ident $(, $($rest:tt)*)?) => {
        {
            let sub = &mut $me.$sub;
            $crate::clocked!(@one $me, $clock, $reset, sub);
        }
        $crate::clocked!(@list $me, $clock, $reset; $($($rest)*)?);
    };
    (@one $me:ident, $clock:ident, (), $sub:ident) => {
        $sub.clock.next = $me.$clock.val();
    };
    (@one $me:ident, $clock:ident, ($reset:ident), $sub:ident) => {
        $sub.clock.next = $me.$clock.val();
        $sub.reset.next = $me.$reset.val();
    };
}
