#pragma once

#include <atomic>

namespace tuntap {

/// For a few instructions that two threads hardly ever want at once.
class SpinLock {
 public:
  class Guard {
   public:
    explicit Guard(SpinLock& lock) : lock_(lock) {
      while (lock_.taken_.exchange(true, std::memory_order_acquire)) {
      }
    }
    ~Guard() { lock_.taken_.store(false, std::memory_order_release); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    SpinLock& lock_;
  };

 private:
  std::atomic<bool> taken_{false};
};

}  // namespace tuntap
