//! `guard/acl` against a search of one rule after another, while sets are changed.

mod guard_support;

use guard_support::{key, load, model, start, Network};
use nitor_block::Model;
use nitor_guard::{first, Loader, Plan, Rule, Size};
use nitor_hdl::guard::acl::Acl;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::LazyLock;

const SLICES: usize = 2;
/// More than 256 rules, so that a slice has two sixteens of blocks.
const EACH: usize = 512;
const SIZE: Size = Size::new(EACH, 9, 8, 7, 7);
const RULES: usize = SLICES * EACH;
type Medium = Acl<EACH, 32, 9, 8, 7, 7>;
static ACL: LazyLock<Model> = LazyLock::new(|| model("guard_acl", || Medium::new(SLICES)));

#[derive(Clone, Default)]
struct Set {
    rules: Vec<(usize, Rule)>,
    ordered: Vec<bool>,
}

impl Set {
    /// Rules at random, as many as fit into the tables.
    fn random(network: &mut Network, loader: &Loader) -> (Set, Plan) {
        let mut most = network.rng.range(1, 160) as usize;
        loop {
            let numbers: Vec<usize> =
                (0..most).map(|_| network.rng.below(RULES as u64) as usize).collect();
            let mut rules: Vec<_> = numbers.into_iter().map(|n| (n, network.rule())).collect();
            rules.sort_by_key(|(number, _)| *number);
            rules.dedup_by_key(|(number, _)| *number);
            let ordered: Vec<bool> = (0..RULES / 16).map(|_| network.rng.percent(50)).collect();
            let listed: Vec<(usize, &Rule)> = rules.iter().map(|(n, rule)| (*n, rule)).collect();
            let before = loader.clone();
            let plan = loader.plan(&listed, |block| ordered[block]);
            assert_eq!(*loader, before, "a plan is not yet made");
            if let Ok(plan) = plan {
                return (Set { rules, ordered }, plan);
            }
            most = (most * 3 / 4).max(1);
        }
    }

    fn find(&self, headers: &nitor_guard::Headers) -> [Option<usize>; 2] {
        [true, false].map(|ordered| {
            let of_kind = self.rules.iter().filter(|(n, _)| self.ordered[n / 16] == ordered);
            first(of_kind.map(|(n, rule)| (*n, rule)), headers)
        })
    }
}

/// A key in every cycle, and sets written meanwhile, one behind the other. Some are given up.
fn searches(seed: u64, sets: usize) {
    let mut network = Network::new(seed);
    let mut block = start(&ACL, seed);
    let mut loader = Loader::new(SIZE, SLICES);
    let mut in_force = Set::default();
    let mut waiting = VecDeque::new();
    let (mut found, mut largest, mut given_up) = ([0u32; 3], 0, 0);
    for number in 0..sets {
        let (next, plan) = Set::random(&mut network, &loader);
        largest = largest.max(next.rules.len());
        let give_up = network.rng.percent(30);
        let stop = match give_up {
            true => network.rng.below(plan.writes.len() as u64) as usize,
            false => plan.writes.len(),
        };
        let mut writes = plan.writes[..stop].iter().peekable();
        while writes.peek().is_some() {
            let offered = network.rng.percent(90);
            block.set("load_valid", 0);
            if offered {
                let (slice, write) = writes.peek().unwrap();
                load(&mut block, *slice, write);
            }
            let headers = network.headers(&in_force.rules);
            key(&mut network.rng, &headers).set(&mut block, "key");
            waiting.push_back((number, in_force.find(&headers)));
            block.eval();
            let taken = offered && block.get("load_ready") == 1;
            block.tick();
            block.eval();
            if taken {
                writes.next();
            }
            if waiting.len() == Medium::LATENCY {
                let (set, want) = waiting.pop_front().unwrap();
                let hit = |port| {
                    let word = block.get(port);
                    (word & 1 == 1).then_some(word as usize >> 1)
                };
                let got = [hit("first"), hit("first_of_groups")];
                assert_eq!(got, want, "key during the load of set {set}");
                found[want.iter().flatten().count()] += 1;
            }
        }
        if give_up {
            loader.failed();
            given_up += 1;
        } else {
            loader.done(plan);
            in_force = next;
        }
    }
    // The test looks at what it is about.
    assert!(found.iter().all(|n| *n > 20), "none, one or both sets match: {found:?}");
    assert!(largest > 60 && given_up > 0, "{largest} rules at most, {given_up} sets given up");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_rules(seed: u64) {
        searches(seed, 16);
    }
}
