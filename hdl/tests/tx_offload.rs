mod tx_support;
use nitor_block::lint;
use nitor_hdl::tx::offload::TxOffload;
use tx_support::emitted;

#[test]
fn lints() {
    for (verilog, top, _) in [
        emitted::<TxOffload<128, 16, 4, 6>>("tx_offload_128"),
        emitted::<TxOffload<512, 64, 6, 5>>("tx_offload_512"),
    ] {
        lint(verilog, &top).unwrap_or_else(|words| panic!("{words}"));
    }
}
