//! Features, and the control buffers of those that have one.

mod card;

use card::*;
use nitor_abi::admin::Status;
use nitor_abi::event::Group;
use nitor_abi::feature::{
    capability, AenqConfig, DeviceAttributes, Feature, HostAttributes, InterruptModeration,
    LinkConfig, Llq, MaxQueues, MaxQueuesExt, Mtu, StatelessOffload,
};
use nitor_abi::mgmt;
use nitor_abi::rss::{function, input, Function, Input, KeyBuffer, Table, NOT_INLINE};
use proptest::prelude::*;

const SUPPORTED: u32 = 0x1c14_5c8e;

fn set_table(bench: &mut Bench, entries: &[u16; 128]) -> Result<(), Status> {
    let bytes: Vec<u8> = entries.iter().flat_map(|queue| u32::from(*queue).to_le_bytes()).collect();
    bench.card.bytes(CONTROL, 512).copy_from_slice(&bytes);
    let table = Table { size: 7, inline_index: NOT_INLINE, ..Default::default() };
    bench.with_control(512).set(12, &table.to_bytes())
}

#[test]
fn device_attributes() {
    let attributes = DeviceAttributes::from_bytes(&head(Bench::new().get(1)));
    assert_eq!(
        attributes,
        DeviceAttributes {
            supported_features: SUPPORTED,
            phys_addr_width: 48,
            virt_addr_width: 64,
            mac: MAC,
            capabilities: capability::ENI_STATS,
            max_mtu: 9216,
            ..Default::default()
        }
    );
}

#[test]
fn every_bit_of_the_bitmap_answers_and_no_other() {
    let mut bench = Bench::new();
    for feature in 0..=255 {
        let supported = feature < 32 && SUPPORTED >> feature & 1 == 1;
        match bench.get(feature) {
            Ok(_) => assert!(supported, "{feature}"),
            Err(status) => {
                assert!(!supported, "{feature}");
                assert_eq!(status, Status::UnsupportedOpcode);
            }
        }
    }
    // Read only, or not there.
    for feature in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 20, 27, 29, 30, 31, 77] {
        assert_eq!(bench.set(feature, &[0; 44]), Err(Status::UnsupportedOpcode), "{feature}");
    }
    // As drivers do it, whatever was offered.
    let llq = Llq { accel_flags: 3, ..Default::default() };
    assert_eq!(bench.set(Feature::Llq as u8, &llq.to_bytes()), Err(Status::UnsupportedOpcode));
}

#[test]
fn queue_limits() {
    let mut bench = Bench::new();
    let old = MaxQueues::from_bytes(&head(bench.get(2)));
    let new = MaxQueuesExt::from_bytes(&head(bench.get(7)));
    assert_eq!(new.version, 1);
    assert!((1..=255).contains(&new.tx_header_size));
    assert_eq!((new.packet_tx_descs, new.packet_rx_descs), (19, 16));
    for number in [new.tx_sq_num, new.tx_cq_num, new.rx_sq_num, new.rx_cq_num, old.sq_num] {
        assert_eq!(number, 16);
    }
    for depth in [new.tx_sq_depth, new.tx_cq_depth, new.rx_sq_depth, new.rx_cq_depth, old.cq_depth]
    {
        assert_eq!(depth, 4096);
    }
    assert_eq!(old.header_size, new.tx_header_size);
    assert_eq!((old.packet_tx_descs, old.llq_num), (19, 0));
}

/// A card with lines.
fn with_lines() -> Bench {
    let mut bench = Bench::new();
    bench.card.log_lines = Some(9);
    bench.reset();
    bench
}

/// What drivers choose.
const CHOICE: Llq = Llq {
    max_num: 0,
    max_depth: 0,
    header_location_supported: 0,
    header_location_enabled: 1,
    entry_size_supported: 0,
    entry_size_enabled: 1,
    descs_before_header_supported: 0,
    descs_before_header_enabled: 2,
    stride_supported: 0,
    stride_enabled: 2,
    feature_version: 0,
    entry_size_recommended: 0,
    max_wide_depth: 0,
    accel_flags: 3,
    max_tx_burst: 0,
};

