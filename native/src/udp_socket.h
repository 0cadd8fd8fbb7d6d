#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "constants.h"
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
  /// Which of the sockets sends it.
  uint8_t siding;
  /// For the counters.
  unsigned slot;
  uint32_t innerPackets;
  uint64_t innerBytes;
  /// Datagrams that the kernel refused; filled by send().
  uint16_t refused;

  /// Whether a datagram that stands behind it may be its next: all have the size of the first, but one that is shorter ends the run.
  bool takes(size_t length, unsigned of, const Endpoint& place, uint8_t service) const {
    return slot == of && length <= datagramBytes && bytes == uint32_t{datagrams} * datagramBytes && datagrams < kMaxRunDatagrams &&
           bytes + length <= kMaxRunBytes && to == place && tos == service;
  }

  void add(size_t length) {
    bytes += static_cast<uint32_t>(length);
    datagrams++;
  }
};

/// The outer socket, and the sidings: sockets on the same port that only send (sidings.h). Segmentation (UDP_SEGMENT) and coalescing
/// (UDP_GRO) are used where the kernel and the devices have them.
class UdpSocket {
 public:
  /// `address` is IPv4 or IPv6 text; `::` takes both families, and only IPv4 on a host without IPv6. `port` 0 takes any. With `shared` it
  /// is one more on a port that another one has opened.
  OpenError open(const std::string& address, uint16_t port, bool shared, UdpFeatures wanted);
  /// Opens the sidings, when `sockets` are on the port and none is to follow; and says to the kernel that datagrams go to those alone, a
  /// lane of a key always to the same. Where the kernel does not know how, there are none.
  void openSidings(unsigned sockets);

  /// Sends the runs, those of one socket in order; at most kMaxRuns. Drops when its queue is full: waiting would stop the packets of all
  /// peers.
  void send(std::span<Run> runs);
  /// Sends one datagram or drops it; for the event loop, which must not wait.
  bool sendNow(const uint8_t* data, size_t length, const Endpoint& to) const;

  unsigned sidings() const { return sidings_; }
  /// Bytes in the queue of a socket, as the kernel counts them, and how many may be.
  int waiting(unsigned siding) const;
  int queueBytes(unsigned siding) const { return queueBytes_[siding]; }

  int fd() const { return fd_.get(); }
  int family() const { return family_; }
  uint16_t port() const { return local_.port(); }
  UdpFeatures features() const { return {segmentation_.load(std::memory_order_relaxed), coalescing_}; }
  /// Wakes a thread that waits in recvmmsg; it gets nothing from then on.
  void shutdown();

 private:
  OpenError make(Fd& out, bool shared, int sendBytes, int& queueBytes) const;
  int socketOf(unsigned siding) const { return siding == 0 ? fd_.get() : others_[siding - 1].get(); }
  uint16_t sendSingly(const Run& run);

  Fd fd_;
  std::array<Fd, kMaxSidings> others_;
  unsigned sidings_ = 0;
  int family_ = 0;
  bool coalescing_ = false;
  Endpoint local_;
  std::array<int, 1 + kMaxSidings> queueBytes_{};
  std::atomic<bool> segmentation_{false};
};

}  // namespace tuntap
