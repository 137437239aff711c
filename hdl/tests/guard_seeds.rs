//! The match unit of 4,096 rules with rule sets like those of practice: verdict and rule number
//! are those of a search of one rule after another.
//!
//! `cargo test --release -p nitor-hdl --test guard_seeds -- --ignored --nocapture` takes ten million
//! headers.

mod guard_support;

use guard_support::{key, load, model, start, Network};
use nitor_block::{Block, Model};
use nitor_guard::seeds::{rules, Kind};
use nitor_guard::{first, Loader, Rule, Size};
use nitor_hdl::guard::acl::Acl;
use std::collections::VecDeque;
use std::sync::LazyLock;

const SLICES: usize = 4;
const EACH: usize = 1024;
const SIZE: Size = Size::new(EACH, 11, 11, 9, 10);
type Large = Acl<EACH, 64, 11, 11, 9, 10>;
static ACL: LazyLock<Model> = LazyLock::new(|| model("guard_acl_4096", || Large::new(SLICES)));

/// Every third block of 16 rules is of groups.
fn is_ordered(block: usize) -> bool {
    block % 3 != 2
}

struct Bench {
    block: Block,
    loader: Loader,
}

impl Bench {
    fn new() -> Self {
        Self { block: start(&ACL, 1), loader: Loader::new(SIZE, SLICES) }
    }

    /// How many writes it takes.
    fn load(&mut self, rules: &[(usize, Rule)]) -> usize {
        let listed: Vec<(usize, &Rule)> = rules.iter().map(|(n, rule)| (*n, rule)).collect();
        let plan = self.loader.plan(&listed, is_ordered).unwrap_or_else(|e| panic!("{e}"));
        for (slice, write) in &plan.writes {
            load(&mut self.block, *slice, write);
            self.block.eval();
            while self.block.get("load_ready") == 0 {
                self.block.tick();
                self.block.eval();
            }
            self.block.tick();
        }
        self.block.set("load_valid", 0);
        let writes = plan.writes.len();
        self.loader.done(plan);
        writes
    }

    /// How many of the headers a rule was found for.
    fn search(&mut self, network: &mut Network, rules: &[(usize, Rule)], count: usize) -> usize {
        let mut waiting = VecDeque::new();
        let mut found = 0;
        for _ in 0..count {
            let headers = network.headers(rules);
            key(&mut network.rng, &headers).set(&mut self.block, "key");
            waiting.push_back([true, false].map(|ordered| {
                let mine = rules.iter().filter(|(n, _)| is_ordered(n / 16) == ordered);
                first(mine.map(|(n, rule)| (*n, rule)), &headers)
            }));
            self.block.tick();
            self.block.eval();
            if waiting.len() == Large::LATENCY {
                let want = waiting.pop_front().unwrap();
                let got = ["first", "first_of_groups"].map(|port| {
                    let word = self.block.get(port);
                    (word & 1 == 1).then_some(word as usize >> 1)
                });
                assert_eq!(got, want);
                found += usize::from(want.iter().any(Option::is_some));
            }
        }
        found
    }
}

fn sets(headers: usize) {
    let mut bench = Bench::new();
    for v6 in [false, true] {
        for kind in Kind::ALL {
            let mut network = Network::new(7);
            let list = rules(kind, v6, SLICES * EACH, 7, network.sides());
            let list: Vec<_> = list.into_iter().enumerate().collect();
            let writes = bench.load(&list);
            let found = bench.search(&mut network, &list, headers);
            let family = if v6 { "IPv6" } else { "IPv4" };
            println!(
                "{kind:?}, {family}: {writes} writes, {found} of {headers} headers have a rule"
            );
            assert!(found > headers / 10 && found < headers * 99 / 100);
        }
    }
}

#[test]
fn sets_like_those_of_practice() {
    sets(3000);
}

#[test]
#[ignore = "takes minutes"]
fn ten_million_headers() {
    sets(10_000_000 / 6 + 1);
}
