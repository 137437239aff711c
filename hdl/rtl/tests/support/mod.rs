//! What the tests of emitted designs share.

// Not every test asks it.
#[allow(dead_code)]
pub mod icarus;

use nitor_block::Port;
use nitor_rtl::{Design, Direction};

/// The design's ports as a model wants them.
pub fn ports(design: &Design) -> Vec<Port> {
    let port = |p: &nitor_rtl::Port| match p.direction {
        Direction::In => Port::input(&p.name, p.width),
        Direction::Out => Port::output(&p.name, p.width),
    };
    design.ports().iter().map(port).collect()
}
