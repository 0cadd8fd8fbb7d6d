#include "carrier.h"

#include "sidings.h"

namespace tuntap {

Peer* Carrier::sender(const RelayHeader& header, const Endpoint& from) const {
  Session* session = parts_.tables.session(header.index);
  if (session == nullptr || !session->confirmed.load(std::memory_order_relaxed)) return nullptr;
  return session->peer.endpoint.load() == from ? &session->peer : nullptr;
}

/// Only to a peer that has a key with this host and is reached directly: what is carried is carried once.
void Carrier::take(const RelayHeader& header, uint8_t* data, size_t length, const Endpoint& from, uint8_t ecn) {
  if (!parts_.carries) return counters_.dropped(Drop::relayOff);
  Peer* source = sender(header, from);
  if (source == nullptr) return counters_.dropped(Drop::relayStranger);
  Peer* last = parts_.tables.named(header.name);
  Session* session = last == nullptr || last == source || last->carrier.load() != 0 ? nullptr : last->sending.load();
  const Endpoint to = session == nullptr ? Endpoint{} : last->endpoint.load();
  if (!to.known()) return counters_.droppedOf(source->slot, Drop::relayNowhere);

  RelayHeader{RelayHeader::Way::toLast, header.lane, session->sendIndex, header.name}.encode(data);
  // A run is what came in one: its datagrams stand behind one another.
  Run* run = used_ > 0 && parts_.udp.features().segmentation ? &runs_[used_ - 1] : nullptr;
  if (run != nullptr && run->data + run->bytes == data && run->takes(length, source->slot, to, ecn)) {
    run->add(length);
  } else {
    if (used_ == kMaxRuns) flush();
    runs_[used_++] = Run{to, data, static_cast<uint32_t>(length), static_cast<uint16_t>(length), 1, ecn, Sidings::kMain, source->slot, 0, 0, 0};
  }
}

/// What this host sends itself goes first: others' datagrams are dropped while more than a part of the queue is taken.
void Carrier::flush() {
  if (used_ == 0) return;
  const std::span<Run> runs{runs_.data(), used_};
  if (parts_.udp.waiting(Sidings::kMain) > carriedBelow(parts_.udp.queueBytes(Sidings::kMain)))
    for (Run& run : runs) run.refused = run.datagrams;
  else
    parts_.udp.send(runs);
  for (const Run& run : runs) {
    if (run.refused != 0) counters_.droppedOf(run.slot, Drop::relayQueue, run.refused);
    counters_.relayed(run.slot, uint64_t{run.bytes} * (run.datagrams - run.refused) / run.datagrams);
  }
  used_ = 0;
}

}  // namespace tuntap
