#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>

#include "segment.h"
#include "session.h"
#include "train.h"
#include "tun_queue.h"

namespace tuntap {

/// Joins consecutive slices of one packet, or consecutive packets of one flow, which stay where they were received, into one write to
/// the TUN. A slice that is missing only ends a run: what came before and what comes after are written as packets of their own.
class Joiner {
 public:
  explicit Joiner(TunQueue& tun) : tun_(tun) {}

  /// Takes a slice of `session`'s `lane`; its bytes must stay until it is written. Returns whether earlier ones had to be written first
  /// and the kernel refused them.
  bool add(const Session& session, unsigned lane, const Slice& slice);
  /// Takes a packet that came whole.
  bool addWhole(const Whole& packet);
  /// Writes what is pending. False when the kernel refused it.
  bool flush();
  /// True when a slice is pending whose packet goes on in a datagram that has not come yet.
  bool waiting() const { return count_ > 0 && !train_; }

 private:
  bool joinable(const Whole& packet) const;
  bool addToTrain(const Whole& packet);
  bool flushTrain();
  bool flushSlices();
  bool continues(const Session& session, unsigned lane, const Slice& slice) const;
  bool write(const VnetHeader& vnet, const uint8_t* header, size_t headerLength);

  TunQueue& tun_;
  const Session* session_ = nullptr;
  unsigned lane_ = 0;
  Slice first_{};
  uint32_t count_ = 0;
  /// What is pending are packets, not slices.
  bool train_ = false;
  Train packets_;
  /// [0] the virtio-net header, [1] the packet's headers, then the slices.
  std::array<iovec, 2 + kMaxJoined> parts_{};
};

}  // namespace tuntap
