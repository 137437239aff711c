//! `link/credit` returns what `pcie/tx` spends, for each kind of TLP that the card sends.

mod control_support;

use control_support::{model, set_all_inputs_low};
use nitor_block::bitvec::prelude::*;
use nitor_block::{Model, Rng};
use nitor_hdl::link::credit::Credit;
use std::sync::LazyLock;

static CREDIT: LazyLock<Model> = LazyLock::new(|| model("link_credit", Credit::default));

/// First byte of a header, and whether it is posted, has data, is a read.
const KINDS: [(u8, bool, bool, bool); 8] = [
    (0x40, true, true, false),   // MWr, 32 bits of address
    (0x60, true, true, false),   // MWr, 64 bits
    (0x00, false, false, true),  // MRd
    (0x20, false, false, true),  // MRd, 64 bits
    (0x30, true, false, false),  // Msg, to the root complex: ERR_COR and the like
    (0x0a, false, false, false), // Cpl
    (0x4a, false, true, false),  // CplD
    (0x0b, false, false, false), // CplLk
];

#[test]
fn credits_come_back() {
    let mut rng = Rng(1);
    let mut block = CREDIT.block(1);
    set_all_inputs_low(&mut block);
    block.reset(2);
    let (mut posted, mut data, mut reads) = (127u64, 2047u64, 127u64);
    // A TLP's credits show two cycles after its first beat.
    let mut before = [posted, data, reads];
    for _ in 0..5000 {
        let (kind, is_posted, has_data, is_read) = *rng.pick(&KINDS);
        let dwords = if has_data || is_read { rng.range(1, 128) } else { 0 };
        let mut hdr = rng.bits(128);
        hdr[24..32].store(kind);
        hdr[0..10].store(dwords);
        let taken = rng.percent(70);
        block.set("taken", taken.into());
        block.set_bits("hdr", &hdr);
        block.tick();
        block.eval();
        let limits = ["ph", "pd", "nph"].map(|port| block.get(port));
        assert_eq!(limits, [before[0] % 256, before[1] % 4096, before[2] % 256]);
        if taken {
            posted += u64::from(is_posted);
            data += if is_posted { dwords.div_ceil(4) } else { 0 };
            reads += u64::from(is_read);
        }
        before = [posted, data, reads];
    }
}
