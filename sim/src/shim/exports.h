// What each library defines once besides abi.cc: the macro for its exports, and the error handler
// of Verilator's run time.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "nitor-sim/src/card.rs.h"
#include "nitor-sim/src/shim/card.h"
#include "verilated.h"

#define NITOR_EXPORT extern "C" __attribute__((visibility("default")))

// A fatal error of a model ends the process: its card cannot go on.
void vl_fatal(const char* file, int line, const char*, const char* message) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, message);
  std::abort();
}
