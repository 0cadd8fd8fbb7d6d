#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "constants.h"

namespace tuntap {

/// A peer behind a slow device would fill the socket's queue for all, and the kernel does not say whose bytes wait in a queue. So while
/// the queue of the main socket is crowded, peers that send are moved, one by one, to a siding: a socket with a queue of its own. Whoever
/// fills that one as well is slow, stays, and hurts nobody but itself; whoever does not was in a crowd, and makes room for the next.
///
/// Of one sending thread. Pure: time and the state of queues are handed in.
class Sidings {
 public:
  static constexpr unsigned kMain = 0;

  /// How many there are, beside the main socket; more than kMaxSidings are not used.
  explicit Sidings(unsigned count = 0) : count_(count < kMaxSidings ? count : kMaxSidings) {}

  /// Where a peer's datagrams leave: kMain, or 1 … count.
  unsigned of(unsigned slot) const {
    if (taken_ == 0) return kMain;
    for (unsigned i = 0; i < count_; ++i)
      if (places_[i].slot == slot) return i + 1;
    return kMain;
  }

  bool any() const { return taken_ != 0; }

  /// Looks at those that are out: `calm(siding)` says whether its queue is as good as empty. When the main queue has room again, they
  /// come back.
  template <typename Calm>
  void review(int64_t now, bool mainCrowded, Calm calm) {
    for (unsigned i = 0; i < count_; ++i) {
      Place& place = places_[i];
      if (place.slot == kNobody) continue;
      place.acquitted = now - place.since >= kTrialTime && calm(i + 1);
      if (place.acquitted && !mainCrowded) leave(place);
    }
  }

  /// The main queue is crowded and this peer, which is not out, has just sent through it. It goes out when there is room.
  void suspect(unsigned slot, int64_t now) {
    if (lately(slot, now)) return;
    for (unsigned i = 0; i < count_; ++i) {
      Place& place = places_[i];
      if (place.slot != kNobody && !place.acquitted) continue;
      if (place.slot != kNobody) {
        known_[nextKnown_++ % known_.size()] = {place.slot, now + kAcquittedTime};
        leave(place);
      }
      place = {slot, now, false};
      ++taken_;
      return;
    }
  }

 private:
  /// Slot 0 is this host itself and never sends.
  static constexpr unsigned kNobody = 0;

  struct Place {
    unsigned slot = kNobody;
    int64_t since = 0;
    bool acquitted = false;
  };
  struct Known {
    unsigned slot = kNobody;
    int64_t until = 0;
  };

  void leave(Place& place) {
    place = {};
    --taken_;
  }

  bool lately(unsigned slot, int64_t now) const {
    for (const Known& known : known_)
      if (known.slot == slot && now < known.until) return true;
    return false;
  }

  unsigned count_;
  unsigned taken_ = 0;
  size_t nextKnown_ = 0;
  std::array<Place, kMaxSidings> places_{};
  /// Who made room for others not long ago.
  std::array<Known, 4 * kMaxSidings> known_{};
};

}  // namespace tuntap
