#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "ip.h"
#include "wire.h"

/// Packets that are larger than the wire: how they are cut into slices and what a part of one must look like to stand alone.
/// All functions are pure.
namespace tuntap {

/// struct virtio_net_hdr in the layout of the kernel's TUN (host byte order); <linux/virtio_net.h> cannot be included from C++.
struct VnetHeader {
  uint8_t flags;
  uint8_t gsoType;
  uint16_t headerLength;
  uint16_t gsoSize;
  uint16_t csumStart;
  uint16_t csumOffset;
};
static_assert(sizeof(VnetHeader) == 10);

constexpr uint8_t kVnetNeedsCsum = 1;
constexpr uint8_t kGsoNone = 0;
constexpr uint8_t kGsoTcp4 = 1;
constexpr uint8_t kGsoTcp6 = 4;
constexpr uint8_t kGsoUdp = 5;
constexpr uint8_t kGsoEcn = 0x80;

/// One packet and the way it is cut. A packet that fits is one slice with headerLength 0.
struct SlicePlan {
  uint32_t payload;  // bytes behind the headers
  uint16_t count;    // slices
  uint16_t gsoSize;
  uint8_t headerLength;

  uint32_t sliceBytes(uint32_t index) const {
    return index + 1u < count ? gsoSize : payload - index * static_cast<uint32_t>(gsoSize);
  }
};

/// The rules that both ends apply to a packet with segmentation: the headers say TCP or UDP over IP that is no fragment, the checksum is left
/// to do at the usual place, and the lengths agree. `headers` must hold `available` bytes of the packet from its start;
/// `totalLength` comes from the IP header. Nothing when any rule is broken.
inline std::optional<SlicePlan> planSlices(const uint8_t* headers, size_t available, const IpHeader& ip, uint8_t gsoType,
                                           uint8_t flags, uint32_t gsoSize, uint32_t csumStart, uint32_t csumOffset) {
  if (gsoSize == 0 || ip.opaque || flags != kVnetNeedsCsum || csumStart != ip.headerLength) return std::nullopt;
  const uint8_t* transport = headers + ip.headerLength;
  size_t headerLength = ip.headerLength;
  switch (gsoType) {
    case kGsoTcp4:
    case kGsoTcp4 | kGsoEcn:
    case kGsoTcp6:
    case kGsoTcp6 | kGsoEcn: {
      if (ip.v6 != ((gsoType & kGsoTcp6) != 0)) return std::nullopt;
      if (ip.protocol != kProtocolTcp || csumOffset != 16 || available < headerLength + 20) return std::nullopt;
      const size_t offset = static_cast<size_t>(transport[12] >> 4) * 4;
      if (offset < 20) return std::nullopt;
      headerLength += offset;
      break;
    }
    case kGsoUdp:
      if (ip.protocol != kProtocolUdp || csumOffset != 6 || available < headerLength + 8) return std::nullopt;
      if (loadBe16(transport + 4) != ip.totalLength - ip.headerLength) return std::nullopt;
      headerLength += 8;
      break;
    default:
      return std::nullopt;
  }
  if (headerLength > available || headerLength > kMaxHeader || headerLength >= ip.totalLength) return std::nullopt;
  const uint32_t payload = static_cast<uint32_t>(ip.totalLength - headerLength);
  return SlicePlan{payload, static_cast<uint16_t>((payload + gsoSize - 1) / gsoSize), static_cast<uint16_t>(gsoSize),
                   static_cast<uint8_t>(headerLength)};
}

/// A datagram of type 2 after opening, checked: `plan` describes the packet it is a slice of.
struct Slice {
  SliceDesc desc;
  IpHeader ip;
  SlicePlan plan;
  const uint8_t* header;  // headers and, for a whole packet, everything behind them
  const uint8_t* payload;
  uint32_t length;
};

/// Checks everything that a later step relies on, although the sender is authentic.
inline std::optional<Slice> parseSlice(const uint8_t* body, size_t length) {
  const auto desc = SliceDesc::decode(body, length);
  if (!desc) return std::nullopt;
  const uint8_t* packet = body + kDescBytes;
  const size_t available = length - kDescBytes;

  if (desc->gsoType == kGsoNone) {
    IpHeader ip;
    if (!parseIp(packet, available, ip) || ip.totalLength != available) return std::nullopt;
    if (desc->flags != kVnetNeedsCsum || desc->gsoSize != 0 || desc->index != 0 || desc->headerLength != 0) return std::nullopt;
    if (desc->csumStart < ip.headerLength || size_t{desc->csumStart} + desc->csumOffset + 2 > available) return std::nullopt;
    const uint32_t total = static_cast<uint32_t>(available);
    return Slice{*desc, ip, SlicePlan{total, 1, 0, 0}, packet, packet, total};
  }

  // The IP header speaks of the whole packet, of which only one slice is here: read it as if the rest were, then bound it.
  IpHeader ip;
  if (!parseIp(packet, available, 65'535, ip)) return std::nullopt;
  const auto plan = planSlices(packet, available, ip, desc->gsoType, desc->flags, desc->gsoSize, desc->csumStart, desc->csumOffset);
  if (!plan || plan->headerLength != desc->headerLength || desc->index >= plan->count) return std::nullopt;
  const uint32_t slice = static_cast<uint32_t>(available - plan->headerLength);
  if (slice != plan->sliceBytes(desc->index)) return std::nullopt;
  return Slice{*desc, ip, *plan, packet, packet + plan->headerLength, slice};
}

/// Rewrites the headers of a packet so that they fit slices [first, first + count) of it alone; what the kernel's own
/// segmentation does for a single segment (RFC 9293 sequence numbers, IPv4 id, PSH and FIN on the last, CWR on the first).
inline void trimHeaders(uint8_t* header, const IpHeader& ip, const SlicePlan& plan, uint32_t first, uint32_t count) {
  uint32_t payload = 0;
  for (uint32_t i = first; i < first + count; ++i) payload += plan.sliceBytes(i);
  const bool last = first + count == plan.count;
  if (!ip.v6) storeBe16(header + 4, static_cast<uint16_t>(loadBe16(header + 4) + first));
  writeTotalLength(header, ip, plan.headerLength + size_t{payload});

  uint8_t* transport = header + ip.headerLength;
  const uint16_t before = static_cast<uint16_t>(ip.totalLength - ip.headerLength);
  const uint16_t after = static_cast<uint16_t>(plan.headerLength - ip.headerLength + payload);
  // Of what a partial checksum covers only the length changes. (A routing header hides the address that it was made with.)
  uint8_t* checksum = transport + (ip.protocol == kProtocolUdp ? 6 : 16);
  storeBe16(checksum, checksumFold(uint64_t{loadBe16(checksum)} + static_cast<uint16_t>(~before) + after));
  if (ip.protocol == kProtocolUdp) return storeBe16(transport + 4, after);
  storeBe32(transport + 4, loadBe32(transport + 4) + first * plan.gsoSize);
  if (!last) transport[13] &= static_cast<uint8_t>(~0x09);
  if (first != 0) transport[13] &= static_cast<uint8_t>(~0x80);
}

}  // namespace tuntap
