#include "datapath.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstdio>

#include "clock.h"
#include "ecn.h"

namespace tuntap {

namespace {

OpenError enter(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() || setns(fd.get(), CLONE_NEWNET) != 0) return {"namespace", errno};
  return {};
}

/// Runs `body` in a network namespace, on a thread that ends with it, so that no other code of the process is ever in there.
OpenError inNamespace(const std::string& path, const std::function<OpenError()>& body) {
  if (path.empty()) return body();
  OpenError result;
  Thread visitor;
  const int error = visitor.start("tun-open", [&] {
    result = enter(path);
    if (!result) result = body();
  });
  if (error != 0) return {"thread", error};
  visitor.join();
  return result;
}

}  // namespace

Datapath::Datapath(DatapathOptions options, std::function<void()> wake) : options_(std::move(options)), library_(options_.ipsecMb ? IpsecMb::find() : nullptr), tables_(options_.prefix), events_(std::move(wake)) {}

OpenError Datapath::open() {
  if (const OpenError error = openDescriptors()) {
    queues_.clear();
    return error;
  }
  const OpenError error = startThreads();
  if (error) {
    stop();
    queues_.clear();
  }
  return error;
}

OpenError Datapath::openDescriptors() {
  wakeFd_ = Fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wakeFd_.valid()) return {"eventfd", errno};
  if (const OpenError error = inNamespace(options_.deviceNamespace, [this] { return openTuns(); })) return error;
  return inNamespace(options_.socketNamespace, [this] { return openSockets(); });
}

/// A device that exists already has been made with one queue or with several, and takes no other: one queue works with both.
OpenError Datapath::openTuns() {
  deviceSocket_ = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!deviceSocket_.valid()) return {"udp-socket", errno};
  for (unsigned i = 0; i < options_.queues; ++i) {
    auto queue = std::make_unique<Queue>();
    OpenError error = queue->tun.open(options_.device, options_.queues > 1, options_.tun);
    if (error.error == EINVAL && i == 0) {
      const bool several = options_.queues == 1;
      error = queue->tun.open(options_.device, several, options_.tun);
      options_.queues = 1;
    }
    if (error) return error;
    queues_.push_back(std::move(queue));
  }
  return {};
}

OpenError Datapath::openSockets() {
  UdpSocket& first = queues_[0]->udp;
  if (const OpenError error = first.open(options_.address, options_.port, false, options_.udp)) return error;
  for (size_t i = 1; i < queues_.size(); ++i)
    if (const OpenError error = queues_[i]->udp.open(options_.address, first.port(), true, options_.udp)) return error;
  for (auto& queue : queues_) queue->udp.openSidings(queueCount());
  return {};
}

OpenError Datapath::startThreads() {
  for (unsigned i = 0; i < queues_.size(); ++i) {
    Queue& queue = *queues_[i];
    const uint8_t tosMask = options_.copyDscp ? 0xff : kEcnMask;
    const LoopParts parts{queue.tun, queue.udp, tables_, events_, queue.turn, stopping_, options_.limits, tosMask, options_.carries, i, queueCount()};
    uint64_t* counters = options_.counters + 2 * i * Counters::kWords;
    queue.send = std::make_unique<SendLoop>(parts, Counters(counters), wakeFd_.get());
    queue.receive = std::make_unique<ReceiveLoop>(parts, Counters(counters + Counters::kWords), *queue.send);
    char name[16];
    std::snprintf(name, sizeof name, "tun-send-%u", i % 10);
    if (const int error = queue.sender.start(name, [&queue] { queue.send->run(); })) return {"thread", error};
    std::snprintf(name, sizeof name, "tun-receive-%u", i % 10);
    if (const int error = queue.receiver.start(name, [&queue] { queue.receive->run(); })) return {"thread", error};
  }
  return {};
}

void Datapath::stop() {
  const std::lock_guard<std::mutex> guard(stopLock_);
  stopping_.store(true);
  const uint64_t one = 1;
  if (wakeFd_.valid() && ::write(wakeFd_.get(), &one, sizeof one) < 0) {
    // Full: it is readable already, which is all that is needed.
  }
  for (auto& queue : queues_) queue->udp.shutdown();
  for (auto& queue : queues_) {
    queue->sender.join();
    queue->receiver.join();
  }
}

uint16_t Datapath::port() const { return queues_[0]->udp.port(); }

