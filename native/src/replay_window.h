#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "spin_lock.h"

namespace tuntap {

/// Which counters of one lane were seen: a ring of bits (RFC 6479). The lane normally stays on one receiving thread; the lock covers
/// the moment when the kernel moves it to another one.
class ReplayWindow {
 public:
  /// Counters this far behind the newest are still told apart; older ones are refused.
  static constexpr uint64_t kSize = 255 * 64;

  enum class Mark : uint8_t { newest, fresh, seen };

  /// A cheap look before the costly opening. A false answer promises nothing: another thread may be faster.
  bool stale(uint64_t counter) const {
    const uint64_t next = next_.load(std::memory_order_relaxed);
    if (counter >= next) return false;
    if (next - counter > kSize) return true;
    return (words_[wordOf(counter)].load(std::memory_order_relaxed) & bitOf(counter)) != 0;
  }

  /// Only for a counter whose packet has been opened. Decides for good; of two equal ones the second is `seen`.
  Mark mark(uint64_t counter) {
    const SpinLock::Guard guard(lock_);
    const uint64_t next = next_.load(std::memory_order_relaxed);
    if (counter >= next) {
      forget(next, counter);
      next_.store(counter + 1, std::memory_order_relaxed);
      set(counter);
      return Mark::newest;
    }
    if (next - counter > kSize) return Mark::seen;
    return set(counter) ? Mark::fresh : Mark::seen;
  }

 private:
  static constexpr size_t kWords = 256;

  static size_t wordOf(uint64_t counter) { return (counter / 64) % kWords; }
  static uint64_t bitOf(uint64_t counter) { return uint64_t{1} << (counter % 64); }

  /// Clears the words between the newest counter so far (`next` - 1) and `counter`.
  void forget(uint64_t next, uint64_t counter) {
    const uint64_t from = next == 0 ? 0 : (next - 1) / 64;
    uint64_t steps = counter / 64 - from;
    if (steps > kWords) steps = kWords;
    for (uint64_t i = 0; i < steps; ++i) words_[(counter / 64 - i) % kWords].store(0, std::memory_order_relaxed);
  }

  /// True when the bit was clear.
  bool set(uint64_t counter) {
    auto& word = words_[wordOf(counter)];
    const uint64_t before = word.load(std::memory_order_relaxed);
    word.store(before | bitOf(counter), std::memory_order_relaxed);
    return (before & bitOf(counter)) == 0;
  }

  SpinLock lock_;
  std::atomic<uint64_t> next_{0};
  std::array<std::atomic<uint64_t>, kWords> words_{};
};

}  // namespace tuntap
