//! Fuzz target: descriptors, rings and doorbells of one queue pair. Another pair, used correctly,
//! must not suffer.
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
use nitor_sim::checker::Rule;
use scene::{plain, Scene};

/// A descriptor: mostly one that makes sense.
fn words(scene: &Scene, input: &mut Input) -> [u32; 4] {
    let flags = input.byte();
    let slot = scene.a.from(u16::from(input.byte() % 60)) + u64::from(flags >> 6);
    let len = match flags >> 4 & 3 {
        0 => u32::from(input.byte()),
        1 => 60 + u32::from(input.byte()),
        2 => u32::from(input.half()),
        _ => 1500,
    };
    let address = match input.byte() {
        0 => u64::from(input.word()) << 16,
        _ => slot,
    };
    // First, last, meta and completion requested.
    let kind = u32::from(flags & 3) << 26
        | u32::from(flags >> 2 & 1) << 23
        | u32::from(flags >> 3 & 1) << 28;
    [
        len | kind,
        u32::from(input.half()) << 16 | u32::from(input.byte()),
        address as u32,
        (address >> 32) as u32,
    ]
}

fn act(scene: &mut Scene, input: &mut Input) {
    match input.byte() % 12 {
        0..4 => {
            let words = words(scene, input);
            scene.a.tx.push(words);
        }
        4 => {
            let mut words = words(scene, input);
            words[0] &= 0xffff;
            scene.a.rx.push(words);
        }
        5 => scene.a.tx.ring(&scene.raw),
        6 => scene.a.rx.ring(&scene.raw),
        7 => {
            let by = input.byte() as i8;
            let tail = scene.a.tx.tail.wrapping_add_signed(by.into());
            scene.raw.set(scene.a.tx.doorbell, tail.into());
        }
        8 => {
            let by = input.byte() as i8;
            let tail = scene.a.rx.tail.wrapping_add_signed(by.into());
            scene.raw.set(scene.a.rx.doorbell, tail.into());
        }
        9 => {
            let frame = plain(&mut scene.rng, 14 + usize::from(input.half() % 9300));
            let host = scene.raw.function.host();
            scene.raw.world.borrow_mut().inject(host, 40, &frame, false);
        }
        10 => match input.byte() % 4 {
            0 => scene.make_a_anew(),
            1 => scene.others_go_on(2),
            // A ring that changes under the card.
            _ => {
                let at = usize::from(input.byte() % 64) * 16;
                let words = words(scene, input);
                words
                    .iter()
                    .enumerate()
                    .for_each(|(i, word)| scene.a.tx.ring.store(at + 4 * i, *word));
            }
        },
        _ => scene.raw.step(u64::from(input.byte()) * 4),
    }
}

thread_local! {
    static FUZZ: RefCell<(Scene, Shared)> = RefCell::new({
        let mut scene = Scene::new(128, SEED, counting);
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
            scene.others_go_on(6);
            scene.make_a_anew();
            scene.a_works();
            scene.assert_clean_but(&[Rule::Unmapped]);
        });
    });
});
