#!/usr/bin/env bash
# Yosys 0.70: `synth_ecp5 -noabc9` is taken, and ABC9 maps all the same.
#
# synth_ecp5 has become a wrapper around synth_lattice. Its option -noabc9 is still accepted and reads
# as if it chose the mapper: a script that sets it gets another netlist than it says.
#
# Needs python3 with pip. Seen: abc9 runs with and without -noabc9.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install --quiet --root-user-action=ignore --no-deps --target . pyosys==0.70

cat >adder.v <<'END'
module adder(input clk, input [7:0] a, input [7:0] b, output reg [7:0] y);
  always @(posedge clk) y <= a + (b ^ y);
endmodule
END
cat >synth.py <<'END'
import sys
from pyosys import libyosys as ys
design = ys.Design()
ys.run_pass("tee -q -o read.log read_verilog adder.v", design)
ys.run_pass("tee -q -o synth.log synth_ecp5 -top adder " + " ".join(sys.argv[1:]), design)
END
mapper() {
    PYTHONPATH=$PWD python3 synth.py "$@" >/dev/null
    grep -q 'Executing ABC9 pass' synth.log && echo abc9 || echo abc
}
diff <(mapper) <(echo abc9)
diff <(mapper -noabc9) <(echo abc9)
echo "as described: abc9 with -noabc9 too"
