//! The language layer of the RTL: registers and helpers for kernels, and the Verilog emitter.

pub mod build;
mod check;
pub mod emit;
mod flow;
mod lower;
mod module;
mod mutate;
mod names;
mod roll;
mod text;
pub mod tree;
mod types;

pub use emit::{emit, with_stack, Design, Direction, EmitError, Module, Port};
pub use types::{cat, leaf, lit, match_key, BitsExt, LiteralValue, Reg};

/// What a file of RTL needs.
pub mod prelude {
    pub use crate::types::{cat, leaf, lit, BitsExt, Reg};
    pub use crate::{clocked, registers};
    pub use nitor_kernel::kernel;
    pub use rust_hdl_core::prelude::*;
}

/// In a kernel: wires clock and reset of registers and makes them hold their value by default. Without a reset: data that another register says is there.
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
