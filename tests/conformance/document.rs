//! Writes docs/ena-conformance.md from a live card and from the names of the tests, so that a
//! removed test removes its line.

use std::fmt::Write;
use std::path::Path;

use super::support::raw::{reg, Raw, GET_FEATURE, GET_STATS, SET_FEATURE};
use super::{
    admin, aenq, features, golden, interrupts, llq, offloads, pci, queues, reset, rx, seed, soak,
    stats,
};

/// The tests, by their functions.
macro_rules! tests {
    ($($room:ident: $($test:ident),*;)*) => {
        const TESTS: &[(&str, fn())] = &[$($((stringify!($test), $room::$test),)*)*];
    };
}

tests! {
    pci: case_01_identity_bar_and_vectors, case_02_versions_and_capabilities_by_plain_reads,
        case_03_the_same_by_readless_reads_each_of_one_write, case_04_unknown_offsets_read_as_0,
        case_05_without_an_address_no_answer, case_06_70000_readless_reads, case_07_ready_out_of_power_on;
    reset: case_08_reset_is_in_progress_until_taken_back, case_09_readless_reads_work_in_a_reset,
        case_10_ready_after_a_reset, case_11_quiet_after_a_reset,
        case_12_reset_under_traffic_with_a_command_pending_and_with_events_full,
        case_13_function_level_reset_and_bus_mastering_end_dma_and_1000_probes,
        a_readless_answer_ends_with_its_life, a_readless_answer_goes_where_the_address_is_now;
    admin: case_14_100_commands_with_both_depths, case_15_the_doorbell_runs_over_65535,
        case_16_32_commands_by_one_doorbell, case_17_vector_0_is_gated_by_intr_mask_and_never_unmasked,
        case_18_what_is_beyond_a_command_is_stale, case_19_unknown_commands_and_features_stop_nothing,
        case_20_control_buffers_are_direct_whatever_the_flags, case_21_an_answer_is_never_half_there;
    features: case_22_the_bitmap_is_what_is_there, case_23_queue_limits, case_24_event_groups_some_and_none,
        case_25_the_indirection_table_steers_by_receive_queue, case_26_the_key_and_the_hash,
        case_27_hash_input_by_protocol, case_28_mtu,
        case_29_host_attributes_before_anything_else_and_low_latency_queues_as_chosen;
    aenq: case_30_the_links_state_comes_once_there_is_room_and_interest, case_31_keep_alives_in_their_time,
        case_32_a_full_ring_waits_and_forgets_no_link, case_33_the_phase_changes_every_16_events;
    queues: case_34_completion_entries_of_every_size_and_no_vector, case_35_rings_aligned_to_64_bytes,
        case_36_create_and_destroy_in_any_order_under_traffic, case_37_doorbells_run_over_65535,
        case_38_what_is_beyond_the_doorbell_is_not_there, case_39_packets_in_1_to_19_pieces_however_they_lie,
        case_40_request_ids_come_back_as_they_are, case_41_packets_with_a_meta_descriptor_and_after_it,
        case_44_packets_complete_while_the_link_is_down;
    offloads: case_42_checksums_partial_and_full, case_43_segmentation, offloads_that_make_no_sense;
    rx: case_45_buffers_of_mixed_sizes_each_full_but_the_last, case_46_without_descriptors_frames_are_dropped_and_counted,
        case_47_checksum_flags_of_good_bad_and_unknown_packets, case_48_entries_are_never_half_there_nor_mixed, case_49_no_more_entries_than_the_limit,
        case_50_every_address_and_tag_is_delivered_without_fcs;
    interrupts: case_51_nothing_before_the_first_unmask_and_then_what_is_pending,
        a_vector_ends_with_its_last_queue,
        case_52_one_message_until_the_next_unmask, case_53_either_queues_register_unmasks_the_vector,
        case_54_delays_masks_and_pending_bits;
    llq: case_55_lines_in_shuffled_stores_of_8_bytes, case_56_packets_of_every_size_in_lines,
        case_57_both_line_sizes_beside_queues_in_host_memory, golden_lines;
    stats: case_58_port_totals_whatever_is_asked_for_and_no_other_kinds;
    soak: case_59_mixed_traffic_without_a_reason_for_a_reset;
    golden: golden_registers_and_commands, golden_packets_to_send, golden_buffers_to_receive;
}

