//! Gigabit Ethernet: from the card's stream of beats to the pins of an RGMII PHY.
//!
//! ```text
//! card ==beats==> gear ==words==> turn ==> | async FIFO | ==> gmii_tx ==bytes==> rgmii ==> PHY
//! card <==beats== gear <==words== turn <== | async FIFO | <== gmii_rx <==bytes== rgmii <== PHY
//!              core clock                  |            |        125 MHz
//! ```

pub mod crc;
pub mod gear;
pub mod gmii_rx;
pub mod gmii_tx;
pub mod mac;
pub mod rgmii;
pub mod turn;
