//! The card's firmware.
#![no_std]
