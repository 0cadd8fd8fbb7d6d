#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "constants.h"
#include "session.h"

namespace tuntap {

/// Receive index → session. One writer (the event loop), any number of readers without locks: readers walk a bucket's list while
/// the writer links at its head or unlinks; what is unlinked is freed after a grace period only.
class SessionIndex {
 public:
  Session* find(uint32_t index) const {
    for (Session* at = bucket(index).load(); at != nullptr; at = at->next.load())
      if (at->receiveIndex == index) return at;
    return nullptr;
  }

  void insert(Session& session) {
    auto& head = bucket(session.receiveIndex);
    session.next.store(head.load());
    head.store(&session);
  }

  void remove(Session& session) {
    std::atomic<Session*>* link = &bucket(session.receiveIndex);
    while (link->load() != nullptr && link->load() != &session) link = &link->load()->next;
    // The removed session keeps its own link: a reader that stands on it finds the way on.
    if (link->load() != nullptr) link->store(session.next.load());
  }

 private:
  // Indices are random, so their low bits are hash enough.
  std::atomic<Session*>& bucket(uint32_t index) const { return buckets_[index % kSessionBuckets]; }

  std::unique_ptr<std::atomic<Session*>[]> buckets_{new std::atomic<Session*>[kSessionBuckets]()};
};

}  // namespace tuntap
