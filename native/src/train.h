#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "segment.h"

namespace tuntap {

/// A packet that came in one datagram. `vnet` says whether its checksum is still to be done.
struct Whole {
  IpHeader ip;
  const uint8_t* data;
  VnetHeader vnet{};

  const uint8_t* transport() const { return data + ip.headerLength; }
  bool tcp() const { return ip.protocol == kProtocolTcp; }
  /// Of IP and transport; only of what Train::joinable() agrees to.
  size_t headerBytes() const { return ip.headerLength + (tcp() ? static_cast<size_t>(transport()[12] >> 4) * 4 : 8); }
  uint32_t payloadBytes() const { return static_cast<uint32_t>(ip.totalLength - headerBytes()); }
  const uint8_t* payload() const { return data + headerBytes(); }
};

/// TCP segments or UDP datagrams of one flow that came one right behind the other, each a packet of its own, and go to the kernel as one
/// packet that it cuts again (TSO, USO): it then walks its stack once for all of them. Nothing that a receiver could see is lost: what
/// the kernel would cut out of it are the very packets that came, but for the identification of datagrams where it says nothing (RFC 6864).
///
/// The headers agree in all that is not length, identification, sequence number or checksum; only the last may be shorter, or push.
/// Flags other than ACK and PSH never ride: what they say is about one segment. Nor do IPv6 extension headers: they are rare, and some
/// speak of the one packet.
class Train {
 public:
  /// Fewer than any kernel's limit for UDP (UDP_MAX_SEGMENTS).
  static constexpr uint32_t kMaxPackets = 64;

  /// A look at its headers alone.
  static bool joinable(const Whole& packet) {
    const IpHeader& ip = packet.ip;
    if (ip.opaque || (ip.v6 && ip.headerLength != ip.fixedLength()) || !usualChecksum(packet)) return false;
    const size_t transportLength = size_t{ip.totalLength} - ip.headerLength;
    const uint8_t* transport = packet.transport();
    if (ip.protocol == kProtocolUdp)
      return transportLength > 8 && loadBe16(transport + 4) == transportLength && loadBe16(transport + 6) != 0;
    if (ip.protocol != kProtocolTcp || transportLength <= 20) return false;
    const size_t headerLength = static_cast<size_t>(transport[12] >> 4) * 4;
    return headerLength >= 20 && headerLength < transportLength && (transport[12] & 0x0f) == 0 && (transport[13] & ~kPsh) == kAck;
  }

  /// `first` must be joinable, and its bytes must stay.
  void start(const Whole& first) {
    first_ = first;
    count_ = 1;
    payload_ = first.payloadBytes();
    closed_ = pushes(first);
    pushed_ = closed_;
    checked_ = false;
  }

  /// Whether `next`, which is joinable, continues it; its checksums are then known to be right, as are those of the first.
  bool takes(const Whole& next) {
    if (closed_ || !continues(next)) return false;
    if (!checked_ && !checksumsHold(first_)) {
      closed_ = true;
      return false;
    }
    checked_ = true;
    return checksumsHold(next);
  }

  /// Only what takes() agrees to.
  void add(const Whole& next) {
    ++count_;
    payload_ += next.payloadBytes();
    pushed_ = pushes(next);
    closed_ = pushed_ || next.payloadBytes() < first_.payloadBytes() || count_ == kMaxPackets;
  }

  /// No more can ride.
  bool closed() const { return closed_; }
  uint32_t count() const { return count_; }
  const Whole& first() const { return first_; }

  /// What stands before the joined packet.
  VnetHeader vnet() const {
    const uint16_t size = static_cast<uint16_t>(first_.payloadBytes());
    const uint16_t headers = static_cast<uint16_t>(first_.headerBytes());
    return {kVnetNeedsCsum, first_.tcp() ? (first_.ip.v6 ? kGsoTcp6 : kGsoTcp4) : kGsoUdp, headers, size, first_.ip.headerLength, checksumOffset(first_)};
  }

