#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "clock.h"
#include "constants.h"

namespace tuntap {

/// What one look at the device or the socket has brought.
struct Taken {
  unsigned messages = 0;
  size_t bytes = 0;

  bool crowded() const { return messages > kFewMessages || bytes > kFewBytes; }
};

/// Who reads the device of a queue. While packets come few at a time, one thread has both directions: what it writes to the device may be
/// answered there and then (an echo, the start of a connection), and it reads the answer before it sleeps, where another thread would have to
/// be woken on another core, which takes a virtual machine 25 us. Once packets crowd, each direction has a thread of its own. It changes hands
/// by one atomic, so that whoever has it sees all that the other has done.
class Turn {
 public:
  /// Sending thread: waits until it is its turn.
  void await() {
    while (holder_.load() == Holder::receiver) holder_.wait(Holder::receiver);
    holder_.store(Holder::sender);
  }

  /// Sending thread: between these two it sleeps, and the other one may take over. False when it has.
  void rest() { holder_.store(Holder::nobody); }
  bool resume() {
    Holder expected = Holder::nobody;
    return holder_.compare_exchange_strong(expected, Holder::sender);
  }

  /// Receiving thread: true when it has the device now, too.
  bool take() {
    Holder expected = Holder::nobody;
    return isCalm() && holder_.compare_exchange_strong(expected, Holder::receiver);
  }
  void giveBack() {
    holder_.store(Holder::sender);
    holder_.notify_one();
  }

  /// Either: so much was there at once.
  void note(const Taken& taken) {
    if (taken.crowded()) crowdedAt_.store(coarseNow(), std::memory_order_relaxed);
  }

 private:
  enum class Holder : int { sender, nobody, receiver };

  bool isCalm() const { return coarseNow() - crowdedAt_.load(std::memory_order_relaxed) > kCalmTime; }

  std::atomic<Holder> holder_{Holder::sender};
  alignas(kCacheLine) std::atomic<int64_t> crowdedAt_{0};
};

}  // namespace tuntap
