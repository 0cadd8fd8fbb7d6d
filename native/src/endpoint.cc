#include "endpoint.h"

#include <arpa/inet.h>

namespace tuntap {

std::optional<Endpoint> Endpoint::parse(const std::string& text, uint16_t port, int family) {
  Endpoint endpoint;
  in_addr v4{};
  sockaddr_in6 v6{};
  const bool isV4 = inet_pton(AF_INET, text.c_str(), &v4) == 1;
  if (!isV4 && inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) != 1) return std::nullopt;

  if (family == AF_INET) {
    if (!isV4) {
      if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return std::nullopt;
      std::memcpy(&v4, v6.sin6_addr.s6_addr + 12, sizeof v4);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr = v4;
    std::memcpy(endpoint.bytes, &address, sizeof address);
    endpoint.length = sizeof address;
    return endpoint;
  }
  if (isV4) {
    v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(v6.sin6_addr.s6_addr + 12, &v4, sizeof v4);
  }
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(endpoint.bytes, &v6, sizeof v6);
  endpoint.length = sizeof v6;
  return endpoint;
}

Endpoint Endpoint::fromKernel(const sockaddr_in6& from, socklen_t length) {
  Endpoint endpoint;
  if (from.sin6_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 address = from;
    address.sin6_flowinfo = 0;
    std::memcpy(endpoint.bytes, &address, sizeof address);
    endpoint.length = sizeof address;
  } else if (from.sin6_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in address;
    std::memcpy(&address, &from, sizeof address);
    std::memset(address.sin_zero, 0, sizeof address.sin_zero);
    std::memcpy(endpoint.bytes, &address, sizeof address);
    endpoint.length = sizeof address;
  }
  return endpoint;
}

bool Endpoint::isIpv4() const {
  if (length != sizeof(sockaddr_in6)) return true;
  sockaddr_in6 address;
  std::memcpy(&address, bytes, sizeof address);
  return IN6_IS_ADDR_V4MAPPED(&address.sin6_addr);
}

bool Endpoint::isAny() const {
  const std::string address = text();
  return address == "::" || address == "0.0.0.0";
}

std::string Endpoint::text() const {
  char out[INET6_ADDRSTRLEN] = "";
  if (length == sizeof(sockaddr_in)) {
    sockaddr_in address;
    std::memcpy(&address, bytes, sizeof address);
    inet_ntop(AF_INET, &address.sin_addr, out, sizeof out);
  } else if (length == sizeof(sockaddr_in6)) {
    sockaddr_in6 address;
    std::memcpy(&address, bytes, sizeof address);
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&address.sin6_addr);
    inet_ntop(mapped ? AF_INET : AF_INET6, address.sin6_addr.s6_addr + (mapped ? 12 : 0), out, sizeof out);
  }
  return out;
}

uint16_t Endpoint::port() const {
  // sin_port and sin6_port share a place.
  uint16_t port;
  std::memcpy(&port, bytes + offsetof(sockaddr_in, sin_port), sizeof port);
  return ntohs(port);
}

}  // namespace tuntap
