//! The receive path as Verilog: no tool warns about it.

mod rx_support;

use nitor_block::lint;
use nitor_hdl::rx::Classifier;
use rx_support::{emitted, emitted_of, Path128, Path512};

#[test]
fn lint_128() {
    let (verilog, top, _) = emitted::<Path128>("rx_path_128");
    lint(verilog, &top).unwrap_or_else(|words| panic!("{words}"));
}

#[test]
fn lint_512() {
    let (verilog, top, _) = emitted::<Path512>("rx_path_512");
    lint(verilog, &top).unwrap_or_else(|words| panic!("{words}"));
}

#[test]
fn lint_128_without_checksums() {
    let classifier = Classifier::Wide { steps: 1, checksums: false };
    let (verilog, top, _) = emitted_of(move || Path128::new(classifier, false), "rx_path_128");
    lint(verilog, &top).unwrap_or_else(|words| panic!("{words}"));
}

#[test]
fn lint_128_serial() {
    let (verilog, top, _) = emitted_of(|| Path128::new(Classifier::Serial, true), "rx_path_128");
    lint(verilog, &top).unwrap_or_else(|words| panic!("{words}"));
}