bool Datapath::setPeer(unsigned slot, const std::string& address, uint16_t port, uint64_t name) {
  Endpoint to;
  if (!address.empty()) {
    if (!Endpoint::parse(address, port, AF_INET6)) return false;
    to = Endpoint::parse(address, port, queues_[0]->udp.family()).value_or(Endpoint{});
  }
  Peer& peer = tables_.addPeer(slot, name);
  const bool moved = !(peer.endpoint.load() == to);
  peer.endpoint.store(to);
  // What another place has answered says nothing of this one.
  if (moved) peer.answered.store(peer.asking.load());
  greet(peer, moved);
  return true;
}

bool Datapath::setCarrier(unsigned slot, unsigned carrier) {
  Peer* peer = tables_.peer(slot);
  if (peer == nullptr || (carrier != 0 && (peer->name == 0 || carrier == slot))) return false;
  peer->carriedMtu.store(static_cast<uint32_t>(deviceMtu() - RelayHeader::kBytes));
  peer->carrier.store(carrier);
  return true;
}

bool Datapath::ask(unsigned slot, uint32_t number, unsigned carrier, const std::string& address, uint16_t port) {
  Peer* peer = tables_.peer(slot);
  if (peer == nullptr || peer->sending.load() == nullptr) return false;
  const auto elsewhere = address.empty() ? Endpoint{} : Endpoint::parse(address, port, queues_[0]->udp.family());
  if (!elsewhere) return false;
  std::vector<uint8_t> body(Probe::kBytes);
  Probe{Probe::Kind::question, number | Probe::kReach | (carrier == 0 ? 0 : Probe::kCarried)}.encode(body.data());
  return say(*peer, carrier, DatagramType::probe, body, *elsewhere);
}

void Datapath::removePeer(unsigned slot) {
  tables_.removePeer(slot);
  tables_.grace.reclaim();
}

bool Datapath::setRoutes(const std::vector<RouteRange>& ranges) {
  if (!RouteTable::valid(ranges)) return false;
  tables_.setRoutes(ranges);
  tables_.grace.reclaim();
  return true;
}

Session* Datapath::sessionOf(const Peer& peer, uint32_t receiveIndex) {
  for (Session* session : peer.sessions)
    if (session->receiveIndex == receiveIndex) return session;
  return nullptr;
}

const char* Datapath::setKeys(unsigned slot, const std::vector<SessionKeys>& keys) {
  Peer* peer = tables_.peer(slot);
  if (peer == nullptr) return "the peer is unknown: setPeer comes first";
  std::vector<std::unique_ptr<Session>> made;
  Session* sending = nullptr;
  for (const SessionKeys& key : keys) {
    Session* session = sessionOf(*peer, key.receiveIndex);
    if (session == nullptr) {
      if (tables_.session(key.receiveIndex) != nullptr) return "a receive index belongs to another peer";
      made.push_back(std::make_unique<Session>(*peer, key));
      session = made.back().get();
      if (!session->initReceive(key, queueCount(), library_)) return "the cipher library refused a key";
    }
    if (!key.send) continue;
    if (!session->initSend(key, queueCount(), library_)) return "the cipher library refused a key";
    sending = session;
  }

  // First what arrives can be opened, then what departs changes, then what is old goes: nothing is lost in between.
  for (auto& session : made) tables_.addSession(*peer, std::move(session));
  peer->sending.store(sending);
  const std::vector<Session*> present = peer->sessions;
  for (Session* session : present) {
    const bool wanted = std::any_of(keys.begin(), keys.end(), [&](const auto& key) { return key.receiveIndex == session->receiveIndex; });
    if (!wanted) tables_.removeSession(*session);
  }
  tables_.grace.reclaim();
  greet(*peer, false);
  return nullptr;
}

/// An empty packet under a key that is new for sending, as soon as there is somewhere to send it: the other side then knows that the
/// key can be used. With every such key, and with every new place, it is asked what the path carries.
void Datapath::greet(Peer& peer, bool moved) {
  Session* session = peer.sending.load();
  if (session == nullptr || !peer.endpoint.load().known()) return;
  const bool fresh = !session->keepaliveSent;
  if (fresh) session->keepaliveSent = say(peer, peer.carrier.load(), DatagramType::packet, {});
  if (fresh || moved) probe(peer, true);
}

/// Asks whether a datagram of full size passes; see SendLoop::tooLong. A question that has no answer yet is asked again; `anew`: under another
/// number, since an answer that is on its way tells of the path as it was.
void Datapath::probe(Peer& peer, bool anew) {
  const Endpoint to = peer.endpoint.load();
  if (peer.sending.load() == nullptr || !to.known() || to.isIpv4()) return;
  const bool isAnswered = peer.answered.load() == peer.asking.load();
  if (isAnswered) peer.askedAt.store(coarseNow());
  if (isAnswered || anew) peer.asking.fetch_add(1);
  std::vector<uint8_t> body(std::max(longestDatagram() - kOverheadBytes, Probe::kBytes));
  Probe{Probe::Kind::question, peer.asking.load()}.encode(body.data());
  for (unsigned i = 0; i < kProbes; ++i) say(peer, 0, DatagramType::probe, body);
}

