#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "bytes.h"
#include "constants.h"

/// One datagram between two peers. Numbers are big-endian.
///
///    0      1      2      3      4                8                        16
///    +------+------+------+------+----------------+------------------------+--------------//--------------+-----------+
///    | type | lane |  0   |  0   | receiver index |        counter         |          ciphertext          | tag (16)  |
///    +------+------+------+------+----------------+------------------------+--------------//--------------+-----------+
///    |<------------------ in clear, authenticated ------------------------>|
///
/// The nonce is lane | 0 0 0 | counter. Inside the ciphertext:
///   type 1: one IP packet, or nothing: a keepalive.
///   type 2: a description (12 bytes), the headers of a packet that was larger than the wire, and one slice of its payload. Every
///           such datagram stands alone: the receiver can make a valid IP packet of it, or join it with its neighbours.
///   type 3: a question (0) or its answer (1), 1 byte; its number, 4 bytes; and zeros. A question about sizes is as long as the longest datagram of
///           its sender; one whose number has its highest bit set asks whether anything passes, and is short.
///
/// A third host may carry a datagram between two that cannot reach each other. In front of it then stands:
///
///    0      1      2      3      4                8                        16
///    +------+------+------+------+----------------+------------------------+-----------//------------+
///    | type | lane |  0   |  0   | receiver index |    name of the last    |       the datagram      |
///    +------+------+------+------+----------------+------------------------+-----------//------------+
///
/// Type 4 goes to the one that carries, type 5 from there to the last. The index belongs to a key between the two ends of this part of the way,
/// and says who has sent it; the lane is the datagram's.
///
///    0          1       2           4            5             6               7     8       10         12
///    +----------+-------+-----------+------------+-------------+---------------+-----+-------+----------+
///    | gso type | flags | gso size  | csum start | csum offset | header length |  0  | index | super id |
///    +----------+-------+-----------+------------+-------------+---------------+-----+-------+----------+
namespace tuntap {

constexpr size_t kHeaderBytes = 16;
constexpr size_t kDescBytes = 12;
constexpr size_t kOverheadBytes = kHeaderBytes + kTagBytes;

enum class DatagramType : uint8_t { packet = 1, slice = 2, probe = 3 };

struct DatagramHeader {
  DatagramType type;
  uint8_t lane;
  uint32_t index;
  uint64_t counter;

  void encode(uint8_t* out) const {
    out[0] = static_cast<uint8_t>(type);
    out[1] = lane;
    out[2] = 0;
    out[3] = 0;
    storeBe32(out + 4, index);
    storeBe64(out + 8, counter);
  }

  /// Nothing when the datagram is too short, of an unknown type, or carries bits that nobody has given a meaning.
  static std::optional<DatagramHeader> decode(const uint8_t* data, size_t length) {
    if (length < kOverheadBytes) return std::nullopt;
    if (data[0] < 1 || data[0] > 3) return std::nullopt;
    if (data[1] >= kLanes || data[2] != 0 || data[3] != 0) return std::nullopt;
    return DatagramHeader{static_cast<DatagramType>(data[0]), data[1], loadBe32(data + 4), loadBe64(data + 8)};
  }
};

/// What stands before a datagram that is carried; nothing in it is a secret, and nothing is believed without looking who sent it.
struct RelayHeader {
  static constexpr size_t kBytes = 16;
  enum class Way : uint8_t { toCarrier = 4, toLast = 5 };

  Way way;
  uint8_t lane;
  uint32_t index;
  uint64_t name;

  void encode(uint8_t* out) const {
    out[0] = static_cast<uint8_t>(way);
    out[1] = lane;
    out[2] = 0;
    out[3] = 0;
    storeBe32(out + 4, index);
    storeBe64(out + 8, name);
  }

  /// Whether this is for RelayHeader::decode.
  static bool stands(const uint8_t* data, size_t length) { return length > 0 && (data[0] == 4 || data[0] == 5); }

  /// Nothing unless a well-formed datagram is behind it: so what is carried is never carried again.
  static std::optional<RelayHeader> decode(const uint8_t* data, size_t length) {
    if (length < kBytes || !stands(data, length) || data[2] != 0 || data[3] != 0) return std::nullopt;
    const auto inner = DatagramHeader::decode(data + kBytes, length - kBytes);
    if (!inner || inner->lane != data[1]) return std::nullopt;
    return RelayHeader{static_cast<Way>(data[0]), data[1], loadBe32(data + 4), loadBe64(data + 8)};
  }
};

/// The lane of a sending thread; each has its own. The receiver's kernel gives a datagram to the socket whose number is lane + receiver index,
/// modulo their count (UdpSocket::openSidings). So a peer with as many queues takes what thread n sent with its n-th, whatever the index: a
/// kernel sends a flow by the queue of the device that it last came out of, and one that changed queues with each answer would be reordered.
constexpr unsigned laneFor(unsigned queue, unsigned queues, uint32_t receiverIndex) {
  return (queue + queues - receiverIndex % queues) % queues;
}

/// Whether a datagram of full size passes, or any: asked and answered.
struct Probe {
  static constexpr size_t kBytes = 5;
  /// Of what is asked a question may be open at the same time: sizes, the direct way, the way by a carrier. The number says which.
  static constexpr unsigned kSubjects = 3;
  static constexpr uint32_t kReach = 0x8000'0000;
  static constexpr uint32_t kCarried = 0x4000'0000;
  enum class Kind : uint8_t { question, answer };

  Kind kind;
  uint32_t number;

  /// 0: sizes, 1: the direct way, 2: the way by a carrier.
  unsigned subject() const { return (number & kReach) == 0 ? 0 : (number & kCarried) == 0 ? 1 : 2; }

  void encode(uint8_t* out) const {
    out[0] = static_cast<uint8_t>(kind);
    storeBe32(out + 1, number);
  }

  static std::optional<Probe> decode(const uint8_t* data, size_t length) {
    if (length < kBytes || data[0] > 1) return std::nullopt;
    return Probe{static_cast<Kind>(data[0]), loadBe32(data + 1)};
  }
};

/// How a packet was cut: the fields of the virtio-net header that a receiver needs to join it again.
struct SliceDesc {
  uint8_t gsoType;
  uint8_t flags;
  uint16_t gsoSize;
  uint8_t csumStart;
  uint8_t csumOffset;
  /// Bytes of IP and transport header in front of the payload; 0 when the packet is whole.
  uint8_t headerLength;
  uint16_t index;
  uint16_t superId;

  void encode(uint8_t* out) const {
    out[0] = gsoType;
    out[1] = flags;
    storeBe16(out + 2, gsoSize);
    out[4] = csumStart;
    out[5] = csumOffset;
    out[6] = headerLength;
    out[7] = 0;
    storeBe16(out + 8, index);
    storeBe16(out + 10, superId);
  }

  static std::optional<SliceDesc> decode(const uint8_t* data, size_t length) {
    if (length < kDescBytes || data[7] != 0) return std::nullopt;
    return SliceDesc{data[0], data[1], loadBe16(data + 2), data[4], data[5], data[6], loadBe16(data + 8), loadBe16(data + 10)};
  }

  /// True for two slices of one packet, whatever their places in it.
  bool samePacket(const SliceDesc& other) const {
    return gsoType == other.gsoType && flags == other.flags && gsoSize == other.gsoSize && csumStart == other.csumStart &&
           csumOffset == other.csumOffset && headerLength == other.headerLength && superId == other.superId;
  }
};

}  // namespace tuntap
