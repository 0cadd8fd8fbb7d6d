#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "constants.h"

namespace tuntap {

/// In the order of DROP_REASONS in the Datapath port.
enum class Drop : uint8_t {
  txMalformed,
  txSource,
  txNoRoute,
  txNoKey,
  txQueue,
  txExhausted,
  txTooLong,
  rxMalformed,
  rxNoKey,
  rxForged,
  rxReplayed,
  rxInner,
  rxSource,
  rxDestination,
  rxQueue,
  relayOff,
  relayStranger,
  relayNowhere,
  relayQueue,
};
constexpr const char* kDropNames[] = {"txMalformed", "txSource",  "txNoRoute",  "txNoKey", "txQueue",  "txExhausted", "txTooLong", "rxMalformed",
                                      "rxNoKey",     "rxForged",  "rxReplayed", "rxInner", "rxSource", "rxDestination", "rxQueue",
                                      "relayOff",    "relayStranger", "relayNowhere", "relayQueue"};
constexpr size_t kDropReasons = sizeof kDropNames / sizeof kDropNames[0];

/// One thread's part of the shared counters: 64-bit numbers that this thread alone writes and JavaScript reads with Atomics.
///
///    [ drops by reason, padded to 24 ][ slot 0: packets, bytes, dropped, relayed bytes ][ slot 1 … ] …
class Counters {
 public:
  static constexpr size_t kDropWords = 24;
  static constexpr size_t kSlotWords = 4;
  static constexpr size_t kWords = kDropWords + kSlotWords * kMaxSlots;
  static_assert(kDropReasons <= kDropWords);

  explicit Counters(uint64_t* base) : base_(base) {}

  void passed(unsigned slot, uint64_t packets, uint64_t bytes) {
    add(kDropWords + slot * kSlotWords, packets);
    add(kDropWords + slot * kSlotWords + 1, bytes);
  }

  /// Bytes of datagrams that came from the peer and were carried on to another one.
  void relayed(unsigned slot, uint64_t bytes) { add(kDropWords + slot * kSlotWords + 3, bytes); }

  void dropped(Drop reason, uint64_t packets = 1) { add(static_cast<size_t>(reason), packets); }

  void droppedOf(unsigned slot, Drop reason, uint64_t packets = 1) {
    dropped(reason, packets);
    add(kDropWords + slot * kSlotWords + 2, packets);
  }

 private:
  void add(size_t word, uint64_t amount) {
    std::atomic_ref<uint64_t> counter(base_[word]);
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  uint64_t* base_;
};

}  // namespace tuntap
