#include "receive_loop.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>

#include <cstring>

#include "clock.h"
#include "ecn.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace tuntap {

namespace {

/// What the kernel says beside a message.
struct Beside {
  /// The size of its datagrams; the last may be shorter. Said only when there is more than one.
  size_t datagramBytes;
  /// The code point in the outer header, the same for all of them: the kernel joins no others.
  uint8_t ecn;
};

Beside besideOf(const msghdr& message, size_t length) {
  Beside beside{length, kEcnNone};
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(const_cast<msghdr*>(&message), at)) {
    int value = 0;
    if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TOS) {
      beside.ecn = *CMSG_DATA(at) & kEcnMask;
      continue;
    }
    if (at->cmsg_len < CMSG_LEN(sizeof value)) continue;
    std::memcpy(&value, CMSG_DATA(at), sizeof value);
    if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_TCLASS) beside.ecn = static_cast<uint8_t>(value & kEcnMask);
    if (at->cmsg_level == IPPROTO_UDP && at->cmsg_type == UDP_GRO && value > 0) beside.datagramBytes = static_cast<size_t>(value);
  }
  return beside;
}

/// Errors that speak of one datagram or of a bad moment; the socket goes on.
bool passing(int error) {
  return error == EINTR || error == EAGAIN || error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
         error == ENETDOWN || error == ENOBUFS || error == ENOMEM || error == EMSGSIZE || error == EPROTO;
}

}  // namespace

ReceiveLoop::ReceiveLoop(LoopParts parts, Counters counters, SendLoop& out)
    : parts_(parts), counters_(counters), joiner_(parts.tun), carrier_(parts, counters), out_(out) {
  for (size_t i = 0; i < kReceiveSlots; ++i) {
    vectors_[i] = {&area_[i * kReceiveSlotBytes], kReceiveSlotBytes};
    messages_[i].msg_hdr.msg_name = &senders_[i];
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_control = controls_[i].bytes;
  }
}

void ReceiveLoop::run() {
  while (!broken_ && !parts_.stopping.load(std::memory_order_relaxed)) {
    const Taken taken = receiveBatch(MSG_WAITFORONE);
    parts_.turn.note(taken);
    if (!taken.crowded() && parts_.turn.take()) both();
  }
}

/// Both directions, until packets crowd.
void ReceiveLoop::both() {
  pollfd ready[2] = {{parts_.udp.fd(), POLLIN, 0}, {parts_.tun.fd(), POLLIN, 0}};
  Taken in;
  do {
    out_.step();
    parts_.turn.note(out_.taken());
    if (in.crowded() || out_.taken().crowded() || poll(ready, 2, -1) < 0) break;
    in = ready[0].revents == 0 ? Taken{} : receiveBatch(MSG_DONTWAIT);
    parts_.turn.note(in);
  } while (!broken_ && (ready[1].revents & ~POLLIN) == 0 && !parts_.stopping.load(std::memory_order_relaxed));
  parts_.turn.giveBack();
}

/// Waits for the first message outside of the tables' grace period. A packet whose end has not come yet is worth a second look at the
/// socket: the sender hands all of it to its kernel in one call.
Taken ReceiveLoop::receiveBatch(int flags) {
  const unsigned seat = 2 * parts_.queue + 1;
  size_t used = 0;
  Taken taken;
  int got = receive(0, flags);
  parts_.tables.grace.enter(seat);
  while (got > 0) {
    for (const size_t end = used + static_cast<size_t>(got); used < end; ++used) {
      takeMessage(messages_[used], &area_[used * kReceiveSlotBytes]);
      taken.bytes += messages_[used].msg_len;
    }
    taken.messages = static_cast<unsigned>(used);
    if (!joiner_.waiting() || used == kReceiveSlots) break;
    got = receive(used, MSG_DONTWAIT);
  }
  if (!joiner_.flush()) counters_.dropped(Drop::rxQueue);
  carrier_.flush();
  if (parts_.tables.grace.leave(seat)) parts_.events.poke();
  return taken;
}