  /// The headers of all as one packet; `out` has room for first().headerBytes().
  void writeHeader(uint8_t* out) const {
    const size_t ip = first_.ip.headerLength;
    const size_t transportLength = first_.headerBytes() - ip + payload_;
    std::memcpy(out, first_.data, first_.headerBytes());
    writeTotalLength(out, first_.ip, ip + transportLength);
    if (first_.tcp())
      out[ip + 13] = static_cast<uint8_t>(kAck | (pushed_ ? kPsh : 0));
    else
      storeBe16(out + ip + 4, static_cast<uint16_t>(transportLength));
    storeBe16(out + ip + checksumOffset(first_), pseudoHeaderSum(out, first_.ip, transportLength));
  }

 private:
  static constexpr uint8_t kPsh = 0x08;
  static constexpr uint8_t kAck = 0x10;

  static uint16_t checksumOffset(const Whole& packet) { return packet.tcp() ? 16 : 6; }
  static bool partial(const Whole& packet) { return packet.vnet.flags == kVnetNeedsCsum; }
  static bool pushes(const Whole& packet) { return packet.tcp() && (packet.transport()[13] & kPsh) != 0; }
  static bool usualChecksum(const Whole& packet) {
    return !partial(packet) || (packet.vnet.csumStart == packet.ip.headerLength && packet.vnet.csumOffset == checksumOffset(packet));
  }

  bool continues(const Whole& next) const {
    const size_t ip = first_.ip.headerLength;
    if (next.ip.v6 != first_.ip.v6 || next.ip.protocol != first_.ip.protocol || next.ip.headerLength != ip) return false;
    if (next.headerBytes() != first_.headerBytes()) return false;
    const uint32_t length = next.payloadBytes();
    if (length > first_.payloadBytes() || first_.headerBytes() + payload_ + length > 65'535) return false;
    const uint8_t* a = first_.data;
    const uint8_t* b = next.data;
    return (first_.ip.v6 ? sameWay6(a, b) : sameWay4(a, b)) &&
           (first_.tcp() ? sameStream(a + ip, b + ip) : std::memcmp(a + ip, b + ip, 4) == 0);
  }

  /// The kernel will count the identification up from the first, as senders of segments do. In an atomic datagram it says nothing.
  bool sameWay4(const uint8_t* a, const uint8_t* b) const {
    const bool atomic = !first_.tcp() && (a[6] & 0x40) != 0;
    if (!atomic && loadBe16(b + 4) != static_cast<uint16_t>(loadBe16(a + 4) + count_)) return false;
    return std::memcmp(a, b, 2) == 0 && std::memcmp(a + 6, b + 6, 4) == 0 && std::memcmp(a + 12, b + 12, first_.ip.headerLength - 12u) == 0;
  }

  /// Everything but the length.
  static bool sameWay6(const uint8_t* a, const uint8_t* b) { return std::memcmp(a, b, 4) == 0 && std::memcmp(a + 6, b + 6, 34) == 0; }

  /// The next segment of the same stream: ports, acknowledgement, window, urgent pointer and options agree.
  bool sameStream(const uint8_t* a, const uint8_t* b) const {
    return loadBe32(b + 4) == loadBe32(a + 4) + payload_ && std::memcmp(a, b, 4) == 0 && std::memcmp(a + 8, b + 8, 5) == 0 &&
           std::memcmp(a + 14, b + 14, 2) == 0 && std::memcmp(a + 18, b + 18, first_.headerBytes() - first_.ip.headerLength - 18) == 0;
  }

  /// A wrong checksum must reach the receiver as it is, not be replaced by a right one.
  static bool checksumsHold(const Whole& packet) {
    const size_t ip = packet.ip.headerLength;
    if (!packet.ip.v6 && checksumFold(checksumAdd(0, packet.data, ip)) != 0xffff) return false;
    if (partial(packet)) return true;
    const size_t length = packet.ip.totalLength - ip;
    const uint64_t pseudo = pseudoHeaderSum(packet.data, packet.ip, length);
    return checksumFold(pseudo + checksumOf(packet.transport(), length)) == 0xffff;
  }

  Whole first_{};
  uint32_t count_ = 0;
  uint32_t payload_ = 0;
  bool closed_ = true;
  bool pushed_ = false;
  /// The checksums of the first are known to be right.
  bool checked_ = false;
};

}  // namespace tuntap
