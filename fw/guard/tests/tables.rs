//! Rules as tables, at the edges of what there is room for.

use nitor_guard::rule::{Payloads, Vlans};
use nitor_guard::seeds::{rules, Kind};
use nitor_guard::tables::Field;
use nitor_guard::{Loader, Rule, Size, Tables, Unfit, Write};

const SMALL: Size = Size::new(64, 4, 3, 3, 3);

fn tables(size: Size, rules: &[Rule]) -> Result<Tables, Unfit> {
    let listed: Vec<(usize, &Rule)> = rules.iter().enumerate().collect();
    Tables::new(size, &listed, |_| true)
}

fn from(source: std::ops::RangeInclusive<u128>) -> Rule {
    Rule { source, ..Rule::default() }
}

/// The rules that hold for a source address, by its table.
fn of(tables: &Tables, source: u128) -> u64 {
    let field = &tables.fields[Field::Source as usize];
    let index = field.bounds.iter().filter(|bound| **bound <= source).count();
    field.rows[field.indices[&(index as u16)]][0]
}

#[test]
fn ranges_end_where_they_say() {
    let list = [from(5..=5), from(0..=4), from(10..=u128::MAX), from(0..=u128::MAX)];
    let tables = tables(SMALL, &list).unwrap();
    for source in [0, 4, 5, 6, 9, 10, 11, u128::MAX] {
        let holds = |rule: &Rule| rule.source.contains(&source);
        let want = list.iter().enumerate().map(|(n, rule)| u64::from(holds(rule)) << n).sum();
        assert_eq!(of(&tables, source), want, "{source}");
    }
    // No address is in a range that ends before it begins.
    #[allow(clippy::reversed_empty_ranges)]
    let none = self::tables(SMALL, &[from(9..=3)]).unwrap();
    assert!([0, 3, 5, 9].iter().all(|source| of(&none, *source) == 0));
}

#[test]
fn as_many_ranges_as_there_is_room_for() {
    // A rule for each of 15 bounds makes 16 ranges, and 16 rows.
    let open = |first: u128| from(first..=u128::MAX);
    let most: Vec<Rule> = (1..16).map(|first| open(10 * first)).collect();
    let roomy = Size::new(64, 4, 4, 3, 3);
    assert!(tables(roomy, &most).is_ok());
    let beyond = [&most[..], &[open(1000)]].concat();
    let unfit = Unfit::Ranges { field: Field::Source, wanted: 17, most: 16 };
    assert_eq!(tables(roomy, &beyond).unwrap_err(), unfit);
    assert_eq!(
        unfit.to_string(),
        "source addresses: the rules tell 17 ranges apart; there is room for 16"
    );
    let unfit = Unfit::Rows { field: Field::Source, wanted: 16, most: 8 };
    assert_eq!(tables(SMALL, &most).unwrap_err(), unfit);
}

#[test]
fn a_number_stands_for_one_rule() {
    let rule = Rule::default();
    let loader = Loader::new(SMALL, 2);
    let refused = |list: &[(usize, &Rule)]| loader.plan(list, |_| true).unwrap_err();
    assert_eq!(refused(&[(3, &rule), (3, &rule)]), Unfit::Twice { number: 3 });
    assert_eq!(refused(&[(128, &rule)]), Unfit::Number { number: 128, most: 128 });
    assert!(loader.plan(&[(127, &rule)], |_| true).is_ok());
}

/// A tag has 12 bits: what is beyond is no VLAN, and stands for none.
#[test]
fn there_are_4096_vlans() {
    let tagged = |vlans| Rule { vlans: Vlans::Tagged(vlans), ..Rule::default() };
    let beyond = tables(SMALL, &[tagged(4096..=4096), tagged(5000..=6000)]).unwrap();
    assert_eq!(beyond.fields[Field::Vlan as usize].bounds, []);
    assert_eq!(beyond.fields[Field::Vlan as usize].rows, [[0]]);
    let cut = tables(SMALL, &[tagged(4095..=9000)]).unwrap();
    assert_eq!(cut.fields[Field::Vlan as usize].bounds, [4096 + 4095]);
}

