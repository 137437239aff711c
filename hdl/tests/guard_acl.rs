//! `guard/acl` against a search of one rule after another, while sets are changed.

mod guard_support;

use guard_support::{key, load, model_of, start, Network};
use nitor_block::Model;
use nitor_guard::{first, Loader, Rule, Size, Tables, Unfit, Write};
use nitor_hdl::guard::acl::Acl;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::LazyLock;

const UNITS: usize = 2;
const SIZE: Size =
    Size { rules: 64, address_ranges: 7, address_rows: 6, port_ranges: 5, port_rows: 4 };
const RULES: usize = UNITS * SIZE.rules;
type Small = Acl<64, 4, 7, 6, 5, 4>;
static ACL: LazyLock<Model> = LazyLock::new(|| model_of(|| Small::new(UNITS), "guard_acl"));

#[derive(Clone, Default)]
struct Set {
    rules: Vec<(usize, Rule)>,
    ordered: Vec<bool>,
}

impl Set {
    /// At random, as large as fits into the tables, and the writes of each unit.
    fn random(network: &mut Network, loaders: &mut [Loader]) -> (Set, Vec<(usize, Write)>) {
        let mut numbers: Vec<usize> = (0..RULES).collect();
        let mut most = network.rng.range(1, RULES as u64) as usize;
        loop {
            for i in (1..RULES).rev() {
                numbers.swap(i, network.rng.below(i as u64 + 1) as usize);
            }
            let mut rules: Vec<_> = numbers[..most].iter().map(|n| (*n, network.rule())).collect();
            rules.sort_by_key(|(number, _)| *number);
            let ordered: Vec<bool> = (0..RULES / 16).map(|_| network.rng.percent(50)).collect();
            let set = Set { rules, ordered };
            let mut next = loaders.to_vec();
            let writes: Result<Vec<_>, _> = (0..UNITS).map(|u| set.load(u, &mut next[u])).collect();
            if let Ok(writes) = writes {
                loaders.clone_from_slice(&next);
                return (set, writes.into_iter().flatten().collect());
            }
            most = (most * 3 / 4).max(1);
        }
    }

    fn load(&self, unit: usize, loader: &mut Loader) -> Result<Vec<(usize, Write)>, Unfit> {
        let mine = self.rules.iter().filter(|(n, _)| n / SIZE.rules == unit);
        let listed: Vec<_> = mine.map(|(n, rule)| (n % SIZE.rules, rule)).collect();
        let first_block = unit * SIZE.rules / 16;
        let tables = Tables::new(SIZE, &listed, |block| self.ordered[first_block + block])?;
        Ok(loader.load(&tables)?.into_iter().map(|write| (unit, write)).collect())
    }

    fn find(&self, headers: &nitor_guard::Headers) -> [Option<usize>; 2] {
        [true, false].map(|ordered| {
            let of_kind = self.rules.iter().filter(|(n, _)| self.ordered[n / 16] == ordered);
            first(of_kind.map(|(n, rule)| (*n, rule)), headers)
        })
    }
}

/// A key in every cycle, a write of the next set in most, and the bank switched behind them.
fn searches(seed: u64, sets: usize) {
    let mut network = Network::new(seed);
    let mut block = start(&ACL, seed);
    let mut loaders = vec![Loader::new(SIZE); UNITS];
    let mut in_force = Set::default();
    let mut waiting = VecDeque::new();
    let mut found = [0u32; 3];
    for number in 0..sets {
        let bank = loaders[0].bank();
        let (next, writes) = Set::random(&mut network, &mut loaders);
        let mut writes = writes.into_iter();
        let mut after = 0;
        loop {
            block.set("load", 0);
            if network.rng.percent(90) {
                match writes.next() {
                    Some((unit, write)) => {
                        block.set("load_unit", unit as u64);
                        load(&mut block, &write);
                    }
                    // The set before is in flight for as long as a search takes.
                    None => after += 1,
                }
            }
            if after == 1 {
                in_force = next.clone();
                after = 2;
            }
            let headers = network.headers(&in_force.rules);
            key(&headers).set(&mut block, "key");
            block.set("bank", u64::from(if after == 0 { bank } else { !bank }));
            let known = number > 0 || after > 0;
            waiting.push_back(known.then(|| in_force.find(&headers)));
            block.tick();
            block.eval();
            if waiting.len() == Small::LATENCY {
                let Some(Some(want)) = waiting.pop_front() else { continue };
                let hit = |port| {
                    let word = block.get(port);
                    (word & 1 == 1).then_some(word as usize >> 1)
                };
                let got = [hit("first"), hit("first_of_groups")];
                assert_eq!(got, want, "set {number}");
                found[want.iter().flatten().count()] += 1;
            }
            if after > Small::LATENCY + 40 {
                break;
            }
        }
    }
    // The test looks at what it is about.
    assert!(found.iter().all(|n| *n > 20), "none, one or both sets match: {found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_rules(seed: u64) {
        searches(seed, 6);
    }
}
