//! The card's interfaces.
#![no_std]
