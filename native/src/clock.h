#pragma once

#include <time.h>

#include <cstdint>

namespace tuntap {

/// Monotonic nanoseconds with the resolution of a scheduler tick; costs no system call.
inline int64_t coarseNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// True at most once per `interval`; `next` is shared by threads.
template <typename Atomic>
bool dueAgain(Atomic& next, int64_t interval) {
  const int64_t now = coarseNow();
  int64_t due = next.load(std::memory_order_relaxed);
  return now >= due && next.compare_exchange_strong(due, now + interval, std::memory_order_relaxed);
}

}  // namespace tuntap
