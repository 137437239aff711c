//! Wires between the cards' MACs. A wire delays frames, and may lose or damage them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{CYCLE_NS, REACTION};

/// How a wire behaves, in both directions.
#[derive(Clone, Debug, PartialEq)]
pub struct WireConfig {
    /// Gigabits a second; unlimited if none. Preamble, FCS and gap take their share.
    pub rate: Option<f64>,
    /// Cycles from a frame's last bit out to its first beat in, at least [`REACTION`].
    pub delay: u64,
    /// Probability that a frame is lost.
    pub loss: f64,
    /// Probability that a frame arrives with its error mark set.
    pub damage: f64,
}

impl Default for WireConfig {
    fn default() -> Self {
        WireConfig { rate: None, delay: 2 * REACTION, loss: 0.0, damage: 0.0 }
    }
}

impl WireConfig {
    /// Cycles that a byte takes, in 1/65536; 0 if there is no limit.
    pub fn byte_time_q16(&self) -> u64 {
        match self.rate {
            None => 0,
            Some(rate) => (8.0 / rate / CYCLE_NS as f64 * 65536.0).round().max(1.0) as u64,
        }
    }
}

/// What a wire did with frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireStats {
    pub carried: u64,
    pub lost: u64,
    pub damaged: u64,
    /// Frames that were sent while the link was down.
    pub unplugged: u64,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Lost,
    Arrives { to: usize, at: u64, damaged: bool },
}

/// A wire between the MACs of two cards, or from a card to itself.
#[derive(Debug)]
pub struct Wire {
    pub config: WireConfig,
    /// The hosts at the two ends, the same twice for a loop.
    pub ends: [usize; 2],
    pub stats: WireStats,
    up: bool,
    /// One generator for each direction, so that neither's draws depend on the other's traffic.
    rngs: [ChaCha8Rng; 2],
}

impl Wire {
    pub fn new(ends: [usize; 2], config: WireConfig, seed: u64) -> Self {
        assert!(config.delay >= REACTION, "a wire takes at least {REACTION} cycles");
        assert!(config.rate.is_none_or(|rate| rate > 0.0), "a wire's rate is above zero");
        let rngs = [seed, !seed].map(ChaCha8Rng::seed_from_u64);
        Wire { config, ends, stats: WireStats::default(), up: true, rngs }
    }

    pub fn is_up(&self) -> bool {
        self.up
    }

    pub fn set_up(&mut self, up: bool) {
        self.up = up;
    }

    /// The host at the other end from host `from`.
    pub fn peer(&self, from: usize) -> usize {
        if self.ends[0] == from {
            self.ends[1]
        } else {
            self.ends[0]
        }
    }

    /// Decides on a frame whose last bit left the card at end `from` at cycle `left`.
    pub fn carry(&mut self, from: usize, left: u64) -> Fate {
        if !self.up {
            self.stats.unplugged += 1;
            return Fate::Lost;
        }
        let rng = &mut self.rngs[usize::from(from != self.ends[0])];
        if rng.random_bool(self.config.loss) {
            self.stats.lost += 1;
            return Fate::Lost;
        }
        let damaged = rng.random_bool(self.config.damage);
        self.stats.carried += 1;
        self.stats.damaged += u64::from(damaged);
        Fate::Arrives { to: self.peer(from), at: left + self.config.delay, damaged }
    }
}
