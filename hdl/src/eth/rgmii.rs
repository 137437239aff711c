//! RGMII (Reduced Gigabit Media Independent Interface 2.0) on ECP5: four data lines and a control
//! line each way, at both edges of the clock.
//!
//! | port | what |
//! |---|---|
//! | `txd`, `en`, `er`; `rxd`, `dv`, `rx_er` | GMII, at `clock` and at `rx_clock` |
//! | `pin_*` | the PHY's pins |
//! | `link` | the PHY reports a link at 1000 Mb/s |
//!
//! [Rgmii] sends and receives a byte as two nibbles, the low one with the rising edge. The control
//! line carries `en` with the rising edge and `en ^ er` with the falling edge. `pin_txc` changes
//! together with the data. Between frames the PHY shows its state on the data lines.
//!
//! A byte a cycle each way, without back-pressure. In simulation the byte at `txd` is on the pins
//! in the next cycle, and a byte on the pins is at `rxd` 2 cycles after the rising edge that took
//! its low nibble.
//!
//! The double-data-rate registers are the FPGA's own cells, one to a leaf block. [DdrOut] takes
//! `d0` and `d1` with the rising edge, and drives `d0` while `clock` is high and `d1` while it is
//! low. [DdrIn] gives, from a rising edge on, what was at its input at the previous rising edge
//! (`q0`) and at the falling edge between the two (`q1`). The pad's delay line can delay received
//! data, in steps of 25 ps, for PHYs that do not delay their clock.

use nitor_rtl::prelude::*;

/// An output register for both edges (ODDRX1F).
#[derive(LogicBlock, Default)]
pub struct DdrOut {
    pub clock: Signal<In, Clock>,
    pub d0: Signal<In, Bit>,
    pub d1: Signal<In, Bit>,
    pub q: Signal<Out, Bit>,
    _held: [bool; 2],
}

impl Logic for DdrOut {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self._held = [self.d0.val(), self.d1.val()];
        }
        self.q.next = self._held[usize::from(!self.clock.val().clk)];
    }

    fn connect(&mut self) {
        self.q.connect();
    }

    fn hdl(&self) -> Verilog {
        leaf::<Self>(
            "An output register at both edges.",
            "wire pin;\n\
             ODDRX1F cell_i (.D0(d0), .D1(d1), .SCLK(clock), .RST(1'b0), .Q(pin));\n\
             assign q = pin;\n",
        )
    }
}

/// An input register for both edges (IDDRX1F), behind the pad's delay line (DELAYG).
#[derive(LogicBlock)]
pub struct DdrIn {
    pub clock: Signal<In, Clock>,
    pub d: Signal<In, Bit>,
    pub q0: Signal<Out, Bit>,
    pub q1: Signal<Out, Bit>,
    _held: [bool; 2],
    _delay: u64,
}

impl DdrIn {
    /// `delay` of the data, in steps of the pad's delay line, 0 to 127.
    pub fn new(delay: u64) -> Self {
        assert!(delay < 128);
        Self {
            clock: Default::default(),
            d: Default::default(),
            q0: Default::default(),
            q1: Default::default(),
            _held: Default::default(),
            _delay: delay,
        }
    }
}

impl Default for DdrIn {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Logic for DdrIn {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.q0.next = self._held[0];
            self.q1.next = self._held[1];
            self._held[0] = self.d.val();
        }
        if self.clock.neg_edge() {
            self._held[1] = self.d.val();
        }
    }

    fn connect(&mut self) {
        self.q0.connect();
        self.q1.connect();
    }

    fn hdl(&self) -> Verilog {
        leaf::<Self>(
            "An input register at both edges, behind the pad's delay line.",
            &format!(
                "wire late, rise, fall;\n\
                 DELAYG #(.DEL_MODE(\"USER_DEFINED\"), .DEL_VALUE({})) delay_i (.A(d), .Z(late));\n\
                 IDDRX1F cell_i (.D(late), .SCLK(clock), .RST(1'b0), .Q0(rise), .Q1(fall));\n\
                 assign q0 = rise;\nassign q1 = fall;\n",
                self._delay
            ),
        )
    }
}

