#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "parts.h"
#include "segment.h"
#include "send_batch.h"
#include "sidings.h"
#include "standing_queue.h"

namespace tuntap {

/// The way out. One thread per queue, or the receiving one as long as it has its turn (turn.h):
///   1. read     one packet, up to 64 KiB, from the TUN
///   2. look up  the owner of its destination, and check that its source is ours
///   3. cut      into slices that fit the wire, when it is larger
///   4. seal     each into the send area
///   5. send     runs of datagrams, once 192 KiB or 500 packets are sealed or the TUN is empty
class SendLoop {
 public:
  SendLoop(LoopParts parts, Counters counters, int wakeFd) : parts_(parts), counters_(counters), wakeFd_(wakeFd), sidings_(parts.udp.sidings()) {}

  /// Until `stopping`, and woken by `wakeFd`.
  void run();
  /// Sends what the device has. For the thread whose turn it is. False when there may be more.
  bool step();
  /// What the last step has read.
  const Taken& taken() const { return taken_; }

 private:
  /// Where a packet goes and what seals it.
  struct Way {
    Peer& peer;
    Session& session;
    /// Whose socket gets it: the peer, or who carries it there.
    Peer& hop;
    /// Of the key with who carries it.
    uint32_t hopIndex;
    Endpoint to;
    uint8_t tos;
    uint8_t siding;
  };

  bool fillBatch();
  void forward(uint8_t* packet, size_t length, const VnetHeader& vnet);
  bool tooLong(const Way& way, const uint8_t* packet, const IpHeader& ip, size_t longest);
  void tell(Peer& peer, const uint8_t* packet, const IpHeader& ip, size_t mtu);
  void forwardWhole(const Way& way, uint8_t* packet, const IpHeader& ip, const VnetHeader& vnet);
  void forwardSlices(const Way& way, uint8_t* packet, const SlicePlan& plan, const VnetHeader& vnet);
  void toPeer(Peer& peer, uint8_t* packet, const IpHeader& ip, const VnetHeader& vnet);
  bool seal(const Way& way, DatagramType type, const uint8_t* plain, size_t length, size_t innerBytes);
  void flush();
  void watchQueues();
  bool waitForPackets() const;
  void fail(int error);

  /// In front of a packet: the virtio-net header when it is read, the description when it is sealed.
  static constexpr size_t kHeadroom = 64;
  static_assert(kHeadroom >= sizeof(VnetHeader) && kHeadroom >= kDescBytes);

  LoopParts parts_;
  Counters counters_;
  int wakeFd_;
  bool broken_ = false;
  Taken taken_;
  uint16_t nextSuperId_ = 0;
  SendBatch batch_;
  StandingQueue waiting_;
  Sidings sidings_;
  alignas(kCacheLine) std::array<uint8_t, kHeadroom + 65'536 + 64> buffer_{};
};

}  // namespace tuntap
