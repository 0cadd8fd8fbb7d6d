#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "fd.h"

namespace tuntap {

/// Which step of opening failed, and errno; step null: all went well.
struct OpenError {
  const char* step = nullptr;
  int error = 0;
  explicit operator bool() const { return step != nullptr; }
};

struct TunFeatures {
  bool segmentation = true;
  bool udpSegmentation = true;
};

/// One queue of a TUN device with virtio-net headers. See Documentation/networking/tuntap.rst in the kernel.
class TunQueue {
 public:
  /// Makes the device, or adopts the one of this name. `multiQueue` must be the same for all queues of one device; a device that was
  /// made otherwise refuses with EINVAL.
  OpenError open(const std::string& device, bool multiQueue, TunFeatures wanted);

  /// One packet behind its virtio-net header; -1 with errno EAGAIN when there is none.
  ssize_t read(uint8_t* buffer, size_t length) const;
  /// False when the kernel refused the packet.
  bool write(const iovec* parts, int count) const;

  int fd() const { return fd_.get(); }
  /// What the kernel granted.
  TunFeatures features() const { return features_; }

 private:
  Fd fd_;
  TunFeatures features_;
};

}  // namespace tuntap
