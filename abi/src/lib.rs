//! The card's interfaces, each defined once: hardware, firmware, driver and tests read the same page.
//!
//! | module | what |
//! |---|---|
//! | [pci], [bar] | identity, BAR0 layout, control registers |
//! | [admin] | admin queue entries, commands, responses |
//! | [feature] | payloads of GET_FEATURE and SET_FEATURE |
//! | [rss] | receive-side scaling: features 10, 12, 18 and their control buffers |
//! | [event] | asynchronous events |
//! | [tx], [rx] | descriptors and completions |
//! | [mgmt] | the management bus between firmware and hardware; not ENA |
//!
//! A record is a plain struct beside its packed form: `from_bytes` takes the fields out and ignores what is reserved,
//! `to_bytes` has zero there, `put` changes nothing else in a larger whole. A value too wide for its field is cut.
//! Everything is little-endian.
#![no_std]

#[macro_use]
mod record;

pub mod admin;
pub mod bar;
pub mod event;
pub mod feature;
pub mod mgmt;
pub mod pci;
pub mod rss;
pub mod rx;
pub mod tx;
