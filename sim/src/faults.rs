//! Faults that the root complex injects into its answers to the card's reads. Tests describe them
//! as rules in a [`FaultPlan`].

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What goes wrong with the answer to one of the card's reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A completion has its poison bit set.
    Poison,
    /// Unsupported request instead of data.
    UnsupportedRequest,
    /// Completer abort instead of data.
    CompleterAbort,
    /// No completion is sent.
    Drop,
    /// Only the first completion of the answer is sent.
    DropRest,
    /// The answer is this many cycles late.
    Delay(u64),
    /// The last completion is sent twice.
    Duplicate,
    /// The first completion carries another tag; the rest of the answer is as it should be.
    WrongTag,
    /// The first completion carries another requester id.
    WrongRequester,
    /// The first completion has a dword less than its byte count and length should have.
    WrongLength,
}

/// Which of the card's reads a rule is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// The n-th read that the rule looks at, from 0.
    Nth(u64),
    /// Every n-th one.
    Every(u64),
    /// Each with this probability.
    Chance(f64),
}

/// A fault and when it happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub fault: Fault,
    pub when: When,
    /// Only reads whose first byte is at one of these addresses.
    pub addresses: std::ops::Range<u64>,
}

impl Rule {
    /// `fault` for reads of any address.
    pub fn new(fault: Fault, when: When) -> Self {
        Rule { fault, when, addresses: 0..u64::MAX }
    }
}

/// The rules in force, and how often each has been considered and applied.
#[derive(Debug, Default)]
pub struct FaultPlan {
    rules: Vec<(Rule, Use)>,
}

/// How often a rule has been considered and applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    pub seen: u64,
    pub used: u64,
}

impl FaultPlan {
    /// Adds a rule; returns its number for [`FaultPlan::usage`].
    pub fn add(&mut self, rule: Rule) -> usize {
        self.rules.push((rule, Use::default()));
        self.rules.len() - 1
    }

    /// Removes all rules.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    pub fn usage(&self, rule: usize) -> Use {
        self.rules[rule].1
    }

    /// The fault for a read at `address`: that of the first rule that matches.
    pub fn choose(&mut self, address: u64, rng: &mut ChaCha8Rng) -> Option<Fault> {
        let mut chosen = None;
        for (rule, usage) in &mut self.rules {
            if !rule.addresses.contains(&address) {
                continue;
            }
            let hit = match rule.when {
                When::Nth(n) => usage.seen == n,
                When::Every(n) => (usage.seen + 1).is_multiple_of(n),
                When::Chance(p) => rng.random_bool(p),
            };
            usage.seen += 1;
            if hit && chosen.is_none() {
                usage.used += 1;
                chosen = Some(rule.fault);
            }
        }
        chosen
    }
}
