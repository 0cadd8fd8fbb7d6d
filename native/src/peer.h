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

  /// Whether datagrams of full size reach it over IPv6: number and time of the first question that has no answer yet, the number of the last
  /// one that has; and the peer's own last question.
  std::atomic<uint32_t> asking{0};
  std::atomic<int64_t> askedAt{0};
  std::atomic<uint32_t> answered{0};
  std::atomic<uint32_t> question{0};

  /// Bits of EventBox; and when the next event of a kind that others can provoke may be raised (monotonic nanoseconds).
  std::atomic<uint32_t> events{0};
  std::atomic<int64_t> nextKeyWanted{0};
  std::atomic<int64_t> nextRoam{0};
  std::atomic<int64_t> nextProbe{0};
  std::atomic<int64_t> nextTooLong{0};

  /// All valid sessions; event loop only.
  std::vector<Session*> sessions;
};

}  // namespace tuntap
