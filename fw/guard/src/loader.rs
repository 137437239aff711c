//! Brings rule sets into the match unit, each while the set before is in force.
//!
//! The match unit has two banks of search trees and indices, and rows for both. [`Loader::plan`]
//! gives the writes that bring a set into the bank that is not in force, and last of all the switch.
//! Rows that the set in force uses are not written; rows with the same rules are shared. A set that
//! has no room beside the set in force is refused, with all its slices.
//!
//! A loader knows what is in the match unit. Whoever restarts without that knowledge resets the
//! match unit, which then has no set.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use crate::rule::Rule;
use crate::tables::{Field, Row, Size, Tables, Unfit};

/// A write into the match unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Row {
        field: Field,
        row: u16,
        rules: Row,
    },
    /// The row that an index stands for.
    Index {
        field: Field,
        bank: bool,
        index: u16,
        row: u16,
    },
    /// A node of a field's search tree; without a bound it is above all keys.
    Node {
        field: Field,
        bank: bool,
        level: u32,
        node: u16,
        bound: Option<u128>,
    },
    /// Which blocks of 16 rules are ordered.
    Ordered {
        bank: bool,
        blocks: Vec<bool>,
    },
    /// Brings the bank into force, in all slices.
    Switch {
        bank: bool,
    },
}

/// The writes of a set, each with its slice.
#[derive(Clone, Debug)]
pub struct Plan {
    pub writes: Vec<(usize, Write)>,
    after: Loader,
}

/// What is in the match unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    size: Size,
    bank: bool,
    slices: Vec<Slice>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slice {
    /// By field: the rules of each row, as far as they are known.
    rows: Vec<BTreeMap<u16, Row>>,
    banks: [Bank; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bank {
    /// By field: the row of each index that a key can have.
    indices: Vec<BTreeMap<u16, u16>>,
    /// By field, by level and node: the bound that was written.
    nodes: Vec<BTreeMap<(u32, u16), Option<u128>>>,
}

impl Bank {
    fn unknown() -> Self {
        let fields = Field::ALL.len();
        Self { indices: vec![BTreeMap::new(); fields], nodes: vec![BTreeMap::new(); fields] }
    }
}

impl Loader {
    /// For a match unit out of reset.
    pub fn new(size: Size, slices: usize) -> Self {
        let rows = vec![BTreeMap::new(); Field::ALL.len()];
        let slice = Slice { rows, banks: [Bank::unknown(), Bank::unknown()] };
        Self { size, bank: false, slices: vec![slice; slices] }
    }

    /// The writes that bring rules into the match unit, by their numbers: rule n is in slice n / N
    /// of N rules. `ordered` is asked for each block of 16 rules.
    pub fn plan(
        &self,
        rules: &[(usize, &Rule)],
        ordered: impl Fn(usize) -> bool,
    ) -> Result<Plan, Unfit> {
        let each = self.size.rules();
        let most = each * self.slices.len();
        if let Some(&(number, _)) = rules.iter().find(|(number, _)| *number >= most) {
            return Err(Unfit::Number { number, most });
        }
        let bank = !self.bank;
        let mut after = self.clone();
        let mut writes = Vec::new();
        for (s, slice) in after.slices.iter_mut().enumerate() {
            let mine = rules.iter().filter(|(number, _)| number / each == s);
            let mine: Vec<_> = mine.map(|(number, rule)| (number % each, *rule)).collect();
            let tables = Tables::new(self.size, &mine, |block| ordered(s * each / 16 + block))?;
            let own = slice.plan(&tables, bank)?;
            writes.extend(own.into_iter().map(|write| (s, write)));
        }
        writes.push((0, Write::Switch { bank }));
        after.bank = bank;
        Ok(Plan { writes, after })
    }

    /// All writes of a plan have been made.
    pub fn done(&mut self, plan: Plan) {
        *self = plan.after;
    }

    /// Some writes of a plan may have been made, but not the switch.
    pub fn failed(&mut self) {
        for slice in &mut self.slices {
            let in_force = &slice.banks[usize::from(self.bank)];
            for (rows, indices) in slice.rows.iter_mut().zip(&in_force.indices) {
                let used: BTreeSet<u16> = indices.values().copied().collect();
                rows.retain(|row, _| used.contains(row));
            }
            slice.banks[usize::from(!self.bank)] = Bank::unknown();
        }
    }
}

impl Slice {
    fn plan(&mut self, tables: &Tables, bank: bool) -> Result<Vec<Write>, Unfit> {
        let mut writes = Vec::new();
        for field in Field::ALL {
            let placed = self.rows(tables, field, bank, &mut writes)?;
            self.indices(tables, field, bank, &placed, &mut writes);
            self.nodes(tables, field, bank, &mut writes);
        }
        writes.push(Write::Ordered { bank, blocks: tables.ordered.clone() });
        Ok(writes)
    }

    /// Gives each row of a field a place that the other bank does not use.
    fn rows(
        &mut self,
        tables: &Tables,
        field: Field,
        bank: bool,
        writes: &mut Vec<Write>,
    ) -> Result<Vec<u16>, Unfit> {
        let f = field as usize;
        let in_force = &self.banks[usize::from(!bank)].indices[f];
        let mut taken: BTreeSet<u16> = in_force.values().copied().collect();
        let known: BTreeMap<&Row, u16> = self.rows[f].iter().map(|(at, row)| (row, *at)).collect();
        let wanted = &tables.fields[f].rows;
        let shared: Vec<Option<u16>> = wanted.iter().map(|row| known.get(row).copied()).collect();
        taken.extend(shared.iter().flatten());
        let all = 1 << tables.size.rows_of(field);
        let free: Vec<u16> = (0..all).filter(|row| !taken.contains(row)).collect();
        let new = shared.iter().filter(|at| at.is_none()).count();
        if new > free.len() {
            return Err(Unfit::Beside { field, wanted: new, free: free.len() });
        }
        let mut free = free.into_iter();
        let mut placed = Vec::new();
        for (at, row) in shared.into_iter().zip(wanted) {
            placed.push(match at {
                Some(at) => at,
                None => {
                    let at = free.next().expect("there are as many as are new");
                    writes.push(Write::Row { field, row: at, rules: row.clone() });
                    self.rows[f].insert(at, row.clone());
                    at
                }
            });
        }
        Ok(placed)
    }

    fn indices(
        &mut self,
        tables: &Tables,
        field: Field,
        bank: bool,
        placed: &[u16],
        writes: &mut Vec<Write>,
    ) {
        let there = &mut self.banks[usize::from(bank)].indices[field as usize];
        let mut now = BTreeMap::new();
        for (&index, row) in &tables.fields[field as usize].indices {
            let row = placed[*row];
            now.insert(index, row);
            if there.get(&index) != Some(&row) {
                writes.push(Write::Index { field, bank, index, row });
            }
        }
        // An index that no key can have keeps its old row, which may get other rules.
        *there = now;
    }

    fn nodes(&mut self, tables: &Tables, field: Field, bank: bool, writes: &mut Vec<Write>) {
        let Some(levels) = tables.size.ranges(field) else { return };
        let bounds = &tables.fields[field as usize].bounds;
        let there = &mut self.banks[usize::from(bank)].nodes[field as usize];
        for level in 0..levels {
            for node in 0..1u16 << level {
                // The node's place among all, in the order of their bounds.
                let place = (2 * usize::from(node) + 1) * (1 << (levels - level - 1)) - 1;
                let bound = bounds.get(place).copied();
                if there.insert((level, node), bound) != Some(bound) {
                    writes.push(Write::Node { field, bank, level, node, bound });
                }
            }
        }
    }
}
