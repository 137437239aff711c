//! All counters under the names that `ethtool -S` has for ENA cards, and the counters that only
//! this card has.

use nitor_abi::admin::{stats, GetStats, Opcode};
use nitor_abi::mgmt::Counter;

use crate::admin::AdminQueue;
use crate::device::Ena;
use crate::error::Result;
use crate::pci::PciFunction;

impl<P: PciFunction + Clone> AdminQueue<P> {
    pub fn counters(&mut self) -> Result<Vec<(Counter, u64)>> {
        let buffer = self.control_buffer(8 * Counter::ALL.len())?;
        let get = GetStats { kind: stats::EXTENDED, ..Default::default() };
        self.command("counters", Opcode::GetStats, get.to_bytes(), Some(&buffer))?;
        let values = buffer.as_slice().as_chunks::<8>().0.iter().map(|v| u64::from_le_bytes(*v));
        Ok(Counter::ALL.iter().copied().zip(values).collect())
    }
}

impl<P: PciFunction + Clone, T> Ena<P, T> {
    /// Names and values, in the order of `ethtool`.
    pub fn stats(&self) -> Vec<(String, u64)> {
        let device = self.device_stats();
        let drops = self.drops();
        let mut all: Vec<(String, u64)> = [
            ("tx_timeout", device.tx_timeouts),
            ("wd_expired", device.watchdog_expired),
            ("resets", device.resets),
            ("link_changes", device.link_changes),
            ("keep_alives", device.keep_alives),
            ("rx_drops", drops.rx_drops),
            ("rx_overruns", drops.rx_overruns),
            ("tx_drops", drops.tx_drops),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec();
        for (index, pair) in self.pairs().iter().enumerate() {
            let (tx, rx) = (pair.tx.stats(), pair.rx.stats());
            let queue = [
                ("tx_cnt", tx.packets),
                ("tx_bytes", tx.bytes),
                ("tx_queue_stop", tx.queue_stop),
                ("tx_completions", tx.completions),
                ("tx_doorbells", tx.doorbells),
                ("tx_missed_tx", tx.missed),
                ("tx_bad_req_id", tx.bad_req_id),
                ("tx_unmask_interrupt", pair.unmasks()),
                ("rx_cnt", rx.packets),
                ("rx_bytes", rx.bytes),
                ("rx_buffers", rx.buffers),
                ("rx_doorbells", rx.doorbells),
                ("rx_csum_good", rx.csum_good),
                ("rx_csum_bad", rx.csum_bad),
                ("rx_csum_unchecked", rx.csum_unchecked),
                ("rx_empty_rx_ring", rx.empty_ring),
                ("rx_bad_desc_num", rx.bad_desc_num),
                ("rx_bad_desc", rx.bad_desc),
                ("rx_bad_req_id", rx.bad_req_id),
            ];
            all.extend(queue.map(|(name, value)| (format!("queue_{index}_{name}"), value)));
        }
        let admin = self.admin_stats();
        all.extend(
            [
                ("ena_admin_q_aborted_cmd", admin.timed_out),
                ("ena_admin_q_submitted_cmd", admin.submitted),
                ("ena_admin_q_completed_cmd", admin.completed),
                ("ena_admin_q_no_completion", admin.missed_interrupts),
            ]
            .map(|(name, value)| (name.to_string(), value)),
        );
        all
    }
}