#[test]
fn low_latency_queues() {
    let mut bench = with_lines();
    let attributes = DeviceAttributes::from_bytes(&head(bench.get(1)));
    assert_eq!(attributes.supported_features, SUPPORTED | 1 << 4);
    let old = MaxQueues::from_bytes(&head(bench.get(2)));
    assert_eq!((old.llq_num, old.llq_depth), (16, 512));
    let offer = Llq::from_bytes(&head(bench.get(4)));
    let expected = Llq {
        max_num: 16,
        max_depth: 512,
        header_location_supported: 1,
        entry_size_supported: 5,
        descs_before_header_supported: 2,
        stride_supported: 2,
        feature_version: 1,
        max_wide_depth: 256,
        header_location_enabled: 0,
        entry_size_enabled: 0,
        descs_before_header_enabled: 0,
        stride_enabled: 0,
        entry_size_recommended: 0,
        accel_flags: 0,
        max_tx_burst: 0,
    };
    assert_eq!(offer, expected);
    for bad in [
        Llq { header_location_enabled: 0, ..CHOICE },
        Llq { header_location_enabled: 2, ..CHOICE },
        Llq { entry_size_enabled: 0, ..CHOICE },
        Llq { entry_size_enabled: 2, ..CHOICE },
        Llq { entry_size_enabled: 5, ..CHOICE },
        Llq { descs_before_header_enabled: 1, ..CHOICE },
        Llq { stride_enabled: 1, ..CHOICE },
    ] {
        assert_eq!(bench.set(4, &bad.to_bytes()), Err(Status::IllegalParameter), "{bad:?}");
    }
    assert_eq!(Llq::from_bytes(&head(bench.get(4))), expected);
    bench.set(4, &CHOICE.to_bytes()).unwrap();
    let chosen = Llq::from_bytes(&head(bench.get(4)));
    assert_eq!((chosen.entry_size_enabled, chosen.stride_enabled), (1, 2));
    // A reset forgets it.
    bench.reset();
    assert_eq!(Llq::from_bytes(&head(bench.get(4))), expected);
}

#[test]
fn simple_ones() {
    let mut bench = Bench::new();
    assert_eq!(InterruptModeration::from_bytes(&head(bench.get(20))).resolution_us, 1);
    assert_eq!(head::<32>(bench.get(3)), [0; 32]);
    let link = LinkConfig::from_bytes(&head(bench.get(27)));
    assert_eq!((link.speed, link.supported, link.full_duplex), (100_000, 1 << 7, true));
    let host = HostAttributes { os_info: CONTROL, debug_area: 0, debug_area_len: 0 };
    bench.set(28, &host.to_bytes()).unwrap();
    assert_eq!(HostAttributes::from_bytes(&head(bench.get(28))), host);
}

/// What the hardware was built with is offered.
#[test]
fn offloads() {
    for (tx_offloads, rx_checksums) in [(false, false), (true, false), (false, true), (true, true)]
    {
        let mut bench = Bench::new();
        bench.card.tx_offloads = tx_offloads;
        bench.card.rx_checksums = rx_checksums;
        bench.reset();
        let tx = if tx_offloads { 0xff } else { 0 };
        let rx = if rx_checksums { 0xf } else { 8 };
        let offloads = StatelessOffload::from_bytes(&head(bench.get(11)));
        assert_eq!(offloads, StatelessOffload { tx, rx_supported: rx, rx_enabled: rx });
    }
}

#[test]
fn mtu() {
    let mut bench = Bench::new();
    assert_eq!(bench.card.register(mgmt::MAX_FRAME), 9216 + 22);
    for mtu in [128u32, 1500, 9216] {
        bench.set(14, &mtu.to_le_bytes()).unwrap();
        assert_eq!(bench.card.register(mgmt::MAX_FRAME), mtu + 22);
        assert_eq!(Mtu::from_bytes(&head(bench.get(14))).mtu, mtu);
    }
    for mtu in [0, 67, 9217, 65_536 + 1500, u32::MAX] {
        assert_eq!(bench.set(14, &mtu.to_le_bytes()), Err(Status::IllegalParameter));
        assert_eq!(bench.card.register(mgmt::MAX_FRAME), 9216 + 22);
    }
    bench.set(14, &1500u32.to_le_bytes()).unwrap();
    bench.reset();
    assert_eq!(bench.card.register(mgmt::MAX_FRAME), 9216 + 22);
}

