#include "udp_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "constants.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace tuntap {

namespace {

bool set(int fd, int level, int name, int value) { return setsockopt(fd, level, name, &value, sizeof value) == 0; }

void setBuffer(int fd, int forced, int ordinary, int bytes) {
  if (!set(fd, SOL_SOCKET, forced, bytes)) set(fd, SOL_SOCKET, ordinary, bytes);
}

struct alignas(cmsghdr) SendControl {
  uint8_t bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
};

template <typename Value>
void append(msghdr& message, SendControl& control, int level, int type, Value value) {
  auto* header = reinterpret_cast<cmsghdr*>(control.bytes + message.msg_controllen);
  message.msg_control = control.bytes;
  message.msg_controllen += CMSG_SPACE(sizeof value);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(header), &value, sizeof value);
}

/// Which socket of a port the kernel gives a datagram to (SO_ATTACH_REUSEPORT_CBPF, socket(7)): one of the first `sockets`, in the order in
/// which they were bound, by lane and receiver index (wire.h). What is too short to have those goes to the first.
bool steer(int fd, unsigned sockets) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, sockets),
      BPF_STMT(BPF_RET | BPF_A, 0),
  };
  const sock_fprog filter{sizeof program / sizeof program[0], program};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) == 0;
}

void describe(const Run& run, msghdr& message, iovec& part, SendControl& control) {
  part = {run.data, run.bytes};
  message = {};
  message.msg_name = const_cast<uint8_t*>(run.to.bytes);
  message.msg_namelen = run.to.length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (run.datagrams > 1) append(message, control, IPPROTO_UDP, UDP_SEGMENT, run.datagramBytes);
  if (run.tos != 0 && run.to.isIpv4()) append(message, control, IPPROTO_IP, IP_TOS, int{run.tos});
  if (run.tos != 0 && !run.to.isIpv4()) append(message, control, IPPROTO_IPV6, IPV6_TCLASS, int{run.tos});
}

}  // namespace

OpenError UdpSocket::open(const std::string& address, uint16_t port, bool shared, UdpFeatures wanted) {
  family_ = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  std::string bound = address;
  if (address == "::" && !Fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)).valid() && errno == EAFNOSUPPORT) {
    family_ = AF_INET;
    bound = "0.0.0.0";
  }
  const auto local = Endpoint::parse(bound, port, family_);
  if (!local) return {"udp-address", EINVAL};
  local_ = *local;
  if (const OpenError error = make(fd_, shared, kSendBufferBytes, queueBytes_[0])) return error;
  setBuffer(fd_.get(), SO_RCVBUFFORCE, SO_RCVBUF, kReceiveBufferBytes);

  // What routers on the way say about congestion; see ecn.h.
  set(fd_.get(), IPPROTO_IP, IP_RECVTOS, 1);
  if (family_ == AF_INET6) set(fd_.get(), IPPROTO_IPV6, IPV6_RECVTCLASS, 1);

  int probe = 0;
  socklen_t probeLength = sizeof probe;
  segmentation_ = wanted.segmentation && getsockopt(fd_.get(), IPPROTO_UDP, UDP_SEGMENT, &probe, &probeLength) == 0;
  coalescing_ = wanted.coalescing && set(fd_.get(), IPPROTO_UDP, UDP_GRO, 1);

  local_.length = sizeof local_.bytes;
  if (getsockname(fd_.get(), local_.address(), &local_.length) != 0) return {"udp-bind", errno};
  return {};
}

/// A socket of this family on `local_`. One that is not shared finds out whether the port is free; others may follow it there.
OpenError UdpSocket::make(Fd& out, bool shared, int sendBytes, int& queueBytes) const {
  Fd fd(::socket(family_, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return {"udp-socket", errno};
  if (family_ == AF_INET6) set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, local_.isAny() ? 0 : 1);
  setBuffer(fd.get(), SO_SNDBUFFORCE, SO_SNDBUF, sendBytes);
  socklen_t queueLength = sizeof queueBytes;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &queueBytes, &queueLength) != 0) return {"udp-socket", errno};

  // IPv4: routers may fragment what is larger than their next wire, because one that drops it silently would be a black hole for every
  // full packet; slow beats that. A local wire that is too small refuses runs, which then leave one by one. IPv6 routers never fragment.
  set(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  if (family_ == AF_INET6) set(fd.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT);

  if (shared && !set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1)) return {"udp-socket", errno};
  if (bind(fd.get(), local_.address(), local_.length) != 0) return {"udp-bind", errno};
  if (!shared) set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  out = std::move(fd);
  return {};
}

/// The kernel takes the rule only once the port has several sockets. Whether to join datagrams it asks any of them, so all must say yes.
void UdpSocket::openSidings(unsigned sockets) {
  while (sidings_ < kMaxSidings && !make(others_[sidings_], true, kSidingBufferBytes, queueBytes_[1 + sidings_])) {
    if (coalescing_) set(others_[sidings_].get(), IPPROTO_UDP, UDP_GRO, 1);
    ++sidings_;
  }
  if (sidings_ == 0 || steer(fd_.get(), sockets)) return;
  for (Fd& other : others_) other = Fd();
  sidings_ = 0;
}

void UdpSocket::send(std::span<Run> runs) {
  std::array<mmsghdr, kMaxRuns> messages;
  std::array<iovec, kMaxRuns> parts;
  std::array<SendControl, kMaxRuns> controls;
  for (size_t i = 0; i < runs.size(); ++i) {
    runs[i].refused = 0;
    describe(runs[i], messages[i].msg_hdr, parts[i], controls[i]);
  }

  for (size_t done = 0; done < runs.size();) {
    const unsigned siding = runs[done].siding;
    size_t end = done + 1;
    while (end < runs.size() && runs[end].siding == siding) ++end;
    const int sent = sendmmsg(socketOf(siding), &messages[done], static_cast<unsigned>(end - done), MSG_DONTWAIT);
    if (sent > 0) {
      done += static_cast<size_t>(sent);
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    Run& run = runs[done++];
    // EIO: the device cannot fill in checksums, so no run will ever pass. EINVAL, EMSGSIZE: this one is larger than the path.
    const bool cut = run.datagrams > 1 && (errno == EIO || errno == EINVAL || errno == EMSGSIZE);
    if (cut && errno == EIO) segmentation_.store(false, std::memory_order_relaxed);
    run.refused = cut ? sendSingly(run) : run.datagrams;
  }
}

uint16_t UdpSocket::sendSingly(const Run& run) {
  uint16_t refused = 0;
  for (uint32_t offset = 0; offset < run.bytes; offset += run.datagramBytes) {
    Run one = run;
    one.data += offset;
    one.bytes = std::min<uint32_t>(run.datagramBytes, run.bytes - offset);
    one.datagrams = 1;
    msghdr message;
    iovec part;
    SendControl control;
    describe(one, message, part, control);
    ssize_t sent;
    do {
      sent = sendmsg(socketOf(run.siding), &message, MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) ++refused;
  }
  return refused;
}

bool UdpSocket::sendNow(const uint8_t* data, size_t length, const Endpoint& to) const {
  return sendto(fd_.get(), data, length, MSG_DONTWAIT, to.address(), to.length) >= 0;
}

int UdpSocket::waiting(unsigned siding) const {
  int bytes = 0;
  return ioctl(socketOf(siding), SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

void UdpSocket::shutdown() { ::shutdown(fd_.get(), SHUT_RDWR); }

}  // namespace tuntap
