#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "endpoint.h"
#include "session.h"
#include "wire.h"

namespace tuntap {

/// What the threads know of one peer. The event loop makes and retires it; threads read the atomics.
class Peer {
 public:
  Peer(unsigned number, uint64_t known) : slot(number), name(known) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const unsigned slot;

  /// By which others ask to have something carried to it; 0: none.
  const uint64_t name;
  /// Next in the bucket of the index by name.
  std::atomic<Peer*> next{nullptr};

  /// Slot of the peer that carries what goes to this one; 0: datagrams go there directly. And the longest packet that then fits.
  std::atomic<unsigned> carrier{0};
  std::atomic<uint32_t> carriedMtu{0};

  /// Where datagrams go; also moved by a receiving thread when an authentic one comes from elsewhere.
  EndpointCell endpoint;

  /// Seals departing packets; null: no key.
  std::atomic<Session*> sending{nullptr};

  /// Whether datagrams of full size reach it over IPv6: number and time of the first question that has no answer yet, the number of the last
  /// one that has; the peer's own last question on each subject, 0 where it has been answered; and the last answers to what the event loop asked.
  std::atomic<uint32_t> asking{0};
  std::atomic<int64_t> askedAt{0};
  std::atomic<uint32_t> answered{0};
  std::atomic<uint32_t> questions[Probe::kSubjects]{};
  /// Slot of who carried the last question about that way: the answer tells of both directions, so it goes back there.
  std::atomic<unsigned> questionBy{0};
  std::atomic<uint32_t> answers[Probe::kSubjects]{};

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
