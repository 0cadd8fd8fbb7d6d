#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tun_queue.h"

namespace tuntap {

struct NetlinkExchange {
  /// Open descriptor of the network namespace that is asked; below 0: that of this process.
  int network = -1;
  /// NETLINK_ROUTE, NETLINK_GENERIC: one request after the other. NETLINK_NETFILTER: all are one batch, of which everything is done or nothing.
  int protocol = 0;
  /// Whole messages (struct nlmsghdr), one after the other, numbered in their order. Each request has NLM_F_ACK or NLM_F_DUMP, but for those
  /// that begin and end a batch.
  std::vector<uint8_t> requests;
  /// All that the kernel answered, in the order of the requests; it ends with the first refusal, after which nothing more is asked.
  std::vector<uint8_t> answers;
};

/// Asks the kernel on a netlink socket (netlink(7), rtnetlink(7), linux/netfilter/nfnetlink.h) that is opened for it, so that no answer of an earlier exchange can be
/// taken for one of this. Waits where the kernel does, as for a link that another program is changing. In another namespace the socket is
/// opened by a thread of its own, which goes there and ends (namespace_socket.h). A request that the kernel refuses is no error here.
OpenError exchangeNetlink(NetlinkExchange& exchange);

}  // namespace tuntap
