#include "namespace_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "visit.h"

namespace tuntap {

namespace {

constexpr int kBacklog = 64;

OpenError openHere(const SocketPlan& plan, const sockaddr_in& address, Fd& socket, uint16_t& port) {
  const int type = plan.kind == SocketKind::udp ? SOCK_DGRAM : SOCK_STREAM;
  Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return {"socket", errno};
  const auto* target = reinterpret_cast<const sockaddr*>(&address);
  if (plan.role == SocketRole::serve) {
    if (bind(fd.get(), target, sizeof address) != 0) return {"bind", errno};
    if (plan.kind == SocketKind::tcp && listen(fd.get(), kBacklog) != 0) return {"listen", errno};
  } else if (connect(fd.get(), target, sizeof address) != 0 && errno != EINPROGRESS) {
    return {"connect", errno};
  }
  sockaddr_in own{};
  socklen_t length = sizeof own;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &length) != 0) return {"socket", errno};
  port = ntohs(own.sin_port);
  socket = std::move(fd);
  return {};
}

}  // namespace

OpenError openSocketIn(const SocketPlan& plan, Fd& socket, uint16_t& port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(plan.port);
  if (inet_pton(AF_INET, plan.address.c_str(), &address.sin_addr) != 1) return {"address", EINVAL};
  return visit(plan.network, "socket-open", [&] { return openHere(plan, address, socket, port); });
}

}  // namespace tuntap