/// The pins of one PHY.
#[derive(LogicBlock)]
pub struct Rgmii {
    /// The transmit clock, 125 MHz.
    pub clock: Signal<In, Clock>,
    /// The PHY's receive clock, from its pin.
    pub rx_clock: Signal<In, Clock>,
    pub txd: Signal<In, Bits<8>>,
    pub en: Signal<In, Bit>,
    pub er: Signal<In, Bit>,
    pub rxd: Signal<Out, Bits<8>>,
    pub dv: Signal<Out, Bit>,
    pub rx_er: Signal<Out, Bit>,
    /// The PHY's in-band status (RGMII 2.0, 3.4.1) is link up at 1000 Mb/s, whatever the duplex.
    /// Changes with `rx_clock`.
    pub link: Signal<Out, Bit>,
    pub pin_txc: Signal<Out, Bit>,
    pub pin_tx_ctl: Signal<Out, Bit>,
    pub pin_txd: Signal<Out, Bits<4>>,
    pub pin_rx_ctl: Signal<In, Bit>,
    pub pin_rxd: Signal<In, Bits<4>>,
    tx_data: [DdrOut; 4],
    tx_ctl: DdrOut,
    tx_clock: DdrOut,
    rx_data: Vec<DdrIn>,
    rx_ctl: DdrIn,
    link_seen: Reg<Bit>,
    rxd_late: Reg<Bits<8>>,
    dv_late: Reg<Bit>,
    er_late: Reg<Bit>,
}

impl Default for Rgmii {
    fn default() -> Self {
        Self::new(80)
    }
}

impl Rgmii {
    /// `delay` of the received data, in steps of 25 ps.
    pub fn new(delay: u64) -> Self {
        Self {
            clock: Default::default(),
            rx_clock: Default::default(),
            txd: Default::default(),
            en: Default::default(),
            er: Default::default(),
            rxd: Default::default(),
            dv: Default::default(),
            rx_er: Default::default(),
            link: Default::default(),
            pin_txc: Default::default(),
            pin_tx_ctl: Default::default(),
            pin_txd: Default::default(),
            pin_rx_ctl: Default::default(),
            pin_rxd: Default::default(),
            tx_data: Default::default(),
            tx_ctl: Default::default(),
            tx_clock: Default::default(),
            rx_data: (0..4).map(|_| DdrIn::new(delay)).collect(),
            rx_ctl: DdrIn::new(delay),
            link_seen: Default::default(),
            rxd_late: Default::default(),
            dv_late: Default::default(),
            er_late: Default::default(),
        }
    }
}

impl Logic for Rgmii {
    /// RGMII: bytes to nibbles at both edges and back.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock; tx_data[..], tx_ctl, tx_clock);
        clocked!(self, rx_clock; rx_data[..], rx_ctl, link_seen, rxd_late, dv_late, er_late);
        self.link_seen.reset.next = false;
        self.rxd_late.reset.next = false;
        self.dv_late.reset.next = false;
        self.er_late.reset.next = false;
        let mut txd = lit::<4>(0);
        let mut rxd = lit::<8>(0);
        for i in 0..4 {
            self.tx_data[i].d0.next = self.txd.val().get_bit(i);
            self.tx_data[i].d1.next = self.txd.val().get_bit(i + 4);
            txd = txd.replace_bit(i, self.tx_data[i].q.val());
            self.rx_data[i].d.next = self.pin_rxd.val().get_bit(i);
            rxd = rxd
                .replace_bit(i, self.rx_data[i].q0.val())
                .replace_bit(i + 4, self.rx_data[i].q1.val());
        }
        self.pin_txd.next = txd;
        self.tx_ctl.d0.next = self.en.val();
        self.tx_ctl.d1.next = self.en.val() ^ self.er.val();
        self.pin_tx_ctl.next = self.tx_ctl.q.val();
        self.tx_clock.d0.next = true;
        self.tx_clock.d1.next = false;
        self.pin_txc.next = self.tx_clock.q.val();
        self.rx_ctl.d.next = self.pin_rx_ctl.val();
        let dv = self.rx_ctl.q0.val();
        let er = self.rx_ctl.q0.val() ^ self.rx_ctl.q1.val();
        self.rxd_late.d.next = rxd;
        self.dv_late.d.next = dv;
        self.er_late.d.next = er;
        self.rxd.next = self.rxd_late.q.val();
        self.dv.next = self.dv_late.q.val();
        self.rx_er.next = self.er_late.q.val();
        // The status is {duplex, speed, link} in bits 3, 2:1 and 0; speed 2 is 1000 Mb/s.
        let idle = !self.dv_late.q.val() && !self.er_late.q.val();
        let state = bit_cast::<3, _>(self.rxd_late.q.val());
        self.link_seen.d.next = if idle { state == 5 } else { self.link_seen.q.val() };
        self.link.next = self.link_seen.q.val();
    }
}
