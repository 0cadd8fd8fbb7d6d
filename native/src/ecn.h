#pragma once

#include <cstdint>

#include "bytes.h"
#include "ip.h"

/// Explicit congestion notification across the tunnel, RFC 6040, normal mode: the outer header starts with the inner packet's code
/// point, and what a router on the way made of it goes back into the inner packet.
namespace tuntap {

constexpr uint8_t kEcnMask = 0x03;
constexpr uint8_t kEcnNone = 0;
constexpr uint8_t kEcnEct1 = 1;
constexpr uint8_t kEcnEct0 = 2;
constexpr uint8_t kEcnCe = 3;

/// Merges the outer code point into an IP header and keeps IPv4's checksum right (RFC 1624). False when the packet must be dropped: it was
/// marked as having met congestion, and its sender would not understand that.
inline bool mergeEcn(uint8_t* packet, const IpHeader& ip, uint8_t outer) {
  const uint8_t inner = ip.serviceIn(packet) & kEcnMask;
  if (outer == kEcnCe && inner == kEcnNone) return false;
  const bool changes = (outer == kEcnCe && inner != kEcnCe) || (outer == kEcnEct1 && inner == kEcnEct0);
  if (!changes) return true;
  const uint16_t before = loadBe16(packet);
  // In IPv6 the traffic class begins in the middle of the first byte.
  const unsigned shift = ip.v6 ? 4 : 0;
  packet[1] = static_cast<uint8_t>((packet[1] & ~(kEcnMask << shift)) | outer << shift);
  if (ip.v6) return true;
  const uint64_t sum = uint64_t{static_cast<uint16_t>(~loadBe16(packet + 10))} + static_cast<uint16_t>(~before) + loadBe16(packet);
  storeBe16(packet + 10, static_cast<uint16_t>(~checksumFold(sum)));
  return true;
}

}  // namespace tuntap
