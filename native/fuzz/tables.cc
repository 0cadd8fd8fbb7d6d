/// Replay window and route table against obvious versions of themselves.
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "../src/replay_window.h"
#include "../src/route_table.h"

namespace {

using namespace tuntap;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

void checkWindow(const uint8_t* data, size_t length) {
  ReplayWindow window;
  std::set<uint64_t> seen;
  uint64_t next = 0;
  uint64_t counter = 0;
  for (size_t i = 0; i + 1 < length; i += 2) {
    // Small steps both ways, and now and then a leap.
    const uint64_t step = uint64_t{data[i + 1]} << (data[i] % 4 == 0 ? 8 : 0) << (data[i] % 32 == 0 ? 30 : 0);
    counter = data[i] & 0x80 ? counter - (step < counter ? step : counter) : counter + step;
    const bool old = counter < next && next - counter > ReplayWindow::kSize;
    const bool known = seen.count(counter) != 0;
    require(window.stale(counter) == (old || known));
    const auto mark = window.mark(counter);
    require((mark == ReplayWindow::Mark::seen) == (old || known));
    require((mark == ReplayWindow::Mark::newest) == (counter >= next));
    if (!old) seen.insert(counter);
    if (counter >= next) next = counter + 1;
  }
}

void checkRoutes(const uint8_t* data, size_t length) {
  std::vector<RouteRange> ranges;
  uint32_t at = 0;
  for (size_t i = 0; i + 2 < length; i += 3) {
    // Small gaps, and now and then one that leaves most of the space empty.
    const uint32_t start = at + (uint32_t{data[i]} << (data[i] % 8 == 1 ? 20 : 0));
    ranges.push_back({start, start + data[i + 1], data[i + 2]});
    at = start + data[i + 1] + (data[i] % 16 == 0 ? 0 : 1);
  }
  if (!RouteTable::valid(ranges)) return;
  const RouteTable table(ranges);
  const auto check = [&](uint32_t address) {
    int owner = RouteTable::kNobody;
    for (const RouteRange& range : ranges)
      if (range.start <= address && address <= range.last) owner = static_cast<int>(range.slot);
    require(table.find(address) == owner);
  };
  for (uint32_t step = 0; step < 500; ++step) check(step * (1 + at / 450));
  for (const RouteRange& range : ranges)
    for (const uint32_t edge : {range.start - 1, range.start, range.last, range.last + 1}) check(edge);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  if (length == 0) return 0;
  if (data[0] % 2 == 0)
    checkWindow(data + 1, length - 1);
  else
    checkRoutes(data + 1, length - 1);
  return 0;
}
