// Sums the coverage counts of all instances of a model, and writes them when the process ends to
// the folder that NITOR_COVERAGE names. Only models that are made while it is set include this.
#pragma once

#include "verilated_cov.h"

#include <unistd.h>

#include <cstdlib>
#include <iterator>
#include <mutex>
#include <string>

namespace nitor {

// Has an instance that never runs: its counters are the sums, and its context knows their names.
template <class M>
class Coverage {
 public:
  static void add(const M& model) { add(*model.rootp->vlSymsp, 0); }

 private:
  template <class S>
  static auto add(const S& symbols, int) -> decltype(void(symbols.__Vcoverage)) {
    static Coverage all;
    const std::lock_guard<std::mutex> lock{all.mutex_};
    auto& sum = all.model_->rootp->vlSymsp->__Vcoverage;
    const auto& counters = symbols.__Vcoverage;
    for (std::size_t i = 0; i < std::size(sum); ++i) {
      const auto room = static_cast<std::uint32_t>(-1) - sum[i];
      sum[i] += counters[i] < room ? counters[i] : room;
    }
  }

  // For a model without counters.
  template <class S>
  static void add(const S&, long) {}

  Coverage() : model_{new M{context_, "sum"}} {}

  ~Coverage() {
    const char* folder = std::getenv("NITOR_COVERAGE");
    if (folder == nullptr || *folder == 0) return;
    const auto place = reinterpret_cast<std::uintptr_t>(this);
    const std::string name = std::to_string(getpid()) + "-" + std::to_string(place) + ".dat";
    context_->coveragep()->write(std::string{folder} + "/" + name);
  }

  std::mutex mutex_;
  // Never destroyed: at the end of the process the destructor would wait for a lock that is never
  // released.
  VerilatedContext* const context_ = new VerilatedContext;
  M* const model_;
};

}  // namespace nitor
