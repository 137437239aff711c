// Makes the Verilated card of a library.
#include "Vcard.h"
#if VM_COVERAGE
#include "Vcard___024root.h"
#include "Vcard__Syms.h"
#endif
#include "exports.h"
#include "pins.h"

NITOR_EXPORT nitor::Card* nitor_card_new(const nitor::ShimConfig& config,
                                         const nitor::ScriptView*) {
  return new nitor::PinnedCard<Vcard>{config};
}
