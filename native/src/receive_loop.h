#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "carrier.h"
#include "joiner.h"
#include "parts.h"
#include "send_loop.h"

namespace tuntap {

/// The way in. One thread per queue:
///   1. receive  up to eight messages, each one datagram or a run of equal ones that the kernel joined
///   2. find     the session by its index, and look whether the counter is stale
///   3. open     in place; only what is authentic goes on, and only then the replay window moves
///   4. check    that the inner source belongs to the sender and the inner destination to this host
///   5. write    to the TUN; slices of one packet joined again
/// What others ask to have carried goes on without being opened (carrier.h). As long as packets come few at a time it does the way out, too (turn.h).
class ReceiveLoop {
 public:
  ReceiveLoop(LoopParts parts, Counters counters, SendLoop& out);

  /// Until `stopping`, and woken by UdpSocket::shutdown().
  void run();

 private:
  struct alignas(cmsghdr) Control {
    uint8_t bytes[2 * CMSG_SPACE(sizeof(int))];
  };

  void both();
  Taken receiveBatch(int flags);
  int receive(size_t firstSlot, int flags);
  void takeMessage(const mmsghdr& message, uint8_t* data);
  void take(uint8_t* data, size_t length, const Endpoint& from, uint8_t ecn);
  /// `carrier` null: it came directly.
  void takeDatagram(uint8_t* data, size_t length, const Endpoint& from, const Peer* carrier, uint8_t ecn);
  void takeCarried(uint8_t* data, size_t length, const Endpoint& from, uint8_t ecn);
  void takeBody(Session& session, const DatagramHeader& header, uint8_t* body, size_t length, uint8_t ecn);
  void takeProbe(Peer& peer, const Peer* carrier, const uint8_t* body, size_t length);
  bool merged(const Peer& peer, const IpHeader& ip, uint8_t* packet, uint8_t ecn);
  bool allowed(const Peer& peer, const IpHeader& ip, const uint8_t* packet);
  void noteSender(Session& session, bool newest, const Endpoint& from);
  void refusedIf(const Session& session, bool written);

  LoopParts parts_;
  Counters counters_;
  Joiner joiner_;
  Carrier carrier_;
  SendLoop& out_;
  bool broken_ = false;
  std::unique_ptr<uint8_t[]> area_{new uint8_t[kReceiveSlots * kReceiveSlotBytes]};
  std::array<mmsghdr, kReceiveSlots> messages_{};
  std::array<iovec, kReceiveSlots> vectors_{};
  std::array<sockaddr_in6, kReceiveSlots> senders_{};
  std::array<Control, kReceiveSlots> controls_{};
};

}  // namespace tuntap
