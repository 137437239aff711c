//! A user-space driver for ENA network cards, over any [PciFunction]: a simulated card, one of a
//! virtual machine, or a real one.
//!
//! | module | what |
//! |---|---|
//! | [pci], [dma] | the interface to the machine: implement [PciFunction] for another one |
//! | [device] | [Ena]: events, health, recovery, shutdown |
//! | `setup` | [Config], and bring-up |
//! | `regs` | control registers, reads by DMA, reset |
//! | `admin`, `aenq` | commands to the card, events from it |
//! | [features], `rss` | what the card offers, receive-side scaling |
//! | [queue], [tx], [rx] | a queue pair; sending; receiving |
//! | `ring` | head and tail of a ring in host memory |
//! | `lines` | transmit rings in the card, for low-latency queues |
//! | `stats` | counters under `ethtool`'s names |
//! | `phy` | a queue pair as a smoltcp device |
//!
//! ```no_run
//! # fn example<P: nitor_driver::PciFunction + Clone>(function: P) -> nitor_driver::Result<()> {
//! use nitor_driver::{Config, Ena, Segment};
//! use std::time::Duration;
//!
//! let mut ena: Ena<P> = Ena::open(function.clone(), Config::default())?;
//! let mut packet = function.alloc_dma(64, 64)?;
//! packet.as_mut_slice()[..6].fill(0xff);
//!
//! let pair = ena.pair(0);
//! let segment = Segment { iova: packet.iova(), len: 60 };
//! pair.tx.send(&[segment], 7).map_err(|(refusal, _)| refusal).unwrap();
//! pair.tx.flush();
//! loop {
//!     ena.wait(Duration::from_micros(10));
//!     let pair = ena.pair(0);
//!     while let Ok(Some(frame)) = pair.rx.receive() {
//!         println!("{} bytes", frame.len());
//!     }
//!     if pair.tx.reap(64, |sent| assert_eq!(sent.token, 7)) == Ok(1) {
//!         break;
//!     }
//! }
//! ena.close()
//! # }
//! ```

mod admin;
mod aenq;
pub mod device;
pub mod dma;
mod error;
pub mod features;
mod lines;
pub mod pci;
#[cfg(feature = "smoltcp")]
pub mod phy;
pub mod queue;
mod regs;
mod ring;
mod rss;
pub mod rx;
mod setup;
mod stats;
pub mod tx;

pub use admin::AdminStats;
pub use aenq::Event;
pub use device::{DeviceStats, Ena};
pub use dma::{DmaBuf, DmaMemory};
pub use error::{Error, QueueFault, Result};
pub use nitor_abi::bar::ResetReason;
pub use pci::{PciError, PciFunction, VectorSet};
#[cfg(feature = "smoltcp")]
pub use phy::Phy;
pub use queue::QueuePair;
pub use regs::Versions;
pub use rss::RssKey;
pub use rx::{Checksum, RxFrame, RxInfo, RxQueue};
pub use setup::{Config, Mode, Push, FRAME_OVERHEAD};
pub use tx::{L4Checksum, Offload, Refusal, Segment, Sent, TxQueue};
