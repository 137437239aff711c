#include "Vnic512.h"
#include "pins.h"

namespace nitor {

std::unique_ptr<Card> new_card512(const ShimConfig& config) {
  return std::make_unique<PinnedCard<Vnic512, 64>>(config);
}

}  // namespace nitor
