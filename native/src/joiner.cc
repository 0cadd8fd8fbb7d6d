#include "joiner.h"

#include <cstring>

namespace tuntap {

bool Joiner::add(const Session& session, unsigned lane, const Slice& slice) {
  if (slice.desc.gsoType == kGsoNone) return addWholePartial(slice);
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

bool Joiner::addWhole(const uint8_t* packet, size_t length) {
  const bool written = flush();
  const VnetHeader plain{};
  return write(plain, packet, length) && written;
}

/// A whole packet whose checksum is still to be done.
bool Joiner::addWholePartial(const Slice& slice) {
  if (tun_.features().udpSegmentation && UdpTrain::joinable(slice)) return addToTrain(slice);
  const bool written = flush();
  const VnetHeader vnet{kVnetNeedsCsum, kGsoNone, 0, 0, slice.desc.csumStart, slice.desc.csumOffset};
  return write(vnet, slice.header, slice.length) && written;
}

bool Joiner::addToTrain(const Slice& slice) {
  bool written = true;
  if (train_ && datagrams_.takes(slice)) {
    datagrams_.add(slice);
  } else {
    written = flush();
    datagrams_.start(slice);
    train_ = true;
  }
  parts_[2 + count_++] = {const_cast<uint8_t*>(UdpTrain::payload(slice)), UdpTrain::payloadOf(slice)};
  return datagrams_.closed() ? flush() && written : written;
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
  const Slice& first = datagrams_.first();
  train_ = false;
  VnetHeader vnet{kVnetNeedsCsum, kGsoNone, 0, 0, first.desc.csumStart, first.desc.csumOffset};
  if (datagrams_.count() == 1) {
    count_ = 0;
    return write(vnet, first.header, first.length);
  }
  uint8_t header[64 + 8];
  datagrams_.writeHeader(header);
  vnet.headerLength = static_cast<uint16_t>(datagrams_.headerBytes());
  vnet.gsoType = kGsoUdp;
  vnet.gsoSize = datagrams_.datagramPayload();
  return write(vnet, header, datagrams_.headerBytes());
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
