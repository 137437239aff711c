#include "bridge.h"

#include <string>

#include "nitor-sim/src/card.rs.h"

namespace nitor {

namespace {

template <class T>
Span<T> span(rust::Slice<T> slice) {
  return {slice.data(), slice.size()};
}

// The pointer of a rust::Slice is never null.
template <class T>
rust::Slice<T> slice(Span<T> span) {
  if (span.size == 0) return {};
  return {span.data, span.size};
}

}  // namespace

std::unique_ptr<Card> new_card(std::size_t maker, const ShimConfig& config) {
  return std::unique_ptr<Card>{reinterpret_cast<NewCard>(maker)(config, nullptr)};
}

std::unique_ptr<Card> new_scripted_card(std::size_t maker, const ShimConfig& config,
                                        rust::Slice<const Beat> tlps,
                                        rust::Slice<const Beat> frames,
                                        rust::Slice<const std::uint8_t> limits) {
  const ScriptView script{span(tlps), span(frames), span(limits)};
  return std::unique_ptr<Card>{reinterpret_cast<NewCard>(maker)(config, &script)};
}

void push_tlp(Card& card, std::uint64_t at, const Header& header,
              rust::Slice<const std::uint8_t> payload, std::uint64_t cookie) {
  card.push_tlp(at, header, span(payload), cookie);
}

void push_frame(Card& card, std::uint64_t at, rust::Slice<const std::uint8_t> frame, bool error,
                std::uint64_t cookie) {
  card.push_frame(at, span(frame), error, cookie);
}

rust::Slice<const Record> records(const Card& card) { return slice(card.records()); }
rust::Slice<const std::uint8_t> arena(const Card& card) { return slice(card.arena()); }
rust::Slice<const std::uint64_t> stream_counts(const Card& card) {
  return slice(card.stream_counts());
}
rust::Slice<const std::uint32_t> coverage(const Card& card) { return slice(card.coverage()); }

bool start_waves(Card& card, rust::Str path) {
  return card.start_waves(static_cast<std::string>(path).c_str());
}

}  // namespace nitor
