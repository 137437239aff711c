// Drives and samples the pins of a Verilated model. The types of its class, `M`, give the width of
// the data. Everything that does not touch pins is in queues.cc.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <memory>
#include <tuple>
#include <utility>

#include "queues.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif
#if NITOR_COUNTS
#include "coverage.h"
#endif

namespace nitor {

template <class M>
class PinnedCard final : public Queues {
 public:
  static constexpr std::size_t kBytes = sizeof(std::declval<M&>().tx_data);

  // `more` are arguments for the model.
  template <class... More>
  explicit PinnedCard(const ShimConfig& config, More&&... more) : Queues(config) {
    context_.randReset(2);
    context_.randSeed(1 + config.seed % 0x7ffffffe);
#if VM_TRACE
    context_.traceEverOn(true);
#endif
    model_ = std::make_unique<M>(&context_, "card", std::forward<More>(more)...);
    model_->reset = 1;
    model_->link_up = link_up_;
    drive_credits();
    for (int i = 0; i < kResetCycles; ++i) {
      model_->clock = 0;
      model_->eval();
      model_->clock = 1;
      model_->eval();
    }
    model_->reset = 0;
  }

  ~PinnedCard() override {
    close_waves();
    model_->final();
#if NITOR_COUNTS
    Coverage<M>::add(*model_);
#endif
  }

  std::uint64_t run(std::uint64_t until, bool stop_on_mgmt, bool stop_on_irq) override {
    while (cycle_ < until && !(stop_on_irq && irq_) && !(stop_on_mgmt && mgmt_.done)) step();
    return cycle_;
  }

  std::uint32_t width() const override { return kBytes * 8; }

  Span<const std::uint32_t> coverage() const override {
#if VM_COVERAGE
    const auto& counters = model_->rootp->vlSymsp->__Vcoverage;
    return {counters, std::size(counters)};
#else
    return {nullptr, 0};
#endif
  }

#if VM_TRACE
  bool start_waves(const char* path) override {
    waves_ = std::make_unique<VerilatedFstC>();
    model_->trace(waves_.get(), 99);
    waves_->open(path);
    return waves_->isOpen();
  }

  void close_waves() override {
    if (waves_) waves_->close();
    waves_.reset();
  }
#else
  bool start_waves(const char*) override { return false; }
  void close_waves() override {}
#endif

 private:
  static std::size_t payload_len(const Header& header) {
    const std::size_t length = header[0] & 0x3ff;
    return (header[0] >> 30 & 1) == 0 ? 0 : (length == 0 ? 1024 : length) * 4;
  }

  static constexpr int kResetCycles = 16;
  static constexpr std::uint64_t kHalfPeriodPs = 2000;  // Verilator counts picoseconds.
  // Bits of a record's `flags`, as in card.rs.
  static constexpr std::uint8_t kBadFraming = 1, kUnstable = 4, kCreditsTaken = 16;

  // A beat that the card offers.
  struct Offer {
    bool first = false, last = false, error = false;
    std::size_t bytes = 0;
    Header header{};
    std::array<std::uint8_t, kBytes> data{};

    void take_data(const EData* from) { std::memcpy(data.data(), from, std::min(bytes, kBytes)); }
    bool operator==(const Offer& other) const {
      return std::tie(first, last, error, bytes, header, data) ==
             std::tie(other.first, other.last, other.error, other.bytes, other.header, other.data);
    }
  };

  // Whether a stream withdraws or changes `held`, the beat that it has offered and that was not
  // accepted.
  template <class Make>
  static bool unstable(std::optional<Offer>& held, bool valid, bool ready, Make offer) {
    if (!held && (!valid || ready)) return false;
    std::optional<Offer> now;
    if (valid) now = offer();
    const bool kept = !held || (now && *now == *held);
    held = ready ? std::nullopt : now;
    return !kept;
  }

