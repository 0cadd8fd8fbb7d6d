#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

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

OpenError open(Fd& socket) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
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

enum class Outcome { more, done, refused };

/// Keeps what answers the request with this number. A datagram ends where a header no longer fits.
Outcome keep(const uint8_t* data, size_t length, uint32_t sequence, std::vector<uint8_t>& answers) {
  Outcome outcome = Outcome::more;
  for (size_t at = 0; at + sizeof(nlmsghdr) <= length;) {
    nlmsghdr header;
    std::memcpy(&header, data + at, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > length - at) break;
    if (header.nlmsg_seq == sequence) {
      answers.insert(answers.end(), data + at, data + at + header.nlmsg_len);
      answers.resize(NLMSG_ALIGN(answers.size()));
      int32_t error = 0;
      const bool ends = header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE;
      if (ends && header.nlmsg_len >= sizeof header + sizeof error) std::memcpy(&error, data + at + sizeof header, sizeof error);
      if (ends) outcome = error < 0 ? Outcome::refused : Outcome::done;
    }
    at += NLMSG_ALIGN(header.nlmsg_len);
  }
  return outcome;
}

OpenError ask(const Fd& socket, const uint8_t* request, const nlmsghdr& header, std::vector<uint8_t>& room,
              std::vector<uint8_t>& answers, Outcome& outcome) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const auto* target = reinterpret_cast<const sockaddr*>(&kernel);
  if (sendto(socket.get(), request, header.nlmsg_len, 0, target, sizeof kernel) < 0) return {"send", errno};
  for (outcome = Outcome::more; outcome == Outcome::more;) {
    sockaddr_nl from{};
    socklen_t length = sizeof from;
    const ssize_t size = recvfrom(socket.get(), room.data(), room.size(), MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return {"receive", errno == EAGAIN ? ETIMEDOUT : errno};
    if (static_cast<size_t>(size) > room.size() || answers.size() > kMostAnswers) return {"receive", EMSGSIZE};
    // Other programs can send to this socket, too.
    if (from.nl_pid == 0) outcome = keep(room.data(), static_cast<size_t>(size), header.nlmsg_seq, answers);
  }
  return {};
}

}  // namespace

OpenError exchangeNetlink(NetlinkExchange& exchange) {
  Fd socket;
  const auto openHere = [&] { return open(socket); };
  if (const OpenError failure = exchange.network < 0 ? openHere() : visit(exchange.network, "netlink-open", openHere)) return failure;
  std::vector<uint8_t> room(kRoom);
  Outcome outcome = Outcome::done;
  for (size_t at = 0; at < exchange.requests.size() && outcome != Outcome::refused;) {
    nlmsghdr header;
    const size_t left = exchange.requests.size() - at;
    if (left < sizeof header) return {"request", EINVAL};
    std::memcpy(&header, exchange.requests.data() + at, sizeof header);
    const bool isAnswered = (header.nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP)) != 0;
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > left || !isAnswered) return {"request", EINVAL};
    if (const OpenError failure = ask(socket, exchange.requests.data() + at, header, room, exchange.answers, outcome)) return failure;
    at += NLMSG_ALIGN(header.nlmsg_len);
  }
  return {};
}

}  // namespace tuntap
