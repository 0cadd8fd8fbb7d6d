#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "constants.h"

namespace tuntap {

/// When may something that was taken out of a table be freed? When every thread has since been outside of its loop body once
/// (quiescent-state reclamation). Threads announce where they are; the event loop retires and reclaims.
///
/// All accesses are sequentially consistent: a thread that announces itself before the event loop looks is waited for, one that announces
/// itself after sees the tables without the retired object.
class Grace {
 public:
  static constexpr unsigned kMaxThreads = 2 * kMaxQueues;

  /// Threads: between enter and leave, pointers read from the tables stay valid.
  void enter(unsigned thread) { seats_[thread].seen.store(epoch_.load()); }

  /// True when the event loop waits for reclaim() to be called again.
  bool leave(unsigned thread) {
    seats_[thread].seen.store(kOutside);
    return waiting_.load() && waiting_.exchange(false);
  }

  /// Event loop: `free` runs once nobody can hold the object any more; at the latest in the destructor's caller, see drain().
  void retire(std::function<void()> free) { retired_.push_back({epoch_.load(), std::move(free)}); }

  /// Event loop, after one or more retire(): frees what can be freed and asks the threads to report back for the rest.
  void reclaim() {
    if (retired_.empty()) return;
    if (retired_.back().epoch == epoch_.load()) epoch_.fetch_add(1);
    if (!sweep()) {
      waiting_.store(true);
      sweep();
    }
  }

  /// Frees everything; only when no thread runs.
  void drain() {
    for (auto& object : retired_) object.free();
    retired_.clear();
  }

 private:
  static constexpr uint64_t kOutside = ~uint64_t{0};

  struct alignas(kCacheLine) Seat {
    std::atomic<uint64_t> seen{kOutside};
  };
  struct Retired {
    uint64_t epoch;
    std::function<void()> free;
  };

  /// Frees what was retired before every thread's present epoch. True when nothing is left.
  bool sweep() {
    uint64_t oldest = kOutside;
    for (const Seat& seat : seats_) {
      const uint64_t seen = seat.seen.load();
      if (seen < oldest) oldest = seen;
    }
    size_t kept = 0;
    for (auto& object : retired_) {
      if (object.epoch < oldest)
        object.free();
      else
        retired_[kept++] = std::move(object);
    }
    retired_.resize(kept);
    return kept == 0;
  }

  std::atomic<uint64_t> epoch_{1};
  std::atomic<bool> waiting_{false};
  std::array<Seat, kMaxThreads> seats_{};
  std::vector<Retired> retired_;
};

}  // namespace tuntap
