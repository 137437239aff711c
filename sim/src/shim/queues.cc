#include "queues.h"

#include <algorithm>
#include <utility>

namespace nitor {

namespace {

// Bits of a record's `flags`, as in card.rs.
constexpr std::uint8_t kCreditOverrun = 2;
constexpr std::uint8_t kFrameError = 8;

// How far unlimited credits are granted ahead of their use: the most that PCIe allows.
constexpr std::uint32_t kHeaderLead = 127;
constexpr std::uint32_t kDataLead = 2047;

constexpr std::uint32_t kHasData = 1u << 30;

std::uint32_t dwords(const Header& header) {
  const std::uint32_t length = header[0] & 0x3ff;
  return length == 0 ? 1024 : length;
}

enum class Class { kPosted, kNonPosted, kCompletion };

Class class_of(const Header& header) {
  const std::uint32_t fmt = header[0] >> 29, type = header[0] >> 24 & 0x1f;
  if ((type == 0 && (fmt == 2 || fmt == 3)) || (type & 0x18) == 0x10) return Class::kPosted;
  if (type == 0x0a || type == 0x0b) return Class::kCompletion;
  return Class::kNonPosted;
}

// For std::push_heap, which keeps the largest in front.
template <class T>
bool later(const T& a, const T& b) {
  return b->before(*a);
}

}  // namespace

std::uint64_t Queues::Dice::next() {
  // SplitMix64.
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

Queues::Queues(const ShimConfig& config)
    : rx_gap_(config.rx_gap),
      tx_stall_(config.tx_stall),
      mac_rx_gap_(config.mac_rx_gap),
      mac_tx_stall_(config.mac_tx_stall),
      mac_slack_(config.mac_slack),
      credit_delay_min_(config.credit_delay_min),
      credit_delay_max_(config.credit_delay_max),
      finite_posted_headers_(config.posted_headers != 0),
      finite_posted_data_(config.posted_data != 0),
      finite_non_posted_headers_(config.non_posted_headers != 0),
      finite_completion_headers_(config.completion_headers != 0),
      finite_completion_data_(config.completion_data != 0) {
  Dice seeds;
  seeds.seed(config.seed);
  for (Dice* dice : {&rx_dice_, &tx_dice_, &mac_rx_dice_, &mac_tx_dice_, &credit_dice_}) {
    dice->seed(seeds.next());
  }
  const auto initial = [](std::uint32_t configured, std::uint32_t lead) {
    return configured == 0 ? lead : std::min(configured, lead);
  };
  granted_.posted_headers = initial(config.posted_headers, kHeaderLead);
  granted_.posted_data = initial(config.posted_data, kDataLead);
  granted_.non_posted_headers = initial(config.non_posted_headers, kHeaderLead);
  granted_.completion_headers = config.completion_headers;
  granted_.completion_data = config.completion_data;
}

Queues::PacketPtr Queues::fresh_packet(Span<const std::uint8_t> data) {
  PacketPtr packet;
  if (spare_.empty()) {
    packet = std::make_unique<Packet>();
  } else {
    packet = std::move(spare_.back());
    spare_.pop_back();
  }
  packet->data.assign(data.data, data.data + data.size);
  packet->order = order_++;
  packet->error = false;
  return packet;
}

void Queues::recycle(PacketPtr packet) { spare_.push_back(std::move(packet)); }

void Queues::push_tlp(std::uint64_t at, const Header& header,
                    Span<const std::uint8_t> payload, std::uint64_t cookie) {
  PacketPtr packet = fresh_packet(payload);
  packet->at = at;
  packet->header = header;
  packet->cookie = cookie;
  const auto append = [](std::deque<PacketPtr>& queue, PacketPtr packet) {
    if (!queue.empty()) packet->at = std::max(packet->at, queue.back()->at);
    queue.push_back(std::move(packet));
  };
  switch (class_of(header)) {
    case Class::kPosted:
      append(posted_, std::move(packet));
      break;
    case Class::kNonPosted:
      append(non_posted_, std::move(packet));
      break;
    case Class::kCompletion:
      completions_.push_back(std::move(packet));
      std::push_heap(completions_.begin(), completions_.end(), later<PacketPtr>);
      break;
  }
}

void Queues::push_frame(std::uint64_t at, Span<const std::uint8_t> frame, bool error,
                      std::uint64_t cookie) {
  PacketPtr packet = fresh_packet(frame);
  packet->at = frames_.empty() ? at : std::max(at, frames_.back()->at);
  packet->error = error;
  packet->cookie = cookie;
  frames_.push_back(std::move(packet));
}

// Removes the next TLP that may go now. Nothing passes a posted request that was there first;
// posted requests and completions pass non-posted ones that wait for credits.
Queues::PacketPtr Queues::next_tlp() {
  const auto due = [this](const PacketPtr& packet) { return packet->at <= cycle_; };
  const Packet* first_posted = posted_.empty() ? nullptr : posted_.front().get();
  const auto behind_posted = [&](const PacketPtr& packet) {
    return first_posted != nullptr && first_posted->before(*packet);
  };
  const Packet* best = nullptr;
  const auto offer = [&](const PacketPtr& packet) {
    if (due(packet) && (best == nullptr || packet->before(*best))) best = packet.get();
  };
  if (first_posted != nullptr) offer(posted_.front());
  if (!completions_.empty() && !behind_posted(completions_.front())) offer(completions_.front());
  if (!non_posted_.empty() && !behind_posted(non_posted_.front()) &&
      static_cast<std::uint8_t>(np_limit_ - np_sent_ - 1) < 128) {
    offer(non_posted_.front());
  }
  if (best == nullptr) return nullptr;

  PacketPtr packet;
  if (best == first_posted) {
    packet = std::move(posted_.front());
    posted_.pop_front();
  } else if (!completions_.empty() && best == completions_.front().get()) {
    std::pop_heap(completions_.begin(), completions_.end(), later<PacketPtr>);
    packet = std::move(completions_.back());
    completions_.pop_back();
  } else {
    packet = std::move(non_posted_.front());
    non_posted_.pop_front();
    ++np_sent_;
  }
  return packet;
}

void Queues::presented(Presenting& slot, bool frame) {
  const Packet& packet = *slot.packet;
  Record record{};
  record.kind = frame ? RecordKind::FrameIn : RecordKind::TlpIn;
  record.first = slot.first;
  record.last = cycle_;
  record.cookie = packet.cookie;
  record.header = packet.header;
  record.offset = static_cast<std::uint32_t>(arena_.size());
  record.len = static_cast<std::uint32_t>(packet.data.size());
  records_.push_back(record);
  arena_.insert(arena_.end(), packet.data.begin(), packet.data.end());
  recycle(std::move(slot.packet));
  slot.valid = false;
}

void Queues::begin_take(Taking& slot, const Header& header, std::uint8_t flags) {
  slot.active = true;
  slot.first = cycle_;
  slot.header = header;
  slot.flags = flags;
  slot.data.clear();
}

void Queues::end_take(Taking& slot, bool frame, bool error) {
  Record record{};
  record.kind = frame ? RecordKind::FrameOut : RecordKind::TlpOut;
  record.first = slot.first;
  record.last = cycle_;
  record.header = slot.header;
  record.offset = static_cast<std::uint32_t>(arena_.size());
  record.len = static_cast<std::uint32_t>(slot.data.size());
  if (frame) {
    // The frame is on the wire until the MAC is free again; a short one is padded.
    mac_sends(kFrameEnd + (slot.data.size() < 60 ? 60 - slot.data.size() : 0));
    record.cookie = std::max(mac_free_q16_ >> 16, cycle_);
    if (error) slot.flags |= kFrameError;
  } else {
    count_credits(slot.header, slot.flags);
  }
  record.flags = slot.flags;
  records_.push_back(record);
  arena_.insert(arena_.end(), slot.data.begin(), slot.data.end());
  slot.active = false;
}

// Counts the credits that a TLP from the card uses, flags the TLP if it had none, and returns the
// credits later.
void Queues::count_credits(const Header& header, std::uint8_t& flags) {
  Credits taken;
  switch (class_of(header)) {
    case Class::kPosted:
      taken.posted_headers = 1;
      if (header[0] & kHasData) taken.posted_data = (dwords(header) + 3) / 4;
      break;
    case Class::kNonPosted:
      taken.non_posted_headers = 1;
      break;
    case Class::kCompletion:
      if (finite_completion_headers_) taken.completion_headers = 1;
      if (finite_completion_data_ && (header[0] & kHasData)) {
        taken.completion_data = (dwords(header) + 3) / 4;
      }
      if (taken.completion_headers == 0 && taken.completion_data == 0) return;
      break;
  }
  used_.posted_headers += taken.posted_headers;
  used_.posted_data += taken.posted_data;
  used_.non_posted_headers += taken.non_posted_headers;
  used_.completion_headers += taken.completion_headers;
  used_.completion_data += taken.completion_data;
  const auto overrun = [](std::uint32_t used, std::uint32_t granted) {
    return static_cast<std::int32_t>(used - granted) > 0;
  };
  if (overrun(used_.posted_headers, granted_.posted_headers) ||
      overrun(used_.posted_data, granted_.posted_data) ||
      overrun(used_.non_posted_headers, granted_.non_posted_headers) ||
      overrun(used_.completion_headers, granted_.completion_headers) ||
      overrun(used_.completion_data, granted_.completion_data)) {
    flags |= kCreditOverrun;
  }
  std::uint64_t at = cycle_ + credit_delay_min_;
  if (credit_delay_max_ > credit_delay_min_) {
    at += credit_dice_.next() % (credit_delay_max_ - credit_delay_min_ + 1);
  }
  if (!returns_.empty()) at = std::max(at, returns_.back().at);
  returns_.push_back({at, taken});
}

void Queues::return_credits() {
  while (!returns_.empty() && returns_.front().at <= cycle_) {
    const Credits& credits = returns_.front().credits;
    granted_.posted_headers += credits.posted_headers;
    granted_.posted_data += credits.posted_data;
    granted_.non_posted_headers += credits.non_posted_headers;
    granted_.completion_headers += credits.completion_headers;
    granted_.completion_data += credits.completion_data;
    returns_.pop_front();
  }
  if (!finite_posted_headers_) granted_.posted_headers = used_.posted_headers + kHeaderLead;
  if (!finite_posted_data_) granted_.posted_data = used_.posted_data + kDataLead;
  if (!finite_non_posted_headers_) {
    granted_.non_posted_headers = used_.non_posted_headers + kHeaderLead;
  }
}

// Adds bytes behind those that the MAC has yet to send.
void Queues::mac_sends(std::size_t bytes) {
  mac_free_q16_ = std::max(mac_free_q16_, cycle_ << 16) + bytes * mac_byte_q16_;
}

void Queues::clear_records() {
  records_.clear();
  arena_.clear();
}

bool Queues::start_mgmt(std::uint64_t at, bool write, std::uint16_t address, std::uint32_t value,
                        std::uint8_t enables) {
  if (mgmt_.busy) return false;
  mgmt_.busy = true;
  mgmt_.at = at;
  mgmt_.write = write;
  mgmt_.address = address;
  mgmt_.value = value;
  mgmt_.enables = enables;
  return true;
}

MgmtReply Queues::take_mgmt() {
  const MgmtReply reply{mgmt_.done, mgmt_.done_at, mgmt_.result};
  mgmt_.done = false;
  return reply;
}

}  // namespace nitor
