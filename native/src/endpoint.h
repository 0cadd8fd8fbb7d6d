#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "spin_lock.h"

namespace tuntap {

/// Address and port in the form that the socket's family wants; `length` 0 means nowhere. Compares byte by byte: what does not belong
/// to the name (flow label, padding) is zero.
struct Endpoint {
  alignas(8) uint8_t bytes[sizeof(sockaddr_in6)]{};
  uint32_t length = 0;

  bool known() const { return length != 0; }
  /// Also where the socket maps it into IPv6.
  bool isIpv4() const;
  /// The address that stands for all of a host, of either family.
  bool isAny() const;
  bool operator==(const Endpoint& other) const { return std::memcmp(this, &other, sizeof *this) == 0; }

  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(bytes); }
  sockaddr* address() { return reinterpret_cast<sockaddr*>(bytes); }

  /// `text` is IPv4 or IPv6 without brackets. Nothing when it is not an address or the family cannot be reached from the socket.
  static std::optional<Endpoint> parse(const std::string& text, uint16_t port, int family);
  /// What the kernel filled in for a datagram that arrived.
  static Endpoint fromKernel(const sockaddr_in6& from, socklen_t length);
  /// IPv4 in its own form, also where the socket maps it into IPv6.
  std::string text() const;
  uint16_t port() const;
};
static_assert(sizeof(Endpoint) == 32 && alignof(Endpoint) == 8);

/// An endpoint that one thread may change while others read it: readers never see half of one (a sequence lock made of atomics).
class EndpointCell {
 public:
  Endpoint load() const {
    Endpoint result;
    for (;;) {
      const uint32_t before = version_.load(std::memory_order_acquire);
      uint64_t words[4];
      for (int i = 0; i < 4; ++i) words[i] = words_[i].load(std::memory_order_acquire);
      if ((before & 1) == 0 && version_.load(std::memory_order_relaxed) == before) {
        std::memcpy(&result, words, sizeof result);
        return result;
      }
    }
  }

  void store(const Endpoint& endpoint) {
    uint64_t words[4];
    std::memcpy(words, &endpoint, sizeof words);
    const SpinLock::Guard guard(lock_);
    const uint32_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    for (int i = 0; i < 4; ++i) words_[i].store(words[i], std::memory_order_release);
    version_.store(version + 2, std::memory_order_release);
  }

 private:
  SpinLock lock_;
  std::atomic<uint32_t> version_{0};
  std::atomic<uint64_t> words_[4]{};
};

}  // namespace tuntap
