//! Rule sets like those of practice, for tests and figures.
//!
//! The three kinds are those of ClassBench (Taylor and Turner, INFOCOM 2005), and so are the
//! classes of ports: all, 1024 and above, below 1024, one, a range. The shares are ours; they follow
//! the paper's description of the kinds, not a seed file.
//!
//! | kind | addresses | ports |
//! |---|---|---|
//! | access list | networks to single servers | a source port seldom, one destination port mostly |
//! | firewall | many rules from or to everyone | ranges, on both sides |
//! | chain | pairs of networks of like lengths | in between |

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::rule::{Payloads, Rule, Side, IPV4};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    AccessList,
    Firewall,
    Chain,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::AccessList, Kind::Firewall, Kind::Chain];
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One of several by their shares.
    fn choose<T: Copy>(&mut self, shares: &[(u64, T)]) -> T {
        let mut at = self.below(shares.iter().map(|(share, _)| share).sum());
        for (share, value) in shares {
            if at < *share {
                return *value;
            }
            at -= share;
        }
        unreachable!("the shares were summed")
    }
}

#[derive(Clone, Copy)]
enum Ports {
    All,
    High,
    Low,
    One,
    Range,
}

/// Networks that rules are about: nested, a few of them in many rules.
struct Network {
    rng: Rng,
    v6: bool,
    sites: Vec<u128>,
}

impl Network {
    fn new(seed: u64, v6: bool, sites: u64) -> Self {
        let mut rng = Rng(seed);
        let mut all: Vec<u128> = Vec::new();
        for _ in 0..sites {
            let address = u128::from(rng.next()) << 64 | u128::from(rng.next());
            all.push(if v6 { 0x2000 << 112 | address >> 16 } else { IPV4 | address >> 96 });
        }
        Self { rng, v6, sites: all }
    }

    /// A network of this prefix length of IPv4; of IPv6 it is as large a part of a site.
    fn prefix(&mut self, len: u64) -> RangeInclusive<u128> {
        if len == 0 && self.v6 {
            return 0..=u128::MAX;
        }
        let site = self.sites[self.rng.below(self.sites.len() as u64) as usize];
        // The lowest bits differ within a site.
        let (bits, free) = if self.v6 { (80, 128 - 4 * len) } else { (16, 32 - len) };
        let free = if self.v6 && len == 32 { 0 } else { free };
        let host = u128::from(self.rng.next()) << 64 | u128::from(self.rng.next());
        let address = site ^ (host & ((1 << bits) - 1));
        let mask = (1u128 << free) - 1;
        address & !mask..=address | mask
    }

    fn ports(&mut self, shares: &[(u64, Ports)]) -> RangeInclusive<u16> {
        const KNOWN: [u16; 16] =
            [20, 21, 22, 25, 53, 80, 110, 123, 143, 161, 443, 1433, 1521, 3306, 5060, 8080];
        match self.rng.choose(shares) {
            Ports::All => 0..=65535,
            Ports::High => 1024..=65535,
            Ports::Low => 0..=1023,
            Ports::One => match self.rng.below(4) {
                0 => {
                    let port = self.rng.below(200) as u16 * 50 + 1000;
                    port..=port
                }
                _ => {
                    let port = KNOWN[self.rng.below(16) as usize];
                    port..=port
                }
            },
            Ports::Range => {
                let low = self.rng.below(60) as u16 * 1000;
                low..=low + self.rng.below(40) as u16 * 100 + 1
            }
        }
    }
}

/// `count` different rules, all of which apply on `sides`.
pub fn rules(kind: Kind, v6: bool, count: usize, seed: u64, sides: &[Side]) -> Vec<Rule> {
    let mut network = Network::new(seed, v6, (count as u64 / 16).max(4));
    let mut rules: Vec<Rule> = Vec::new();
    while rules.len() < count {
        let rule = rule(kind, &mut network, sides);
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

fn rule(kind: Kind, network: &mut Network, sides: &[Side]) -> Rule {
    use Ports::*;
    type Shares<T> = &'static [(u64, T)];
    let (source, destination): (Shares<u64>, Shares<u64>) = match kind {
        Kind::AccessList => (
            &[(15, 0), (10, 16), (35, 24), (20, 28), (20, 32)],
            &[(2, 0), (8, 16), (25, 24), (15, 28), (50, 32)],
        ),
        Kind::Firewall => {
            (&[(45, 0), (5, 8), (15, 24), (35, 32)], &[(40, 0), (5, 16), (25, 24), (30, 32)])
        }
        Kind::Chain => (
            &[(15, 0), (10, 16), (30, 24), (10, 28), (35, 32)],
            &[(15, 0), (10, 16), (30, 24), (10, 28), (35, 32)],
        ),
    };
    let (from, to): (Shares<Ports>, Shares<Ports>) = match kind {
        Kind::AccessList => {
            (&[(98, All), (2, High)], &[(20, All), (5, High), (65, One), (10, Range)])
        }
        Kind::Firewall => (
            &[(60, All), (15, High), (2, Low), (15, One), (8, Range)],
            &[(35, All), (10, High), (2, Low), (40, One), (13, Range)],
        ),
        Kind::Chain => (
            &[(80, All), (5, High), (12, One), (3, Range)],
            &[(50, All), (5, High), (40, One), (5, Range)],
        ),
    };
    let protocol = network.rng.choose(&[(70, 6), (20, 17), (6, 1), (1, 47), (1, 50), (2, 256)]);
    let len = network.rng.choose(source);
    let source = network.prefix(len);
    let len = network.rng.choose(destination);
    let destination = network.prefix(len);
    let has_ports = protocol == 6 || protocol == 17;
    let [source_port, destination_port] =
        [from, to].map(|shares| if has_ports { network.ports(shares) } else { 0..=65535 });
    Rule {
        sides: sides.to_vec(),
        payloads: u8::try_from(protocol).map_or(Payloads::AnyIp, Payloads::Ip),
        source,
        destination,
        source_port,
        destination_port,
        ..Rule::default()
    }
}
