#!/usr/bin/env bash
# Yosys 0.70 for ECP5 makes flip-flops of a memory with two write ports on one clock, without a word.
#
# The same memory on two clocks is one DP16KD. No message says that the memory was not mapped; the
# cell count does.
#
# Needs python3 with pip. Seen: one clock 0 DP16KD and 4,096 flip-flops or more; two clocks 1 and none.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install --quiet --root-user-action=ignore --no-deps --target . pyosys==0.70

memory() { # <second clock>
    cat <<END
module memory(input clk, input clk2, input wa, input wb, input [7:0] aa, input [7:0] ab,
              input [15:0] da, input [15:0] db, output reg [15:0] qa, output reg [15:0] qb);
  reg [15:0] m [0:255];
  always @(posedge clk) begin if (wa) m[aa] <= da; qa <= m[aa]; end
  always @(posedge $1) begin if (wb) m[ab] <= db; qb <= m[ab]; end
endmodule
END
}
memory clk >one.v
memory clk2 >two.v

cat >cells.py <<'END'
import sys
from pyosys import libyosys as ys
design = ys.Design()
ys.run_pass(f"tee -q -o log read_verilog {sys.argv[1]}", design)
ys.run_pass("tee -q -a log synth_ecp5 -top memory -run :check", design)
ys.run_pass("tee -q -o cells stat -json", design)
END
cells() {
    PYTHONPATH=$PWD python3 cells.py "$1.v" >/dev/null
    ! grep -i 'warning' log >&2
    python3 -c '
import json
text = open("cells").read()
cells = json.loads(text[text.index("{"):])["design"]["num_cells_by_type"]
ffs = cells.get("TRELLIS_FF", 0)
print(cells.get("DP16KD", 0), "DP16KD,", "a flip-flop a bit" if ffs >= 4096 else "no flip-flops for bits")'
}
diff <(cells one) <(echo "0 DP16KD, a flip-flop a bit")
diff <(cells two) <(echo "1 DP16KD, no flip-flops for bits")
echo "as described: one clock gives flip-flops, two clocks a block RAM"
