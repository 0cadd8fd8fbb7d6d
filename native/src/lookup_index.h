#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "constants.h"

namespace tuntap {

/// A number → the item that has it in its member `key` and is linked by its member `next`. One writer (the event loop), any number of readers
/// without locks: readers walk a bucket's list while the writer links at its head or unlinks; what is unlinked is freed after a grace period
/// only.
template <typename Item, auto key>
class LookupIndex {
 public:
  Item* find(uint64_t number) const {
    for (Item* at = bucket(number).load(); at != nullptr; at = at->next.load())
      if (at->*key == number) return at;
    return nullptr;
  }

  void insert(Item& item) {
    auto& head = bucket(item.*key);
    item.next.store(head.load());
    head.store(&item);
  }

  void remove(Item& item) {
    std::atomic<Item*>* link = &bucket(item.*key);
    while (link->load() != nullptr && link->load() != &item) link = &link->load()->next;
    // The removed item keeps its own link: a reader that stands on it finds the way on.
    if (link->load() != nullptr) link->store(item.next.load());
  }

 private:
  // Numbers are random, so their low bits are hash enough.
  std::atomic<Item*>& bucket(uint64_t number) const { return buckets_[number % kIndexBuckets]; }

  std::unique_ptr<std::atomic<Item*>[]> buckets_{new std::atomic<Item*>[kIndexBuckets]()};
};

}  // namespace tuntap
