//! Fuzz target: TLPs and register accesses of every kind, well formed or not. The card must answer
//! what needs an answer, send nothing that PCI Express forbids, and work again after a
//! function-level reset.
#![no_main]

#[path = "harness/mod.rs"]
mod harness;
#[allow(dead_code)]
#[path = "../faults/scene.rs"]
mod scene;
#[path = "../support/mod.rs"]
mod support;

use std::cell::RefCell;

use harness::{counting, Input, Shared, SEED};
use libfuzzer_sys::fuzz_target;
use nitor_driver::pci::PciFunction;
use nitor_sim::checker::Rule;
use nitor_sim::requester::Request;
use nitor_sim::tlp::{ByteEnables, CompletionFields, Header, Kind, Status};
use nitor_sim::{CARD_ID, ROOT_ID};
use scene::{plain, Scene};

/// Registers that do something.
const OFFSETS: [u64; 24] = [
    0x10, 0x14, 0x18, 0x20, 0x24, 0x28, 0x2c, 0x34, 0x38, 0x3c, 0x40, 0x4c, 0x54, 0x58, 0x5c, 0x60,
    0x64, 0x68, 0x1000, 0x1400, 0x1800, 0x2000, 0x200c, 0x3000,
];
/// What a host that writes anything anywhere brings about.
const ALLOWED: [Rule; 2] = [Rule::Unmapped, Rule::Interrupt];

fn offset(input: &mut Input) -> u64 {
    match input.byte() {
        n if n < 128 => OFFSETS[usize::from(n) % OFFSETS.len()],
        _ => u64::from(input.half()) & 0x7ffc,
    }
}

fn enables(input: &mut Input, dwords: u32) -> ByteEnables {
    let byte = input.byte();
    match dwords {
        1 => ByteEnables { first: byte & 15, last: 0 },
        _ => ByteEnables { first: byte & 15 | 8, last: byte >> 4 | 1 },
    }
}

fn request(scene: &Scene, header: Header, payload: Vec<u8>) {
    let host = scene.raw.function.host();
    // Whatever the answer is, there is one: else the root complex notes it.
    let _ = scene.raw.world.borrow_mut().request(host, &Request::Raw { header, payload });
}

fn act(scene: &mut Scene, input: &mut Input) {
    let bar = scene.bar();
    match input.byte() % 14 {
        0 => {
            let (at, value) = (offset(input), input.word());
            scene.raw.set(at, value);
        }
        1 => {
            let at = bar + offset(input);
            let dwords = u32::from(input.byte() % 16 + 1).min((4096 - (at as u32 & 4095)) / 4);
            let header = Header::mem_write(ROOT_ID, 0, at, dwords, enables(input, dwords));
            let bytes = input.bytes(dwords as usize * 4);
            scene.root(|root, now| root.post_raw(now, header, &bytes));
        }
        2 => {
            let at = bar + offset(input);
            let dwords = u32::from(input.byte() % 4 + 1).min((4096 - (at as u32 & 4095)) / 4);
            request(
                scene,
                Header::mem_read(ROOT_ID, 0, at, dwords, enables(input, dwords)),
                vec![],
            );
        }
        3 => {
            let at = u16::from(input.byte()) & 0xfc;
            scene.raw.function.config_write(at, input.word());
        }
        4 => _ = scene.raw.function.config_read(u16::from(input.byte()) & 0xfc),
        5 => {
            let header = Header([input.word(), input.word(), input.word(), input.word()]);
            let len = usize::from(input.byte()) * 4;
            let bytes = input.bytes(len);
            // Those that are answered, or not, are made elsewhere.
            let answered = [Kind::MemRead, Kind::ConfigRead, Kind::ConfigWrite];
            if header.class() != nitor_sim::tlp::Class::NonPosted
                && !answered.contains(&header.kind())
            {
                scene.root(|root, now| root.post_raw(now, header, &bytes));
            }
        }
        6 => {
            let status = match input.byte() % 6 {
                0..3 => Status::Success,
                3 => Status::UnsupportedRequest,
                4 => Status::CompleterAbort,
                _ => Status::ConfigRetry,
            };
            let dwords = u32::from(input.byte() % 33);
            let fields = CompletionFields {
                completer: ROOT_ID,
                requester: input.pick(&[CARD_ID, CARD_ID, CARD_ID, 0]),
                tag: input.byte(),
                status,
                byte_count: u32::from(input.half() & 0xfff) + 1,
                lower_address: input.byte() & 0x7f,
            };
            let mut header = Header::completion(fields, dwords);
            if input.byte() & 7 == 0 {
                header = header.with_poison();
            }
            let bytes = input.bytes(dwords as usize * 4);
            scene.root(|root, now| root.post_raw(now, header, &bytes));
        }
        7 => {
            let frame = plain(&mut scene.rng, 60 + usize::from(input.byte()) * 5);
            scene.a.send(&scene.raw, &frame);
        }
        8 => {
            let bytes = input.bytes(64);
            let opcode = bytes[2] % 13;
            let admin = scene.raw.admin.is_some();
            if admin {
                scene.raw.submit(opcode, &bytes);
                scene.raw.ring_admin();
            }
        }
        9 => {
            let frame = input.bytes(64);
            let host = scene.raw.function.host();
            scene.raw.world.borrow_mut().inject(host, 40, &frame, false);
        }
        10 => scene.raw.set_bus_master(input.byte() & 1 != 0),
        11 => scene.raw.set(0x54_u16, u32::from(input.byte() & 1)),
        _ => scene.raw.step(u64::from(input.byte()) * 8),
    }
}

thread_local! {
    static FUZZ: RefCell<(Scene, Shared)> = RefCell::new({
        let mut scene = Scene::new(128, SEED, counting);
        scene.root(|root, _| root.monitor.switch_off());
        scene.others_go_on(4);
        (scene, Shared::new())
    });
}

// The card's model may have to be made first: longer than an input may take.
fuzz_target!(init: FUZZ.with(|_| ()), |data: &[u8]| {
    FUZZ.with_borrow_mut(|(scene, shared)| {
        let world = scene.raw.world.clone();
        shared.run(&world, || {
            let mut input = Input(data);
            while !input.is_empty() {
                act(scene, &mut input);
            }
            scene.raw.step(500);
            scene.function_level_reset();
            scene.root(|root, _| root.monitor.reset());
            scene.reset();
            scene.a_works();
            scene.assert_clean_but(&ALLOWED);
        });
    });
});
