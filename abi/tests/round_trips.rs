//! Every record: what is taken out of bytes and put back are the same bits, and no two fields share one.

use proptest::prelude::*;

macro_rules! round_trips {
    ($($module:ident::$record:ident)*) => {$(
        #[allow(non_snake_case)]
        mod $record {
            use nitor_abi::$module::$record;
            use proptest::prelude::*;

            proptest! {
                #[test]
                fn round_trip(random: [u8; 32]) {
                    let bytes: [u8; $record::LEN] =
                        core::array::from_fn(|i| random[i % 32].wrapping_add((i / 32) as u8));
                    let fields = $record::from_bytes(&[0xff; $record::LEN]).to_bytes();
                    let record = $record::from_bytes(&bytes);
                    let masked: Vec<u8> = bytes.iter().zip(fields).map(|(b, f)| b & f).collect();
                    prop_assert_eq!(&record.to_bytes()[..], &masked[..]);
                    prop_assert_eq!($record::from_bytes(&record.to_bytes()), record);

                    let mut whole = bytes.map(|b| !b);
                    record.put(&mut whole);
                    let kept: Vec<u8> = bytes.iter().zip(fields).map(|(b, f)| b ^ !f).collect();
                    prop_assert_eq!(&whole[..], &kept[..]);
                }
            }
        }
    )*};
}

round_trips! {
    bar::Version bar::ControllerVersion bar::Caps bar::QueueCaps bar::DevCtl bar::DevSts
    bar::ReadlessRequest bar::ReadlessResponse bar::Interrupt
    admin::CommandHeader admin::ControlBuffer admin::AnswerHeader admin::CreateCq
    admin::CreateCqAnswer admin::DestroyCq admin::CreateSq admin::CreateSqAnswer
    admin::DestroySq admin::FeatureCommand admin::GetStats admin::BasicStats admin::EniStats
    feature::DeviceAttributes feature::MaxQueues feature::MaxQueuesExt feature::Hints
    feature::Llq feature::FragBypass feature::StatelessOffload feature::Mtu
    feature::InterruptModeration feature::AenqConfig feature::LinkConfig feature::HostAttributes
    feature::HostInfo feature::Phc feature::PhcOutput feature::FlowSteering feature::FlowRule
    feature::HwTimestamp
    rss::Table rss::Function rss::KeyBuffer rss::Input
    event::EventHeader event::LinkChange event::KeepAlive
    tx::TxData tx::TxMeta tx::TxCompletion rx::RxDesc rx::RxCompletion
    mgmt::Config mgmt::Status mgmt::DmaState mgmt::CtxParam mgmt::CtxCmd mgmt::RssEntry
}

proptest! {
    /// Numbers of enums come back as themselves, and the others are refused with the number.
    #[test]
    fn numbers(n: u8) {
        use nitor_abi::{admin, event, feature};
        match admin::Opcode::try_from(n) { Ok(v) => prop_assert_eq!(v as u8, n), Err(e) => prop_assert_eq!(e, n) }
        match admin::Status::try_from(n) { Ok(v) => prop_assert_eq!(v as u8, n), Err(e) => prop_assert_eq!(e, n) }
        match admin::Direction::try_from(n) { Ok(v) => prop_assert_eq!(v as u8, n), Err(e) => prop_assert_eq!(e, n) }
        match feature::Feature::try_from(n) { Ok(v) => prop_assert_eq!(v as u8, n), Err(e) => prop_assert_eq!(e, n) }
        let n = u16::from(n);
        match event::Group::try_from(n) { Ok(v) => prop_assert_eq!(v as u16, n), Err(e) => prop_assert_eq!(e, n) }
    }
}

#[test]
fn counters_are_where_the_bus_has_them() {
    use nitor_abi::mgmt::Counter;
    assert_eq!(Counter::ALL.len(), 29);
    assert_eq!(Counter::TxFrames.address(), 0x600);
    assert_eq!(Counter::CqOverflow.address(), 0x6b8);
    assert_eq!(Counter::RxDropsNoQueue.name(), "rx_drops_no_queue");
}