#[test]
fn event_groups() {
    let mut bench = Bench::new();
    let get = |bench: &mut Bench| AenqConfig::from_bytes(&head(bench.get(26)));
    let all = 0x9f;
    assert_eq!(get(&mut bench), AenqConfig { supported_groups: all, enabled_groups: 0 });
    for enabled_groups in [all, Group::KeepAlive.bit(), 0] {
        let set = AenqConfig { supported_groups: 0, enabled_groups };
        bench.set(26, &set.to_bytes()).unwrap();
        assert_eq!(get(&mut bench).enabled_groups, enabled_groups);
    }
    let bad = AenqConfig { supported_groups: 0, enabled_groups: all | 0x20 };
    assert_eq!(bench.set(26, &bad.to_bytes()), Err(Status::IllegalParameter));
}

#[test]
fn rss_table() {
    let mut bench = Bench::new();
    let limits = Table::from_bytes(&head(bench.get(12)));
    assert_eq!((limits.min_size, limits.max_size, limits.size), (7, 7, 7));

    let entries = core::array::from_fn(|i| (i * 5 % 16) as u16);
    set_table(&mut bench, &entries).unwrap();
    let table: Vec<_> = entries.iter().map(|&queue| Some(queue as u8)).collect();
    assert_eq!(bench.card.rss_table(), table);

    // As the driver reads it back.
    bench.card.bytes(CONTROL, 512).fill(0xff);
    bench.with_control(512).get(12).unwrap();
    let read = bench.card.bytes(CONTROL, 512).to_vec();
    for (bytes, queue) in read.chunks(4).zip(entries) {
        assert_eq!(bytes, u32::from(queue).to_le_bytes());
    }

    let mut bad = entries;
    bad[127] = 16;
    assert_eq!(set_table(&mut bench, &bad), Err(Status::IllegalParameter));
    bad[127] = 0x103;
    assert_eq!(set_table(&mut bench, &bad), Err(Status::IllegalParameter));
    assert_eq!(bench.card.rss_table(), table, "no side effect");

    let good = Table { size: 7, inline_index: NOT_INLINE, ..Default::default() };
    let refused = Err(Status::IllegalParameter);
    assert_eq!(bench.with_control(512).set(12, &Table { size: 6, ..good }.to_bytes()), refused);
    let one = Table { inline_index: 3, ..good }.to_bytes();
    assert_eq!(bench.with_control(512).set(12, &one), refused);
    assert_eq!(bench.with_control(508).set(12, &good.to_bytes()), refused);
    assert_eq!(bench.set(12, &good.to_bytes()), refused, "no buffer");
    assert_eq!(bench.with_control(4).get(12).map(|_| ()), refused);
}

#[test]
fn a_set_table_stays() {
    let mut bench = Bench::new();
    set_table(&mut bench, &[3; 128]).unwrap();
    let body = nitor_abi::admin::CreateCq {
        interrupt_mode: true,
        entry_words: 4,
        depth: 64,
        vector: 1,
        base: RINGS,
    };
    bench.command(3, &body.to_bytes()).unwrap();
    let body = nitor_abi::admin::CreateSq {
        direction: 2,
        placement: 1,
        contiguous: true,
        depth: 64,
        base: RINGS,
        ..Default::default()
    };
    bench.command(1, &body.to_bytes()).unwrap();
    assert!(bench.card.rss_table().iter().all(|&queue| queue == Some(3)));
}

#[test]
fn rss_key_is_reversed_on_its_way() {
    let mut bench = Bench::new();
    let hardware_key = |bench: &Bench| -> Vec<u8> {
        (0..10).flat_map(|i| bench.card.register(mgmt::RSS_KEY + 4 * i).to_le_bytes()).collect()
    };
    let host_key = |bench: &mut Bench| {
        bench.card.bytes(CONTROL, 48).fill(0xff);
        bench.with_control(48).get(10).unwrap();
        KeyBuffer::from_bytes(bench.card.bytes(CONTROL, 48).first_chunk().unwrap())
    };
    let reversed = |key: [u8; 40]| key.into_iter().rev().collect::<Vec<_>>();
    let default = host_key(&mut bench);
    assert_eq!(default.parts, 10);
    assert_eq!(hardware_key(&bench), reversed(default.key));
    assert_eq!(hardware_key(&bench)[..4], [0x6d, 0x5a, 0x56, 0xda]);

    let key = core::array::from_fn(|i| i as u8);
    let bytes = KeyBuffer { parts: 10, key }.to_bytes();
    bench.card.bytes(CONTROL, 48).copy_from_slice(&bytes);
    let set = Function { selected: function::TOEPLITZ, init_val: 0xffff_ffff, supported: 0 };
    bench.with_control(48).set(10, &set.to_bytes()).unwrap();
    assert_eq!(hardware_key(&bench), reversed(key));
    assert_eq!(host_key(&mut bench).key, key);

    // Without a buffer the key stays.
    bench.set(10, &set.to_bytes()).unwrap();
    assert_eq!(
        Function::from_bytes(&head(bench.get(10))),
        Function { supported: 2, selected: 2, init_val: 0xffff_ffff }
    );
    let crc = Function { selected: function::CRC32, ..set };
    assert_eq!(bench.set(10, &crc.to_bytes()), Err(Status::UnsupportedOpcode));
    bench.card.bytes(CONTROL, 48)[0] = 11;
    let refused = Err(Status::IllegalParameter);
    assert_eq!(bench.with_control(48).set(10, &set.to_bytes()), refused);
    assert_eq!(bench.with_control(44).set(10, &set.to_bytes()), refused);
    assert_eq!(hardware_key(&bench), reversed(key));
    bench.reset();
    assert_eq!(hardware_key(&bench), reversed(default.key));
}

