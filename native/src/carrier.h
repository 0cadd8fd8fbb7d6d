#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "parts.h"
#include "wire.h"

namespace tuntap {

/// Carries sealed datagrams from one peer to another that it cannot reach: looks at the header in front, never inside. They stay where they
/// were received until flush(), which comes before that place is used again.
class Carrier {
 public:
  Carrier(LoopParts parts, Counters counters) : parts_(parts), counters_(counters) {}

  /// Who has sent it on this part of the way: the peer with a proven key of this index, when it comes from where that peer is. Null: a stranger.
  Peer* sender(const RelayHeader& header, const Endpoint& from) const;
  void take(const RelayHeader& header, uint8_t* data, size_t length, const Endpoint& from, uint8_t ecn);
  void flush();

 private:
  LoopParts parts_;
  Counters counters_;
  std::array<Run, kMaxRuns> runs_;
  size_t used_ = 0;
};

}  // namespace tuntap
