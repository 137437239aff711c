// The C++ side of the cxx bridge in card.rs: the cards of a library in cxx's types.
#pragma once

#include <memory>

#include "nitor-sim/src/shim/card.h"
#include "rust/cxx.h"

namespace nitor {

// `maker` is the address of a NewCard.
std::unique_ptr<Card> new_card(std::size_t maker, const ShimConfig& config);
std::unique_ptr<Card> new_scripted_card(std::size_t maker, const ShimConfig& config,
                                        rust::Slice<const Beat> tlps,
                                        rust::Slice<const Beat> frames,
                                        rust::Slice<const std::uint8_t> limits);

void push_tlp(Card& card, std::uint64_t at, const Header& header,
              rust::Slice<const std::uint8_t> payload, std::uint64_t cookie);
void push_frame(Card& card, std::uint64_t at, rust::Slice<const std::uint8_t> frame, bool error,
                std::uint64_t cookie);
rust::Slice<const Record> records(const Card& card);
rust::Slice<const std::uint8_t> arena(const Card& card);
rust::Slice<const std::uint64_t> stream_counts(const Card& card);
rust::Slice<const std::uint32_t> coverage(const Card& card);
bool start_waves(Card& card, rust::Str path);

}  // namespace nitor
