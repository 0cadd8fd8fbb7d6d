#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "segment.h"

namespace tuntap {

/// UDP datagrams of one flow that came one right behind the other, each a packet of its own, and go to the kernel as one packet that it
/// cuts again (USO): it then walks its stack once for all of them. Nothing that a receiver could see is lost: the headers agree in all
/// that is not length, identification or checksum, and only the last may be shorter.
///
/// Only datagrams whose checksum is still to be done can ride: a finished one would have to be checked first, and a missing one kept.
class UdpTrain {
 public:
  /// Fewer than any kernel's limit (UDP_MAX_SEGMENTS).
  static constexpr uint32_t kMaxDatagrams = 64;

  static bool joinable(const Slice& slice) {
    const Ipv4Header& ip = slice.ip;
    if (slice.desc.gsoType != kGsoNone || ip.protocol != kProtocolUdp || ip.fragment) return false;
    if (slice.desc.csumStart != ip.headerLength || slice.desc.csumOffset != 6) return false;
    const size_t transportLength = size_t{ip.totalLength} - ip.headerLength;
    return transportLength > kUdpBytes && loadBe16(slice.header + ip.headerLength + 4) == transportLength;
  }

  /// `first` must be joinable, and its bytes must stay.
  void start(const Slice& first) {
    first_ = first;
    count_ = 1;
    payload_ = payloadOf(first);
    closed_ = false;
  }

  bool takes(const Slice& next) const {
    if (closed_ || !joinable(next) || next.ip.headerLength != first_.ip.headerLength) return false;
    const uint32_t length = payloadOf(next);
    if (length > payloadOf(first_) || headerBytes() + payload_ + length > 65'535) return false;
    const uint8_t* a = first_.header;
    const uint8_t* b = next.header;
    // In an atomic packet (RFC 6864) the identification says nothing; elsewhere the kernel will count it up from the first.
    const bool atomic = (a[6] & 0x40) != 0;
    if (!atomic && loadBe16(b + 4) != static_cast<uint16_t>(loadBe16(a + 4) + count_)) return false;
    const size_t ip = first_.ip.headerLength;
    return std::memcmp(a, b, 2) == 0 && std::memcmp(a + 6, b + 6, 4) == 0 &&
           std::memcmp(a + 12, b + 12, ip - 12) == 0 && std::memcmp(a + ip, b + ip, 4) == 0;
  }

  /// Only what takes() agrees to.
  void add(const Slice& next) {
    ++count_;
    payload_ += payloadOf(next);
    closed_ = payloadOf(next) < payloadOf(first_) || count_ == kMaxDatagrams;
  }

  /// No more can ride.
  bool closed() const { return closed_; }
  uint32_t count() const { return count_; }
  const Slice& first() const { return first_; }
  uint16_t datagramPayload() const { return static_cast<uint16_t>(payloadOf(first_)); }
  size_t headerBytes() const { return first_.ip.headerLength + kUdpBytes; }

  /// The headers of all as one packet; `out` has room for headerBytes().
  void writeHeader(uint8_t* out) const {
    const size_t ip = first_.ip.headerLength;
    const size_t transportLength = kUdpBytes + payload_;
    std::memcpy(out, first_.header, headerBytes());
    storeBe16(out + 2, static_cast<uint16_t>(ip + transportLength));
    writeIpv4Checksum(out, ip);
    storeBe16(out + ip + 4, static_cast<uint16_t>(transportLength));
    storeBe16(out + ip + 6, pseudoHeaderSum(out, kProtocolUdp, transportLength));
  }

  static const uint8_t* payload(const Slice& slice) { return slice.header + slice.ip.headerLength + kUdpBytes; }
  static uint32_t payloadOf(const Slice& slice) {
    return static_cast<uint32_t>(slice.ip.totalLength - slice.ip.headerLength - kUdpBytes);
  }

 private:
  static constexpr size_t kUdpBytes = 8;

  Slice first_{};
  uint32_t count_ = 0;
  uint32_t payload_ = 0;
  bool closed_ = true;
};

}  // namespace tuntap
