//! The words that a stock driver was seen to write, field by field.

use nitor_abi::admin::{CommandHeader, CreateCq, CreateSq};
use nitor_abi::bar::{Caps, DevCtl, Interrupt, QueueCaps, ReadlessResponse, ResetReason};
use nitor_abi::feature::Feature;
use nitor_abi::rx::{RxCompletion, RxDesc};
use nitor_abi::tx::{is_meta, l3, l4, TxCompletion, TxData, TxMeta};

/// Words as they would be printed, to the bytes of memory.
fn bytes<const N: usize>(words: &[u32]) -> [u8; N] {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.try_into().unwrap()
}

#[test]
fn registers() {
    let reset = |reason: ResetReason| {
        u32::from(DevCtl { dev_reset: true, reset_reason: reason as u8, ..Default::default() })
    };
    assert_eq!(reset(ResetReason::Normal), 0x0000_0001);
    assert_eq!(reset(ResetReason::Shutdown), 0xb000_0001);
    // As encoded with extended reasons.
    assert_eq!(reset(ResetReason::MissingAdminInterrupt), 0x2100_0001);
    assert_eq!(u32::from(QueueCaps { depth: 32, entry_size: 64 }), 0x0040_0020);
    assert_eq!(u32::from(QueueCaps { depth: 16, entry_size: 64 }), 0x0040_0010);
    let unmask = Interrupt { tx_delay: 64, unmask: true, ..Default::default() };
    assert_eq!(u32::from(unmask), 0x4020_0000);
    assert_eq!(
        Caps::from(0x3015),
        Caps {
            contiguous_queue_required: true,
            reset_timeout: 10,
            dma_addr_width: 48,
            admin_cmd_timeout: 0
        }
    );
    let response = ReadlessResponse { req_id: 0x1234, offset: 0x58, value: 0x8765_4321 };
    assert_eq!(response.to_bytes(), bytes(&[0x0058_1234, 0x8765_4321]));
}

#[test]
fn feature_bitmap() {
    let host_mode = [
        Feature::MaxQueuesExt,
        Feature::RssHashFunction,
        Feature::StatelessOffload,
        Feature::RssIndirectionTable,
        Feature::Mtu,
        Feature::RssHashInput,
        Feature::InterruptModeration,
        Feature::AenqConfig,
        Feature::LinkConfig,
        Feature::HostAttributes,
    ];
    assert_eq!(host_mode.iter().fold(0, |map, feature| map | feature.bit()), 0x1c14_5c80);
}

#[test]
fn admin_commands() {
    // CREATE_CQ for TX: flags 01, byte 4 = 20, two words, vector 1.
    let mut entry = [0; 64];
    entry[..20].copy_from_slice(&bytes::<20>(&[0x0103_0012, 0x0400_0220, 1, 0x1000, 0x1234]));
    assert_eq!(
        CommandHeader::from_bytes(entry.first_chunk().unwrap()),
        CommandHeader { command_id: 0x12, opcode: 3, phase: true, ..Default::default() }
    );
    assert_eq!(
        CreateCq::from_bytes(&entry),
        CreateCq {
            interrupt_mode: true,
            entry_words: 2,
            depth: 1024,
            vector: 1,
            base: 0x1234_0000_1000
        }
    );
    // CREATE_SQ for RX: byte 4 = 40, byte 6 = 01, byte 7 = 01.
    let create = CreateSq {
        direction: 2,
        placement: 1,
        contiguous: true,
        cq_idx: 7,
        depth: 1024,
        base: 0x1234_0000_2000,
        ..Default::default()
    };
    let sq = create.to_bytes();
    assert_eq!(sq[4..20], bytes::<16>(&[0x0101_0040, 0x0400_0007, 0x2000, 0x1234]));
    // A control buffer's flag.
    let set = CommandHeader {
        command_id: 14,
        opcode: 9,
        phase: true,
        ctrl_data_indirect: true,
        ..Default::default()
    };
    assert_eq!(set.to_bytes(), [14, 0, 9, 5]);
}

