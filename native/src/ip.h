#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bytes.h"

/// What the packet path needs to know of an inner packet. All functions are pure and read inside [data, data + length) only.
namespace tuntap {

constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kProtocolUdp = 17;

enum class IpVerdict : uint8_t { ipv4, ipv6, malformed };

struct Ipv4Header {
  uint32_t source;
  uint32_t destination;
  uint16_t totalLength;
  uint8_t headerLength;
  uint8_t protocol;
  bool fragment;
};

/// RFC 791 §3.1. `header` is filled only for the answer `ipv4`; its lengths are then consistent with `length`.
inline IpVerdict parseIp(const uint8_t* data, size_t length, Ipv4Header& header) {
  if (length < 1) return IpVerdict::malformed;
  const unsigned version = data[0] >> 4;
  if (version == 6) return length < 40 ? IpVerdict::malformed : IpVerdict::ipv6;
  if (version != 4 || length < 20) return IpVerdict::malformed;
  const size_t headerLength = size_t{data[0] & 0x0fu} * 4;
  const size_t totalLength = loadBe16(data + 2);
  if (headerLength < 20 || headerLength > totalLength || totalLength > length) return IpVerdict::malformed;
  header.source = loadBe32(data + 12);
  header.destination = loadBe32(data + 16);
  header.totalLength = static_cast<uint16_t>(totalLength);
  header.headerLength = static_cast<uint8_t>(headerLength);
  header.protocol = data[9];
  header.fragment = (loadBe16(data + 6) & 0x3fff) != 0;
  return IpVerdict::ipv4;
}

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

/// The sum that a partial checksum field holds before a device completes it: addresses, protocol, length; not inverted.
inline uint16_t pseudoHeaderSum(const uint8_t* ipv4, uint8_t protocol, size_t transportLength) {
  return checksumFold(checksumAdd(0, ipv4 + 12, 8) + protocol + transportLength);
}

}  // namespace tuntap
