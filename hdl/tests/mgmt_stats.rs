//! `mgmt/stats` against counters of its pulses.

mod control_support;

use control_support::{model, set_all_inputs_low, Master};
use nitor_block::Model;
use nitor_hdl::mgmt::stats::Stats;
use proptest::prelude::*;
use rand::{rngs::StdRng, Rng, SeedableRng};
use std::sync::LazyLock;

static STATS: LazyLock<Model> = LazyLock::new(|| model("stats_block", Stats::default));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn counters_are_exact(seed: u64, density in 1u32..101) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut block = STATS.block(seed);
        set_all_inputs_low(&mut block);
        block.reset(2);
        let names = [
            "tx_frames", "tx_bytes", "rx_frames", "rx_bytes", "rx_drops_no_descriptor",
            "rx_drops_no_room", "rx_drops_bad_frame", "rx_drops_no_queue", "tx_drops_dma_error",
            "tx_drops_bad_descriptor", "rx_drops_dma_error", "read_tlps", "write_tlps",
            "completion_tlps", "msix_messages", "doorbells", "cpl_poisoned", "cpl_ur_ca",
            "cpl_timeout", "cpl_unexpected", "requests_unsupported", "requests_poisoned",
            "doorbells_no_queue", "cq_overflow", "tx_queues_broken", "rx_queues_broken",
            "tx_doorbells_illegal", "rx_doorbells_illegal", "tlps_malformed",
        ];
        let mut master = Master::new(&block, "bus");
        let mut counts = [0u64; 32];
        let mut read_back = [0u64; 32];
        let mut at = 0u16;
        let polling: bool = rng.gen();
        for cycle in 0..16_000 {
            for (i, name) in names.iter().enumerate() {
                if i == 1 || i == 3 {
                    continue;
                }
                let pulse = cycle < 5000 && rng.gen_ratio(density, 100);
                block.set(*name, pulse.into());
                counts[i] += u64::from(pulse);
                if i == 0 || i == 2 {
                    let bytes: u16 = if rng.gen_ratio(1, 4) { 0xffff } else { rng.gen() };
                    block.set(names[i + 1], bytes.into());
                    counts[i + 1] += if pulse { u64::from(bytes) } else { 0 };
                }
            }
            if master.access.is_none() && (polling || cycle > 5200) && at < 64 * 8 {
                master.start((rng.gen_ratio(1, 10), 0x600 + at % 256, rng.gen(), 0xf));
            }
            master.drive(&mut block);
            block.clock_low();
            let access = master.access;
            if let Some(data) = master.sample(&block) {
                if !access.unwrap().0 {
                    let (i, upper) = (usize::from(at % 256) / 8, at % 8 == 4);
                    if upper {
                        let value = u64::from(data) << 32 | read_back[i] & 0xffff_ffff;
                        read_back[i] = value;
                        prop_assert!(value <= counts[i]);
                        if cycle > 5200 {
                            prop_assert_eq!(value, counts[i], "{}", i);
                        }
                    } else {
                        read_back[i] = data.into();
                    }
                    at += 4;
                    if cycle < 5200 {
                        at %= 256;
                    } else if at >= 512 {
                        break;
                    }
                }
            }
            block.clock_high();
        }
        prop_assert!(at >= 256);
    }
}
