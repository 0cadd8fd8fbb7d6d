/// Everything that a stranger's or a peer's bytes run through, without the cipher: the first byte chooses the decoder.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "../src/ecn.h"
#include "../src/segment.h"
#include "../src/too_big.h"
#include "../src/train.h"

namespace {

using namespace tuntap;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

void checkDatagram(const uint8_t* data, size_t length) {
  const auto header = DatagramHeader::decode(data, length);
  if (!header) return;
  uint8_t again[kHeaderBytes];
  header->encode(again);
  const auto probe = Probe::decode(data, length);
  uint8_t asked[Probe::kBytes];
  if (probe) probe->encode(asked);
  require(!probe || std::memcmp(asked, data, Probe::kBytes) == 0);
  require(length >= kOverheadBytes && std::memcmp(again, data, kHeaderBytes) == 0);
}

/// What stands before a carried datagram is the same again, and nothing but a plain datagram is behind it.
void checkRelay(const uint8_t* data, size_t length) {
  const auto header = RelayHeader::decode(data, length);
  if (!header) return;
  uint8_t again[RelayHeader::kBytes];
  header->encode(again);
  require(std::memcmp(again, data, RelayHeader::kBytes) == 0 && RelayHeader::stands(data, length));
  require(length >= RelayHeader::kBytes + kOverheadBytes);
  const uint8_t* inner = data + RelayHeader::kBytes;
  require(!RelayHeader::stands(inner, length - RelayHeader::kBytes) && inner[1] == data[1]);
  checkDatagram(inner, length - RelayHeader::kBytes);
}

/// Whatever the two code points are, a right checksum stays right and nothing but the code point changes.
void checkEcn(const uint8_t* packet, const IpHeader& ip) {
  for (uint8_t outer = kEcnNone; outer <= kEcnCe; ++outer) {
    uint8_t header[60];
    const size_t length = ip.v6 ? ip.fixedLength() : ip.headerLength;
    std::memcpy(header, packet, length);
    if (!ip.v6) writeIpv4Checksum(header, length);
    const uint8_t inner = ip.serviceIn(packet);
    const bool kept = mergeEcn(header, ip, outer);
    require(kept || (outer == kEcnCe && (inner & kEcnMask) == kEcnNone));
    require(ip.v6 || checksumFold(checksumAdd(0, header, length)) == 0xffff);
    require(header[0] == packet[0] && (ip.serviceIn(header) & ~kEcnMask) == (inner & ~kEcnMask));
    require(!ip.v6 || (header[1] & 0x0f) == (packet[1] & 0x0f));
    const size_t rest = ip.v6 ? 2 : 12;
    require(std::memcmp(header + rest, packet + rest, length - rest) == 0);
  }
}

/// The headers of a packet of `total` bytes say so.
void checkLengths(const uint8_t* header, const IpHeader& ip, size_t total) {
  require(ip.v6 ? loadBe16(header + 4) + 40u == total : loadBe16(header + 2) == total);
  require(ip.v6 || checksumFold(checksumAdd(0, header, ip.headerLength)) == 0xffff);
}

/// What is said of a packet that is too big goes back to its sender, is whole, and quotes it.
void checkTooBig(const uint8_t* packet, const IpHeader& ip) {
  uint8_t message[kTooBigBytes];
  const size_t length = tooBig(packet, ip, 1280, message);
  if (length == 0) return;
  IpHeader own;
  require(parseIp(message, length, own) && own.totalLength == length && own.v6 == ip.v6 && !own.opaque);
  const size_t address = ip.v6 ? 16 : 4;
  require(std::memcmp(own.destinationIn(message), ip.sourceIn(packet), address) == 0);
  require(std::memcmp(own.sourceIn(message), ip.destinationIn(packet), address) == 0);
  const size_t quoted = length - own.headerLength - 8;
  require(quoted >= ip.fixedLength() && quoted <= ip.totalLength && std::memcmp(message + own.headerLength + 8, packet, quoted) == 0);
  const uint64_t pseudo = ip.v6 ? pseudoHeaderSum(message, own, length - own.headerLength) : 0;
  require(checksumFold(checksumAdd(pseudo, message + own.headerLength, length - own.headerLength)) == 0xffff);
  checkLengths(message, own, length);
}

void checkPacket(const uint8_t* data, size_t length) {
  IpHeader ip;
  if (!parseIp(data, length, ip)) return;
  checkTooBig(data, ip);
  require(ip.headerLength >= ip.fixedLength() && ip.headerLength <= ip.totalLength && ip.totalLength <= length);
  checkEcn(data, ip);
  for (const uint8_t type : {kGsoTcp4, kGsoUdp, kGsoTcp6, static_cast<uint8_t>(kGsoTcp4 | kGsoEcn), static_cast<uint8_t>(kGsoTcp6 | kGsoEcn)}) {
    const auto plan = planSlices(data, ip.totalLength, ip, type, kVnetNeedsCsum, 1 + data[1] * 8u, ip.headerLength,
                                 ip.protocol == kProtocolTcp ? 16 : 6);
    if (!plan) continue;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < plan->count; ++i) {
      require(plan->sliceBytes(i) > 0 && plan->sliceBytes(i) <= plan->gsoSize);
      sum += plan->sliceBytes(i);
    }
    require(sum == plan->payload && plan->headerLength + sum == ip.totalLength);
  }
}

