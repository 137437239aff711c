//! Low-latency queues: TX queues whose ring is lines in the card, which the host writes through BAR
//! 2.
//!
//! Each queue pair owns an equal share of the lines, so that their place in BAR 2 follows from the
//! number of the queue.

use nitor_abi::admin::Status;
use nitor_abi::feature::{llq, Llq};
use nitor_abi::mgmt::{self, ring};

/// Bytes of a line.
const LINE_LEN: u32 = 128;

pub(crate) struct Lines {
    /// log2 of the lines of a queue; None if the card has no lines.
    log_depth: Option<u8>,
    /// The format that the driver has chosen, if it has.
    chosen: Option<Llq>,
}

impl Lines {
    pub fn new(limits: &mgmt::Config, lines: &mgmt::Lines) -> Self {
        Lines { log_depth: limits.llq.then_some(lines.log_depth), chosen: None }
    }

    pub fn there(&self) -> bool {
        self.log_depth.is_some()
    }

    /// The number of lines of a queue.
    pub fn depth(&self) -> u32 {
        self.log_depth.map_or(0, |log| 1 << log)
    }

    /// The answer to GET 4.
    pub fn get(&self, pairs: u32) -> Result<Llq, Status> {
        if !self.there() {
            return Err(Status::UnsupportedOpcode);
        }
        let chosen = self.chosen.unwrap_or_default();
        Ok(Llq {
            max_num: pairs,
            max_depth: self.depth(),
            header_location_supported: llq::INLINE,
            header_location_enabled: chosen.header_location_enabled,
            entry_size_supported: llq::ENTRY_128 | llq::ENTRY_256,
            entry_size_enabled: chosen.entry_size_enabled,
            descs_before_header_supported: llq::TWO_BEFORE,
            descs_before_header_enabled: chosen.descs_before_header_enabled,
            stride_supported: llq::MULTIPLE,
            stride_enabled: chosen.stride_enabled,
            feature_version: 1,
            // Short lines are recommended: they hold twice as many packets.
            entry_size_recommended: 0,
            max_wide_depth: (self.depth() / 2) as u16,
            accel_flags: 0,
            max_tx_burst: 0,
        })
    }

    /// Serves SET 4. Drivers enable all accelerations, whatever is offered, so that field is
    /// ignored.
    pub fn set(&mut self, wanted: Llq) -> Result<(), Status> {
        if !self.there() {
            return Err(Status::UnsupportedOpcode);
        }
        let can = wanted.header_location_enabled == llq::INLINE
            && [llq::ENTRY_128, llq::ENTRY_256].contains(&wanted.entry_size_enabled)
            && wanted.descs_before_header_enabled == llq::TWO_BEFORE
            && wanted.stride_enabled == llq::MULTIPLE;
        if !can {
            return Err(Status::IllegalParameter);
        }
        self.chosen = Some(wanted);
        Ok(())
    }

    /// The offset of the lines of queue `index` in BAR 2, and their kind for the hardware. An error
    /// if a ring of `depth` lines does not fit.
    pub fn place(&self, index: u8, depth: u16) -> Result<(u32, u8), Status> {
        let chosen = self.chosen.ok_or(Status::IllegalParameter)?;
        let wide = chosen.entry_size_enabled == llq::ENTRY_256;
        let most = if wide { self.depth() / 2 } else { self.depth() };
        if u32::from(depth) > most {
            return Err(Status::IllegalParameter);
        }
        let kind = if wide { ring::WIDE_LINES } else { ring::LINES };
        Ok((u32::from(index) * self.depth() * LINE_LEN, kind))
    }
}
