#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bytes.h"

/// What the packet path needs to know of an inner packet. All functions are pure and read inside [data, data + length) only.
namespace tuntap {

constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kProtocolUdp = 17;

/// An inner packet of either family. `headerLength` is what stands in front of the transport header, IPv6 extension headers included.
struct IpHeader {
  uint16_t totalLength;
  uint16_t headerLength;
  uint8_t protocol;
  bool v6;
  /// No transport header is in reach: a fragment, or IPv6 headers that lead to none or are longer than kMaxHeader.
  bool opaque;

  size_t fixedLength() const { return v6 ? 40 : 20; }
  const uint8_t* sourceIn(const uint8_t* packet) const { return packet + (v6 ? 8 : 12); }
  const uint8_t* destinationIn(const uint8_t* packet) const { return packet + (v6 ? 24 : 16); }
  /// Type of service, or traffic class.
  uint8_t serviceIn(const uint8_t* packet) const {
    return v6 ? static_cast<uint8_t>(packet[0] << 4 | packet[1] >> 4) : packet[1];
  }
};

/// IPv6 extension headers are followed up to here: descriptions of slices (wire.h) have one byte for it.
constexpr size_t kMaxHeader = 255;

/// RFC 8200 §4: steps over the extension headers that say where the next one is.
inline void skipExtensions(const uint8_t* data, size_t end, IpHeader& header) {
  constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;
  size_t at = 40;
  uint8_t next = data[6];
  while (next == kHopByHop || next == kRouting || next == kDestination) {
    if (at + 8 > end) break;
    const size_t length = 8 + size_t{data[at + 1]} * 8;
    if (at + length > end || at + length > kMaxHeader) break;
    next = data[at];
    at += length;
  }
  header.headerLength = static_cast<uint16_t>(at);
  header.protocol = next;
  header.opaque = next == kHopByHop || next == kRouting || next == kDestination || next == kFragment;
}

/// RFC 791 §3.1, RFC 8200 §3. Reads inside `available` bytes, of a packet that has `whole` bytes at most. False when the lengths contradict each
/// other or are of a jumbogram; then `header` is not filled.
inline bool parseIp(const uint8_t* data, size_t available, size_t whole, IpHeader& header) {
  if (available < 20) return false;
  const unsigned version = data[0] >> 4;
  if (version == 6 && available >= 40) {
    const size_t totalLength = 40 + size_t{loadBe16(data + 4)};
    if (totalLength > whole || totalLength > 65'535) return false;
    header.v6 = true;
    header.totalLength = static_cast<uint16_t>(totalLength);
    skipExtensions(data, available < totalLength ? available : totalLength, header);
    return true;
  }
  if (version != 4) return false;
  const size_t headerLength = size_t{data[0] & 0x0fu} * 4;
  const size_t totalLength = loadBe16(data + 2);
  if (headerLength < 20 || headerLength > available || headerLength > totalLength || totalLength > whole) return false;
  header.v6 = false;
  header.totalLength = static_cast<uint16_t>(totalLength);
  header.headerLength = static_cast<uint16_t>(headerLength);
  header.protocol = data[9];
  header.opaque = (loadBe16(data + 6) & 0x3fff) != 0;
  return true;
}

inline bool parseIp(const uint8_t* data, size_t length, IpHeader& header) { return parseIp(data, length, length, header); }

/// One's complement sum, RFC 1071, not yet folded or inverted.
inline uint64_t checksumAdd(uint64_t sum, const uint8_t* data, size_t length) {
  for (; length >= 2; data += 2, length -= 2) sum += loadBe16(data);
  if (length == 1) sum += static_cast<uint64_t>(data[0]) << 8;
  return sum;
}

inline uint16_t checksumFold(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

/// The folded sum of many bytes: in steps of four, because the order of bytes does not matter until the end (RFC 1071 §2).
inline uint16_t checksumOf(const uint8_t* data, size_t length) {
  uint64_t sum = 0;
  const uint8_t* end = data + length / 4 * 4;
  for (; data != end; data += 4) {
    uint32_t word;
    std::memcpy(&word, data, sizeof word);
    sum += word;
  }
  const uint16_t folded = checksumFold(sum);
  uint8_t bytes[2];
  std::memcpy(bytes, &folded, sizeof bytes);
  return checksumFold(checksumAdd(loadBe16(bytes), data, length % 4));
}

inline void writeIpv4Checksum(uint8_t* header, size_t headerLength) {
  storeBe16(header + 10, 0);
  storeBe16(header + 10, static_cast<uint16_t>(~checksumFold(checksumAdd(0, header, headerLength))));
}

/// What the IP header says of its own length, with IPv4's checksum.
inline void writeTotalLength(uint8_t* packet, const IpHeader& ip, size_t totalLength) {
  if (ip.v6) return storeBe16(packet + 4, static_cast<uint16_t>(totalLength - 40));
  storeBe16(packet + 2, static_cast<uint16_t>(totalLength));
  writeIpv4Checksum(packet, ip.headerLength);
}

/// The sum that a partial checksum field holds before a device completes it: addresses, protocol, length; not inverted.
inline uint16_t pseudoHeaderSum(const uint8_t* packet, const IpHeader& ip, size_t transportLength) {
  return checksumFold(checksumAdd(0, ip.sourceIn(packet), ip.v6 ? 32 : 8) + ip.protocol + transportLength);
}

/// Does what a device would have done: what is `field` bytes behind `start` holds a partial checksum over everything up to `end`. Never 0, which
/// in UDP means that there is none.
inline void completeChecksum(uint8_t* start, const uint8_t* end, size_t field) {
  const uint16_t sum = static_cast<uint16_t>(~checksumOf(start, static_cast<size_t>(end - start)));
  storeBe16(start + field, sum == 0 ? 0xffff : sum);
}

}  // namespace tuntap
