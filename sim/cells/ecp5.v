// Simulation models of the ECP5's own cells, as far as Nitor uses them.

// Phase-locked loop. A simulator without delays cannot make a faster clock, so here CLKI *is* the oscillator: drive the
// board's clock pin with 500 MHz, and the outputs are that over their dividers, as they are in the chip.
module EHXPLLL (
    input CLKI, input CLKFB, output CLKOP, output CLKOS, output LOCK,
    input RST, input STDBY, input PHASESEL0, input PHASESEL1, input PHASEDIR,
    input PHASESTEP, input PHASELOADREG, input PLLWAKESYNC, input ENCLKOP, input ENCLKOS
);
    parameter CLKI_DIV = 1;
    parameter CLKFB_DIV = 1;
    parameter FEEDBK_PATH = "CLKOP";
    parameter CLKOP_ENABLE = "ENABLED";
    parameter CLKOP_DIV = 8;
    parameter CLKOP_CPHASE = 0;
    parameter CLKOP_FPHASE = 0;
    parameter CLKOS_ENABLE = "DISABLED";
    parameter CLKOS_DIV = 8;
    parameter CLKOS_CPHASE = 0;
    parameter CLKOS_FPHASE = 0;
    parameter OUTDIVIDER_MUXA = "DIVA";
    parameter OUTDIVIDER_MUXB = "DIVB";
    parameter PLLRST_ENA = "DISABLED";
    parameter INTFB_WAKE = "DISABLED";
    parameter STDBY_ENABLE = "DISABLED";
    parameter DPHASE_SOURCE = "DISABLED";

    reg [7:0] op = 0;
    reg [7:0] os = 0;
    reg [9:0] settle = 0;
    reg op_high = 0;
    reg os_high = 0;
    always @(posedge CLKI) begin
        op <= op == CLKOP_DIV - 1 ? 8'd0 : op + 8'd1;
        os <= os == CLKOS_DIV - 1 ? 8'd0 : os + 8'd1;
        op_high <= op < CLKOP_DIV / 2;
        os_high <= os < CLKOS_DIV / 2;
        if (!settle[9]) settle <= settle + 10'd1;
    end
    assign CLKOP = op_high;
    assign CLKOS = os_high;
    assign LOCK = settle[9];
endmodule

// Output at both edges: D0 while SCLK is high, D1 while it is low, both taken with the rising edge.
module ODDRX1F (input D0, input D1, input SCLK, input RST, output Q);
    reg high, low;
    always @(posedge SCLK) begin
        high <= RST ? 1'b0 : D0;
        low <= RST ? 1'b0 : D1;
    end
    assign Q = SCLK ? high : low;
endmodule

// Input at both edges: what was there at the rising and the falling edge before, together with a rising edge.
module IDDRX1F (input D, input SCLK, input RST, output reg Q0, output reg Q1);
    reg rise, fall;
    always @(posedge SCLK) begin
        rise <= RST ? 1'b0 : D;
        Q0 <= RST ? 1'b0 : rise;
        Q1 <= RST ? 1'b0 : fall;
    end
    always @(negedge SCLK) fall <= RST ? 1'b0 : D;
endmodule

// A delay that is less than a simulator without delays can see.
module DELAYG (input A, output Z);
    parameter DEL_MODE = "USER_DEFINED";
    parameter DEL_VALUE = 0;
    assign Z = A;
endmodule
