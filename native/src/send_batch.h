#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "constants.h"
#include "udp_socket.h"

namespace tuntap {

/// Sealed datagrams on their way to the socket: one area that is filled from front to back and cut into runs.
class SendBatch {
 public:
  /// With `segmentation` false every datagram is a run of its own.
  void begin(bool segmentation) {
    used_ = 0;
    runs_ = 0;
    segmentation_ = segmentation;
  }

  /// Where the next datagram of `length` bytes is to be written; null when the batch must be sent first.
  uint8_t* reserve(size_t length) {
    return used_ + length <= kArenaBytes && runs_ < kMaxRuns ? &arena_[used_] : nullptr;
  }

  /// Adds what was written to the place that reserve() gave. A peer has the same siding in all of a batch.
  void commit(size_t length, unsigned slot, const Endpoint& to, uint8_t tos, uint8_t siding, size_t innerBytes) {
    uint8_t* data = &arena_[used_];
    used_ += length;
    if (!segmentation_ || runs_ == 0 || !list_[runs_ - 1].takes(length, slot, to, tos)) {
      list_[runs_++] = Run{to, data, static_cast<uint32_t>(length), static_cast<uint16_t>(length), 1, tos, siding, slot, 1, innerBytes, 0};
      return;
    }
    Run& run = list_[runs_ - 1];
    run.add(length);
    run.innerPackets++;
    run.innerBytes += innerBytes;
  }

  size_t bytes() const { return used_; }
  std::span<Run> runs() { return {list_.data(), runs_}; }

 private:
  std::unique_ptr<uint8_t[]> arena_{new uint8_t[kArenaBytes]};
  std::array<Run, kMaxRuns> list_;
  size_t used_ = 0;
  size_t runs_ = 0;
  bool segmentation_ = true;
};

}  // namespace tuntap
