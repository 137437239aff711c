//! Emits every card and board: in no configuration does a literal fail to fit.

use nitor_hdl::board::colorlight::Colorlight;
use nitor_hdl::board::uart::UartBoard;
use nitor_hdl::cards::{CARD_128, CARD_512};
use nitor_hdl::emit_card;
use nitor_rtl::prelude::Block;
use nitor_rtl::{emit, with_stack};

fn emitted<B: Block>(make: impl FnOnce() -> B + Send + 'static) -> String {
    with_stack(move || {
        let mut block = make();
        block.connect_all();
        emit(&block, "top").unwrap_or_else(|error| panic!("{error}")).to_string()
    })
}

/// The limits that the read engine's scanner compares with: a time-out and the shortest that a host can choose, and two and eight of the
/// former while a tag rests.
fn limits(verilog: &str) -> Vec<u64> {
    let begin = verilog.find("module dma_read_").expect("a read engine");
    let engine = &verilog[begin..begin + verilog[begin..].find("endmodule").unwrap()];
    let mut found = vec![];
    for (base, radix) in [("15'h", 16), ("15'd", 10)] {
        for rest in engine.split(base).skip(1) {
            let digits = rest.find(|c: char| !c.is_digit(radix)).unwrap_or(rest.len());
            found.push(u64::from_str_radix(&rest[..digits], radix).unwrap());
        }
    }
    // Less is no time.
    found.retain(|&number| number > 9);
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn tags_rest_for_eight_time_outs_everywhere() {
    let cards = [
        emit_card(&CARD_128).unwrap().to_string(),
        emit_card(&CARD_512).unwrap().to_string(),
        emitted(Colorlight::default),
        emitted(UartBoard::ulx3s),
        emitted(UartBoard::evn),
    ];
    for verilog in cards {
        let limits = limits(&verilog);
        let once = limits[1];
        assert_eq!(limits, [3 * once / 4, once, 2 * once, 8 * once]);
    }
}