/// Offset, name, whether it is read, and the cases that show it.
const REGISTERS: [(u16, &str, &[u8]); 24] = [
    (reg::VERSION, "VERSION", &[2, 3]),
    (reg::CONTROLLER_VERSION, "CONTROLLER_VERSION", &[2, 3]),
    (reg::CAPS, "CAPS", &[2, 3]),
    (0x0c, "CAPS_EXT", &[]),
    (reg::AQ_BASE, "AQ_BASE_LO", &[14]),
    (reg::AQ_BASE + 4, "AQ_BASE_HI", &[14]),
    (reg::AQ_CAPS, "AQ_CAPS", &[14]),
    (reg::ACQ_BASE, "ACQ_BASE_LO", &[14]),
    (reg::ACQ_BASE + 4, "ACQ_BASE_HI", &[14]),
    (reg::ACQ_CAPS, "ACQ_CAPS", &[14]),
    (reg::AQ_DB, "AQ_DB", &[15, 16]),
    (0x30, "ACQ_TAIL", &[]),
    (reg::AENQ_CAPS, "AENQ_CAPS", &[33]),
    (reg::AENQ_BASE, "AENQ_BASE_LO", &[33]),
    (reg::AENQ_BASE + 4, "AENQ_BASE_HI", &[33]),
    (reg::AENQ_HEAD_DB, "AENQ_HEAD_DB", &[30, 32]),
    (0x44, "AENQ_TAIL", &[]),
    (reg::INTR_MASK, "INTR_MASK", &[17]),
    (reg::DEV_CTL, "DEV_CTL", &[8, 10]),
    (reg::DEV_STS, "DEV_STS", &[7, 8, 10]),
    (reg::MMIO_REG_READ, "MMIO_REG_READ", &[3, 4, 6]),
    (reg::MMIO_RESP, "MMIO_RESP_LO", &[3, 5, 9]),
    (reg::MMIO_RESP + 4, "MMIO_RESP_HI", &[3, 5, 9]),
    (0x68, "RSS_IND_ENTRY_UPDATE", &[]),
];

const OPCODES: [(u8, &str); 7] = [
    (1, "CREATE_SQ"),
    (2, "DESTROY_SQ"),
    (3, "CREATE_CQ"),
    (4, "DESTROY_CQ"),
    (8, "GET_FEATURE"),
    (9, "SET_FEATURE"),
    (11, "GET_STATS"),
];

const FEATURES: [(u8, &str); 19] = [
    (1, "DEVICE_ATTRIBUTES"),
    (2, "MAX_QUEUES_NUM"),
    (3, "HW_HINTS"),
    (4, "LLQ"),
    (5, "EXTRA_PROPERTIES_STRINGS"),
    (6, "EXTRA_PROPERTIES_FLAGS"),
    (7, "MAX_QUEUES_EXT"),
    (8, "FRAG_BYPASS"),
    (10, "RSS_HASH_FUNCTION"),
    (11, "STATELESS_OFFLOAD_CONFIG"),
    (12, "RSS_INDIRECTION_TABLE_CONFIG"),
    (14, "MTU"),
    (18, "RSS_HASH_INPUT"),
    (20, "INTERRUPT_MODERATION"),
    (26, "AENQ_CONFIG"),
    (27, "LINK_CONFIG"),
    (28, "HOST_ATTR_CONFIG"),
    (29, "PHC_CONFIG"),
    (30, "FLOW_STEERING_CONFIG"),
];