#[test]
fn transmit() {
    let meta = TxMeta {
        ext_valid: true,
        eth_meta_type: true,
        meta_store: true,
        meta_desc: true,
        phase: true,
        first: true,
        l3_hdr_len: 20,
        l3_hdr_off: 14,
        ..Default::default()
    };
    assert_eq!(meta.to_bytes(), bytes(&[0x05b0_4000, 0, 0x0e14, 0]));
    assert!(is_meta(&meta.to_bytes()));
    let segmentation = TxMeta { mss: 5000, l4_hdr_words: 8, ..meta };
    assert_eq!(segmentation.to_bytes(), bytes(&[0x05b4_4000, 0, 0xe208_0e14, 0]));

    let first = TxData {
        length: 100,
        req_id: 0xabcd,
        phase: true,
        comp_req: true,
        l3_proto: l3::IPV4,
        l4_proto: l4::TCP,
        l4_csum_en: true,
        l4_csum_partial: true,
        address: 0x1234_0000_1000,
        header_length: 54,
        ..Default::default()
    };
    assert_eq!(first.to_bytes(), bytes(&[0x112a_0064, 0xf342_4c08, 0x0000_1000, 0x3600_1234]));
    let second = TxData {
        length: 101,
        phase: true,
        last: true,
        address: 0x1234_0000_2000,
        ..Default::default()
    };
    assert_eq!(second.to_bytes(), bytes(&[0x0900_0065, 0, 0x0000_2000, 0x1234]));
    let cached = TxData { req_id: 5, first: true, last: true, ..first };
    assert_eq!(cached.to_bytes(), bytes(&[0x1d00_0064, 0x0142_4c08, 0x0000_1000, 0x3600_1234]));
    let tso = TxData {
        first: false,
        tso_en: true,
        df: true,
        l3_csum_en: true,
        l4_csum_partial: false,
        ..cached
    };
    assert_eq!(tso.to_bytes(), bytes(&[0x1900_0064, 0x0140_6c98, 0x0000_1000, 0x3600_1234]));
    assert!(!is_meta(&tso.to_bytes()));
    // All of a packet pushed: its one descriptor in a line of device memory.
    let pushed = TxData {
        req_id: 7,
        phase: true,
        first: true,
        last: true,
        comp_req: true,
        header_length: 60,
        ..Default::default()
    };
    assert_eq!(pushed.to_bytes(), bytes(&[0x1d00_0000, 0x01c0_0000, 0, 0x3c00_0000]));

    let done = TxCompletion { req_id: 0xabcd, phase: true, ..Default::default() };
    assert_eq!(done.to_bytes(), bytes(&[0x0100_abcd, 0]));
}

#[test]
fn receive() {
    let desc = RxDesc {
        length: 3712,
        phase: true,
        first: true,
        last: true,
        comp_req: true,
        req_id: 0,
        address: 0x1000,
    };
    assert_eq!(desc.to_bytes(), bytes(&[0x1d00_0e80, 0, 0x1000, 0]));

    let first = RxCompletion::from_bytes(&bytes(&[0x0500_0000, 0x0001_0e80, 0, 0x0002_0000]));
    assert_eq!(
        first,
        RxCompletion {
            phase: true,
            first: true,
            length: 3712,
            req_id: 1,
            offset: 2,
            ..Default::default()
        }
    );
    let last = RxCompletion::from_bytes(&bytes(&[0x0901_0c08, 0x0000_0064, 0x1234_5678, 0]));
    assert_eq!(
        last,
        RxCompletion {
            l3_proto: l3::IPV4,
            l4_proto: l4::TCP,
            l4_csum_checked: true,
            phase: true,
            last: true,
            length: 100,
            hash: 0x1234_5678,
            ..Default::default()
        }
    );
}
