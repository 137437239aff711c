//! Brings rule sets into a unit of the match unit, each while the one before is in force.
//!
//! A unit has two banks of trees and indices, and rows for both. [`Loader::load`] gives the
//! writes for the bank that is not in force, with rows that the other does not use; rows with the
//! same rules are used by both. Behind the writes, the bank is switched. A set that has no room
//! beside the one in force is refused, and changes nothing.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use crate::tables::{Field, Row, Size, Tables, Unfit};

/// A write into a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Row {
        field: Field,
        row: u16,
        rules: Row,
    },
    Index {
        field: Field,
        bank: bool,
        index: u16,
        row: u16,
    },
    /// A node of a field's tree, or none there: it is above all keys.
    Node {
        field: Field,
        bank: bool,
        level: u32,
        node: u16,
        bound: Option<u128>,
    },
    Ordered {
        bank: bool,
        blocks: Vec<bool>,
    },
}

/// What is in a unit.
#[derive(Clone, Debug)]
pub struct Loader {
    size: Size,
    bank: bool,
    /// By field: the rules of each row, as far as they are known.
    rows: Vec<BTreeMap<u16, Row>>,
    banks: [Bank; 2],
}

#[derive(Clone, Debug)]
struct Bank {
    indices: Vec<BTreeMap<u16, u16>>,
    /// By field, by level and node: what was written there.
    nodes: Vec<BTreeMap<(u32, u16), Option<u128>>>,
}

impl Loader {
    /// For a unit whose tables have anything in them.
    pub fn new(size: Size) -> Self {
        let fields = Field::ALL.len();
        let bank =
            Bank { indices: vec![BTreeMap::new(); fields], nodes: vec![BTreeMap::new(); fields] };
        Self { size, bank: false, rows: vec![BTreeMap::new(); fields], banks: [bank.clone(), bank] }
    }

    /// The bank in force.
    pub fn bank(&self) -> bool {
        self.bank
    }

    /// The writes that bring `tables` into the other bank, which is in force behind them.
    pub fn load(&mut self, tables: &Tables) -> Result<Vec<Write>, Unfit> {
        let mut writes = Vec::new();
        let bank = !self.bank;
        let mut next = self.clone();
        for field in Field::ALL {
            let placed = next.place(tables, field, &mut writes)?;
            next.index(tables, field, bank, &placed, &mut writes);
            next.nodes(tables, field, bank, &mut writes);
        }
        writes.push(Write::Ordered { bank, blocks: tables.ordered.clone() });
        next.bank = bank;
        *self = next;
        Ok(writes)
    }

    /// Where the rows of a field go.
    fn place(
        &mut self,
        tables: &Tables,
        field: Field,
        writes: &mut Vec<Write>,
    ) -> Result<Vec<u16>, Unfit> {
        let f = field as usize;
        let in_force = &self.banks[usize::from(self.bank)].indices[f];
        let mut taken: BTreeSet<u16> = in_force.values().copied().collect();
        let known: BTreeMap<&Row, u16> = self.rows[f].iter().map(|(at, row)| (row, *at)).collect();
        let wanted = &tables.fields[f].rows;
        let mut placed: Vec<Option<u16>> =
            wanted.iter().map(|row| known.get(row).copied()).collect();
        taken.extend(placed.iter().flatten());
        let most = 1u16 << self.size.rows(field);
        let mut free = (0..most).filter(|row| !taken.contains(row));
        let new = placed.iter().filter(|at| at.is_none()).count();
        for (at, row) in placed.iter_mut().zip(wanted).filter(|(at, _)| at.is_none()) {
            let unfit = Unfit::Rows { field, wanted: taken.len() + new, most: usize::from(most) };
            let place = free.next().ok_or(unfit)?;
            *at = Some(place);
            writes.push(Write::Row { field, row: place, rules: row.clone() });
        }
        let placed: Vec<u16> = placed.into_iter().flatten().collect();
        for (at, row) in placed.iter().zip(wanted) {
            self.rows[f].insert(*at, row.clone());
        }
        Ok(placed)
    }

    fn index(
        &mut self,
        tables: &Tables,
        field: Field,
        bank: bool,
        placed: &[u16],
        writes: &mut Vec<Write>,
    ) {
        let there = &mut self.banks[usize::from(bank)].indices[field as usize];
        let mut now = BTreeMap::new();
        for (index, row) in &tables.fields[field as usize].indices {
            let row = placed[*row];
            now.insert(*index, row);
            if there.get(index) != Some(&row) {
                writes.push(Write::Index { field, bank, index: *index, row });
            }
        }
        // What is no longer used keeps its row written, but may name any.
        *there = now;
    }

    fn nodes(&mut self, tables: &Tables, field: Field, bank: bool, writes: &mut Vec<Write>) {
        let Some(levels) = self.size.ranges(field) else { return };
        let bounds = &tables.fields[field as usize].bounds;
        let there = &mut self.banks[usize::from(bank)].nodes[field as usize];
        for level in 0..levels {
            for node in 0..1u16 << level {
                // Its place among all nodes, by their bounds.
                let place = (2 * usize::from(node) + 1) * (1 << (levels - level - 1)) - 1;
                let bound = bounds.get(place).copied();
                if there.insert((level, node), bound) != Some(bound) {
                    writes.push(Write::Node { field, bank, level, node, bound });
                }
            }
        }
    }
}
