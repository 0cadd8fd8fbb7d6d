#pragma once

#include <atomic>
#include <cstdint>

#include "counters.h"
#include "event_box.h"
#include "tables.h"
#include "turn.h"
#include "tun_queue.h"
#include "udp_socket.h"

namespace tuntap {

struct Limits {
  uint64_t rekeyAfter = kRekeyAfterPackets;
  uint64_t rejectAfter = kRejectAfterPackets;
};

/// What both loops of a queue work with; owned by the Datapath, which outlives them.
struct LoopParts {
  TunQueue& tun;
  UdpSocket& udp;
  Tables& tables;
  EventBox& events;
  Turn& turn;
  const std::atomic<bool>& stopping;
  Limits limits;
  /// Which bits of the inner type of service the outer header gets: ECN always, DSCP when asked for.
  uint8_t tosMask;
  /// Whether this host carries datagrams for others.
  bool carries;
  unsigned queue;
  unsigned queues;
};

}  // namespace tuntap
