//! Models that are there before a command is timed or its words are counted.

use nitor_sim::model::{CardSpec, Features, Model};

/// Sees to it that `nitor` finds the 128-bit card's models made, the one for waves included.
pub fn ready() {
    for waves in [false, true] {
        Model::of(&CardSpec::Width(128), Features { waves, branches: false }).unwrap();
    }
}
