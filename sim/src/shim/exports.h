// What a library exports, besides what is in abi.cc; included once.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "nitor-sim/src/card.rs.h"
#include "nitor-sim/src/shim/card.h"
#include "verilated.h"

#define NITOR_EXPORT extern "C" __attribute__((visibility("default")))

// A model that is broken ends the process: its card is good for nothing any more.
void vl_fatal(const char* file, int line, const char*, const char* message) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, message);
  std::abort();
}
