#pragma once

#include <cstdint>
#include <string>

#include "fd.h"
#include "tun_queue.h"

namespace tuntap {

enum class SocketKind { udp, tcp };
enum class SocketRole {
  /// Bound to the address; a TCP socket listens.
  serve,
  /// Connected to the address; a TCP socket may still be on its way when the call returns.
  call,
};

struct SocketPlan {
  /// Open descriptor of the network namespace.
  int network = -1;
  SocketKind kind = SocketKind::udp;
  SocketRole role = SocketRole::serve;
  /// IPv4 text.
  std::string address;
  /// 0 with `serve`: any free one.
  uint16_t port = 0;
};

/// Opens a socket inside another network namespace. A socket stays in the namespace that its maker was in, so a thread of its own goes there,
/// opens it and ends: no other code of the process is ever in there. Does not wait for the network. `port` is the socket's own.
OpenError openSocketIn(const SocketPlan& plan, Fd& socket, uint16_t& port);

}  // namespace tuntap
