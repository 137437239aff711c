#include "Vnic128.h"
#if VM_COVERAGE
#include "Vnic128___024root.h"
#include "Vnic128__Syms.h"
#endif
#include "pins.h"

namespace nitor {

std::unique_ptr<Card> new_card128(const ShimConfig& config) {
  return std::make_unique<PinnedCard<Vnic128, 16>>(config);
}

}  // namespace nitor
