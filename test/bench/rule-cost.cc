// What rules cost: nanoseconds of processor time for one datagram to itself over the loopback, the least of several rounds.
//
//   rule-cost PORT COUNT     datagrams are VXLAN with Weft's number, from 10.40.0.1 to 10.32.0.5
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr int kRounds = 9;
/// VXLAN 8, Ethernet 14, IPv4 20, and something to carry.
constexpr size_t kSize = 100;

double Used() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::array<uint8_t, kSize> Datagram() {
  std::array<uint8_t, kSize> bytes{0x08, 0, 0, 0, 0x77, 0x65, 0x66};
  bytes[20] = 0x08;
  uint8_t* const ip = bytes.data() + 22;
  const uint8_t addresses[] = {10, 40, 0, 1, 10, 32, 0, 5};
  ip[0] = 0x45;
  std::copy(std::begin(addresses), std::end(addresses), ip + 12);
  return bytes;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return std::fprintf(stderr, "usage: rule-cost PORT COUNT\n"), 1;
  sockaddr_in own{};
  own.sin_family = AF_INET;
  own.sin_port = htons(static_cast<uint16_t>(std::atoi(words[1])));
  own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* const address = reinterpret_cast<const sockaddr*>(&own);
  const int times = std::atoi(words[2]);
  const int receiver = socket(AF_INET, SOCK_DGRAM, 0);
  const int sender = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(receiver, address, sizeof own) != 0) return std::perror("bind"), 1;
  const auto datagram = Datagram();
  std::array<uint8_t, 2 * kSize> arrived;
  double least = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const double before = Used();
    for (int i = 0; i < times; ++i) {
      sendto(sender, datagram.data(), datagram.size(), 0, address, sizeof own);
      if (recv(receiver, arrived.data(), arrived.size(), 0) < 0) return std::perror("recv"), 1;
    }
    least = std::min(least, (Used() - before) / times * 1e9);
  }
  std::printf("%.0f\n", least);
}