void Datapath::answer(Peer& peer) {
  for (auto& question : peer.questions) {
    const uint32_t number = question.exchange(0);
    if (number == 0 || peer.sending.load() == nullptr) continue;
    std::vector<uint8_t> body(Probe::kBytes);
    Probe{Probe::Kind::answer, number}.encode(body.data());
    const bool reach = (number & Probe::kReach) != 0;
    const bool carried = reach && (number & Probe::kCarried) != 0;
    const unsigned carrier = peer.carrier.load();
    say(peer, carried ? peer.questionBy.load() : carrier, DatagramType::probe, body);
    // Who carries may have died, and both ends find that the direct way works only if an answer takes it.
    if (reach && !carried && carrier != 0) say(peer, 0, DatagramType::probe, body);
  }
}

/// Of what the device may hand over: a packet that fits it and a description.
size_t Datapath::longestDatagram() const { return std::min(deviceMtu() + kDescBytes + kOverheadBytes, kMaxRunBytes); }

size_t Datapath::deviceMtu() const {
  ifreq request{};
  options_.device.copy(request.ifr_name, sizeof request.ifr_name - 1);
  return ioctl(deviceSocket_.get(), SIOCGIFMTU, &request) == 0 ? static_cast<size_t>(request.ifr_mtu) : kLeastIpv6Mtu;
}

/// Seals in the lane of the event loop under the peer's key, and sends or drops; by way of the peer in the slot `carrier`, or directly (0).
/// `elsewhere`: where to, if known, instead of where its datagrams go.
bool Datapath::say(Peer& peer, unsigned carrier, DatagramType type, const std::vector<uint8_t>& body, const Endpoint& elsewhere) {
  const Peer* hop = carrier == 0 ? &peer : tables_.peer(carrier);
  const Session* between = hop == nullptr ? nullptr : hop->sending.load();
  if (between == nullptr) return false;
  const Endpoint to = elsewhere.known() ? elsewhere : hop->endpoint.load();
  if (!to.known()) return false;
  Session& session = *peer.sending.load();
  SendLane& lane = session.lanes[kControlLane];
  const size_t before = carrier == 0 ? 0 : RelayHeader::kBytes;
  std::vector<uint8_t> whole(before + kOverheadBytes + body.size());
  if (before != 0) RelayHeader{RelayHeader::Way::toCarrier, kControlLane, between->sendIndex, peer.name}.encode(whole.data());
  const std::span<uint8_t> datagram = std::span(whole).subspan(before);
  uint8_t nonce[kNonceBytes];
  const uint64_t counter = lane.counter++;
  Aead::nonceOf(kControlLane, counter, nonce);
  DatagramHeader{type, kControlLane, session.sendIndex, counter}.encode(datagram.data());
  if (!lane.aead.seal(nonce, datagram.data(), kHeaderBytes, body.data(), body.size(), datagram.data() + kHeaderBytes)) return false;
  return queues_[0]->udp.sendNow(whole.data(), whole.size(), to);
}

void Datapath::collect(const std::function<void(const PeerEvents&)>& visit) {
  tables_.grace.reclaim();
  events_.collect([&](unsigned slot) {
    Peer* peer = tables_.peer(slot);
    if (peer == nullptr) return;
    const uint32_t marks = peer->events.exchange(0);
    PeerEvents events{slot, (marks & EventBox::keyWanted) != 0, (marks & EventBox::rekeyDue) != 0, (marks & EventBox::roamed) != 0, {}, {}, {}};
    if (events.roamed) {
      events.endpoint = peer->endpoint.load();
      peer->answered.store(peer->asking.load());
      probe(*peer, true);
    }
    if ((marks & EventBox::probed) != 0) answer(*peer);
    for (auto& number : peer->answers)
      if (const uint32_t back = number.exchange(0); back != 0) events.answered.push_back(back & (Probe::kCarried - 1));
    if ((marks & EventBox::probeDue) != 0) probe(*peer, false);
    for (Session* session : peer->sessions) {
      if (session->confirmedReported || !session->confirmed.load()) continue;
      session->confirmedReported = true;
      events.confirmed.push_back(session->receiveIndex);
    }
    visit(events);
  });
}

}  // namespace tuntap
