//! Words between blocks and in registers have named fields. Bits are counted by hand only where a
//! file does arithmetic on them, or speaks a protocol a nibble or a byte at a time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files that may, with the most `cat`s and the most literal offsets they may have.
const BY_HAND: &[(&str, usize, usize)] = &[
    ("board/core.rs", 0, 6),
    ("board/counters.rs", 0, 3),
    ("common/async_fifo.rs", 0, 2),
    ("common/cross.rs", 0, 1),
    ("common/op_tracker.rs", 0, 3),
    ("common/op_tracker_proof.rs", 0, 4),
    ("common/ram.rs", 0, 5),
    ("eth/crc.rs", 1, 2),
    ("host/cq.rs", 0, 6),
    ("link/credit.rs", 0, 2),
    ("link/receive.rs", 0, 2),
    ("link/send.rs", 0, 3),
    ("link/uart.rs", 0, 1),
    ("pcie/rx.rs", 1, 0),
    ("pcie/rx_proof.rs", 0, 1),
    ("rx/checksum.rs", 0, 4),
    ("rx/classify.rs", 0, 12),
    ("rx/sum.rs", 0, 2),
    ("rx/waiting.rs", 0, 2),
    ("rx/walk.rs", 0, 4),
    ("tx/lanes.rs", 1, 0),
    ("tx/sums.rs", 0, 2),
    ("tx/words.rs", 0, 1),
];

/// All files together.
const MOST: (usize, usize) = (40, 120);

fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, all),
            false => all.push(path),
        }
    }
}

/// Calls of `method` whose first argument is a number.
fn at_a_number(code: &str, method: &str) -> usize {
    let of = |rest: &str| {
        // The turbofish, if there is one, has no parentheses but in braces.
        let rest = match rest.strip_prefix("::<") {
            Some(generics) => generics.split_once(">(").map_or("", |(_, arguments)| arguments),
            None => rest.strip_prefix('(').unwrap_or(""),
        };
        let end = rest.find([',', ')']).unwrap_or(0);
        let number = rest[..end].trim();
        usize::from(!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    code.match_indices(method).map(|(at, _)| of(&code[at + method.len()..])).sum()
}

/// `cat`s and literal offsets in a source.
fn counts(text: &str) -> (usize, usize) {
    let code: String = text.lines().map(|l| l.split("//").next().unwrap_or(l)).collect();
    let methods = [".get_bits", ".get_bit", ".replace_bit", ".set_slice"];
    // `get_bit` is no part of `get_bits` here: what follows decides.
    (code.matches("cat::<").count(), methods.iter().map(|m| at_a_number(&code, m)).sum())
}

#[test]
fn counting_counts() {
    let text = "let a = cat::<1, 2, 3>(x, y.get_bits::<{ N - 1 }>(4)).get_bit(0); // .get_bit(1)
        let b = a.get_bit(i).replace_bit(12, a).set_slice::<8>(8 * i, c).get_bits::<8>(AT);";
    assert_eq!(counts(text), (1, 3));
}

#[test]
fn words_have_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    sources(&root, &mut files);
    let mut found = BTreeMap::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_string();
        found.insert(name, counts(&fs::read_to_string(&file).unwrap()));
    }
    let mut sum = (0, 0);
    let mut beyond = vec![];
    for (name, &(cats, offsets)) in &found {
        sum = (sum.0 + cats, sum.1 + offsets);
        let most = BY_HAND.iter().find(|f| f.0 == name).map_or((0, 0), |f| (f.1, f.2));
        if cats > most.0 || offsets > most.1 {
            beyond.push(format!("(\"{name}\", {cats}, {offsets}), not {most:?}"));
        }
    }
    assert!(beyond.is_empty(), "a word without names?\n{}", beyond.join("\n"));
    assert!(sum.0 <= MOST.0 && sum.1 <= MOST.1, "{sum:?} in all, {MOST:?} are allowed");
    // A file that is better than it need be says so.
    for (name, cats, offsets) in BY_HAND {
        assert_eq!(found.get(*name), Some(&(*cats, *offsets)), "{name}");
    }
}

/// As the formatter has it for code; comments are no exception.
#[test]
fn lines_are_no_wider_than_a_page() {
    let mut files = vec![];
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let wide = text.lines().position(|line| line.chars().count() > 100);
        assert_eq!(wide.map(|n| n + 1), None, "{}", file.display());
    }
}
