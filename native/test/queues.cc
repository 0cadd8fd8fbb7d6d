/// What a sending thread decides about queues, told step by step: StandingQueue and Sidings.
/// Usage: queues STORY. Exit code 0 when it holds, else the line that does not is printed.
#include <cstdio>
#include <cstring>

#include "../src/sidings.h"
#include "../src/standing_queue.h"

namespace {

using namespace tuntap;

bool failed = false;

#define HOLDS(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      std::printf("line %d does not hold: %s\n", __LINE__, #condition); \
      failed = true;                                                  \
    }                                                                 \
  } while (false)

constexpr size_t kPacket = 60'000;
constexpr size_t kPackets = kStandingBytes / kPacket + 1;

void emptiedLosesNothing() {
  StandingQueue queue;
  for (int burst = 0; burst < 100; ++burst) {
    for (size_t i = 0; i + 1 < kPackets; ++i) HOLDS(!queue.leave(kPacket));
    queue.emptied();
  }
}

void standingLosesOne() {
  StandingQueue queue;
  for (int time = 0; time < 100; ++time) {
    for (size_t i = 0; i + 1 < kPackets; ++i) HOLDS(!queue.leave(kPacket));
    HOLDS(queue.leave(kPacket));
  }
}

void afterTheEndItStartsAnew() {
  StandingQueue queue;
  for (size_t i = 0; i < kPackets; ++i) queue.leave(kPacket);
  queue.emptied();
  for (size_t i = 0; i + 1 < kPackets; ++i) HOLDS(!queue.leave(kPacket));
}

// Peers by slot; 7 is the slow one.
constexpr unsigned kSlow = 7;
const auto onlySlowIsFull = [](const Sidings& sidings) {
  return [&sidings](unsigned siding) { return siding != sidings.of(kSlow); };
};

void withRoomNobodyMoves() {
  Sidings sidings(kMaxSidings);
  sidings.review(0, false, [](unsigned) { return true; });
  HOLDS(!sidings.any());
  for (unsigned slot = 1; slot < 20; ++slot) HOLDS(sidings.of(slot) == Sidings::kMain);
}

void theSlowOneStays() {
  Sidings sidings(kMaxSidings);
  sidings.suspect(kSlow, 0);
  sidings.suspect(2, 0);
  HOLDS(sidings.of(kSlow) != Sidings::kMain && sidings.of(2) != Sidings::kMain && sidings.of(2) != sidings.of(kSlow));
  // The main queue has drained: who is calm comes back, who is not stays however long it takes.
  for (int64_t now = kTrialTime; now < 1000 * kTrialTime; now += kTrialTime) {
    sidings.review(now, false, onlySlowIsFull(sidings));
    HOLDS(sidings.of(2) == Sidings::kMain && sidings.of(kSlow) != Sidings::kMain);
  }
  sidings.review(1001 * kTrialTime, false, [](unsigned) { return true; });
  HOLDS(!sidings.any());
}

void beforeTheTrialEndsNobodyComesBack() {
  Sidings sidings(kMaxSidings);
  sidings.suspect(2, 1000);
  sidings.review(1000 + kTrialTime - 1, false, [](unsigned) { return true; });
  HOLDS(sidings.of(2) != Sidings::kMain);
}

/// Twenty peers send, one is slow, and all begin in the main queue.
void oneOfManyIsFound() {
  Sidings sidings(kMaxSidings);
  int64_t now = 0;
  for (int round = 0; round < 10; ++round, now += kTrialTime) {
    sidings.review(now, true, onlySlowIsFull(sidings));
    for (unsigned slot = 1; slot <= 20; ++slot)
      if (sidings.of(slot) == Sidings::kMain) sidings.suspect(slot, now);
  }
  HOLDS(sidings.of(kSlow) != Sidings::kMain);
  sidings.review(now, false, onlySlowIsFull(sidings));
  for (unsigned slot = 1; slot <= 20; ++slot) HOLDS(slot == kSlow || sidings.of(slot) == Sidings::kMain);
}

void whoMadeRoomHasItsPeace() {
  Sidings sidings(1);
  sidings.suspect(2, 0);
  sidings.review(kTrialTime, true, [](unsigned) { return true; });
  sidings.suspect(3, kTrialTime);
  HOLDS(sidings.of(3) == 1 && sidings.of(2) == Sidings::kMain);
  sidings.review(2 * kTrialTime, true, [](unsigned) { return true; });
  sidings.suspect(2, 2 * kTrialTime);
  HOLDS(sidings.of(2) == Sidings::kMain);
  sidings.suspect(2, 2 * kTrialTime + kAcquittedTime);
  HOLDS(sidings.of(2) == 1);
}

void moreSlowOnesThanSidings() {
  Sidings sidings(2);
  for (unsigned slot = 1; slot <= 3; ++slot) sidings.suspect(slot, 0);
  sidings.review(kTrialTime, true, [](unsigned) { return false; });
  sidings.suspect(3, kTrialTime);
  HOLDS(sidings.of(1) == 1 && sidings.of(2) == 2 && sidings.of(3) == Sidings::kMain);
}

void withoutSidingsNothingMoves() {
  Sidings sidings(0);
  sidings.suspect(1, 0);
  HOLDS(!sidings.any() && sidings.of(1) == Sidings::kMain);
}

const struct {
  const char* name;
  void (*tell)();
} kStories[] = {
    {"emptied", emptiedLosesNothing},
    {"standing", standingLosesOne},
    {"anew", afterTheEndItStartsAnew},
    {"room", withRoomNobodyMoves},
    {"slow", theSlowOneStays},
    {"trial", beforeTheTrialEndsNobodyComesBack},
    {"many", oneOfManyIsFound},
    {"peace", whoMadeRoomHasItsPeace},
    {"more", moreSlowOnesThanSidings},
    {"none", withoutSidingsNothingMoves},
};

}  // namespace

int main(int count, char** words) {
  for (const auto& story : kStories) {
    if (count != 2 || std::strcmp(story.name, words[1]) != 0) continue;
    story.tell();
    return failed ? 1 : 0;
  }
  std::printf("no such story\n");
  return 2;
}
