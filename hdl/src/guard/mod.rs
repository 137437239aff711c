//! The guard: what may pass is decided in hardware.
//!
//! | block | does |
//! |---|---|
//! | [acl] | the match unit: the first of all rules that a frame satisfies, a frame a cycle |
//! | [slice] | a part of the rules, with its own tables |
//! | [ranges] | finds the range that an address or a port is in, by a search tree |
//! | [field] | gives the rules that hold for a field |
//! | [first] | finds the first of the rules that hold for all fields |
//!
//! `nitor-guard` (`fw/guard`) makes the tables of a rule set, and the writes that load them.
//!
//! **Why bit vectors.** The match unit looks up each field by itself in block RAM and intersects
//! the results, a bit a rule. Its time is fixed for every rule set and frame, only the AND and the
//! search for the first grow with the rules, and a set that has no room is known before a write.
//! Alternatives were weighed:
//!
//! - A comparator for each rule (TCAM in logic) takes all bits of its rule in flip-flops: 700
//!   of them and 730 LUTs a rule on ECP5 (`hdl/tests/guard_area.rs`, 64 rules).
//! - Bit vectors over strides of the header bits need no search trees, but a vector of all rules
//!   for each stride: 2^3 rows for every 3 bits of two IPv6 addresses.
//! - Decision trees need less memory for some sets. Their depth and size depend on the set, a group
//!   that several interfaces use is copied for each, and an update moves much of the tree.
//! - Hashed tuples need a table for each combination of prefix lengths. Sets of firewalls have
//!   hundreds, and a range of ports becomes several prefixes.
//!
//! Membership in groups costs nothing here: the field `side` is one more vector. What bit vectors
//! cost is memory, rows times rules. All values with the same rules share a row, and many rules are
//! in several slices, each with rows as wide as its own rules.

pub mod acl;
pub mod field;
pub mod first;
pub mod first_proof;
pub mod ranges;
pub mod ranges_proof;
pub mod slice;
pub mod words;