int ReceiveLoop::receive(size_t firstSlot, int flags) {
  for (size_t i = firstSlot; i < kReceiveSlots; ++i) {
    messages_[i].msg_hdr.msg_namelen = sizeof senders_[i];
    messages_[i].msg_hdr.msg_controllen = sizeof controls_[i].bytes;
  }
  const int got = recvmmsg(parts_.udp.fd(), &messages_[firstSlot], static_cast<unsigned>(kReceiveSlots - firstSlot), flags, nullptr);
  if (got < 0 && !passing(errno)) {
    broken_ = true;
    parts_.events.fail(EventBox::Failure::socket, errno);
  }
  return got;
}

void ReceiveLoop::takeMessage(const mmsghdr& message, uint8_t* data) {
  const size_t length = message.msg_len;
  if (length == 0) {
    if (!parts_.stopping.load(std::memory_order_relaxed)) counters_.dropped(Drop::rxMalformed);
    return;
  }
  const Beside beside = besideOf(message.msg_hdr, length);
  const size_t each = beside.datagramBytes;
  const Endpoint from =
      Endpoint::fromKernel(*static_cast<const sockaddr_in6*>(message.msg_hdr.msg_name), message.msg_hdr.msg_namelen);
  for (size_t offset = 0; offset < length; offset += each)
    take(data + offset, std::min(each, length - offset), from, beside.ecn);
}

void ReceiveLoop::take(uint8_t* data, size_t length, const Endpoint& from, uint8_t ecn) {
  if (RelayHeader::stands(data, length)) return takeCarried(data, length, from, ecn);
  takeDatagram(data, length, from, nullptr, ecn);
}

void ReceiveLoop::takeCarried(uint8_t* data, size_t length, const Endpoint& from, uint8_t ecn) {
  const auto header = RelayHeader::decode(data, length);
  if (!header) return counters_.dropped(Drop::rxMalformed);
  if (header->way == RelayHeader::Way::toCarrier) return carrier_.take(*header, data, length, from, ecn);
  const Peer* carrier = carrier_.sender(*header, from);
  if (carrier == nullptr) return counters_.dropped(Drop::relayStranger);
  takeDatagram(data + RelayHeader::kBytes, length - RelayHeader::kBytes, from, carrier, ecn);
}

void ReceiveLoop::takeDatagram(uint8_t* data, size_t length, const Endpoint& from, const Peer* carrier, uint8_t ecn) {
  const auto header = DatagramHeader::decode(data, length);
  if (!header) return counters_.dropped(Drop::rxMalformed);
  Session* session = parts_.tables.session(header->index);
  if (session == nullptr) return counters_.dropped(Drop::rxNoKey);
  const unsigned slot = session->peer.slot;
  if (header->counter >= kRejectAfterPackets) return counters_.droppedOf(slot, Drop::rxReplayed);
  const ReplayWindow* seen = session->window(header->lane);
  if (seen != nullptr && seen->stale(header->counter)) return counters_.droppedOf(slot, Drop::rxReplayed);

  uint8_t nonce[kNonceBytes];
  Aead::nonceOf(header->lane, header->counter, nonce);
  const size_t bodyLength = length - kOverheadBytes;
  if (!session->openers[parts_.queue].open(nonce, data, kHeaderBytes, data + kHeaderBytes, bodyLength))
    return counters_.droppedOf(slot, Drop::rxForged);

  ReplayWindow* window = session->makeWindow(header->lane);
  const auto mark = window == nullptr ? ReplayWindow::Mark::seen : window->mark(header->counter);
  if (mark == ReplayWindow::Mark::seen) return counters_.droppedOf(slot, Drop::rxReplayed);
  // Where it came from says nothing of its sender when another host has carried it.
  noteSender(*session, mark == ReplayWindow::Mark::newest && carrier == nullptr, from);
  if (header->type == DatagramType::probe) return takeProbe(session->peer, carrier, data + kHeaderBytes, bodyLength);
  takeBody(*session, *header, data + kHeaderBytes, bodyLength, ecn);
}

