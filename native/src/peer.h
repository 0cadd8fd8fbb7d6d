#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "endpoint.h"
#include "session.h"

namespace tuntap {

/// What the threads know of one peer. The event loop makes and retires it; threads read the atomics.
class Peer {
 public:
  explicit Peer(unsigned number) : slot(number) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const unsigned slot;

  /// Where datagrams go; also moved by a receiving thread when an authentic one comes from elsewhere.
  EndpointCell endpoint;

  /// Seals departing packets; null: no key.
  std::atomic<Session*> sending{nullptr};

  /// Bits of EventBox; and when the next event of a kind that others can provoke may be raised (monotonic nanoseconds).
  std::atomic<uint32_t> events{0};
  std::atomic<int64_t> nextKeyWanted{0};
  std::atomic<int64_t> nextRoam{0};

  /// All valid sessions; event loop only.
  std::vector<Session*> sessions;
};

}  // namespace tuntap
