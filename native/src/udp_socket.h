#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "endpoint.h"
#include "fd.h"
#include "tun_queue.h"

struct mmsghdr;

namespace tuntap {

struct UdpFeatures {
  bool segmentation = true;
  bool coalescing = true;
};

/// Datagrams of one size (the last may be shorter) that stand one behind the other and go to one place.
struct Run {
  Endpoint to;
  uint8_t* data;
  uint32_t bytes;
  uint16_t datagramBytes;
  uint16_t datagrams;
  /// Type of service, or traffic class; 0 is the socket's own.
  uint8_t tos;
  /// For the counters.
  unsigned slot;
  uint32_t innerPackets;
  uint64_t innerBytes;
  /// Datagrams that the kernel refused; filled by send().
  uint16_t refused;
};

/// The outer socket. Segmentation (UDP_SEGMENT) and coalescing (UDP_GRO) are used where the kernel and the devices have them.
class UdpSocket {
 public:
  /// `address` is IPv4 or IPv6 text; `::` takes both families, and only IPv4 on a host without IPv6. `port` 0 takes any.
  OpenError open(const std::string& address, uint16_t port, bool shared, UdpFeatures wanted);

  /// Sends the runs in order; at most kMaxRuns. Drops when the socket's queue is full: waiting would stop the packets of all peers.
  void send(std::span<Run> runs);
  /// Sends one datagram or drops it; for the event loop, which must not wait.
  bool sendNow(const uint8_t* data, size_t length, const Endpoint& to) const;

  /// True when the queue has no room for peers that have filled it before.
  bool crowded() const;

  int fd() const { return fd_.get(); }
  int family() const { return family_; }
  uint16_t port() const { return port_; }
  UdpFeatures features() const { return {segmentation_.load(std::memory_order_relaxed), coalescing_}; }
  /// Wakes a thread that waits in recvmmsg; it gets nothing from then on.
  void shutdown();

 private:
  uint16_t sendSingly(const Run& run);

  Fd fd_;
  int family_ = 0;
  uint16_t port_ = 0;
  bool coalescing_ = false;
  int queueBytes_ = 0;
  std::atomic<bool> segmentation_{false};
};

}  // namespace tuntap
