//! Models that are there before a command is timed or its words are counted.

use nitor_hdl::cards::CARD_128;
use nitor_sim::model::{Features, Model};

/// Sees to it that `nitor` finds the 128-bit card's models made, the one for waves included.
pub fn ready() {
    for waves in [false, true] {
        Model::of(&CARD_128, Features { waves, branches: false }).unwrap();
    }
}
