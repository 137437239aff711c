#!/usr/bin/env bash
# Yosys 0.70 gives another netlist for the same design the second time in one process.
#
# A script that reads, synthesises and counts several designs, or one design with and without a
# change, compares what is not comparable: a fresh Design object is no fresh start. Each design in a
# process of its own repeats to the cell.
#
# Needs python3 with pip. Seen: the first two counts of one process differ; two processes agree.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install --quiet --root-user-action=ignore --no-deps --target . pyosys==0.70

cat >hash.v <<'END'
module hash(input clk, input en, input [63:0] d, input [3:0] sel, output reg [31:0] h, output reg [15:0] m);
  integer i;
  reg [31:0] n;
  reg [15:0] w;
  always @* begin
    n = h;
    for (i = 0; i < 64; i = i + 1)
      n = (n[31] ^ d[i]) ? (n << 1) ^ 32'h04c11db7 : n << 1;
    w = d[sel*4 +: 16] + (h[15:0] ^ m);
  end
  always @(posedge clk) if (en) begin h <= n; m <= (w > m) ? w - m : m + {w[7:0], w[15:8]}; end
endmodule
END
cat >luts.py <<'END'
import json, sys
from pyosys import libyosys as ys
for _ in range(int(sys.argv[1])):
    design = ys.Design()
    ys.run_pass("tee -q -o log read_verilog hash.v", design)
    ys.run_pass("tee -q -o log synth_ecp5 -top hash", design)
    ys.run_pass("tee -q -o cells stat -json", design)
    text = open("cells").read()
    cells = json.loads(text[text.index("{"):])["design"]["num_cells_by_type"]
    print("LUT4", cells["LUT4"], file=sys.stderr)
END
luts() { PYTHONPATH=$PWD python3 luts.py "$1" 2>&1 >/dev/null | grep LUT4; }
luts 2 >together
{ luts 1 && luts 1; } >apart
paste together apart
[ "$(sort -u apart | wc -l)" = 1 ] || { echo "two processes differ" >&2; exit 1; }
[ "$(sort -u together | wc -l)" = 2 ] || { echo "one process repeats now" >&2; exit 1; }
echo "as described: the second synthesis of a process differs from the first"
