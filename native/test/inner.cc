/// Stands where the host's network stack stands, for tests: packets with virtio-net headers between pipes and a device.
/// Usage: inner DEVICE, inside the device's namespace. On stdin and stdout: length (2 bytes, big-endian), header (10), packet.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace {

uint8_t buffer[2 + 10 + 65'536];

bool readAll(uint8_t* at, size_t length) {
  while (length > 0) {
    const ssize_t got = read(STDIN_FILENO, at, length);
    if (got <= 0) return false;
    at += got;
    length -= static_cast<size_t>(got);
  }
  return true;
}

bool writeAll(const uint8_t* at, size_t length) {
  while (length > 0) {
    const ssize_t put = write(STDOUT_FILENO, at, length);
    if (put <= 0) return false;
    at += put;
    length -= static_cast<size_t>(put);
  }
  return true;
}

int openDevice(const char* name) {
  const int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  const int on = 1;
  const int room = 16 << 20;
  sockaddr_ll local{};
  local.sll_family = AF_PACKET;
  local.sll_protocol = htons(ETH_P_ALL);
  local.sll_ifindex = static_cast<int>(if_nametoindex(name));
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (fd < 0 || local.sll_ifindex == 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0)
    return -1;
  return fd;
}

bool toDevice(int fd, int index) {
  if (!readAll(buffer, 2)) return false;
  const size_t length = static_cast<size_t>(buffer[0] << 8 | buffer[1]);
  if (!readAll(buffer, length)) return false;
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(length > 10 && buffer[10] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP);
  to.sll_ifindex = index;
  if (sendto(fd, buffer, length, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0) perror("inner: sendto");
  return true;
}

bool fromDevice(int fd) {
  sockaddr_ll from{};
  socklen_t size = sizeof from;
  const ssize_t got = recvfrom(fd, buffer + 2, sizeof buffer - 2, 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (got <= 0 || from.sll_pkttype == PACKET_OUTGOING) return true;
  buffer[0] = static_cast<uint8_t>(got >> 8);
  buffer[1] = static_cast<uint8_t>(got);
  return writeAll(buffer, 2 + static_cast<size_t>(got));
}

}  // namespace

int main(int count, char** arguments) {
  const int fd = count == 2 ? openDevice(arguments[1]) : -1;
  if (fd < 0) {
    perror("inner");
    return 1;
  }
  const int index = static_cast<int>(if_nametoindex(arguments[1]));
  const uint8_t ready[2] = {0, 0};
  if (!writeAll(ready, 2)) return 1;
  for (;;) {
    pollfd watched[2] = {{STDIN_FILENO, POLLIN, 0}, {fd, POLLIN, 0}};
    if (poll(watched, 2, -1) < 0) return 1;
    if (watched[1].revents != 0 && !fromDevice(fd)) return 0;
    if (watched[0].revents != 0 && !toDevice(fd, index)) return 0;
  }
}