  // Runs one cycle: inputs settle while the clock is low, handshakes are sampled just before the
  // rising edge, then the clock rises.
  void step() {
    M& m = *model_;
    if (!returns_.empty() || !all_credits_finite_) drive_credits();
    drive_rx();
    drive_mac_rx();
    drive_mgmt();
    m.tx_ready = !tx_dice_.hit(tx_stall_);
    m.mac_tx_ready = mac_has_room() && !mac_tx_dice_.hit(mac_tx_stall_);
    m.link_up = link_up_;
    m.clock = 0;
    m.eval();
    dump(0);
    if (static_cast<std::uint8_t>(m.rx_np_limit - np_limit_) >= 128) tx_fault_ |= kCreditsTaken;
    np_limit_ = m.rx_np_limit;
    // The outputs of the card are recorded before its inputs: it cannot have reacted to these yet.
    take_tx();
    take_mac_tx();
    take_mgmt_reply();
    accepted_rx();
    accepted_mac_rx();
    if (!streams_.empty()) {
      std::uint64_t probe = m.probe;
      for (std::size_t i = 0; i < kStreams; ++i, probe >>= 2) ++streams_[4 * i + (probe & 3)];
    }
    m.clock = 1;
    m.eval();
    dump(1);
    irq_ = m.mgmt_irq;
    ++cycle_;
  }

  void drive_credits() {
    return_credits();
    M& m = *model_;
    m.fc_ph = granted_.posted_headers & 0xff;
    m.fc_pd = granted_.posted_data & 0xfff;
    m.fc_nph = granted_.non_posted_headers & 0xff;
    m.fc_cplh = granted_.completion_headers & 0xff;
    m.fc_cpld = granted_.completion_data & 0xfff;
    m.fc_cpl_infinite = (finite_completion_data_ ? 0 : 2) | (finite_completion_headers_ ? 0 : 1);
  }

  // Copies the next beat of `slot` to `data`. Returns its length.
  std::size_t load_beat(const Presenting& slot, EData* data) {
    const auto& bytes = slot.packet->data;
    const std::size_t n = std::min(kBytes, bytes.size() - slot.sent);
    if (n != 0) std::memcpy(data, bytes.data() + slot.sent, n);
    return n;
  }

  void drive_rx() {
    if (rx_.valid) return;
    M& m = *model_;
    if (!rx_.packet) {
      rx_.packet = next_tlp();
      rx_.sent = 0;
    }
    if (!rx_.packet || rx_dice_.hit(rx_gap_)) {
      m.rx_valid = 0;
      return;
    }
    if (rx_.sent == 0) rx_.first = cycle_;
    rx_.valid = true;
    m.rx_valid = 1;
    m.rx_sop = rx_.sent == 0;
    std::memcpy(m.rx_hdr.data(), rx_.packet->header.data(), sizeof(Header));
    rx_beat_ = load_beat(rx_, m.rx_data.data());
    m.rx_eop = rx_.sent + rx_beat_ == rx_.packet->data.size();
  }

  void accepted_rx() {
    if (!rx_.valid || !model_->rx_ready) return;
    rx_.sent += rx_beat_;
    rx_.valid = false;
    if (rx_.sent == rx_.packet->data.size()) presented(rx_, false);
  }

  void drive_mac_rx() {
    if (mac_rx_.valid) return;
    M& m = *model_;
    if (!mac_rx_.packet && !frames_.empty() && frames_.front()->at <= cycle_) {
      mac_rx_.packet = std::move(frames_.front());
      frames_.pop_front();
      mac_rx_.sent = 0;
    }
    if (!mac_rx_.packet || mac_rx_dice_.hit(mac_rx_gap_)) {
      m.mac_rx_valid = 0;
      return;
    }
    if (mac_rx_.sent == 0) mac_rx_.first = cycle_;
    mac_rx_.valid = true;
    mac_rx_beat_ = load_beat(mac_rx_, m.mac_rx_data.data());
    m.mac_rx_valid = 1;
    m.mac_rx_bytes = static_cast<CData>(mac_rx_beat_);
    m.mac_rx_last = mac_rx_.sent + mac_rx_beat_ == mac_rx_.packet->data.size();
    m.mac_rx_err = m.mac_rx_last && mac_rx_.packet->error;
  }

  void accepted_mac_rx() {
    if (!mac_rx_.valid || !model_->mac_rx_ready) return;
    mac_rx_.sent += mac_rx_beat_;
    mac_rx_.valid = false;
    if (mac_rx_.sent == mac_rx_.packet->data.size()) presented(mac_rx_, true);
  }

