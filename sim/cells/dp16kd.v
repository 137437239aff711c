// Simulation model of the ECP5's block RAM, for netlists; contents are undefined at first.

// 16 Kbit block RAM as Yosys uses it: port A writes or reads, port B reads or writes, no output register, no reset of the output, widths of
// 1 to 18 bits on each port, or 36 with port A writing and both ports' outputs reading. With a width of 18 and more the lower address bits of the
// writing port enable bytes. Bytes have 9 bits.
module DP16KD (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, input OCEA, input CLKA, input WEA, input RSTA, input CSA2, input CSA1, input CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, input OCEB, input CLKB, input WEB, input RSTB, input CSB2, input CSB1, input CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
    parameter DATA_WIDTH_A = 18;
    parameter DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG";
    parameter REGMODE_B = "NOREG";
    parameter RESETMODE = "SYNC";
    parameter ASYNC_RESET_RELEASE = "SYNC";
    parameter CSDECODE_A = "0b000";
    parameter CSDECODE_B = "0b000";
    parameter CLKAMUX = "CLKA";
    parameter CLKBMUX = "CLKB";
    parameter WRITEMODE_A = "NORMAL";
    parameter WRITEMODE_B = "NORMAL";
    parameter GSR = "ENABLED";
    parameter INITVAL_00 = 320'd0;
    parameter INITVAL_01 = 320'd0;
    parameter INITVAL_02 = 320'd0;
    parameter INITVAL_03 = 320'd0;
    parameter INITVAL_04 = 320'd0;
    parameter INITVAL_05 = 320'd0;
    parameter INITVAL_06 = 320'd0;
    parameter INITVAL_07 = 320'd0;
    parameter INITVAL_08 = 320'd0;
    parameter INITVAL_09 = 320'd0;
    parameter INITVAL_0A = 320'd0;
    parameter INITVAL_0B = 320'd0;
    parameter INITVAL_0C = 320'd0;
    parameter INITVAL_0D = 320'd0;
    parameter INITVAL_0E = 320'd0;
    parameter INITVAL_0F = 320'd0;
    parameter INITVAL_10 = 320'd0;
    parameter INITVAL_11 = 320'd0;
    parameter INITVAL_12 = 320'd0;
    parameter INITVAL_13 = 320'd0;
    parameter INITVAL_14 = 320'd0;
    parameter INITVAL_15 = 320'd0;
    parameter INITVAL_16 = 320'd0;
    parameter INITVAL_17 = 320'd0;
    parameter INITVAL_18 = 320'd0;
    parameter INITVAL_19 = 320'd0;
    parameter INITVAL_1A = 320'd0;
    parameter INITVAL_1B = 320'd0;
    parameter INITVAL_1C = 320'd0;
    parameter INITVAL_1D = 320'd0;
    parameter INITVAL_1E = 320'd0;
    parameter INITVAL_1F = 320'd0;
    parameter INITVAL_20 = 320'd0;
    parameter INITVAL_21 = 320'd0;
    parameter INITVAL_22 = 320'd0;
    parameter INITVAL_23 = 320'd0;
    parameter INITVAL_24 = 320'd0;
    parameter INITVAL_25 = 320'd0;
    parameter INITVAL_26 = 320'd0;
    parameter INITVAL_27 = 320'd0;
    parameter INITVAL_28 = 320'd0;
    parameter INITVAL_29 = 320'd0;
    parameter INITVAL_2A = 320'd0;
    parameter INITVAL_2B = 320'd0;
    parameter INITVAL_2C = 320'd0;
    parameter INITVAL_2D = 320'd0;
    parameter INITVAL_2E = 320'd0;
    parameter INITVAL_2F = 320'd0;
    parameter INITVAL_30 = 320'd0;
    parameter INITVAL_31 = 320'd0;
    parameter INITVAL_32 = 320'd0;
    parameter INITVAL_33 = 320'd0;
    parameter INITVAL_34 = 320'd0;
    parameter INITVAL_35 = 320'd0;
    parameter INITVAL_36 = 320'd0;
    parameter INITVAL_37 = 320'd0;
    parameter INITVAL_38 = 320'd0;
    parameter INITVAL_39 = 320'd0;
    parameter INITVAL_3A = 320'd0;
    parameter INITVAL_3B = 320'd0;
    parameter INITVAL_3C = 320'd0;
    parameter INITVAL_3D = 320'd0;
    parameter INITVAL_3E = 320'd0;
    parameter INITVAL_3F = 320'd0;
    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire [35:0] di = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    reg [8:0] mem [0:2047];
    reg [35:0] outa, outb;
    integer i;
    always @(posedge CLKA) if (CEA) begin
        if (WEA) begin
            if (DATA_WIDTH_A == 36) begin
                for (i = 0; i < 4; i = i + 1) if (ada[i]) mem[{ada[13:5], i[1:0]}] <= di[9*i +: 9];
            end else if (DATA_WIDTH_A == 18) begin
                for (i = 0; i < 2; i = i + 1) if (ada[i]) mem[{ada[13:4], i[0]}] <= di[9*i +: 9];
            end else if (DATA_WIDTH_A == 9) mem[ada[13:3]] <= di[8:0];
            else if (DATA_WIDTH_A == 4) mem[ada[13:3]][4*ada[2] +: 4] <= di[3:0];
            else if (DATA_WIDTH_A == 2) mem[ada[13:3]][2*ada[2:1] +: 2] <= di[1:0];
            else mem[ada[13:3]][ada[2:0]] <= di[0];
        end
        outa <= DATA_WIDTH_A == 18 ? {18'd0, mem[{ada[13:4], 1'b1}], mem[{ada[13:4], 1'b0}]}
              : DATA_WIDTH_A == 9 ? {27'd0, mem[ada[13:3]]}
              : {27'd0, mem[ada[13:3]] >> (DATA_WIDTH_A == 4 ? {ada[2], 2'd0} : DATA_WIDTH_A == 2 ? {ada[2:1], 1'd0} : ada[2:0])};
    end
    always @(posedge CLKB) if (CEB) begin
        outb <= DATA_WIDTH_B == 36 ? {mem[{adb[13:5], 2'd3}], mem[{adb[13:5], 2'd2}], mem[{adb[13:5], 2'd1}], mem[{adb[13:5], 2'd0}]}
              : DATA_WIDTH_B == 18 ? {18'd0, mem[{adb[13:4], 1'b1}], mem[{adb[13:4], 1'b0}]}
              : DATA_WIDTH_B == 9 ? {27'd0, mem[adb[13:3]]}
              : {27'd0, mem[adb[13:3]] >> (DATA_WIDTH_B == 4 ? {adb[2], 2'd0} : DATA_WIDTH_B == 2 ? {adb[2:1], 1'd0} : adb[2:0])};
    end
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = DATA_WIDTH_B == 36 ? outb[17:0] : outa[17:0];
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = DATA_WIDTH_B == 36 ? outb[35:18] : outb[17:0];
endmodule
