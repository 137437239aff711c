//! The reset sequence: device reset by DEV_CTL, function-level reset, and the start after a hard
//! reset.
//!
//! `start` (DEV_CTL written with bit 0 set, or `flr`) in any state:
//! 1. at once: `regs_clear`, `reset_in_progress`, `flush`, `wait_firmware`, `irq_reset`; for a
//!    function-level reset also `function_reset` and `irq_flr`;
//! 2. `flush` until the DMA read engine has no tag outstanding and `pcie/tx` has swallowed what was
//!    under way;
//! 3. `core_reset` for 16 cycles, `flush` still high;
//! 4. until the firmware has acknowledged (any time since 1) and DEV_CTL.DEV_RESET is 0:
//!    `reset_in_progress` falls.
//!
//! A start during any of these begins again at 1. An acknowledgement already on its way may then
//! count for the later start: while `reset_in_progress` is high the host's registers do not change,
//! so the firmware has nothing more to forget. The registers must ignore writes while
//! `reset_in_progress` is high, and the firmware's commands must be refused while `wait_firmware`
//! is.
//!
//! A hard reset gives `core_reset` until 16 cycles after it and no `reset_in_progress`: the card is
//! READY from power-on. Blocks of the core need `core_reset` only. Every output is a register: 1
//! cycle from input to output.

use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum ResetState {
    /// Also the state after a hard reset: the first 16 cycles belong to it.
    Core,
    Idle,
    Settle,
    Flush,
    Wait,
}

#[derive(LogicBlock, Default)]
pub struct ResetControl {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub dev_ctl_written: Signal<In, Bit>,
    /// DEV_CTL bit 0.
    pub dev_reset: Signal<In, Bit>,
    /// Function-level reset asked for by configuration space.
    pub flr: Signal<In, Bit>,
    /// The DMA read engine has tags outstanding.
    pub read_busy: Signal<In, Bit>,
    /// The transmit side has nothing of the core's under way.
    pub tx_idle: Signal<In, Bit>,
    /// The firmware has forgotten its state.
    pub firmware_ack: Signal<In, Bit>,
    pub reset_in_progress: Signal<Out, Bit>,
    /// The firmware has not yet acknowledged.
    pub wait_firmware: Signal<Out, Bit>,
    pub flush: Signal<Out, Bit>,
    pub core_reset: Signal<Out, Bit>,
    pub regs_clear: Signal<Out, Bit>,
    pub function_reset: Signal<Out, Bit>,
    pub irq_reset: Signal<Out, Bit>,
    pub irq_flr: Signal<Out, Bit>,
    state: Reg<ResetState>,
    count: Reg<Bits<4>>,
    in_progress: Reg<Bit>,
    unacknowledged: Reg<Bit>,
    flushing: Reg<Bit>,
    // Inverted, so that a hard reset asserts it.
    running: Reg<Bit>,
    clear: Reg<Bit>,
    function: Reg<Bit>,
}

impl Logic for ResetControl {
    /// Reset sequence of the device and of the function.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, count, in_progress, unacknowledged, flushing, running,
            clear, function);

        let start = (self.dev_ctl_written.val() && self.dev_reset.val()) || self.flr.val();
        self.clear.d.next = start;
        self.function.d.next = self.flr.val();

        if self.firmware_ack.val() {
            self.unacknowledged.d.next = false;
        }
        match self.state.q.val() {
            ResetState::Core => {
                self.count.d.next = self.count.q.val() + 1;
                if self.count.q.val() == 15 {
                    self.running.d.next = true;
                    self.flushing.d.next = false;
                    self.state.d.next = ResetState::Wait;
                }
            }
            ResetState::Wait => {
                if !self.unacknowledged.q.val() && !self.dev_reset.val() {
                    self.in_progress.d.next = false;
                    self.state.d.next = ResetState::Idle;
                }
            }
            ResetState::Idle => {}
            // `flush` reaches the engines and their busy flags come back.
            ResetState::Settle => {
                self.count.d.next = self.count.q.val() + 1;
                if self.count.q.val() == 15 {
                    self.state.d.next = ResetState::Flush;
                }
            }
            ResetState::Flush => {
                if !self.read_busy.val() && self.tx_idle.val() {
                    self.running.d.next = false;
                    self.state.d.next = ResetState::Core;
                }
            }
        }
        if start {
            self.in_progress.d.next = true;
            self.unacknowledged.d.next = true;
            self.flushing.d.next = true;
            self.count.d.next = lit::<4>(0);
            // From `Core` straight on: nothing is under way, and the pulse starts anew.
            self.running.d.next = self.running.q.val();
            self.state.d.next =
                if self.running.q.val() { ResetState::Settle } else { ResetState::Core };
        }

        self.reset_in_progress.next = self.in_progress.q.val();
        self.wait_firmware.next = self.unacknowledged.q.val();
        self.flush.next = self.flushing.q.val();
        self.core_reset.next = !self.running.q.val();
        self.regs_clear.next = self.clear.q.val();
        self.function_reset.next = self.function.q.val();
        self.irq_reset.next = self.clear.q.val();
        self.irq_flr.next = self.function.q.val();
    }
}
