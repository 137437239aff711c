//! Makes models in advance, for tests that time a command or read its output.

use nitor_hdl::cards::CARD_128;
use nitor_sim::model::{Features, Model};

/// Makes the models of the 128-bit card, with and without waves, so that `nitor` finds them.
pub fn ready() {
    for waves in [false, true] {
        Model::of(&CARD_128, Features { waves, branches: false }).unwrap();
    }
}