#[test]
fn an_ether_type_is_not_a_protocol() {
    let rule = Rule { payloads: Payloads::Other(6..=6), ..Rule::default() };
    let field = tables(SMALL, &[rule]).unwrap().fields[Field::Protocol as usize].clone();
    assert_eq!(field.bounds, [6, 7]);
    assert!((0..256).all(|ip| field.rows[field.indices[&(256 | ip)]] == [0]));
    assert_eq!(field.rows[field.indices[&1]], [1]);
}

/// A set that has no room beside the one in force is refused; alone it would fit.
#[test]
fn rows_in_force_stay() {
    let bounds =
        |step: u128| -> Vec<Rule> { (1..6).map(|first| from(step * first..=u128::MAX)).collect() };
    let mut loader = Loader::new(SMALL, 1);
    let [a, b] = [bounds(10), bounds(7)];
    let listed = |rules: &'static [Rule]| rules.iter().enumerate().collect::<Vec<_>>();
    let a = listed(a.leak());
    let plan = loader.plan(&a, |_| true).unwrap();
    assert_eq!(plan.writes.last().unwrap().1, Write::Switch { bank: true });
    loader.done(plan);
    // The same rules at other addresses have the same rows.
    let b = listed(b.leak());
    let plan = loader.plan(&b, |_| true).unwrap();
    assert!(!plan.writes.iter().any(|(_, write)| matches!(write, Write::Row { .. })));
    // Their bits in other places have not.
    let moved: Vec<_> = b.iter().map(|(n, rule)| (n + 20, *rule)).collect();
    let unfit = loader.plan(&moved, |_| true).unwrap_err();
    assert_eq!(unfit, Unfit::Beside { field: Field::Source, wanted: 5, free: 2 });
    assert!(Loader::new(SMALL, 1).plan(&moved, |_| true).is_ok());
}

/// Behind writes of which some were made, all are made again but for what is in force.
#[test]
fn a_plan_that_failed_is_made_anew() {
    let size = Size::new(64, 8, 8, 7, 7);
    let [a, b] = [1, 2].map(|seed| rules(Kind::Firewall, false, 60, seed, &[]));
    let [a, b] = [&a, &b].map(|rules| rules.iter().enumerate().collect::<Vec<_>>());
    let mut loader = Loader::new(size, 1);
    loader.done(loader.plan(&a, |_| true).unwrap());
    let plan = loader.plan(&b, |_| true).unwrap();
    loader.failed();
    let again = loader.plan(&b, |_| true).unwrap();
    assert_eq!(again.writes, plan.writes);
    loader.done(again);
    // The rows of the set before are still there, unless writes of a third set may have been made.
    let rows = |loader: &Loader| {
        let plan = loader.plan(&a, |_| true).unwrap();
        plan.writes.iter().filter(|(_, write)| matches!(write, Write::Row { .. })).count()
    };
    assert_eq!(rows(&loader), 0);
    loader.failed();
    assert!(rows(&loader) > 60);
}

/// The table in docs/guard.md.
#[test]
fn the_documents_figures() {
    let size = Size::new(1024, 11, 11, 9, 10);
    let mut text = String::new();
    for (kind, name) in Kind::ALL.into_iter().zip(["access list", "firewall", "chain"]) {
        let of_family = [false, true].map(|v6| {
            let tables = tables(size, &rules(kind, v6, 1024, 1, &[])).unwrap();
            let ranges = |field: Field| {
                let number = (tables.fields[field as usize].bounds.len() + 1).to_string();
                match number.len() {
                    4 => format!("{},{}", &number[..1], &number[1..]),
                    _ => number,
                }
            };
            let [a, b, c, d] =
                [Field::Source, Field::Destination, Field::SourcePort, Field::DestinationPort]
                    .map(ranges);
            format!("{a} and {b}; {c} and {d}")
        });
        text += &format!("| {name} | {} | {} |\n", of_family[0], of_family[1]);
    }
    let document = include_str!("../../../docs/guard.md");
    assert!(document.contains(&text), "docs/guard.md says otherwise:\n{text}");
}
