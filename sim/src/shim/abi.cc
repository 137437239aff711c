// What a library and the host's program must agree on, as this compiler sees it.
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
