#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>

#include "bytes.h"
#include "constants.h"
#include "grace.h"
#include "peer.h"
#include "route_table.h"
#include "lookup_index.h"

namespace tuntap {

/// The first 96 bits of an IPv6 address.
constexpr size_t kPrefixBytes = 12;
using Prefix = std::array<uint8_t, kPrefixBytes>;

/// Everything that threads look up. The event loop alone changes it; each change is one atomic store, and what it replaces is freed
/// after a grace period.
class Tables {
 public:
  /// `prefix` is what stands before an owner's IPv4 address in IPv6 addresses; nothing: IPv6 has no owners.
  explicit Tables(std::optional<Prefix> prefix = {}) : prefix_(prefix), routes_(new RouteTable({})) {}
  ~Tables();
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  // Threads, between Grace::enter and leave.
  int ownerOf(uint32_t address) const { return routes_.load()->find(address); }
  /// Of an address in a packet: 4 bytes, or 16, of which the last four count when the others are the mesh's.
  int ownerOf(const uint8_t* address, bool v6) const {
    if (!v6) return ownerOf(loadBe32(address));
    if (!prefix_ || std::memcmp(address, prefix_->data(), kPrefixBytes) != 0) return RouteTable::kNobody;
    return ownerOf(loadBe32(address + kPrefixBytes));
  }
  Peer* peer(unsigned slot) const { return peers_[slot].load(); }
  Session* session(uint32_t receiveIndex) const { return sessions_.find(receiveIndex); }
  Peer* named(uint64_t name) const { return name == 0 ? nullptr : names_.find(name); }

  // Event loop.
  void setRoutes(const std::vector<RouteRange>& ranges);
  /// A name counts when the peer is new.
  Peer& addPeer(unsigned slot, uint64_t name = 0);
  void removePeer(unsigned slot);
  void addSession(Peer& peer, std::unique_ptr<Session> session);
  void removeSession(Session& session);

  Grace grace;

 private:
  const std::optional<Prefix> prefix_;
  std::atomic<RouteTable*> routes_;
  std::unique_ptr<std::atomic<Peer*>[]> peers_{new std::atomic<Peer*>[kMaxSlots]()};
  LookupIndex<Session, &Session::receiveIndex> sessions_;
  LookupIndex<Peer, &Peer::name> names_;
};

}  // namespace tuntap
