//! Rules of the guard, and the tables that the card's match unit finds them with.
//!
//! | module | |
//! |---|---|
//! | [rule] | a rule, the headers of a frame, and whether one satisfies the other |
//! | [seeds] | rule sets like those of practice, for tests and figures |
//! | [tables] | rules as search trees, rows of rules, and indices of rows |
//! | [loader] | the writes that bring a set into the card while the set before is in force |
//!
//! The match unit is `hdl/src/guard`. What it finds is what [`rule::first`] finds by looking
//! at one rule after another.
#![no_std]

extern crate alloc;

pub mod loader;
pub mod rule;
pub mod seeds;
pub mod tables;

pub use loader::{Loader, Plan, Write};
pub use rule::{first, Headers, Rule};
pub use tables::{Size, Tables, Unfit};
