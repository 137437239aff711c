//! Every card that is built runs under the one binary, by its name.

use serde_json::Value;
use std::process::{Command, Output};

fn nitor(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nitor"));
    command.args(args).current_dir(env!("CARGO_TARGET_TMPDIR")).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = nitor(&[args, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn cards_are_listed() {
    let all = json(&["cards", "--synth", "none"]);
    let cards = all["cards"].as_array().unwrap();
    let card = |name: &str| cards.iter().find(|card| card["name"] == name).unwrap();
    assert_eq!(
        (&card("card-512")["width"], &card("card-512")["queue_pairs"]),
        (&512.into(), &16.into())
    );
    assert_eq!(card("ecp5-evn")["lines"], 64);
    assert_eq!(card("card-128")["synthesis"], Value::Null);
    let small = card("colorlight-5a-75b");
    assert_eq!((&small["lines"], &small["tx_offloads"]), (&0.into(), &false.into()));
    // A board's card fits its part, at the clock it needs.
    assert!(small["synthesis"]["luts"].as_u64().unwrap() < 24_288, "{small}");
    for board in cards.iter().filter_map(|card| card["synthesis"].as_object()) {
        assert!(board["mhz"].as_f64() >= board["needed_mhz"].as_f64(), "{board:?}");
    }
    let text = String::from_utf8(nitor(&["cards"]).stdout).unwrap();
    assert!(text.contains("ulx3s-85f") && text.lines().all(|line| line.len() <= 110), "{text}");
}

/// The smallest card, and one of those that push packets, beside the two that all tests use.
#[test]
fn boards_cards_run() {
    for (card, queues) in [("colorlight-i9", "2"), ("ecp5-evn", "8")] {
        let args = ["bench", "loop", "--card", card, "--queues", queues, "--count", "512"];
        let figures = json(&args);
        assert_eq!((&figures["card"], &figures["width"]), (&card.into(), &128.into()));
        assert_eq!((&figures["frames"], &figures["lost"]), (&512.into(), &0.into()), "{figures}");
    }
    let pushed = json(&["bench", "loop", "--card", "ecp5-evn", "--llq", "--count", "256"]);
    assert_eq!(pushed["lost"], 0);
}

#[test]
fn what_a_card_has_not_is_told() {
    for (args, words) in [
        (&["--card", "colorlight-i9", "--queues", "3"][..], "has 2 queue pairs"),
        (&["--card", "colorlight-i9", "--llq"], "no low-latency queues"),
        (&["--card", "card-256"], "card-128, card-512"),
    ] {
        let output = nitor(&[&["bench", "loop"], args].concat());
        let said = String::from_utf8_lossy(&output.stderr).to_string();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
}
