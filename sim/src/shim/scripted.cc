// A card without logic, for tests of what watches the pins: its outputs follow a script.
#include <algorithm>
#include <cstring>
#include <vector>

#include "exports.h"
#include "pins.h"

namespace nitor {

namespace {

struct ScriptedModel {
  ScriptedModel(VerilatedContext*, const char*, const ScriptView& script)
      : tlps_(all(script.tlps)), frames_(all(script.frames)), limits_(all(script.limits)) {}

  CData clock = 0, reset = 0, link_up = 0, probe = 0;
  CData fc_ph = 0, fc_nph = 0, fc_cplh = 0, fc_cpl_infinite = 0;
  SData fc_pd = 0, fc_cpld = 0;
  // Inputs of the card: always accepted, and ignored.
  CData rx_valid = 0, rx_ready = 1, rx_sop = 0, rx_eop = 0, rx_np_limit = 0;
  VlWide<4> rx_hdr, rx_data, mac_rx_data;
  CData mac_rx_valid = 0, mac_rx_ready = 1, mac_rx_bytes = 0, mac_rx_last = 0, mac_rx_err = 0;
  CData mgmt_valid = 0, mgmt_ready = 1, mgmt_write = 0, mgmt_be = 0, mgmt_irq = 0;
  SData mgmt_addr = 0;
  IData mgmt_wdata = 0, mgmt_rdata = 0;
  // Outputs of the card.
  CData tx_valid = 0, tx_ready = 0, tx_sop = 0, tx_eop = 0;
  VlWide<4> tx_hdr, tx_data, mac_tx_data;
  CData mac_tx_valid = 0, mac_tx_ready = 0, mac_tx_bytes = 0, mac_tx_last = 0, mac_tx_err = 0;

  void eval() {
    if (clock && !was_ && !reset) {
      go_on(tlps_, tlp_, tx_ready);
      go_on(frames_, frame_, mac_tx_ready);
      ++cycle_;
    }
    was_ = clock;
    const Beat tlp = at(tlps_, tlp_), frame = at(frames_, frame_);
    tx_valid = tlp.valid;
    tx_sop = tlp.first;
    tx_eop = tlp.last;
    std::memcpy(tx_hdr.data(), tlp.header.data(), sizeof(Header));
    std::memcpy(tx_data.data(), tlp.data.data(), 16);
    mac_tx_valid = frame.valid;
    mac_tx_last = frame.last;
    mac_tx_err = frame.error;
    mac_tx_bytes = frame.bytes;
    std::memcpy(mac_tx_data.data(), frame.data.data(), 16);
    rx_np_limit = limits_.empty() ? 64 : limits_[std::min(cycle_, limits_.size() - 1)];
  }

  void final() {}

 private:
  template <class T>
  static std::vector<T> all(Span<const T> span) {
    return {span.data, span.data + span.size};
  }
  static Beat at(const std::vector<Beat>& beats, std::size_t at) {
    return at < beats.size() ? beats[at] : Beat{};
  }
  static void go_on(const std::vector<Beat>& beats, std::size_t& at, bool ready) {
    if (at < beats.size() && (!beats[at].valid || ready || beats[at].impatient)) ++at;
  }

  const std::vector<Beat> tlps_, frames_;
  const std::vector<std::uint8_t> limits_;
  std::size_t tlp_ = 0, frame_ = 0, cycle_ = 0;
  bool was_ = false;
};

}  // namespace

}  // namespace nitor

NITOR_EXPORT nitor::Card* nitor_card_new(const nitor::ShimConfig& config,
                                         const nitor::ScriptView* script) {
  return new nitor::PinnedCard<nitor::ScriptedModel>{config, *script};
}