/// An authentic packet proves that the peer has the key, and where it is now; an old one that was held up says nothing of the latter.
void ReceiveLoop::noteSender(Session& session, bool newest, const Endpoint& from) {
  Peer& peer = session.peer;
  if (!session.confirmed.load(std::memory_order_relaxed) && !session.confirmed.exchange(true))
    parts_.events.raise(peer, EventBox::keyConfirmed);
  if (!newest || !from.known() || peer.endpoint.load() == from) return;
  if (!dueAgain(peer.nextRoam, kRoamInterval)) return;
  peer.endpoint.store(from);
  parts_.events.raise(peer, EventBox::roamed);
}

void ReceiveLoop::takeBody(Session& session, const DatagramHeader& header, uint8_t* body, size_t length, uint8_t ecn) {
  const unsigned slot = session.peer.slot;
  if (header.type == DatagramType::packet) {
    if (length == 0) return;
    IpHeader ip;
    if (!parseIp(body, length, ip) || ip.totalLength != length) return counters_.droppedOf(slot, Drop::rxInner);
    if (!allowed(session.peer, ip, body) || !merged(session.peer, ip, body, ecn)) return;
    counters_.passed(slot, 1, length);
    refusedIf(session, joiner_.addWhole({ip, body}));
    return;
  }
  const auto slice = parseSlice(body, length);
  if (!slice) return counters_.droppedOf(slot, Drop::rxInner);
  uint8_t* packet = body + kDescBytes;
  if (!allowed(session.peer, slice->ip, packet) || !merged(session.peer, slice->ip, packet, ecn)) return;
  counters_.passed(slot, 1, length - kDescBytes);
  refusedIf(session, joiner_.add(session, header.lane, *slice));
}

/// The event loop answers: what it seals has a lane of its own.
void ReceiveLoop::takeProbe(Peer& peer, const Peer* carrier, const uint8_t* body, size_t length) {
  const auto probe = Probe::decode(body, length);
  if (!probe) return counters_.droppedOf(peer.slot, Drop::rxInner);
  if (probe->kind == Probe::Kind::question) {
    if (carrier != nullptr) peer.questionBy.store(carrier->slot);
    peer.questions[probe->subject()].store(probe->number);
    parts_.events.raise(peer, EventBox::probed);
  } else if (probe->subject() != 0) {
    peer.answers[probe->subject()].store(probe->number);
    parts_.events.raise(peer, EventBox::answered);
  } else if (probe->number == peer.asking.load()) {
    peer.answered.store(probe->number);
  }
}

bool ReceiveLoop::allowed(const Peer& peer, const IpHeader& ip, const uint8_t* packet) {
  if (parts_.tables.ownerOf(ip.sourceIn(packet), ip.v6) != static_cast<int>(peer.slot)) {
    counters_.droppedOf(peer.slot, Drop::rxSource);
    return false;
  }
  if (parts_.tables.ownerOf(ip.destinationIn(packet), ip.v6) != 0) {
    counters_.droppedOf(peer.slot, Drop::rxDestination);
    return false;
  }
  return true;
}

bool ReceiveLoop::merged(const Peer& peer, const IpHeader& ip, uint8_t* packet, uint8_t ecn) {
  if (ecn == kEcnNone || mergeEcn(packet, ip, ecn)) return true;
  counters_.droppedOf(peer.slot, Drop::rxInner);
  return false;
}

void ReceiveLoop::refusedIf(const Session& session, bool written) {
  if (!written) counters_.droppedOf(session.peer.slot, Drop::rxQueue);
}

}  // namespace tuntap
