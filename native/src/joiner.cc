#include "joiner.h"

#include <cstring>

namespace tuntap {

bool Joiner::add(const Session& session, unsigned lane, const Slice& slice) {
  if (slice.desc.gsoType == kGsoNone)
    return addWhole({slice.ip, slice.header, {kVnetNeedsCsum, kGsoNone, 0, 0, slice.desc.csumStart, slice.desc.csumOffset}});
  bool written = true;
  if (count_ > 0 && !continues(session, lane, slice)) written = flush();
  if (count_ == 0) {
    session_ = &session;
    lane_ = lane;
    first_ = slice;
  }
  parts_[2 + count_++] = {const_cast<uint8_t*>(slice.payload), slice.length};
  const bool last = slice.desc.index + 1u == slice.plan.count;
  if (last || count_ == kMaxJoined) written = flush() && written;
  return written;
}

bool Joiner::addWhole(const Whole& packet) {
  if (joinable(packet)) return addToTrain(packet);
  const bool written = flush();
  return write(packet.vnet, packet.data, packet.ip.totalLength) && written;
}

/// What the device was granted is about packets that are read. Written ones may be cut since there are virtio-net headers, but datagrams
/// only since USO.
bool Joiner::joinable(const Whole& packet) const {
  return (packet.tcp() || tun_.features().udpSegmentation) && Train::joinable(packet);
}

bool Joiner::addToTrain(const Whole& packet) {
  bool written = true;
  if (train_ && packets_.takes(packet)) {
    packets_.add(packet);
  } else {
    written = flush();
    packets_.start(packet);
    train_ = true;
  }
  parts_[2 + count_++] = {const_cast<uint8_t*>(packet.payload()), packet.payloadBytes()};
  return packets_.closed() ? flush() && written : written;
}

/// The headers must agree to the last byte, so that one check of source and destination speaks for the whole.
bool Joiner::continues(const Session& session, unsigned lane, const Slice& slice) const {
  return !train_ && session_ == &session && lane_ == lane && slice.desc.index == first_.desc.index + count_ &&
         slice.desc.samePacket(first_.desc) && std::memcmp(slice.header, first_.header, first_.plan.headerLength) == 0;
}

bool Joiner::flush() {
  if (count_ == 0) return true;
  return train_ ? flushTrain() : flushSlices();
}

bool Joiner::flushTrain() {
  const Whole& first = packets_.first();
  train_ = false;
  if (packets_.count() == 1) {
    count_ = 0;
    return write(first.vnet, first.data, first.ip.totalLength);
  }
  uint8_t header[60 + 60];
  packets_.writeHeader(header);
  return write(packets_.vnet(), header, first.headerBytes());
}

bool Joiner::flushSlices() {
  VnetHeader vnet{kVnetNeedsCsum, kGsoNone, first_.plan.headerLength, 0, first_.desc.csumStart, first_.desc.csumOffset};
  if (count_ > 1) {
    vnet.gsoType = first_.desc.gsoType;
    vnet.gsoSize = first_.plan.gsoSize;
  }
  if (count_ == first_.plan.count) return write(vnet, first_.header, first_.plan.headerLength);

  uint8_t header[256];
  std::memcpy(header, first_.header, first_.plan.headerLength);
  trimHeaders(header, first_.ip, first_.plan, first_.desc.index, count_);
  return write(vnet, header, first_.plan.headerLength);
}

bool Joiner::write(const VnetHeader& vnet, const uint8_t* header, size_t headerLength) {
  parts_[0] = {const_cast<VnetHeader*>(&vnet), sizeof vnet};
  parts_[1] = {const_cast<uint8_t*>(header), headerLength};
  const int parts = static_cast<int>(2 + count_);
  count_ = 0;
  return tun_.write(parts_.data(), parts);
}

}  // namespace tuntap