void checkSlice(const uint8_t* data, size_t length) {
  const auto slice = parseSlice(data, length);
  if (!slice) return;
  require(slice->payload >= data && slice->payload + slice->length <= data + length);
  if (slice->plan.headerLength == 0) {
    require(slice->desc.csumStart + slice->desc.csumOffset + 2u <= slice->length);
    return;
  }
  uint8_t header[256];
  std::memcpy(header, slice->header, slice->plan.headerLength);
  trimHeaders(header, slice->ip, slice->plan, slice->desc.index, 1);
  checkLengths(header, slice->ip, slice->plan.headerLength + slice->length);
}

/// The packet, and as many copies as its last byte says, each one segment or datagram further: what is joined adds up.
void checkTrain(const uint8_t* data, size_t length) {
  IpHeader ip;
  if (length < 2 || !parseIp(data, length - 1, ip)) return;
  const Whole first{ip, data, {kVnetNeedsCsum, kGsoNone, 0, 0, ip.headerLength, static_cast<uint16_t>(ip.protocol == kProtocolTcp ? 16 : 6)}};
  if (!Train::joinable(first)) return;
  require(first.headerBytes() < ip.totalLength && first.headerBytes() <= 120);
  Train train;
  train.start(first);
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[ip.totalLength]);
  std::memcpy(copy.get(), data, ip.totalLength);
  uint32_t payload = first.payloadBytes();
  for (unsigned n = 1; n <= data[length - 1] % 70u; ++n) {
    if (!ip.v6) storeBe16(copy.get() + 4, static_cast<uint16_t>(loadBe16(data + 4) + n));
    if (first.tcp()) storeBe32(copy.get() + ip.headerLength + 4, loadBe32(first.transport() + 4) + n * first.payloadBytes());
    if (!ip.v6) writeIpv4Checksum(copy.get(), ip.headerLength);
    const Whole next{ip, copy.get(), first.vnet};
    if (!train.takes(next)) break;
    train.add(next);
    payload += next.payloadBytes();
  }
  uint8_t header[120];
  train.writeHeader(header);
  require(train.count() <= Train::kMaxPackets);
  checkLengths(header, ip, first.headerBytes() + payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  if (length == 0) return 0;
  // A copy of the exact size, so that a read past the end is seen.
  const size_t size = length - 1;
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
  std::memcpy(copy.get(), data + 1, size);
  switch (data[0] % 4) {
    case 0:
      checkDatagram(copy.get(), size);
      checkRelay(copy.get(), size);
      break;
    case 1:
      checkPacket(copy.get(), size);
      break;
    case 2:
      checkTrain(copy.get(), size);
      break;
    default:
      checkSlice(copy.get(), size);
  }
  return 0;
}
