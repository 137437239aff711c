//! Conformance cases of the event queue (AENQ).

use nitor_fw::Settings;

use super::support::raw::{reg, Entry, Raw, MAC, SET_FEATURE};
use super::{dma, seed, WIDTHS};

const LINK: u32 = 1;
const KEEP_ALIVE: u32 = 0x10;
const MILLISECOND: u64 = 250_000;

fn enable(raw: &mut Raw, groups: u32) {
    let mut payload = [0; 8];
    payload[4..].copy_from_slice(&groups.to_le_bytes());
    assert_eq!(raw.feature(SET_FEATURE, 26, 0, &payload, None).0, 0);
}

/// Group and first word of what it says; the phase is checked.
fn event(raw: &mut Raw, cycles: u64) -> Option<(u16, u32)> {
    let end = raw.now() + cycles;
    loop {
        if let Some(entry) = raw.poll_event() {
            return Some((u16::from_le_bytes([entry[0], entry[1]]), entry[16].into()));
        }
        if raw.now() >= end {
            return None;
        }
        raw.step(32);
    }
}

/// Room for 16 more than were taken.
fn credit(raw: &mut Raw) {
    let head = raw.admin().taken.wrapping_add(16);
    raw.set(reg::AENQ_HEAD_DB, head.into());
}

#[test]
pub fn case_30_the_links_state_comes_once_there_is_room_and_interest() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(30));
        enable(&mut raw, LINK);
        let before = dma(&raw);
        raw.step(3 * MILLISECOND);
        assert_eq!(dma(&raw), before, "nothing before the doorbell");
        credit(&mut raw);
        assert_eq!(event(&mut raw, 4 * MILLISECOND), Some((0, 1)));

        raw.start();
        credit(&mut raw);
        raw.step(3 * MILLISECOND);
        assert_eq!(raw.poll_event(), None::<Entry>);
        enable(&mut raw, LINK);
        assert_eq!(event(&mut raw, 4 * MILLISECOND), Some((0, 1)));
        raw.world.borrow_mut().set_link(0, false);
        assert_eq!(event(&mut raw, 4 * MILLISECOND), Some((0, 0)));
        raw.assert_clean();
    }
}

#[test]
pub fn case_31_keep_alives_in_their_time() {
    assert_eq!(Settings::new(MAC).keep_alive_us, 1_000_000, "a second each");
    // A second of 2 ms: what passes between two is what is tested.
    let second = 2 * MILLISECOND;
    let settings = Settings { keep_alive_us: 2_000, ..Settings::new(MAC) };
    let mut raw = Raw::with_settings(128, seed(31), settings, |host| host);
    raw.start();
    credit(&mut raw);
    enable(&mut raw, KEEP_ALIVE);
    assert_eq!(event(&mut raw, 2 * second).unwrap().0, 4);
    let begin = raw.now();
    let mut last = begin;
    // 60 take a minute of somebody's time: NITOR_LONG=1 does.
    let beats = if std::env::var_os("NITOR_LONG").is_some() { 60 } else { 12 };
    for beat in 1..=beats {
        credit(&mut raw);
        assert_eq!(event(&mut raw, 2 * second).unwrap().0, 4);
        let now = raw.now();
        assert!((now - last).abs_diff(second) <= MILLISECOND, "{} cycles", now - last);
        assert!((now - begin).abs_diff(beat * second) < second / 5 * 3, "beat {beat}");
        last = now;
    }
    assert!((last - begin).abs_diff(beats * second) < second);
    raw.assert_clean();
}

#[test]
pub fn case_32_a_full_ring_waits_and_forgets_no_link() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(32));
        credit(&mut raw);
        enable(&mut raw, LINK);
        let mut up = true;
        for _ in 0..41 {
            up = !up;
            raw.world.borrow_mut().set_link(0, up);
            raw.step(10_000);
        }
        raw.step(3 * MILLISECOND);
        let mut count = 0;
        while event(&mut raw, 0).is_some() {
            count += 1;
        }
        assert_eq!(count, 16);
        credit(&mut raw);
        let mut known = None;
        while let Some((group, state)) = event(&mut raw, 3 * MILLISECOND) {
            assert_eq!(group, 0);
            known = Some(state == 1);
        }
        assert!(known.is_none_or(|known| known == up), "the driver believes {known:?}");
        raw.world.borrow_mut().set_link(0, !up);
        assert_eq!(event(&mut raw, 3 * MILLISECOND), Some((0, u32::from(!up))));
        raw.assert_clean();
    }
}

#[test]
pub fn case_33_the_phase_changes_every_16_events() {
    let mut raw = Raw::ready(128, seed(33));
    credit(&mut raw);
    enable(&mut raw, LINK);
    assert_eq!(event(&mut raw, 3 * MILLISECOND), Some((0, 1)));
    let mut up = true;
    for _ in 0..70 {
        up = !up;
        raw.world.borrow_mut().set_link(0, up);
        // The phase is what it is recognised by.
        assert_eq!(event(&mut raw, 3 * MILLISECOND), Some((0, u32::from(up))));
        credit(&mut raw);
    }
    raw.assert_clean();
}
