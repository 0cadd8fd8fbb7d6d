#pragma once

#include <cstddef>
#include <cstdint>

namespace tuntap {

// --- Protocol: both ends must agree on these. -------------------------------------------------------------------------

constexpr size_t kKeyBytes = 32;
constexpr size_t kTagBytes = 16;
constexpr size_t kNonceBytes = 12;

/// A lane is one independent counter under a key, so that two threads never share one. Lanes 0 … kMaxQueues - 1 belong to the
/// sending threads; the control lane carries what the event loop itself sends.
constexpr unsigned kMaxQueues = 4;
constexpr unsigned kControlLane = kMaxQueues;
constexpr unsigned kLanes = kMaxQueues + 1;

/// A key asks to be replaced after this many packets of one lane, and refuses to seal after that many: the margin is the
/// replay window, so that a receiver never meets a counter that wrapped.
constexpr uint64_t kRekeyAfterPackets = uint64_t{1} << 60;
constexpr uint64_t kRejectAfterPackets = ~uint64_t{0} - (uint64_t{1} << 13);

// --- Tables. -----------------------------------------------------------------------------------------------------------

/// Peers are numbered; number 0 is this host.
constexpr unsigned kMaxSlots = 16'384;
constexpr unsigned kMaxKeys = 3;
constexpr unsigned kIndexBuckets = 16'384;

/// Ranges in one table: a limit against a table that would take the memory of the host.
constexpr size_t kMaxRanges = 1u << 20;

// --- Tuning. -----------------------------------------------------------------------------------------------------------

/// What is sealed before it is handed to the kernel: three of the largest packets fill whole runs better than one does, and all of it stays in
/// the second-level cache. 64 KiB costs 5 % of the rate, 384 KiB gains nothing more (README.md).
constexpr size_t kFlushBytes = 192 * 1024;

/// And of small packets no more than the device's queue holds, so that it does not overflow while they are sent.
constexpr unsigned kFlushPackets = 500;

/// Room for one flush, plus one super-packet that grows by its headers while it is cut.
constexpr size_t kArenaBytes = 320 * 1024;

/// What may leave the device's queue without it being empty once, until one segment is lost on purpose. Measured between containers: of
/// 1, 2, 3 and 4 MiB the first costs a quarter of the rate, the last adds a third to the delay.
constexpr size_t kStandingBytes = 3 * 1024 * 1024;

/// Messages per sendmmsg.
constexpr size_t kMaxRuns = 128;

/// UDP_SEGMENT: the kernel takes at most 64 datagrams in one message (more on newer ones), and their sum must fit one
/// IP packet; the IPv6 figure is the smaller one.
constexpr size_t kMaxRunDatagrams = 64;
constexpr size_t kMaxRunBytes = 65'535 - 40 - 8;

/// recvmmsg: eight messages of 64 KiB; one message holds a whole run that the kernel joined (UDP_GRO).
constexpr size_t kReceiveSlots = 8;
constexpr size_t kReceiveSlotBytes = 65'536;

/// Slices of one super-packet in one write; far below IOV_MAX, and more than 64 KiB at the usual segment size.
constexpr size_t kMaxJoined = 128;

/// The default of 208 KiB holds three super-packets; a burst of one TCP window must fit.
constexpr int kReceiveBufferBytes = 8 * 1024 * 1024;
constexpr int kSendBufferBytes = 2 * 1024 * 1024;

/// Every wire of IPv6 carries so much (RFC 8200 §5), and over every path of IPv6 so long a packet must pass that it is not cut.
constexpr size_t kLeastIpv6Mtu = 1280;

/// Whether an IPv6 path carries datagrams of full size is asked in so many copies, because each may be lost; again after a second while there
/// are such datagrams and no answer; and after three it is taken not to.
constexpr unsigned kProbes = 3;
constexpr int64_t kProbeInterval = 1'000'000'000;
constexpr int64_t kProbePatience = 3'000'000'000;

/// Sending sockets beside the main one, for peers that fill their queue (sidings.h): so many slow peers at once hurt nobody else. Their
/// queues are short: what waits there waits for long.
constexpr unsigned kMaxSidings = 4;
constexpr int kSidingBufferBytes = 512 * 1024;

/// A queue is crowded when a quarter of it is full: the rest is for what is sent until the culprit is found. A siding is calm when next to
/// nothing waits in it; on trial for so long, a peer that sends too much has shown it; one that made room for others has its peace for
/// a second.
constexpr int crowdedAt(int queueBytes) { return queueBytes / 4; }
constexpr int calmBelow(int queueBytes) { return queueBytes / 8; }
constexpr int fullAt(int queueBytes) { return queueBytes / 4 * 3; }
constexpr int64_t kTrialTime = 50'000'000;
constexpr int64_t kAcquittedTime = 1'000'000'000;

/// What is carried for others takes part of the queue only: the rest is for what this host sends itself.
constexpr int carriedBelow(int queueBytes) { return queueBytes / 4; }

/// So many messages, or bytes, at once are few: one thread has time for both directions (turn.h). So long there must be no more than that until it
/// has them again.
constexpr unsigned kFewMessages = 4;
constexpr size_t kFewBytes = 16 * 1024;
constexpr int64_t kCalmTime = 20'000'000;

/// Events that the other side of the wire can cause at will.
constexpr int64_t kKeyWantedInterval = 1'000'000'000;
constexpr int64_t kRoamInterval = 10'000'000;
constexpr int64_t kTooLongInterval = 1'000'000;

constexpr size_t kCacheLine = 64;

}  // namespace tuntap
