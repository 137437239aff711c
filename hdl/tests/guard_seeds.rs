//! The match unit of 4,096 rules with rule sets like those of practice: verdict and rule number
//! are those of a search of one rule after another.
//!
//! `cargo test --release -p nitor-hdl --test guard_seeds -- --ignored --nocapture` takes ten million
//! headers.

mod guard_support;

use guard_support::{key, load, model_of, start, Network};
use nitor_block::{Block, Model};
use nitor_guard::seeds::{rules, Kind};
use nitor_guard::{first, Loader, Rule, Size, Tables};
use nitor_hdl::guard::acl::Acl;
use std::collections::VecDeque;
use std::sync::LazyLock;

const UNITS: usize = 4;
const SIZE: Size =
    Size { rules: 1024, address_ranges: 11, address_rows: 11, port_ranges: 9, port_rows: 10 };
type Large = Acl<1024, 64, 11, 11, 9, 10>;
static ACL: LazyLock<Model> = LazyLock::new(|| model_of(|| Large::new(UNITS), "guard_acl_4096"));

struct Bench {
    block: Block,
    loaders: Vec<Loader>,
    writes: usize,
}

impl Bench {
    fn new() -> Self {
        Self { block: start(&ACL, 1), loaders: vec![Loader::new(SIZE); UNITS], writes: 0 }
    }

    /// Rules in their order, the first 1,024 in the first unit.
    fn load(&mut self, rules: &[(usize, Rule)]) {
        for (unit, loader) in self.loaders.iter_mut().enumerate() {
            let mine = rules.iter().filter(|(n, _)| n / SIZE.rules == unit);
            let listed: Vec<_> = mine.map(|(n, rule)| (n % SIZE.rules, rule)).collect();
            let tables = Tables::new(SIZE, &listed, |_| true).unwrap_or_else(|e| panic!("{e}"));
            self.block.set("load_unit", unit as u64);
            for write in loader.load(&tables).unwrap_or_else(|e| panic!("{e}")) {
                load(&mut self.block, &write);
                self.block.tick();
                self.writes += 1;
            }
        }
        self.block.set("load", 0);
        self.block.set("bank", self.loaders[0].bank().into());
    }

    /// How many of the headers a rule was found for.
    fn search(&mut self, network: &mut Network, rules: &[(usize, Rule)], count: usize) -> usize {
        let mut waiting = VecDeque::new();
        let mut found = 0;
        for _ in 0..count {
            let headers = network.headers(rules);
            key(&headers).set(&mut self.block, "key");
            waiting.push_back(first(rules.iter().map(|(n, rule)| (*n, rule)), &headers));
            self.block.tick();
            self.block.eval();
            if waiting.len() == Large::LATENCY {
                let want = waiting.pop_front().unwrap();
                let word = self.block.get("first");
                let got = (word & 1 == 1).then_some(word as usize >> 1);
                assert_eq!(got, want);
                found += usize::from(want.is_some());
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
            let list = rules(kind, v6, UNITS * SIZE.rules, 7, network.sides());
            let list: Vec<_> = list.into_iter().enumerate().collect();
            bench.writes = 0;
            bench.load(&list);
            let found = bench.search(&mut network, &list, headers);
            let family = if v6 { "IPv6" } else { "IPv4" };
            let writes = bench.writes;
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
