//! `rx/hash` against Microsoft's verification suite and the reference.

mod rx_support;

use nitor_block::Model;
use nitor_hdl::rx::hash::Toeplitz;
use proptest::prelude::*;
use rx_support::frames::{toeplitz, KEY};
use rx_support::{config, model_of, start, Rng};
use std::sync::LazyLock;

/// By their steps.
static HASH: LazyLock<Vec<(usize, Model)>> = LazyLock::new(|| {
    let model = |steps| (steps, model_of(move || Toeplitz::new(steps), "rx_toeplitz"));
    [1, 3, 9].map(model).into()
});

/// Source, its port, destination, its port, hash with ports and without.
type Vector = (&'static str, u16, &'static str, u16, u32, u32);

const SUITE: [Vector; 8] = [
    ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x51ccc178, 0x323e8fc2),
    ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xc626b0ea, 0xd718262a),
    ("24.19.198.95", 12898, "12.22.207.184", 38024, 0x5c2b394a, 0xd2d0a5de),
    ("38.27.205.30", 48228, "209.142.163.6", 2217, 0xafc7327f, 0x82989176),
    ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x10e828a2, 0x5d1809c5),
    ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x40207d3d, 0x2cc18cd5),
    ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0xdde51bbf, 0x0f0c461c),
    (
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
        44251,
        "fe80::200:f8ff:fe21:67cf",
        38024,
        0x02d1feef,
        0x4b61e985,
    ),
];

fn address(text: &str) -> Vec<u8> {
    match text.parse().expect("an address") {
        std::net::IpAddr::V4(a) => a.octets().to_vec(),
        std::net::IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// The suite's inputs, padded, and their hashes.
fn suite() -> Vec<(Vec<u8>, u32)> {
    let mut all = Vec::new();
    for (source, sp, destination, dp, with, without) in SUITE {
        let addresses = [address(source), address(destination)].concat();
        let ports = [sp.to_be_bytes(), dp.to_be_bytes()].concat();
        for (mut input, hash) in [([addresses.clone(), ports].concat(), with), (addresses, without)]
        {
            input.resize(36, 0);
            all.push((input, hash));
        }
    }
    all
}

/// Inputs as fast as they may come, now and then one early; their hashes.
fn hashes(steps: usize, model: &Model, key: &[u8; 40], inputs: &[Vec<u8>]) -> Vec<u32> {
    let mut block = start(model, 1);
    block.set_bytes("key", key);
    let mut got = Vec::new();
    let mut at: Vec<usize> = (0..inputs.len()).map(|i| i * steps).collect();
    for i in (2..at.len()).step_by(3) {
        at[i] -= steps - 1;
    }
    for cycle in 0..(inputs.len() + 2) * steps + 4 {
        let input = at.iter().position(|&c| c == cycle);
        block.set("in_valid", input.is_some().into());
        block.set_bytes("data", input.map_or(&[0; 36][..], |i| &inputs[i][..]));
        block.set("tag", input.unwrap_or(0) as u64);
        block.tick();
        if block.get("valid") == 1 {
            assert_eq!(block.get("tag_out"), got.len() as u64);
            got.push(block.get("hash") as u32);
        }
    }
    got
}

#[test]
fn toeplitz_suite() {
    let (inputs, expected): (Vec<_>, Vec<_>) = suite().into_iter().unzip();
    let model: Vec<u32> = inputs.iter().map(|input| toeplitz(&KEY, input)).collect();
    assert_eq!(model, expected, "the reference");
    for (steps, model) in HASH.iter() {
        assert_eq!(hashes(*steps, model, &KEY, &inputs), expected, "{steps} steps");
    }
}

proptest! {
    #![proptest_config(config(20))]

    #[test]
    fn toeplitz_random(seed: u64) {
        let mut rng = Rng(seed);
        let key = rng.bytes(40).try_into().unwrap();
        let inputs: Vec<Vec<u8>> = (0..50).map(|_| rng.bytes(36)).collect();
        let expected: Vec<u32> = inputs.iter().map(|input| toeplitz(&key, input)).collect();
        for (steps, model) in HASH.iter() {
            prop_assert_eq!(&hashes(*steps, model, &key, &inputs), &expected);
        }
    }
}
