// The interface between the program and the library with a card's model. The library is compiled at
// another time, perhaps by another compiler. So there is nothing in here but a table of functions
// and plain data. See card.rs for what each call means.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace nitor {

// Defined by `bridge`.
struct ShimConfig;
struct Record;
struct MgmtReply;
struct Beat;

using Header = std::array<std::uint32_t, 4>;

template <class T>
struct Span {
  T* data;
  std::size_t size;
};

class Card {
 public:
  Card() = default;
  Card(const Card&) = delete;
  Card& operator=(const Card&) = delete;
  virtual ~Card() = default;

  // Bits of the data paths.
  virtual std::uint32_t width() const = 0;
  // Cycles run so far; the next cycle has this number.
  virtual std::uint64_t cycle() const = 0;
  virtual std::uint64_t run(std::uint64_t until, bool stop_on_mgmt, bool stop_on_irq) = 0;

  virtual void push_tlp(std::uint64_t at, const Header& header, Span<const std::uint8_t> payload,
                        std::uint64_t cookie) = 0;
  virtual void push_frame(std::uint64_t at, Span<const std::uint8_t> frame, bool error,
                          std::uint64_t cookie) = 0;
  virtual Span<const Record> records() const = 0;
  virtual Span<const std::uint8_t> arena() const = 0;
  virtual void clear_records() = 0;

  // False if an access is pending.
  virtual bool start_mgmt(std::uint64_t at, bool write, std::uint16_t address, std::uint32_t value,
                          std::uint8_t enables) = 0;
  virtual MgmtReply take_mgmt() = 0;
  virtual bool irq() const = 0;
  virtual void set_link(bool up) = 0;
  virtual void set_mac_rate(std::uint64_t byte_time_q16) = 0;
  // Starts to count, for each stream of the probe, its cycles by {ready, valid}.
  virtual void count_streams() = 0;
  virtual Span<const std::uint64_t> stream_counts() const = 0;

  // How often each branch of the Verilog was taken; empty if the model does not count.
  virtual Span<const std::uint32_t> coverage() const = 0;

  // Opens `path` and dumps every cycle until close_waves; false if that is not possible.
  virtual bool start_waves(const char* path) = 0;
  virtual void close_waves() = 0;
};

// Everything that a scripted card does.
struct ScriptView {
  Span<const Beat> tlps, frames;
  Span<const std::uint8_t> limits;
};

// The function that a library exports as `nitor_card_new`. `script` is null except for the scripted
// card.
using NewCard = Card* (*)(const ShimConfig& config, const ScriptView* script);

// The record that a library exports as `nitor_card_abi`: the hash of the headers it was compiled
// with, and the sizes of the types in them.
struct Abi {
  char headers[40];
  std::uint32_t pointer, config, record, reply, beat;
};

}  // namespace nitor
