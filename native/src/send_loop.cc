#include "send_loop.h"

#include <errno.h>
#include <poll.h>

#include <cstring>

#include "clock.h"
#include "too_big.h"

namespace tuntap {

void SendLoop::run() {
  while (!broken_ && !parts_.stopping.load(std::memory_order_relaxed)) {
    const bool empty = step();
    parts_.turn.note(taken_);
    if (!empty || broken_) continue;
    parts_.turn.rest();
    const bool gone = !waitForPackets();
    if (!parts_.turn.resume()) parts_.turn.await();
    if (gone) fail(ENODEV);
  }
}

bool SendLoop::step() {
  const unsigned seat = 2 * parts_.queue;
  parts_.tables.grace.enter(seat);
  const bool more = fillBatch();
  flush();
  if (parts_.tables.grace.leave(seat)) parts_.events.poke();
  return !more;
}

/// False when the TUN is empty.
bool SendLoop::fillBatch() {
  batch_.begin(parts_.udp.features().segmentation);
  uint8_t* packet = &buffer_[kHeadroom];
  for (taken_ = {}; taken_.messages < kFlushPackets && batch_.bytes() < kFlushBytes; ++taken_.messages) {
    VnetHeader vnet;
    const ssize_t got = parts_.tun.read(packet - sizeof vnet, sizeof vnet + 65'536);
    if (got < 0) {
      if (errno == EINTR) continue;
      waiting_.emptied();
      if (errno != EAGAIN) fail(errno);
      return false;
    }
    if (static_cast<size_t>(got) <= sizeof vnet) {
      counters_.dropped(Drop::txMalformed);
      continue;
    }
    taken_.bytes += static_cast<size_t>(got);
    // Copied: the description of the first slice will overwrite it.
    std::memcpy(&vnet, packet - sizeof vnet, sizeof vnet);
    forward(packet, static_cast<size_t>(got) - sizeof vnet, vnet);
  }
  return true;
}

void SendLoop::forward(uint8_t* packet, size_t length, const VnetHeader& vnet) {
  IpHeader ip;
  if (!parseIp(packet, length, ip)) return counters_.dropped(Drop::txMalformed);
  const int owner = parts_.tables.ownerOf(ip.destinationIn(packet), ip.v6);
  if (owner <= 0) return counters_.dropped(Drop::txNoRoute);
  if (parts_.tables.ownerOf(ip.sourceIn(packet), ip.v6) != 0) return counters_.dropped(Drop::txSource);
  Peer* peer = parts_.tables.peer(static_cast<unsigned>(owner));
  if (peer == nullptr) return counters_.dropped(Drop::txNoKey);
  toPeer(*peer, packet, ip, vnet);
}

void SendLoop::toPeer(Peer& peer, uint8_t* packet, const IpHeader& ip, const VnetHeader& vnet) {
  Session* session = peer.sending.load();
  if (session == nullptr) {
    if (dueAgain(peer.nextKeyWanted, kKeyWantedInterval)) parts_.events.raise(peer, EventBox::keyWanted);
    return counters_.droppedOf(peer.slot, Drop::txNoKey);
  }
  Peer* hop = &peer;
  uint32_t hopIndex = 0;
  if (const unsigned carrier = peer.carrier.load(std::memory_order_relaxed); carrier != 0) {
    hop = parts_.tables.peer(carrier);
    const Session* between = hop == nullptr ? nullptr : hop->sending.load();
    if (between == nullptr) return counters_.droppedOf(peer.slot, Drop::txNoKey);
    hopIndex = between->sendIndex;
  }
  const unsigned siding = sidings_.of(peer.slot);
  const Way way{peer, *session, *hop, hopIndex, hop->endpoint.load(), static_cast<uint8_t>(ip.serviceIn(packet) & parts_.tosMask), static_cast<uint8_t>(siding)};
  if (!way.to.known()) return counters_.droppedOf(peer.slot, Drop::txNoKey);
  // Before anything is sealed: a packet that will not find room should cost little.
  if (siding != Sidings::kMain && parts_.udp.waiting(siding) > fullAt(parts_.udp.queueBytes(siding)))
    return counters_.droppedOf(peer.slot, Drop::txQueue);
  if (vnet.gsoType == kGsoNone) {
    if (!tooLong(way, packet, ip, ip.totalLength)) forwardWhole(way, packet, ip, vnet);
    return;
  }

  const auto plan =
      planSlices(packet, ip.totalLength, ip, vnet.gsoType, vnet.flags & kVnetNeedsCsum, vnet.gsoSize, vnet.csumStart, vnet.csumOffset);
  if (!plan) return counters_.droppedOf(peer.slot, Drop::txMalformed);
  if (!tooLong(way, packet, ip, plan->headerLength + size_t{plan->gsoSize})) forwardSlices(way, packet, *plan, vnet);
}

/// True when the path would lose it, or, by a carrier, takes less than others, and so its sender was told (RFC 4459 §3.2): no router of IPv6
/// fragments, and what they say of a narrow wire may be lost. `longest` is the longest packet that it is cut into.
bool SendLoop::tooLong(const Way& way, const uint8_t* packet, const IpHeader& ip, size_t longest) {
  constexpr size_t kOuter = 40 + 8 + kOverheadBytes + kDescBytes;
  const size_t header = &way.hop == &way.peer ? 0 : RelayHeader::kBytes;
  const size_t fits = way.peer.carriedMtu.load(std::memory_order_relaxed);
  // An IPv4 packet whose sender allows it may be fragmented on the outside instead.
  if (header != 0 && longest > fits && (ip.v6 || (packet[6] & 0x40) != 0)) {
    tell(way.peer, packet, ip, fits);
    return true;
  }
  const size_t mtu = ip.v6 ? kLeastIpv6Mtu : kLeastIpv6Mtu - kOuter - header;
  if (longest <= mtu || way.to.isIpv4()) return false;
  Peer& peer = way.hop;
  if (peer.answered.load(std::memory_order_relaxed) == peer.asking.load(std::memory_order_relaxed)) return false;
  if (dueAgain(peer.nextProbe, kProbeInterval)) parts_.events.raise(peer, EventBox::probeDue);
  if (coarseNow() < peer.askedAt.load(std::memory_order_relaxed) + kProbePatience) return false;
  tell(way.peer, packet, ip, mtu);
  return true;
}

void SendLoop::tell(Peer& peer, const uint8_t* packet, const IpHeader& ip, size_t mtu) {
  counters_.droppedOf(peer.slot, Drop::txTooLong);
  if (!dueAgain(peer.nextTooLong, kTooLongInterval)) return;
  uint8_t message[kTooBigBytes];
  VnetHeader plain{};
  const size_t length = tooBig(packet, ip, mtu, message);
  const iovec parts[2] = {{&plain, sizeof plain}, {message, length}};
  if (length > 0) parts_.tun.write(parts, 2);
}

/// A packet that fits the wire. When its checksum is still to be done, that stays so until it is in the other host's kernel; unless it
/// stands behind more headers than a description can tell of.
void SendLoop::forwardWhole(const Way& way, uint8_t* packet, const IpHeader& ip, const VnetHeader& vnet) {
  const size_t length = ip.totalLength;
  if ((vnet.flags & kVnetNeedsCsum) == 0) {
    seal(way, DatagramType::packet, packet, length, length);
    return;
  }
  if (vnet.csumStart < ip.headerLength || size_t{vnet.csumStart} + vnet.csumOffset + 2 > length)
    return counters_.droppedOf(way.peer.slot, Drop::txMalformed);
  if (vnet.csumStart > kMaxHeader || vnet.csumOffset > kMaxHeader) {
    completeChecksum(packet + vnet.csumStart, packet + length, vnet.csumOffset);
    seal(way, DatagramType::packet, packet, length, length);
    return;
  }
  const SliceDesc desc{kGsoNone, kVnetNeedsCsum, 0, static_cast<uint8_t>(vnet.csumStart), static_cast<uint8_t>(vnet.csumOffset), 0, 0, 0};
  desc.encode(packet - kDescBytes);
  seal(way, DatagramType::slice, packet - kDescBytes, kDescBytes + length, length);
}

/// Each slice is sealed straight from where the kernel put it: its headers go into the bytes in front of it, which belong to slices
/// that are sealed already.
void SendLoop::forwardSlices(const Way& way, uint8_t* packet, const SlicePlan& plan, const VnetHeader& vnet) {
  uint8_t header[256];
  std::memcpy(header, packet, plan.headerLength);
  SliceDesc desc{vnet.gsoType,
                 kVnetNeedsCsum,
                 plan.gsoSize,
                 static_cast<uint8_t>(vnet.csumStart),
                 static_cast<uint8_t>(vnet.csumOffset),
                 plan.headerLength,
                 0,
                 nextSuperId_++};
  const bool tcp = vnet.gsoType != kGsoUdp;
  const uint32_t lost = tcp && waiting_.leave(plan.payload) ? 1 : 0;
  if (lost != 0) counters_.droppedOf(way.peer.slot, Drop::txQueue, lost);
  for (uint32_t i = lost; i < plan.count; ++i) {
    const uint32_t slice = plan.sliceBytes(i);
    uint8_t* plain = packet + static_cast<size_t>(i) * plan.gsoSize - kDescBytes;
    std::memcpy(plain + kDescBytes, header, plan.headerLength);
    desc.index = static_cast<uint16_t>(i);
    desc.encode(plain);
    const size_t inner = size_t{plan.headerLength} + slice;
    if (!seal(way, DatagramType::slice, plain, kDescBytes + inner, inner)) return;
  }
}

/// False when the key is used up; the drop is counted.
bool SendLoop::seal(const Way& way, DatagramType type, const uint8_t* plain, size_t length, size_t innerBytes) {
  const unsigned number = laneFor(parts_.queue, parts_.queues, way.session.sendIndex);
  SendLane& lane = way.session.lanes[number];
  if (lane.counter >= parts_.limits.rejectAfter) {
    counters_.droppedOf(way.peer.slot, Drop::txExhausted);
    return false;
  }
  const size_t before = &way.hop == &way.peer ? 0 : RelayHeader::kBytes;
  const size_t total = before + kOverheadBytes + length;
  if (total > kMaxRunBytes) {
    counters_.droppedOf(way.peer.slot, Drop::txMalformed);
    return false;
  }
  uint8_t* out = batch_.reserve(total);
  if (out == nullptr) {
    flush();
    out = batch_.reserve(total);
  }
  if (before != 0) RelayHeader{RelayHeader::Way::toCarrier, static_cast<uint8_t>(number), way.hopIndex, way.peer.name}.encode(out);
  out += before;
  const uint64_t counter = lane.counter++;
  uint8_t nonce[kNonceBytes];
  Aead::nonceOf(static_cast<uint8_t>(number), counter, nonce);
  DatagramHeader{type, static_cast<uint8_t>(number), way.session.sendIndex, counter}.encode(out);
  if (!lane.aead.seal(nonce, out, kHeaderBytes, plain, length, out + kHeaderBytes)) {
    counters_.droppedOf(way.peer.slot, Drop::txQueue);
    return false;
  }
  batch_.commit(total, way.peer.slot, way.to, way.tos, way.siding, innerBytes);
  if (counter + 1 >= parts_.limits.rekeyAfter && !way.session.rekeyAsked.exchange(true))
    parts_.events.raise(way.peer, EventBox::rekeyDue);
  return true;
}

void SendLoop::flush() {
  const auto runs = batch_.runs();
  if (runs.empty()) return;
  parts_.udp.send(runs);
  for (const Run& run : runs) {
    if (run.refused != 0) counters_.droppedOf(run.slot, Drop::txQueue, run.refused);
    // Sizes within a run are equal but for the last, so a part of a run is counted by its share.
    if (run.refused < run.datagrams) {
      const uint64_t sent = run.innerPackets - run.refused;
      counters_.passed(run.slot, sent, run.innerBytes * sent / run.innerPackets);
    }
  }
  watchQueues();
  batch_.begin(parts_.udp.features().segmentation);
}

/// Moves peers between the main socket and the sidings, for the batches to come.
void SendLoop::watchQueues() {
  UdpSocket& udp = parts_.udp;
  if (udp.sidings() == 0) return;
  const bool crowded = udp.waiting(Sidings::kMain) > crowdedAt(udp.queueBytes(Sidings::kMain));
  if (!crowded && !sidings_.any()) return;
  const int64_t now = coarseNow();
  sidings_.review(now, crowded, [&udp](unsigned siding) { return udp.waiting(siding) < calmBelow(udp.queueBytes(siding)); });
  if (!crowded) return;
  for (const Run& run : batch_.runs())
    if (sidings_.of(run.slot) == Sidings::kMain) sidings_.suspect(run.slot, now);
}

/// False when the device is gone.
bool SendLoop::waitForPackets() const {
  pollfd ready[2] = {{parts_.tun.fd(), POLLIN, 0}, {wakeFd_, POLLIN, 0}};
  return poll(ready, 2, -1) <= 0 || (ready[0].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0;
}

void SendLoop::fail(int error) {
  broken_ = true;
  parts_.events.fail(EventBox::Failure::device, error);
}

}  // namespace tuntap
