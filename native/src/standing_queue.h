#pragma once

#include <cstddef>

#include "constants.h"

namespace tuntap {

/// Tells a queue that only stands from one that works: packets that wait behind a burst leave when it is over, but a queue that is never
/// empty is only delay. Its senders are then to lose a single segment, early, instead of many when the queue is full: TCP answers
/// by sending less, and the queue can be long for those that do not fill it (the idea of CoDel, RFC 8289).
///
/// Counts bytes, not time: two or three milliseconds at full speed, and at most one segment in two thousand at any.
class StandingQueue {
 public:
  /// The queue was seen empty.
  void emptied() { passed_ = 0; }

  /// A packet of `bytes` leaves the queue. True when it is to lose a segment.
  bool leave(size_t bytes) {
    passed_ += bytes;
    if (passed_ < kStandingBytes) return false;
    passed_ = 0;
    return true;
  }

 private:
  size_t passed_ = 0;
};

}  // namespace tuntap
