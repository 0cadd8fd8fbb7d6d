#include "tables.h"

#include <algorithm>

namespace tuntap {

Tables::~Tables() {
  for (unsigned slot = 0; slot < kMaxSlots; ++slot) removePeer(slot);
  grace.drain();
  delete routes_.load();
}

void Tables::setRoutes(const std::vector<RouteRange>& ranges) {
  RouteTable* old = routes_.exchange(new RouteTable(ranges));
  grace.retire([old] { delete old; });
}

Peer& Tables::addPeer(unsigned slot, uint64_t name) {
  if (Peer* present = peer(slot)) return *present;
  Peer* made = new Peer(slot, name);
  peers_[slot].store(made);
  if (name != 0) names_.insert(*made);
  return *made;
}

void Tables::removePeer(unsigned slot) {
  Peer* peer = peers_[slot].exchange(nullptr);
  if (peer == nullptr) return;
  if (peer->name != 0) names_.remove(*peer);
  while (!peer->sessions.empty()) removeSession(*peer->sessions.back());
  grace.retire([peer] { delete peer; });
}

void Tables::addSession(Peer& peer, std::unique_ptr<Session> session) {
  peer.sessions.push_back(session.get());
  sessions_.insert(*session.release());
}

void Tables::removeSession(Session& session) {
  Session* gone = &session;
  Peer& peer = session.peer;
  if (peer.sending.load() == gone) peer.sending.store(nullptr);
  sessions_.remove(session);
  peer.sessions.erase(std::find(peer.sessions.begin(), peer.sessions.end(), gone));
  grace.retire([gone] { delete gone; });
}

}  // namespace tuntap
