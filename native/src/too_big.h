#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "constants.h"
#include "ip.h"

/// What a router says of a packet that is too large for the next wire: ICMP "fragmentation needed" (RFC 1191 §4), ICMPv6 "packet too big"
/// (RFC 4443 §3.2). All functions are pure.
namespace tuntap {

constexpr size_t kTooBigBytes = kLeastIpv6Mtu;

/// Writes it to `out`, which has kTooBigBytes, with as much of the packet as there is room for, and returns its length. It comes from where the
/// packet was going: that address is known to belong here, and to pass firewalls. 0 for a packet of which nothing is said: a later fragment of
/// IPv4, or ICMPv6's own errors.
inline size_t tooBig(const uint8_t* packet, const IpHeader& ip, size_t mtu, uint8_t* out) {
  constexpr uint8_t kIcmp = 1, kIcmpv6 = 58;
  constexpr size_t kIcmpBytes = 8, kMost4 = 576;
  if (!ip.v6 && (loadBe16(packet + 6) & 0x1fff) != 0) return 0;
  if (ip.v6 && ip.protocol == kIcmpv6 && ip.headerLength < ip.totalLength && packet[ip.headerLength] < 128) return 0;
  const size_t fixed = ip.fixedLength();
  const size_t quoted = std::min<size_t>(ip.totalLength, (ip.v6 ? kTooBigBytes : kMost4) - fixed - kIcmpBytes);
  const size_t total = fixed + kIcmpBytes + quoted;
  std::memset(out, 0, fixed + kIcmpBytes);
  std::memcpy(out + fixed + kIcmpBytes, packet, quoted);

  const size_t address = ip.v6 ? 16 : 4;
  uint8_t* source = out + (ip.sourceIn(packet) - packet);
  std::memcpy(source, ip.destinationIn(packet), address);
  std::memcpy(source + address, ip.sourceIn(packet), address);
  out[0] = ip.v6 ? 0x60 : 0x45;
  out[ip.v6 ? 7 : 8] = 64;
  out[ip.v6 ? 6 : 9] = ip.v6 ? kIcmpv6 : kIcmp;
  const IpHeader own{static_cast<uint16_t>(total), static_cast<uint16_t>(fixed), ip.v6 ? kIcmpv6 : kIcmp, ip.v6, false};
  writeTotalLength(out, own, total);

  uint8_t* icmp = out + fixed;
  icmp[0] = ip.v6 ? 2 : 3;
  icmp[1] = ip.v6 ? 0 : 4;
  storeBe16(icmp + 6, static_cast<uint16_t>(mtu));
  // ICMPv6 covers the pseudo header, ICMP does not.
  const uint64_t pseudo = ip.v6 ? pseudoHeaderSum(out, own, total - fixed) : 0;
  storeBe16(icmp + 2, static_cast<uint16_t>(~checksumFold(checksumAdd(pseudo, icmp, total - fixed))));
  return total;
}

}  // namespace tuntap
