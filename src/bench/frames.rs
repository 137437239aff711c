//! The frames of a benchmark: their sizes, and the contents that identify each frame.

use crate::machine;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};
use std::str::FromStr;

/// Bytes of the shortest and longest frame, without FCS.
const RANGE: std::ops::RangeInclusive<u64> = 60..=LONGEST;
const LONGEST: u64 = 9216;
/// The usual Internet mix: 64, 594 and 1,518 bytes with FCS as 7 : 4 : 1, the sizes spread evenly.
const IMIX: [usize; 12] = [60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 60, 590];

/// What the frames' sizes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    Fixed(u64),
    Imix,
    /// Runs of short frames, of long ones and of any, at random: what waits behind a long frame is much or little.
    Mixed,
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "imix" => return Ok(Sizes::Imix),
            "mixed" => return Ok(Sizes::Mixed),
            _ => {}
        }
        let fixed = text.parse().ok().filter(|bytes| RANGE.contains(bytes)).map(Sizes::Fixed);
        fixed.ok_or_else(|| "give 60 to 9216 bytes, imix or mixed".into())
    }
}

impl Serialize for Sizes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Sizes::Fixed(bytes) => to.serialize_u64(*bytes),
            Sizes::Imix => to.serialize_str("imix"),
            Sizes::Mixed => to.serialize_str("mixed"),
        }
    }
}

impl Sizes {
    /// Bytes of each of `count` frames.
    pub fn list(self, count: usize, seed: u64) -> Vec<usize> {
        match self {
            Sizes::Fixed(bytes) => vec![bytes as usize; count],
            Sizes::Imix => IMIX.into_iter().cycle().take(count).collect(),
            Sizes::Mixed => mixed(count, seed),
        }
    }

    pub fn longest(self) -> usize {
        match self {
            Sizes::Fixed(bytes) => bytes as usize,
            Sizes::Imix => 1514,
            Sizes::Mixed => LONGEST as usize,
        }
    }

    pub fn text(self) -> String {
        match self {
            Sizes::Fixed(bytes) => format!("{bytes} bytes"),
            Sizes::Imix => "60, 590 and 1,514 bytes as 7 : 4 : 1".into(),
            Sizes::Mixed => "60 to 9,216 bytes at random".into(),
        }
    }
}

fn mixed(count: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sizes = Vec::with_capacity(count);
    while sizes.len() < count {
        let (run, range) = match rng.random_range(0..3) {
            0 => (rng.random_range(1..=3), 1515..=LONGEST),
            1 => (rng.random_range(1..=200), 60..=128),
            _ => (rng.random_range(1..=16), RANGE),
        };
        let run = run.min(count - sizes.len());
        sizes.extend((0..run).map(|_| rng.random_range(range.clone()) as usize));
    }
    sizes
}

/// Makes `frame` frame `n`: UDP, of its own flow, so that RSS has something to spread.
pub fn fill(frame: &mut [u8], n: usize) {
    frame[..12].copy_from_slice(&[machine::mac(0), machine::mac(0)].concat());
    let [high, low] = ((frame.len() - 14) as u16).to_be_bytes();
    frame[12..24].copy_from_slice(&[8, 0, 0x45, 0, high, low, 0, 0, 0x40, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..36].copy_from_slice(&(1024 + (n % 4096) as u16).to_be_bytes());
    frame[36..38].copy_from_slice(&9u16.to_be_bytes());
    frame[42..50].copy_from_slice(&(n as u64).to_be_bytes());
}

/// Which frame it is, if it is one of these.
pub fn number(frame: &[u8]) -> Option<usize> {
    Some(u64::from_be_bytes(frame.get(42..50)?.try_into().ok()?) as usize)
}
