// Load of UDP packets for the benchmarks: how many a second pass a tunnel, and how long one takes there and back.
//
//   udp-load sink ADDRESS PORT                     counts and echoes until it is ended; says "listening"
//   udp-load search ADDRESS PORT SIZE [PROBE]      the highest rate with less than 1 % lost, and what arrives of a flood; PROBE: seconds of one try
//   udp-load trips ADDRESS PORT SIZE COUNT         one packet at a time, there and back
//
// `search` and `trips` print one line of JSON. SIZE is that of the UDP payload, in bytes.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

namespace {

constexpr int kBatch = 64;
constexpr size_t kLargest = 2048;
/// Default queues hold too little for a fair answer about the tunnel in between.
constexpr int kSocketQueue = 4 << 20;
/// Between two bursts of a paced source: short enough that a burst fits any queue on the way.
constexpr double kTick = 200e-6;
constexpr double kMostLost = 0.01;

enum class Kind : uint32_t { kLoad = 1, kHowMany, kCounted, kPing, kPong };

/// Starts each datagram; the rest is zero. Both ends are this program on one machine, so the fields are in its byte order.
struct Head {
  Kind kind;
  uint32_t run;
  uint64_t number;
};

double Now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void Sleep(double seconds) {
  if (seconds <= 0) return;
  const timespec time{static_cast<time_t>(seconds), static_cast<long>((seconds - static_cast<double>(static_cast<time_t>(seconds))) * 1e9)};
  nanosleep(&time, nullptr);
}

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

enum class End { kSink, kSource };

int Open(const char* address, const char* port, End end) {
  const int handle = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (handle < 0) Fail("socket");
  setsockopt(handle, SOL_SOCKET, SO_RCVBUFFORCE, &kSocketQueue, sizeof kSocketQueue);
  setsockopt(handle, SOL_SOCKET, SO_SNDBUFFORCE, &kSocketQueue, sizeof kSocketQueue);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(std::atoi(port)));
  if (inet_pton(AF_INET, address, &name.sin_addr) != 1) Fail(address);
  const auto* generic = reinterpret_cast<const sockaddr*>(&name);
  const int done = end == End::kSink ? bind(handle, generic, sizeof name) : connect(handle, generic, sizeof name);
  if (done != 0) Fail(end == End::kSink ? "bind" : "connect");
  return handle;
}

/// Buffers of one call of sendmmsg or recvmmsg.
class Batch {
 public:
  explicit Batch(size_t size) {
    for (int i = 0; i < kBatch; ++i) {
      parts_[i] = {buffers_[i].data(), size};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
      messages_[i].msg_hdr.msg_name = &names_[i];
    }
  }
  /// For an unconnected socket; -1 as recvmmsg(2).
  int Receive(int handle) {
    for (auto& message : messages_) message.msg_hdr.msg_namelen = sizeof(sockaddr_in);
    return recvmmsg(handle, messages_.data(), kBatch, MSG_WAITFORONE, nullptr);
  }
  int Send(int handle, int count) {
    for (auto& message : messages_) message.msg_hdr.msg_namelen = 0;
    return sendmmsg(handle, messages_.data(), static_cast<unsigned>(count), 0);
  }
  void Answer(int handle, int at, size_t length) {
    sendto(handle, buffers_[at].data(), length, 0, reinterpret_cast<sockaddr*>(&names_[at]), sizeof names_[at]);
  }
  Head& head(int at) { return *reinterpret_cast<Head*>(buffers_[at].data()); }
  size_t length(int at) const { return messages_[at].msg_len; }

 private:
  struct alignas(16) Buffer : std::array<uint8_t, kLargest> {};
  std::array<Buffer, kBatch> buffers_{};
  std::array<iovec, kBatch> parts_{};
  std::array<sockaddr_in, kBatch> names_{};
  std::array<mmsghdr, kBatch> messages_{};
};

[[noreturn]] void Sink(int handle) {
  Batch batch(kLargest);
  uint32_t run = 0;
  uint64_t counted = 0;
  std::puts("listening");
  std::fflush(stdout);
  for (;;) {
    const int count = batch.Receive(handle);
    if (count < 0 && errno != EINTR && errno != ECONNREFUSED) Fail("recvmmsg");
    for (int i = 0; i < count; ++i) {
      if (batch.length(i) < sizeof(Head)) continue;
      Head& head = batch.head(i);
      if (head.kind == Kind::kLoad) {
        if (head.run != run) counted = 0;
        run = head.run;
        ++counted;
      } else if (head.kind == Kind::kHowMany) {
        head.kind = Kind::kCounted;
        head.number = head.run == run ? counted : 0;
        batch.Answer(handle, i, sizeof(Head));
      } else if (head.kind == Kind::kPing) {
        head.kind = Kind::kPong;
        batch.Answer(handle, i, batch.length(i));
      }
    }
  }
}

struct Outcome {
  /// Packets a second.
  double sent;
  double received;
  double lost() const { return sent <= 0 ? 1 : std::max(0.0, 1 - received / sent); }
};

class Source {
 public:
  Source(int handle, size_t size) : handle_(handle), batch_(size), run_(static_cast<uint32_t>(getpid()) << 12) {}