const KINDS: [&str; 5] = ["basic", "extended", "ENI", "ENA SRD", "customer metrics"];
const GROUPS: [&str; 8] = [
    "LINK_CHANGE",
    "FATAL_ERROR",
    "WARNING",
    "NOTIFICATION",
    "KEEP_ALIVE",
    "REFRESH_CAPABILITIES",
    "CONF_NOTIFICATIONS",
    "DEVICE_REQUEST_RESET",
];

/// Fields of descriptors and completions, and the cases that show them; none are what the card does not act upon yet.
const FIELDS: [(&str, &str, &[u8]); 30] = [
    ("TX descriptor", "length", &[39]),
    ("TX descriptor", "req_id", &[40]),
    ("TX descriptor", "meta_desc", &[41]),
    ("TX descriptor", "phase (not looked at: the doorbell counts)", &[38]),
    ("TX descriptor", "first, last", &[39]),
    ("TX descriptor", "comp_req (every packet is completed)", &[39]),
    ("TX descriptor", "buffer address", &[39]),
    ("TX descriptor", "l3_proto_idx, l4_proto_idx, l3_csum_en, l4_csum_en, l4_csum_partial", &[42]),
    ("TX descriptor", "tso_en", &[43]),
    ("TX descriptor", "DF (the packet's own is used)", &[43]),
    ("TX descriptor", "header_length (a hint in host mode: not used)", &[39, 56]),
    ("TX meta descriptor", "meta_store, ext_valid", &[41]),
    ("TX meta descriptor", "mss, l3_hdr_len, l3_hdr_off, l4_hdr_len", &[42, 43]),
    ("TX completion", "req_id", &[40]),
    ("TX completion", "phase", &[37, 39]),
    ("TX completion", "status, sub_qid, sq_head_idx (0: no driver reads them)", &[39]),
    ("RX descriptor", "length", &[45]),
    ("RX descriptor", "req_id", &[45]),
    ("RX descriptor", "phase, first, last, comp_req (not looked at)", &[45]),
    ("RX descriptor", "buffer address", &[45]),
    ("RX completion", "first, last, phase", &[45, 48]),
    ("RX completion", "length, req_id", &[45]),
    ("RX completion", "hash", &[26]),
    ("RX completion", "l3_proto_idx, l4_proto_idx, ipv4_frag", &[26]),
    ("RX completion", "l3_csum_err, l4_csum_err, l4_csum_checked", &[47]),
    ("RX completion", "offset (0)", &[45]),
    ("CQ interrupt register", "rx_intr_delay, tx_intr_delay", &[54]),
    ("CQ interrupt register", "intr_unmask", &[51, 52, 53, 54]),
    ("CQ interrupt register", "no_moderation_update", &[54]),
    ("NUMA register, CQ head doorbell", "offset 0: there is none", &[]),
];

