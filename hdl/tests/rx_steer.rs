//! `rx/steer`: its registers and the lookup of a queue.

mod rx_support;

use nitor_block::{Block, Model};
use nitor_hdl::rx::steer::RxSteer;
use rx_support::frames::{self, classify, toeplitz, Flow, KEY};
use rx_support::{access, model, start, Rng};
use std::sync::LazyLock;

static STEER: LazyLock<Model> = LazyLock::new(|| model::<RxSteer>("rx_steer"));

fn steer(block: &mut Block, flow: &Flow) -> (u64, bool, u32) {
    block.set("in_valid", 1);
    block.set("in_l3", flow.l3);
    block.set("in_l4", flow.l4);
    block.set("in_frag", flow.frag.into());
    block.set_bytes("in_tuple", &flow.tuple);
    block.tick();
    block.set("in_valid", 0);
    for _ in 0..4 {
        assert_eq!(block.get("flow_valid"), 0);
        block.tick();
    }
    assert_eq!(block.get("flow_valid"), 1);
    let word = block.get("flow_");
    assert_eq!(word >> 41, flow.l3 | flow.l4 << 4 | u64::from(flow.frag) << 9);
    (word >> 32 & 0xff, word >> 40 & 1 == 1, word as u32)
}

#[test]
fn steer_registers_and_lookup() {
    let mut block = start(&STEER, 3);
    let mut rng = Rng(3);
    assert_eq!(access(&mut block, false, 0x130, 0, 15).0, 0xffff);
    assert_eq!(access(&mut block, false, 0x130, 0, 15).1, 2, "cycles of an access");
    assert!((0..128).all(|i| access(&mut block, false, 0x400 + 4 * i, 0, 15).0 == 0));
    // Any register, any byte enables, and what is not a register.
    let mut model = std::collections::BTreeMap::new();
    for addr in (0x130..0x134).chain(0x200..0x228).chain(0x400..0x600).step_by(4) {
        model.insert(addr, access(&mut block, false, addr, 0, 15).0);
    }
    for _ in 0..3000 {
        let addr = 4 * rng.below(0x200);
        let (write, data, be) = (rng.below(2) == 0, rng.next() & 0xffff_ffff, rng.below(16));
        let (rdata, _) = access(&mut block, write, addr, data, be);
        let Some(held) = model.get_mut(&addr) else {
            assert!(write || rdata == 0);
            continue;
        };
        if !write {
            assert_eq!(rdata, *held, "{addr:#x}");
            continue;
        }
        let mask = (0..4).filter(|i| be >> i & 1 == 1).fold(0, |mask, i| mask | 0xff << (8 * i));
        let width = match addr {
            0x130 => 0xffff,
            0x400.. => 0x1ff,
            _ => 0xffff_ffff,
        };
        *held = (*held & !mask | data & mask) & width;
    }
    // Hash and queue of packets under what is there now, and with every kind's ports off and on.
    for i in 0..10 {
        access(
            &mut block,
            true,
            0x200 + 4 * i,
            u32::from_le_bytes(KEY[4 * i as usize..][..4].try_into().unwrap()).into(),
            15,
        );
    }
    for ctrl in (0..16).chain([0xffff]) {
        access(&mut block, true, 0x130, ctrl, 15);
        block.reset(2); // the registers stay
        for _ in 0..30 {
            let (frame, _) = frames::packet(&mut rng, 40);
            let flow = classify(&frame);
            let kind = [(8, 12), (8, 13), (11, 12), (11, 13)]
                .iter()
                .position(|&k| k == (flow.l3, flow.l4));
            let ports = kind.is_some_and(|kind| ctrl >> kind & 1 == 1);
            let hash =
                toeplitz(&KEY, &if ports { flow.tuple.clone() } else { flow.without_ports() });
            let entry = model[&(0x400 + 4 * u64::from(hash & 127))];
            assert_eq!(steer(&mut block, &flow), (entry & 0xff, entry & 0x100 != 0, hash));
        }
        assert_eq!(
            steer(&mut block, &Flow::unknown()),
            (model[&0x400] & 0xff, model[&0x400] & 0x100 != 0, 0)
        );
    }
}
