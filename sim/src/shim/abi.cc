// What a library and the program must agree on, as the compiler of the library sees it. The program
// checks this before it uses the library.
#include "nitor-sim/src/card.rs.h"
#include "nitor-sim/src/shim/card.h"

extern "C" __attribute__((visibility("default"))) const nitor::Abi nitor_card_abi;
const nitor::Abi nitor_card_abi = {
    NITOR_HEADERS,
    sizeof(void*),
    sizeof(nitor::ShimConfig),
    sizeof(nitor::Record),
    sizeof(nitor::MgmtReply),
    sizeof(nitor::Beat),
};
