#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "constants.h"
#include "grace.h"
#include "peer.h"
#include "route_table.h"
#include "session_index.h"

namespace tuntap {

/// Everything that threads look up. The event loop alone changes it; each change is one atomic store, and what it replaces is freed
/// after a grace period.
class Tables {
 public:
  Tables() : routes_(new RouteTable({})) {}
  ~Tables();
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  // Threads, between Grace::enter and leave.
  int ownerOf(uint32_t address) const { return routes_.load()->find(address); }
  Peer* peer(unsigned slot) const { return peers_[slot].load(); }
  Session* session(uint32_t receiveIndex) const { return sessions_.find(receiveIndex); }

  // Event loop.
  void setRoutes(const std::vector<RouteRange>& ranges);
  Peer& addPeer(unsigned slot);
  void removePeer(unsigned slot);
  void addSession(Peer& peer, std::unique_ptr<Session> session);
  void removeSession(Session& session);

  Grace grace;

 private:
  std::atomic<RouteTable*> routes_;
  std::unique_ptr<std::atomic<Peer*>[]> peers_{new std::atomic<Peer*>[kMaxSlots]()};
  SessionIndex sessions_;
};

}  // namespace tuntap
