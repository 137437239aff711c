//! All faults at once, at random.

use nitor_sim::checker::Rule;
use nitor_sim::faults::{Fault, When};
use nitor_sim::host::{Credits, Pressure};
use rand::{Rng, RngExt};

use super::scene::{plain, Scene};
use super::support;

const FAULTS: [Fault; 9] = [
    Fault::Poison,
    Fault::UnsupportedRequest,
    Fault::CompleterAbort,
    Fault::Drop,
    Fault::DropRest,
    Fault::Delay(3_000),
    Fault::Duplicate,
    Fault::WrongTag,
    Fault::WrongLength,
];

/// Any descriptor at all, to memory of A or of nobody.
fn garbage(scene: &mut Scene) {
    let mut words: [u32; 4] = scene.rng.random();
    if scene.rng.random_bool(0.7) {
        let at = scene.a.from(scene.rng.random_range(0..60));
        words[2..].copy_from_slice(&[at as u32, (at >> 32) as u32]);
    }
    let tx = scene.rng.random_bool(0.7);
    let Scene { raw, a, .. } = scene;
    let queue = if tx { &mut a.tx } else { &mut a.rx };
    queue.push(words);
    queue.ring(raw);
}

fn bell(scene: &mut Scene) {
    let registers = [scene.a.tx.doorbell, scene.a.rx.doorbell, 0x1000 + 4 * 15, 0x17fc, 0x1bfc];
    let register = registers[scene.rng.random_range(0..registers.len())];
    let value: u16 = scene.rng.random();
    scene.raw.set(register, value.into());
}

fn upset(scene: &mut Scene) {
    match scene.rng.random_range(0..12) {
        0..4 => {
            let len = scene.rng.random_range(1..1500);
            let frame = plain(&mut scene.rng, len);
            scene.a.send(&scene.raw, &frame);
        }
        4..7 => garbage(scene),
        7 => bell(scene),
        8 => {
            let len = scene.rng.random_range(1..12_000);
            let mut frame = plain(&mut scene.rng, len);
            scene.rng.fill_bytes(&mut frame[..len.min(12)]);
            let damaged = scene.rng.random_bool(0.5);
            let host = scene.raw.function.host();
            scene.raw.world.borrow_mut().inject(host, 64, &frame, damaged);
        }
        9 => scene.make_a_anew(),
        _ => scene.others_go_on(3),
    }
}

#[test]
fn faults_at_random() {
    for width in [128, 512] {
        for round in 0..3 {
            let mut scene =
                Scene::new(width, support::seed(2000 + round), |host| nitor_sim::HostConfig {
                    pressure: Pressure::all(0.1),
                    credits: Credits { delay: (8, 200), ..Credits::default() },
                    ..host
                });
            for _ in 0..2 {
                for fault in FAULTS {
                    scene.fault_in_payload(fault, When::Chance(0.01));
                    for ring in [scene.a.tx.ring.iova(), scene.a.rx.ring.iova()] {
                        scene.fault(fault, When::Chance(0.003), ring..ring + 1024);
                    }
                }
                for _ in 0..60 {
                    upset(&mut scene);
                }
                scene.no_more_faults();
                scene.others_go_on(20);
                scene.reset();
                scene.a_works();
                scene.others_go_on(20);
            }
            // Garbage names memory that isn't mapped.
            scene.assert_clean_but(&[Rule::Unmapped]);
        }
    }
}

/// Reads and writes of every size, alignment and byte enables, everywhere in BAR 0: each is answered, and a card is there afterwards.
#[test]
fn any_access_anywhere() {
    use nitor_sim::requester::{Request, RequestError};
    use nitor_sim::tlp::{ByteEnables, Header};
    use nitor_sim::ROOT_ID;
    for width in [128, 512] {
        let mut scene = Scene::new(width, support::seed(2100), |host| host);
        let bar = scene.bar();
        scene.root(|root, _| root.monitor.switch_off());
        for _ in 0..1500 {
            let offset: u64 = scene.rng.random_range(0..0x4000) & !3;
            let dwords: u32 = match scene.rng.random_range(0..4) {
                0 => scene.rng.random_range(1..32),
                _ => scene.rng.random_range(1..3),
            };
            let dwords = dwords.min((4096 - (offset as u32 & 4095)) / 4);
            let first = scene.rng.random_range(0..16);
            let last = if dwords == 1 { 0 } else { scene.rng.random_range(1..16) };
            let enables = ByteEnables { first: if dwords == 1 { first } else { first | 1 }, last };
            if scene.rng.random_bool(0.6) {
                let mut bytes = vec![0; dwords as usize * 4];
                scene.rng.fill_bytes(&mut bytes);
                let header = Header::mem_write(ROOT_ID, 0, bar + offset, dwords, enables);
                scene.root(|root, now| root.post_raw(now, header, &bytes));
            } else {
                let header = Header::mem_read(ROOT_ID, 0, bar + offset, dwords, enables);
                let request = Request::Raw { header, payload: vec![] };
                let host = scene.raw.function.host();
                let answer = scene.raw.world.borrow_mut().request(host, &request);
                let refused = dwords > 2;
                assert_eq!(answer.is_err(), refused, "{dwords} from {offset:#x}: {answer:?}");
                assert!(!refused || answer == Err(RequestError::Aborted));
            }
        }
        scene.function_level_reset();
        scene.reset();
        scene.a_works();
        scene.others_go_on(8);
        // Where it was told to write and interrupt is the host's doing.
        scene.assert_clean_but(&[Rule::Unmapped, Rule::Interrupt]);
    }
}