#[test]
fn rss_hash_input() {
    let mut bench = Bench::new();
    bench.card.bytes(CONTROL, 256).fill(0xff);
    bench.with_control(256).get(18).unwrap();
    let bytes = bench.card.bytes(CONTROL, 256).to_vec();
    let fields = |at: usize| -> Vec<u16> {
        bytes[at..at + 64].chunks(4).map(|e| u16::from_le_bytes([e[0], e[1]])).collect()
    };
    let expected = [0x3c, 0x3c, 0x3c, 0x3c, 0xc, 0xc, 0xc, 3, 0x3c, 0xc, 0, 0, 0, 0, 0, 0];
    assert_eq!(fields(input::SUPPORTED), expected);
    assert_eq!(fields(input::SELECTED), expected);
    assert_eq!(bench.card.register(mgmt::RSS_CTRL), 0xffff);
    assert_eq!(Input::from_bytes(&head(bench.get(18))).supported_sort, 0);

    // One kind after the other without ports, one not hashed at all.
    let sort = Input { supported_sort: 0, enabled_sort: 6 }.to_bytes();
    for (kind, selected, ctrl) in
        [(input::UDP4, 0xc, 0xfffd), (input::TCP6, 0, 0xfff9), (input::UDP4, 0x3c, 0xfffb)]
    {
        bench.card.bytes(CONTROL, 256)[input::SELECTED + 4 * kind] = selected;
        bench.with_control(256).set(18, &sort).unwrap();
        assert_eq!(bench.card.register(mgmt::RSS_CTRL), ctrl);
    }
    bench.card.bytes(CONTROL, 256)[input::SELECTED + 4 * input::IP4] = 0x3c;
    let refused = Err(Status::IllegalParameter);
    assert_eq!(bench.with_control(256).set(18, &sort), refused);
    assert_eq!(bench.set(18, &sort), refused);
}

#[test]
fn control_buffers_are_direct_whatever_the_flags_say() {
    for flags in [0, 2, 4, 6] {
        let mut bench = Bench::new();
        bench.flags = flags;
        bench.with_control(48).get(10).unwrap();
        assert_eq!(bench.card.bytes(CONTROL, 4), [10, 0, 0, 0]);
    }
    // Memory that is not there fails the command alone.
    let mut bench = Bench::new();
    for address in [0, MEMORY - 4, (1 << 48) - 8] {
        bench.control = Some(nitor_abi::admin::ControlBuffer { length: 512, address });
        assert_eq!(bench.get(12), Err(Status::UnknownError));
    }
    bench.get(1).unwrap();
}

proptest! {
    /// Any bytes as a SET: no panic, an answer, and what can be got afterwards is sound.
    #[test]
    fn any_set_feature_is_answered(feature in 0u8..34, payload: [u8; 32], length in 0u32..600, junk: [u8; 32]) {
        let mut bench = Bench::new();
        for chunk in bench.card.bytes(CONTROL, 0x1000).chunks_mut(32) {
            chunk.copy_from_slice(&junk);
        }
        let _ = bench.with_control(length).set(feature, &payload);
        let groups = AenqConfig::from_bytes(&head(bench.get(26)));
        prop_assert_eq!(groups.enabled_groups & !groups.supported_groups, 0);
        let mtu = Mtu::from_bytes(&head(bench.get(14))).mtu;
        prop_assert!((68..=9216).contains(&mtu));
        prop_assert!(bench.card.rss_table().iter().flatten().all(|&queue| queue < PAIRS));
    }
}
