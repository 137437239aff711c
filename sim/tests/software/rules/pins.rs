//! Rules of streams and credits: cards whose pins break them, cycle by cycle.

use nitor_sim::card::{Beat, Script, VerilatedCard};
use nitor_sim::checker::Rule;
use nitor_sim::host::{Credits, Pressure};
use nitor_sim::iommu::Permission;
use nitor_sim::memory::Block;
use nitor_sim::{HostConfig, World, CARD_ID};

use super::{broken, only, write, Case, MEMORY};

/// A beat of a write of two beats, or of a frame.
fn beat(first: bool, last: bool) -> Beat {
    let header = if first { write(MEMORY, 8).0 } else { [0; 4] };
    Beat { valid: true, first, last, header, bytes: 16, ..Beat::default() }
}

/// A card whose pins do this while most beats wait.
fn pins(script: Script) -> Vec<Rule> {
    let config = HostConfig {
        pressure: Pressure { tx_stall: 0.97, mac_tx_stall: 0.97, ..Pressure::default() },
        credits: Credits { posted_headers: Some(1), delay: (500, 500), ..Credits::default() },
        ..HostConfig::new(128)
    };
    let card = VerilatedCard::scripted(&config.shim(1), &script).unwrap();
    let mut world = World::new(1);
    world.add_host_with(Box::new(card), config).unwrap();
    let block = Block::new(0x4000, 4096);
    let root = &mut world.host_mut(0).root;
    assert!(root.iommu.map_at(CARD_ID, MEMORY, &block, 0, 0x4000, Permission::ReadWrite));
    root.checker.limits.bus_master_off = None;
    world.step(1_000);
    broken(&world)
}

fn tlps(beats: &[Beat]) -> Vec<Rule> {
    pins(Script { tlps: beats.to_vec(), ..Script::default() })
}

fn frames(beats: &[Beat]) -> Vec<Rule> {
    pins(Script { frames: beats.to_vec(), ..Script::default() })
}

/// The same beat for ever until it is taken, but `change`d after a cycle in which it was not.
fn changed(beat: Beat, change: impl Fn(&mut Beat)) -> Vec<Beat> {
    let mut other = beat;
    change(&mut other);
    let impatient = Beat { impatient: true, ..beat };
    vec![impatient, impatient, impatient, other]
}

pub const CASES: &[Case] = &[
    (None, "beats that wait", || tlps(&[beat(true, false), beat(false, true)])),
    (Some(Rule::TlpFraming), "no end", || {
        tlps(&[beat(true, false), beat(false, false), beat(false, true)])
    }),
    (Some(Rule::TlpFraming), "an early end", || tlps(&[beat(true, true)])),
    (Some(Rule::TlpFraming), "no beginning", || only(Rule::TlpFraming, tlps(&[beat(false, true)]))),
    (Some(Rule::TlpFraming), "two beginnings", || tlps(&[beat(true, false), beat(true, true)])),
    (Some(Rule::TlpUnstable), "withdrawn", || {
        tlps(
            &[
                &changed(beat(true, false), |beat| beat.valid = false)[..],
                &[beat(true, false), beat(false, true)],
            ]
            .concat(),
        )
    }),
    (Some(Rule::TlpUnstable), "another header", || {
        tlps(
            &[&changed(beat(true, false), |beat| beat.header[3] = 0x40)[..], &[beat(false, true)]]
                .concat(),
        )
    }),
    (Some(Rule::TlpUnstable), "other data", || {
        tlps(
            &[&changed(beat(true, false), |beat| beat.data[3] = 1 << 31)[..], &[beat(false, true)]]
                .concat(),
        )
    }),
    (Some(Rule::TlpUnstable), "other data later", || {
        tlps(
            &[&[beat(true, false)][..], &changed(beat(false, true), |beat| beat.data[0] = 1)]
                .concat(),
        )
    }),
    (None, "data beyond the end may change", || {
        let short = Beat { header: write(MEMORY, 1).0, ..beat(true, true) };
        tlps(&changed(short, |beat| beat.data[1] = 1))
    }),
    (None, "frames that wait", || frames(&[beat(false, false), beat(false, true)])),
    (Some(Rule::FrameFraming), "a last beat of nothing", || {
        frames(&[Beat { bytes: 0, ..beat(false, true) }])
    }),
    (Some(Rule::FrameFraming), "a last beat of 17 bytes", || {
        frames(&[Beat { bytes: 17, ..beat(false, true) }])
    }),
    (Some(Rule::FrameUnstable), "withdrawn", || {
        frames(
            &[&changed(beat(false, false), |beat| beat.valid = false)[..], &[beat(false, true)]]
                .concat(),
        )
    }),
    (Some(Rule::FrameUnstable), "other data", || {
        frames(&changed(beat(false, true), |beat| beat.data[0] = 1))
    }),
    (Some(Rule::FrameUnstable), "an end", || {
        frames(
            &[&changed(beat(false, false), |beat| beat.last = true)[..], &[beat(false, true)]]
                .concat(),
        )
    }),
    (Some(Rule::FrameUnstable), "other bytes", || {
        frames(&changed(beat(false, true), |beat| beat.bytes = 15))
    }),
    (Some(Rule::FrameUnstable), "a mark", || {
        frames(&changed(beat(false, true), |beat| beat.error = true))
    }),
    (None, "credits that run round", || {
        pins(Script {
            tlps: [[Beat::default(); 40].as_slice(), &[beat(true, false), beat(false, true)]]
                .concat(),
            limits: vec![64, 120, 200, 255, 40],
            ..Script::default()
        })
    }),
    (Some(Rule::CreditsTaken), "a credit less", || {
        pins(Script {
            tlps: [[Beat::default(); 40].as_slice(), &[beat(true, false), beat(false, true)]]
                .concat(),
            limits: vec![64, 63],
            ..Script::default()
        })
    }),
    (Some(Rule::Credits), "two writes with one credit", || {
        let write = [beat(true, false), beat(false, true)];
        tlps(&[write, write].concat())
    }),
];
