#include "Vnic128.h"
#include "pins.h"

namespace nitor {

std::unique_ptr<Card> new_card128(const ShimConfig& config) {
  return std::make_unique<PinnedCard<Vnic128, 16>>(config);
}

}  // namespace nitor
