//! Tests of the root complex, of wires and of captures, with cards in software.

mod card;
mod root;
mod rules;
mod wire;
