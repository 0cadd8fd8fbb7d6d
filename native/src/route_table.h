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
    starts_.reserve(ranges.size());
    for (const RouteRange& range : ranges) starts_.push_back(range.start);
  }

  /// The slot of the owner, or kNobody. The starts are apart from the rest so that the search touches few cache lines; it has no branch
  /// that depends on the data.
  int find(uint32_t address) const {
    if (starts_.empty() || address < starts_[0]) return kNobody;
    const uint32_t* base = starts_.data();
    for (size_t length = starts_.size(); length > 1;) {
      const size_t half = length / 2;
      base += (base[half] <= address) ? half : 0;
      length -= half;
    }
    const RouteRange& range = ranges_[static_cast<size_t>(base - starts_.data())];
    return address <= range.last ? static_cast<int>(range.slot) : kNobody;
  }

 private:
  std::vector<uint32_t> starts_;
  std::vector<RouteRange> ranges_;
};

}  // namespace tuntap
