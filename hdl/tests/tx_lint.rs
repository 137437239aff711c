//! The transmit path as Verilog: no tool warns about it.

mod tx_support;

use nitor_block::lint;
use tx_support::{emitted, emitted_as, Path128, Path512, PathSmall};

#[test]
fn lint_128() {
    let (verilog, top, _) = emitted::<Path128>("tx_path_128");
    lint(verilog, &top).unwrap_or_else(|words| panic!("{words}"));
}

#[test]
fn lint_without_offloads() {
    let (verilog, top, _) = emitted_as("tx_plain_128", || Path128::new(false, false));
    lint(verilog, &top).unwrap_or_else(|words| panic!("{words}"));
}

#[test]
fn lint_small() {
    let (verilog, top, _) = emitted_as("tx_small_128", || PathSmall::new(false, true));
    lint(verilog, &top).unwrap_or_else(|words| panic!("{words}"));
}

#[test]
fn lint_512() {
    let (verilog, top, _) = emitted::<Path512>("tx_path_512");
    lint(verilog, &top).unwrap_or_else(|words| panic!("{words}"));
}
