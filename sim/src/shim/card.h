// The C++ side of `bridge`: steps a Verilated card for many cycles per call and holds the
// queues on both sides of its pins. See card.rs for what each call means.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "rust/cxx.h"

namespace nitor {

struct ShimConfig;
struct Record;
struct MgmtReply;
struct Script;
using Header = std::array<std::uint32_t, 4>;

// Everything that does not depend on the width of the model.
class Card {
 public:
  static constexpr std::size_t kStreams = 32;
  // What a frame takes of the wire besides its bytes: before it preamble and start, behind it FCS and gap.
  static constexpr std::size_t kPreamble = 8, kFrameEnd = 4 + 12;

  explicit Card(const ShimConfig& config);
  virtual ~Card() = default;
  Card(const Card&) = delete;
  Card& operator=(const Card&) = delete;

  // Cycles run so far; the next cycle has this number.
  std::uint64_t cycle() const { return cycle_; }
  virtual std::uint64_t run(std::uint64_t until, bool stop_on_mgmt, bool stop_on_irq) = 0;

  void push_tlp(std::uint64_t at, const Header& header, rust::Slice<const std::uint8_t> payload,
                std::uint64_t cookie);
  void push_frame(std::uint64_t at, rust::Slice<const std::uint8_t> frame, bool error,
                  std::uint64_t cookie);
  rust::Slice<const Record> records() const;
  rust::Slice<const std::uint8_t> arena() const { return {arena_.data(), arena_.size()}; }
  void clear_records();

  void start_mgmt(std::uint64_t at, bool write, std::uint16_t address, std::uint32_t value,
                  std::uint8_t enables);
  MgmtReply take_mgmt();
  bool irq() const { return irq_; }
  void set_link(bool up) { link_up_ = up; }
  void set_mac_rate(std::uint64_t byte_time_q16) { mac_byte_q16_ = byte_time_q16; }
  // Counts from now on, for each stream of the probe, its cycles by {ready, valid}.
  void count_streams() { streams_.assign(4 * kStreams, 0); }
  rust::Slice<const std::uint64_t> stream_counts() const {
    return {streams_.data(), streams_.size()};
  }

  // How often each branch of the Verilog was taken; empty if the model does not count.
  virtual rust::Slice<const std::uint32_t> coverage() const = 0;

  // Opens `path` and dumps every cycle until close_waves. Only if configured with `waves`.
  bool start_waves(rust::Str path) { return open_waves(std::string(path)); }
  virtual void close_waves() = 0;

 protected:
  virtual bool open_waves(const std::string& path) = 0;

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

  // A packet being presented or taken beat by beat.
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

  PacketPtr fresh_packet(rust::Slice<const std::uint8_t> data);
  void recycle(PacketPtr packet);
  PacketPtr next_tlp();
  void presented(Presenting& slot, bool frame);
  void begin_take(Taking& slot, const Header& header, std::uint8_t flags);
  void end_take(Taking& slot, bool frame, bool error);
  void count_credits(const Header& header, std::uint8_t& flags);
  void return_credits();
  // Whether the MAC has room for a beat: it takes them ahead of the wire by no more than its slack.
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

  // Towards the card. Posted and non-posted stay in order; completions go by their time.
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

  // Credits we grant: limits and use, as running totals.
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
  // Infinite ones the card need not count.
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

std::unique_ptr<Card> new_card(std::uint32_t width, const ShimConfig& config);
// Defined in scripted.cc.
std::unique_ptr<Card> new_scripted_card(const ShimConfig& config, const Script& script);

// One for each model; defined in pins.h, instantiated in card128.cc and card512.cc.
std::unique_ptr<Card> new_card128(const ShimConfig& config);
std::unique_ptr<Card> new_card512(const ShimConfig& config);

}  // namespace nitor
