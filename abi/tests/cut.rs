//! A value too wide for its field is cut and harms no other.

use nitor_abi::mgmt::CtxParam;
use nitor_abi::tx::TxData;

#[test]
fn values_are_cut_to_their_fields() {
    let wide = TxData { address: u64::MAX, l3_proto: 0xff, ..Default::default() };
    let cut = TxData { address: (1 << 48) - 1, l3_proto: 0xf, ..Default::default() };
    assert_eq!(wide.to_bytes(), cut.to_bytes());
    let wide = CtxParam { log_depth: 0x1f, log_entry: 4, ..Default::default() };
    assert_eq!(u32::from(wide), 0xf);
}
