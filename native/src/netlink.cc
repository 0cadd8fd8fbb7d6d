#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>

#include "visit.h"

namespace tuntap {

namespace {

/// The kernel fills at most 32 KiB at a time.
constexpr size_t kRoom = 64 * 1024;
/// A million routes have a tenth of it.
constexpr size_t kMostAnswers = 1024u * 1024 * 1024;
/// The kernel answers within the calls themselves; a socket without an answer has lost it.
constexpr timeval kPatience{5, 0};

OpenError open(int protocol, Fd& socket) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd.valid()) return {"socket", errno};
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience) != 0) return {"socket", errno};
  // What it refuses it explains, without repeating the request; and it looks at each field of a question. Older kernels do neither.
  const int on = 1;
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
    setsockopt(fd.get(), SOL_NETLINK, option, &on, sizeof on);
  }
  socket = std::move(fd);
  return {};
}

/// Requests that are sent together, by their numbers.
struct Asked {
  uint32_t first = 0;
  uint32_t last = 0;
  /// So many of them are still to be answered to their end.
  size_t unanswered = 0;
  bool refused = false;

  bool more() const { return unanswered > 0 && !refused; }
};

/// Keeps what answers them. A datagram ends where a header no longer fits.
void keep(const uint8_t* data, size_t length, Asked& asked, std::vector<uint8_t>& answers) {
  for (size_t at = 0; at + sizeof(nlmsghdr) <= length && asked.more();) {
    nlmsghdr header;
    std::memcpy(&header, data + at, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > length - at) break;
    if (header.nlmsg_seq >= asked.first && header.nlmsg_seq <= asked.last) {
      answers.insert(answers.end(), data + at, data + at + header.nlmsg_len);
      answers.resize(NLMSG_ALIGN(answers.size()));
      int32_t error = 0;
      const bool ends = header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE;
      if (ends && header.nlmsg_len >= sizeof header + sizeof error) std::memcpy(&error, data + at + sizeof header, sizeof error);
      if (ends) --asked.unanswered;
      if (error < 0) asked.refused = true;
    }
    at += NLMSG_ALIGN(header.nlmsg_len);
  }
}

OpenError ask(const Fd& socket, const uint8_t* data, size_t size, Asked& asked, std::vector<uint8_t>& room,
              std::vector<uint8_t>& answers) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const auto* target = reinterpret_cast<const sockaddr*>(&kernel);
  if (sendto(socket.get(), data, size, 0, target, sizeof kernel) < 0) return {"send", errno};
  while (asked.more()) {
    sockaddr_nl from{};
    socklen_t length = sizeof from;
    const ssize_t got = recvfrom(socket.get(), room.data(), room.size(), MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {"receive", errno == EAGAIN ? ETIMEDOUT : errno};
    if (static_cast<size_t>(got) > room.size() || answers.size() > kMostAnswers) return {"receive", EMSGSIZE};
    // Other programs can send to this socket, too.
    if (from.nl_pid == 0) keep(room.data(), static_cast<size_t>(got), asked, answers);
  }
  return {};
}

/// Adds the message at `at` to what is asked; the place behind it, or 0 where there is none.
size_t add(const std::vector<uint8_t>& requests, size_t at, Asked& asked) {
  nlmsghdr header;
  const size_t left = requests.size() - at;
  if (left < sizeof header) return 0;
  std::memcpy(&header, requests.data() + at, sizeof header);
  if (header.nlmsg_len < sizeof header || header.nlmsg_len > left) return 0;
  asked.last = header.nlmsg_seq;
  if ((header.nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP)) != 0) ++asked.unanswered;
  return std::min(requests.size(), at + NLMSG_ALIGN(header.nlmsg_len));
}

}  // namespace

OpenError exchangeNetlink(NetlinkExchange& exchange) {
  Fd socket;
  const auto openHere = [&] { return open(exchange.protocol, socket); };
  if (const OpenError failure = exchange.network < 0 ? openHere() : visit(exchange.network, "netlink-open", openHere)) return failure;
  std::vector<uint8_t> room(kRoom);
  const std::vector<uint8_t>& requests = exchange.requests;
  Asked asked;
  for (size_t at = 0; at < requests.size() && !asked.refused;) {
    size_t end = add(requests, at, asked);
    asked.first = asked.last;
    while (exchange.protocol == NETLINK_NETFILTER && end != 0 && end < requests.size()) end = add(requests, end, asked);
    if (end == 0 || asked.unanswered == 0) return {"request", EINVAL};
    if (const OpenError failure = ask(socket, requests.data() + at, end - at, asked, room, exchange.answers)) return failure;
    at = end;
  }
  return {};
}

}  // namespace tuntap
