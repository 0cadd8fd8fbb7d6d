#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>

#include "constants.h"
#include "peer.h"

namespace tuntap {

/// What threads tell the event loop: marks, not messages, so that nothing queues up however often a thing happens. The first mark wakes
/// the event loop; it collects all of them in one go.
class EventBox {
 public:
  enum Event : uint32_t { keyWanted = 1, keyConfirmed = 2, roamed = 4, rekeyDue = 8, probed = 16, probeDue = 32, answered = 64 };
  enum class Failure : uint32_t { none, device, socket };

  /// `wake` is called on any thread, at most once between two calls of collect().
  explicit EventBox(std::function<void()> wake) : wake_(std::move(wake)) {}

  void raise(Peer& peer, Event event) {
    peer.events.fetch_or(event);
    slots_[peer.slot / 64].fetch_or(uint64_t{1} << (peer.slot % 64));
    poke();
  }

  /// The thread cannot go on. The first failure counts.
  void fail(Failure failure, int error) {
    uint64_t none = 0;
    failure_.compare_exchange_strong(none, uint64_t{static_cast<uint32_t>(failure)} << 32 | static_cast<uint32_t>(error));
    poke();
  }

  void poke() {
    if (!awake_.exchange(true)) wake_();
  }

  /// Event loop: `visit(slot)` for each slot with marks. Marks set from now on wake again.
  template <typename Visit>
  void collect(Visit visit) {
    awake_.store(false);
    for (unsigned word = 0; word < slots_.size(); ++word)
      for (uint64_t bits = slots_[word].load() == 0 ? 0 : slots_[word].exchange(0); bits != 0; bits &= bits - 1)
        visit(word * 64 + static_cast<unsigned>(__builtin_ctzll(bits)));
  }

  struct Failed {
    Failure what;
    int error;
  };
  Failed takeFailure() {
    const uint64_t value = failure_.load();
    if (value == 0 || failureTaken_) return {Failure::none, 0};
    failureTaken_ = true;
    return {static_cast<Failure>(value >> 32), static_cast<int>(value & 0xffffffff)};
  }

 private:
  std::function<void()> wake_;
  std::atomic<bool> awake_{false};
  std::atomic<uint64_t> failure_{0};
  bool failureTaken_ = false;
  std::array<std::atomic<uint64_t>, kMaxSlots / 64> slots_{};
};

}  // namespace tuntap
