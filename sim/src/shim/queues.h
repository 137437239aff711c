// The queues on both sides of a card's pins, with credits and the management bus: everything in the
// shim that does not depend on the width of the pins.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "nitor-sim/src/card.rs.h"
#include "nitor-sim/src/shim/card.h"

namespace nitor {

class Queues : public Card {
 public:
  static constexpr std::size_t kStreams = 32;
  // Bytes on the wire besides those of the frame: preamble and start before it, FCS and gap behind
  // it.
  static constexpr std::size_t kPreamble = 8, kFrameEnd = 4 + 12;

  explicit Queues(const ShimConfig& config);

  std::uint64_t cycle() const override { return cycle_; }

  void push_tlp(std::uint64_t at, const Header& header, Span<const std::uint8_t> payload,
                std::uint64_t cookie) override;
  void push_frame(std::uint64_t at, Span<const std::uint8_t> frame, bool error,
                  std::uint64_t cookie) override;
  Span<const Record> records() const override { return {records_.data(), records_.size()}; }
  Span<const std::uint8_t> arena() const override { return {arena_.data(), arena_.size()}; }
  void clear_records() override;

  bool start_mgmt(std::uint64_t at, bool write, std::uint16_t address, std::uint32_t value,
                  std::uint8_t enables) override;
  MgmtReply take_mgmt() override;
  bool irq() const override { return irq_; }
  void set_link(bool up) override { link_up_ = up; }
  void set_mac_rate(std::uint64_t byte_time_q16) override { mac_byte_q16_ = byte_time_q16; }
  void count_streams() override { streams_.assign(4 * kStreams, 0); }
  Span<const std::uint64_t> stream_counts() const override {
    return {streams_.data(), streams_.size()};
  }

 protected:
  // Random decisions with probability p/65536, one stream of numbers for each use, so that what
  // one side of the card does never changes the draws of another.
  class Dice {
   public:
    void seed(std::uint64_t seed) { state_ = seed; }
    std::uint64_t next();
    bool hit(std::uint32_t p) { return p != 0 && (next() >> 48) < p; }

   private:
    std::uint64_t state_ = 0;
  };

  // A TLP or frame on its way into the card.
  struct Packet {
    std::uint64_t at = 0;
    std::uint64_t order = 0;
    std::uint64_t cookie = 0;
    Header header{};
    std::vector<std::uint8_t> data;
    bool error = false;
    bool before(const Packet& other) const {
      return at != other.at ? at < other.at : order < other.order;
    }
  };
  using PacketPtr = std::unique_ptr<Packet>;

  // A packet that is sent to the card, and one that is received from it, beat by beat.
  struct Presenting {
    PacketPtr packet;
    std::size_t sent = 0;  // Bytes already accepted.
    std::uint64_t first = 0;
    bool valid = false;
  };
  struct Taking {
    bool active = false;
    std::uint64_t first = 0;
    Header header{};
    std::vector<std::uint8_t> data;
    std::uint8_t flags = 0;
  };

  PacketPtr fresh_packet(Span<const std::uint8_t> data);
  void recycle(PacketPtr packet);
  PacketPtr next_tlp();
  void presented(Presenting& slot, bool frame);
  void begin_take(Taking& slot, const Header& header, std::uint8_t flags);
  void end_take(Taking& slot, bool frame, bool error);
  void count_credits(const Header& header, std::uint8_t& flags);
  void return_credits();
  // Whether the MAC accepts a beat: it runs ahead of the wire by no more than its slack.
  bool mac_has_room() const { return mac_free_q16_ <= (cycle_ + mac_slack_) << 16; }
  void mac_sends(std::size_t bytes);

  // Configuration.
  std::uint32_t rx_gap_, tx_stall_, mac_rx_gap_, mac_tx_stall_;
  std::uint64_t mac_byte_q16_ = 0, mac_slack_;
  std::uint32_t credit_delay_min_, credit_delay_max_;

  std::uint64_t cycle_ = 0;
  std::uint64_t order_ = 0;
  bool link_up_ = false;
  bool irq_ = false;
  Dice rx_dice_, tx_dice_, mac_rx_dice_, mac_tx_dice_, credit_dice_;

  // Towards the card. Posted and non-posted requests stay in order; completions are ordered by
  // time.
  std::deque<PacketPtr> posted_, non_posted_;
  std::vector<PacketPtr> completions_;  // Heap, earliest first.
  std::deque<PacketPtr> frames_;
  std::vector<PacketPtr> spare_;
  Presenting rx_, mac_rx_;
  std::uint8_t np_sent_ = 0, np_limit_ = 0;

  // From the card.
  Taking tx_, mac_tx_;
  std::uint64_t mac_free_q16_ = 0;
  std::vector<Record> records_;
  std::vector<std::uint64_t> streams_;
  std::vector<std::uint8_t> arena_;

  // Credits that the shim grants to the card: limits and use, as running totals.
  struct Credits {
    std::uint32_t posted_headers = 0, posted_data = 0, non_posted_headers = 0;
    std::uint32_t completion_headers = 0, completion_data = 0;
  };
  struct Return {
    std::uint64_t at;
    Credits credits;
  };
  Credits granted_, used_;
  bool finite_posted_headers_, finite_posted_data_, finite_non_posted_headers_;
  // If not finite, the card need not count them.
  bool finite_completion_headers_, finite_completion_data_;
  std::deque<Return> returns_;

  // Management bus.
  struct {
    bool busy = false, valid = false, done = false, write = false;
    std::uint64_t at = 0, done_at = 0;
    std::uint16_t address = 0;
    std::uint8_t enables = 0;
    std::uint32_t value = 0, result = 0;
  } mgmt_;
};

}  // namespace nitor