  void take_tx() {
    M& m = *model_;
    const auto offer = [&] {
      Offer offer;
      offer.first = m.tx_sop;
      offer.last = m.tx_eop;
      if (m.tx_sop) std::memcpy(offer.header.data(), m.tx_hdr.data(), sizeof(Header));
      offer.bytes = std::min(kBytes, m.tx_sop ? payload_len(offer.header) : tx_owed_);
      offer.take_data(m.tx_data.data());
      return offer;
    };
    if (unstable(tx_held_, m.tx_valid, m.tx_ready, offer)) tx_fault_ |= kUnstable;
    if (!m.tx_valid || !m.tx_ready) return;
    if (m.tx_sop == tx_.active) tx_fault_ |= kBadFraming;
    if (m.tx_sop) {
      Header header;
      std::memcpy(header.data(), m.tx_hdr.data(), sizeof(Header));
      begin_take(tx_, header, 0);
      tx_owed_ = payload_len(header);
    }
    const std::size_t n = std::min(kBytes, tx_owed_);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(m.tx_data.data());
    tx_.data.insert(tx_.data.end(), bytes, bytes + n);
    tx_owed_ -= n;
    if (m.tx_eop != (tx_owed_ == 0)) tx_fault_ |= kBadFraming;
    if (m.tx_eop) {
      tx_.flags |= tx_fault_;
      tx_fault_ = 0;
      end_take(tx_, false, false);
    }
  }

  void take_mac_tx() {
    M& m = *model_;
    const auto offer = [&] {
      Offer offer;
      offer.last = m.mac_tx_last;
      offer.error = m.mac_tx_last && m.mac_tx_err;
      offer.bytes = m.mac_tx_last ? m.mac_tx_bytes : kBytes;
      offer.take_data(m.mac_tx_data.data());
      return offer;
    };
    if (unstable(mac_tx_held_, m.mac_tx_valid, m.mac_tx_ready, offer)) mac_tx_fault_ |= kUnstable;
    if (!m.mac_tx_valid || !m.mac_tx_ready) return;
    if (!mac_tx_.active) {
      begin_take(mac_tx_, Header{}, 0);
      mac_sends(kPreamble);
    }
    const std::size_t n = m.mac_tx_last ? m.mac_tx_bytes : kBytes;
    if (n == 0 || n > kBytes) mac_tx_fault_ |= kBadFraming;
    mac_sends(n);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(m.mac_tx_data.data());
    mac_tx_.data.insert(mac_tx_.data.end(), bytes, bytes + std::min(n, kBytes));
    if (m.mac_tx_last) {
      mac_tx_.flags |= mac_tx_fault_;
      mac_tx_fault_ = 0;
      end_take(mac_tx_, true, m.mac_tx_err);
    }
  }

  void drive_mgmt() {
    if (mgmt_.valid) return;
    M& m = *model_;
    mgmt_.valid = mgmt_.busy && mgmt_.at <= cycle_;
    m.mgmt_valid = mgmt_.valid;
    if (!mgmt_.valid) return;
    m.mgmt_write = mgmt_.write;
    m.mgmt_addr = mgmt_.address;
    m.mgmt_wdata = mgmt_.value;
    m.mgmt_be = mgmt_.enables;
  }

  void take_mgmt_reply() {
    if (!mgmt_.valid || !model_->mgmt_ready) return;
    mgmt_.result = model_->mgmt_rdata;
    mgmt_.done_at = cycle_;
    mgmt_.done = true;
    mgmt_.busy = mgmt_.valid = false;
  }

  void dump([[maybe_unused]] std::uint64_t half) {
#if VM_TRACE
    if (waves_) waves_->dump((cycle_ * 2 + half) * kHalfPeriodPs);
#endif
  }

  VerilatedContext context_;
  std::unique_ptr<M> model_;
#if VM_TRACE
  std::unique_ptr<VerilatedFstC> waves_;
#endif
  const bool all_credits_finite_ =
      finite_posted_headers_ && finite_posted_data_ && finite_non_posted_headers_;
  std::size_t rx_beat_ = 0, mac_rx_beat_ = 0, tx_owed_ = 0;
  std::optional<Offer> tx_held_, mac_tx_held_;
  std::uint8_t tx_fault_ = 0, mac_tx_fault_ = 0;
};

}  // namespace nitor