fn numbers(cases: &[u8]) -> String {
    for case in cases {
        let name = format!("case_{case:02}_");
        assert!(TESTS.iter().any(|(test, _)| test.starts_with(&name)), "no case {case}");
    }
    cases.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

fn status(code: u8) -> String {
    match code {
        3 => "refused: unsupported opcode (3)".into(),
        2 => "refused: bad opcode (2)".into(),
        _ => "done".into(),
    }
}

fn document(raw: &mut Raw) -> String {
    let mut text = String::from(
        "# The ENA interface: what this card does of it\n\n\
         Made by `tests/conformance` from a live card and from the tests themselves; `NITOR_BLESS=1 cargo test --test conformance` writes it. \
         \"Refused\" means: on purpose, with the status that drivers take for \"not there\".\n",
    );
    let t = &mut text;
    writeln!(t, "\n## Registers of BAR 0\n\n| offset | register | reads as | status | cases |\n|---|---|---|---|---|").unwrap();
    for (offset, name, cases) in REGISTERS {
        let value = raw.get(offset);
        let state = if cases.is_empty() { "no driver uses it; reads 0" } else { "done" };
        assert!(!cases.is_empty() || value == 0, "{name}");
        // What the host itself has just written is left out.
        let value = match name {
            _ if [0x00, 0x04, 0x08, 0x58].contains(&offset) || cases.is_empty() => {
                format!("{value:#010x}")
            }
            _ => "what was written, or 0".into(),
        };
        writeln!(t, "| {offset:#05x} | {name} | {value} | {state} | {} |", numbers(cases)).unwrap();
    }
    writeln!(t, "\n## Admin commands\n\n| opcode | command | status |\n|---|---|---|").unwrap();
    for (opcode, name) in OPCODES {
        let mut entry = [0; 64];
        // A feature that is read, and one that is set.
        entry[17] = if opcode == SET_FEATURE { 26 } else { 1 };
        let (code, _) = raw.command(opcode, &entry);
        writeln!(t, "| {opcode} | {name} | {} |", status(code)).unwrap();
    }
    let (code, _) = raw.command(0xff, &[0; 64]);
    writeln!(t, "| others | | {} |", status(code)).unwrap();
    writeln!(t, "\n## Features\n\n| id | feature | GET | SET |\n|---|---|---|---|").unwrap();
    for id in 0..=31 {
        let version = u8::from(id == 7);
        let get = status(raw.feature(GET_FEATURE, id, version, &[], None).0);
        // Of hash functions, one that there is.
        let payload = if id == 10 { &[0, 0, 0, 0, 2, 0, 0, 0][..] } else { &[] };
        let set = status(raw.feature(SET_FEATURE, id, version, payload, None).0);
        match FEATURES.iter().find(|(known, _)| *known == id) {
            Some((_, name)) => writeln!(t, "| {id} | {name} | {get} | {set} |").unwrap(),
            None => assert!(get != "done" && set != "done", "feature {id}"),
        }
    }
    writeln!(t, "\n## Statistics\n\n| type | | status |\n|---|---|---|").unwrap();
    for (kind, name) in KINDS.iter().enumerate() {
        let mut entry = [0; 32];
        entry[16] = kind as u8;
        writeln!(t, "| {kind} | {name} | {} |", status(raw.command(GET_STATS, &entry).0)).unwrap();
    }
    t.push_str("\nExtended statistics, which no driver in the field asks for, are the card's own counters: see [faults](faults.md).\n");
    let groups = raw.feature(GET_FEATURE, 26, 0, &[], None).1[8];
    writeln!(t, "\n## Events\n\n| group | | status |\n|---|---|---|").unwrap();
    for (group, name) in GROUPS.iter().enumerate() {
        let state = if groups >> group & 1 == 1 { "done" } else { "not offered" };
        writeln!(t, "| {group} | {name} | {state} |").unwrap();
    }
    writeln!(t, "\n## Descriptors, completions, queue registers\n\n| where | field | status | cases |\n|---|---|---|---|").unwrap();
    for (place, field, cases) in FIELDS {
        let state = match cases {
            _ if field.contains("there is none") => "refused: drivers do without",
            [] => "not yet",
            _ => "done",
        };
        writeln!(t, "| {place} | {field} | {state} | {} |", numbers(cases)).unwrap();
    }
    writeln!(t, "\n## Cases\n\n| case | test | status |\n|---|---|---|").unwrap();
    for (name, _) in TESTS {
        let number = name.strip_prefix("case_").and_then(|rest| rest[..2].parse::<u8>().ok());
        let number = number.map_or("-".into(), |n| n.to_string());
        writeln!(t, "| {number} | `{name}` | done |").unwrap();
    }
    text
}

#[test]
fn the_document_is_current() {
    let mut raw = Raw::ready(128, seed(99));
    let text = document(&mut raw);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ena-conformance.md");
    if std::env::var_os("NITOR_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/ena-conformance.md is old: NITOR_BLESS=1 cargo test --test conformance"
    );
}
