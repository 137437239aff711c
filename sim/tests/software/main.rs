//! Root complex, wires and captures, with cards in software.

mod card;
mod root;
mod rules;
mod wire;
