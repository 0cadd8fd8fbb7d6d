#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "constants.h"

namespace tuntap {

struct RouteRange {
  uint32_t start;
  uint32_t last;
  uint32_t slot;
};

/// Who owns which address: immutable once built, so threads read it without a lock.
class RouteTable {
 public:
  static constexpr int kNobody = -1;

  /// True when the ranges are sorted, apart, and name slots that exist: what the constructor relies on.
  static bool valid(const std::vector<RouteRange>& ranges) {
    if (ranges.size() > kMaxRanges) return false;
    for (size_t i = 0; i < ranges.size(); ++i) {
      if (ranges[i].start > ranges[i].last || ranges[i].slot >= kMaxSlots) return false;
      if (i > 0 && ranges[i - 1].last >= ranges[i].start) return false;
    }
    return true;
  }

  explicit RouteTable(const std::vector<RouteRange>& ranges) : ranges_(ranges) {
    if (ranges.empty()) return;
    starts_.reserve(ranges.size());
    for (const RouteRange& range : ranges) starts_.push_back(range.start);
    first_ = ranges.front().start;
    span_ = ranges.back().last - first_;
    while ((span_ >> shift_) >= kBucketsPerRange * ranges.size()) ++shift_;
    buildBuckets();
  }

  /// The slot of the owner, or kNobody. The bucket leaves a range or two to choose from, however many there are in all; where they crowd
  /// in one bucket it is a search by halves, without a branch that depends on the data.
  int find(uint32_t address) const {
    const uint32_t offset = address - first_;
    if (starts_.empty() || offset > span_) return kNobody;
    const uint32_t* bucket = &buckets_[offset >> shift_];
    const uint32_t* base = &starts_[bucket[0]];
    for (size_t length = bucket[1] - bucket[0] + 1; length > 1;) {
      const size_t half = length / 2;
      base += (base[half] <= address) ? half : 0;
      length -= half;
    }
    const RouteRange& range = ranges_[static_cast<size_t>(base - starts_.data())];
    return address <= range.last ? static_cast<int>(range.slot) : kNobody;
  }

 private:
  static constexpr size_t kBucketsPerRange = 4;

  /// For each piece of 2^shift_ addresses the last range that begins at or before its first address; and one more at the end.
  void buildBuckets() {
    const size_t count = size_t{span_ >> shift_} + 1;
    buckets_.reserve(count + 1);
    uint32_t at = 0;
    for (size_t bucket = 0; bucket < count; ++bucket) {
      const uint64_t begin = first_ + (uint64_t{bucket} << shift_);
      while (at + 1 < starts_.size() && starts_[at + 1] <= begin) ++at;
      buckets_.push_back(at);
    }
    buckets_.push_back(static_cast<uint32_t>(starts_.size() - 1));
  }

  std::vector<uint32_t> starts_;
  std::vector<RouteRange> ranges_;
  std::vector<uint32_t> buckets_;
  uint32_t first_ = 0;
  uint32_t span_ = 0;
  unsigned shift_ = 0;
};

}  // namespace tuntap
