//! The ECP5's clock generator.

use nitor_rtl::prelude::*;

/// The PLL (EHXPLLL): makes the core's clock and another from a board's oscillator.
///
/// | oscillator | VCO | `other` | `core` |
/// |---|---|---|---|
/// | 25 MHz | 500 MHz | 125 MHz | VCO / `_divider` |
/// | 12 MHz | 600 MHz | 60 MHz | VCO / `_divider` |
#[derive(LogicBlock)]
pub struct Pll {
    pub clk: Signal<In, Clock>,
    pub other: Signal<Out, Clock>,
    pub core: Signal<Out, Clock>,
    pub locked: Signal<Out, Bit>,
    _in_mhz: usize,
    _divider: usize,
}

/// The frequency of the PLL's VCO, by that of the board's oscillator in MHz.
pub const fn vco_hz(in_mhz: usize) -> usize {
    match in_mhz {
        25 => 500_000_000,
        12 => 600_000_000,
        _ => panic!("a board's oscillator is 12 or 25 MHz"),
    }
}

impl Pll {
    pub fn new(in_mhz: usize, divider: usize) -> Self {
        assert!((1..=128).contains(&divider));
        Self {
            clk: Default::default(),
            other: Default::default(),
            core: Default::default(),
            locked: Default::default(),
            _in_mhz: in_mhz,
            _divider: divider,
        }
    }
}

impl Logic for Pll {
    // RustHDL's simulator has no notion of frequency: there both outputs are the input.
    fn update(&mut self) {
        self.other.next = self.clk.val();
        self.core.next = self.clk.val();
        self.locked.next = true;
    }

    fn connect(&mut self) {
        self.other.connect();
        self.core.connect();
        self.locked.connect();
    }

    fn hdl(&self) -> Verilog {
        let vco = vco_hz(self._in_mhz) / 1_000_000;
        leaf::<Self>(
            "The board's clocks.",
            &format!(
                "wire fast, slow, lock;\n\
                 (* FREQUENCY_PIN_CLKI = \"{in_mhz}\", FREQUENCY_PIN_CLKOP = \"{op}\",\n\
                 \x20  FREQUENCY_PIN_CLKOS = \"{mhz}\" *)\n\
                 EHXPLLL #(\n\
                 \x20   .CLKI_DIV(1), .CLKFB_DIV(5), .FEEDBK_PATH(\"CLKOP\"),\n\
                 \x20   .CLKOP_ENABLE(\"ENABLED\"), .CLKOP_DIV({op_div}),\n\
                 \x20   .CLKOP_CPHASE({op_phase}), .CLKOP_FPHASE(0),\n\
                 \x20   .CLKOS_ENABLE(\"ENABLED\"), .CLKOS_DIV({div}),\n\
                 \x20   .CLKOS_CPHASE({phase}), .CLKOS_FPHASE(0),\n\
                 \x20   .OUTDIVIDER_MUXA(\"DIVA\"), .OUTDIVIDER_MUXB(\"DIVB\"),\n\
                 \x20   .PLLRST_ENA(\"DISABLED\"), .INTFB_WAKE(\"DISABLED\"),\n\
                 \x20   .STDBY_ENABLE(\"DISABLED\"), .DPHASE_SOURCE(\"DISABLED\")\n\
                 ) pll_i (\n\
                 \x20   .CLKI(clk), .CLKFB(fast), .CLKOP(fast), .CLKOS(slow), .LOCK(lock),\n\
                 \x20   .RST(1'b0), .STDBY(1'b0), .PHASESEL0(1'b0), .PHASESEL1(1'b0),\n\
                 \x20   .PHASEDIR(1'b0),\n\
                 \x20   .PHASESTEP(1'b0), .PHASELOADREG(1'b0), .PLLWAKESYNC(1'b0),\n\
                 \x20   .ENCLKOP(1'b0), .ENCLKOS(1'b0)\n\
                 );\n\
                 assign other = fast;\nassign core = slow;\nassign locked = lock;\n",
                in_mhz = self._in_mhz,
                op = 5 * self._in_mhz,
                op_div = vco / (5 * self._in_mhz),
                op_phase = vco / (5 * self._in_mhz) - 1,
                mhz = vco as f64 / self._divider as f64,
                div = self._divider,
                phase = self._divider - 1,
            ),
        )
    }
}