  /// Sends for so many seconds; `rate` 0: as fast as it goes. Asks afterwards how many arrived.
  Outcome Run(double rate, double seconds) {
    ++run_;
    const double begin = Now();
    double paced_from = begin;
    uint64_t sent = 0;
    uint64_t due_sent = 0;
    for (double now = begin; now < begin + seconds; now = Now()) {
      if (rate > 0) {
        auto due = static_cast<uint64_t>((now - paced_from) * rate) + 1;
        // Who was kept from the processor does not make up for it in one burst.
        const auto most = static_cast<uint64_t>(rate * 10 * kTick) + kBatch;
        if (due > due_sent + most) {
          paced_from += static_cast<double>(due - due_sent - most) / rate;
          due = due_sent + most;
        }
        while (due_sent < due) {
          const int wanted = static_cast<int>(std::min<uint64_t>(kBatch, due - due_sent));
          sent += static_cast<uint64_t>(Send(wanted, sent));
          due_sent += static_cast<uint64_t>(wanted);
        }
        Sleep(kTick);
      } else {
        sent += static_cast<uint64_t>(Send(kBatch, sent));
      }
    }
    const double took = Now() - begin;
    return {static_cast<double>(sent) / took, static_cast<double>(Counted()) / took};
  }

  /// Microseconds there and back, one after the other; a lost one is left out.
  std::vector<double> Trips(size_t size, int count) {
    std::vector<double> trips;
    Impatient(300'000);
    std::array<uint8_t, kLargest> buffer{};
    for (int i = 0; i < count; ++i) {
      Head head{Kind::kPing, run_, static_cast<uint64_t>(i)};
      std::memcpy(buffer.data(), &head, sizeof head);
      const double begin = Now();
      if (send(handle_, buffer.data(), size, 0) < 0) continue;
      while (recv(handle_, buffer.data(), buffer.size(), 0) >= static_cast<ssize_t>(sizeof head)) {
        std::memcpy(&head, buffer.data(), sizeof head);
        if (head.kind != Kind::kPong || head.number != static_cast<uint64_t>(i)) continue;
        trips.push_back((Now() - begin) * 1e6);
        break;
      }
    }
    return trips;
  }

 private:
  int Send(int count, uint64_t number) {
    for (int i = 0; i < count; ++i) batch_.head(i) = {Kind::kLoad, run_, number + static_cast<uint64_t>(i)};
    const int sent = batch_.Send(handle_, count);
    if (sent < 0 && errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED && errno != EINTR) Fail("sendmmsg");
    return std::max(sent, 0);
  }

  uint64_t Counted() {
    // What is still on the way.
    Sleep(0.15);
    Impatient(200'000);
    for (int attempt = 0; attempt < 20; ++attempt) {
      const Head question{Kind::kHowMany, run_, 0};
      if (send(handle_, &question, sizeof question, 0) < 0) continue;
      Head answer{};
      while (recv(handle_, &answer, sizeof answer, 0) >= static_cast<ssize_t>(sizeof answer)) {
        if (answer.kind == Kind::kCounted && answer.run == run_) return answer.number;
      }
    }
    return 0;
  }

  void Impatient(long microseconds) {
    const timeval patience{0, microseconds};
    setsockopt(handle_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }

  int handle_;
  Batch batch_;
  uint32_t run_;
};

/// Halves the interval between a rate that passes and one that does not.
void Search(Source& source, double probe) {
  source.Run(5'000, 0.2);
  const Outcome flood = source.Run(0, 1);
  double best = flood.lost() < kMostLost ? flood.received : 0;
  double low = best;
  double high = flood.received * 1.5;
  double rate = flood.received * 0.8;
  for (int i = 0; i < 9 && best < flood.received && high > low * 1.02; ++i) {
    const Outcome outcome = source.Run(rate, probe);
    if (outcome.lost() < kMostLost) {
      best = std::max(best, outcome.received);
      low = rate;
      // The source itself is too slow for more.
      if (outcome.sent < 0.93 * rate) high = rate;
    } else {
      high = rate;
    }
    rate = (low + high) / 2;
  }
  std::printf("{\"pps\":%.0f,\"flood_sent\":%.0f,\"flood_recv\":%.0f}\n", best, flood.sent, flood.received);
}

void PrintTrips(std::vector<double> trips, int count) {
  std::sort(trips.begin(), trips.end());
  double sum = 0;
  for (const double trip : trips) sum += trip;
  const auto at = [&](double share) { return trips[static_cast<size_t>(static_cast<double>(trips.size() - 1) * share)]; };
  if (trips.empty()) {
    std::printf("{\"lost\":%d}\n", count);
    return;
  }
  std::printf("{\"average\":%.1f,\"p50\":%.1f,\"p99\":%.1f,\"lost\":%zu}\n", sum / static_cast<double>(trips.size()), at(0.5), at(0.99),
              static_cast<size_t>(count) - trips.size());
}

}  // namespace

int main(int count, char** words) {
  prctl(PR_SET_TIMERSLACK, 1);
  const std::string_view verb = count > 1 ? words[1] : "";
  if (verb == "sink" && count == 4) Sink(Open(words[2], words[3], End::kSink));
  if ((verb == "search" && (count == 5 || count == 6)) || (verb == "trips" && count == 6)) {
    const size_t size = std::clamp<size_t>(static_cast<size_t>(std::atoi(words[4])), sizeof(Head), kLargest);
    Source source(Open(words[2], words[3], End::kSource), size);
    if (verb == "search") {
      Search(source, count == 6 ? std::atof(words[5]) : 0.5);
    } else {
      PrintTrips(source.Trips(size, std::atoi(words[5])), std::atoi(words[5]));
    }
    return 0;
  }
  std::fputs("usage: udp-load sink ADDRESS PORT | search ADDRESS PORT SIZE [PROBE] | trips ADDRESS PORT SIZE COUNT\n", stderr);
  return 2;
}
