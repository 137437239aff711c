//! The PCIe blocks as Verilog: no tool warns about them.

mod pcie_support;

use nitor_block::lint;
use pcie_support::designs;

#[test]
fn lint_all() {
    for design in designs() {
        lint(design.verilog, &design.top).unwrap_or_else(|words| panic!("{}: {words}", design.top));
        if std::env::var_os("PORTS").is_some() {
            for port in design.ports {
                println!("{} {:?}", design.top, port);
            }
        }
    }
}
