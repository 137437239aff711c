#include "card.h"

#if VM_COVERAGE && !NITOR_COUNTS

#include <stdexcept>

namespace nitor {

std::unique_ptr<Card> new_card512(const ShimConfig&) {
  throw std::invalid_argument("models that count branches are 128 bits wide");
}

}  // namespace nitor

#else

#include "Vnic512.h"
#if VM_COVERAGE
#include "Vnic512___024root.h"
#include "Vnic512__Syms.h"
#endif
#include "pins.h"

namespace nitor {

std::unique_ptr<Card> new_card512(const ShimConfig& config) {
  return std::make_unique<PinnedCard<Vnic512, 64>>(config);
}

}  // namespace nitor

#endif
