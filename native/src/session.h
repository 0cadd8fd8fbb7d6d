#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "aead.h"
#include "constants.h"
#include "replay_window.h"

namespace tuntap {

class Peer;

struct SessionKeys {
  uint32_t receiveIndex;
  uint32_t sendIndex;
  CipherSuite suite;
  bool send;
  uint8_t receiveKey[kKeyBytes];
  uint8_t sendKey[kKeyBytes];
};

/// One lane of a sending key. Only the thread of the lane touches it, so its counter needs no lock and never repeats.
struct alignas(kCacheLine) SendLane {
  Aead aead;
  uint64_t counter = 0;
};

/// One pair of keys with one peer: found by receive index when a datagram arrives, by peer when one departs.
class Session {
 public:
  Session(Peer& owner, const SessionKeys& keys) : peer(owner), receiveIndex(keys.receiveIndex), sendIndex(keys.sendIndex) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    for (auto& window : windows_) delete window.load(std::memory_order_relaxed);
  }

  /// Keys the contexts that `queues` receiving threads need. False when the cipher library refuses.
  bool initReceive(const SessionKeys& keys, unsigned queues, const IpsecMb* library) {
    for (unsigned i = 0; i < queues; ++i)
      if (!openers[i].init(keys.suite, Aead::Direction::open, keys.receiveKey, library)) return false;
    return true;
  }

  /// Keys the sending lanes, once: their counters must never start again. Call before the session is published for sending.
  bool initSend(const SessionKeys& keys, unsigned queues, const IpsecMb* library) {
    if (sendReady_) return true;
    for (unsigned i = 0; i < queues; ++i)
      if (!lanes[i].aead.init(keys.suite, Aead::Direction::seal, keys.sendKey, library)) return false;
    // Hardly used, and small with OpenSSL.
    sendReady_ = lanes[kControlLane].aead.init(keys.suite, Aead::Direction::seal, keys.sendKey, nullptr);
    return sendReady_;
  }

  /// The lane's window, or null before its first authentic packet.
  ReplayWindow* window(unsigned lane) const { return windows_[lane].load(std::memory_order_acquire); }

  /// Made once per lane, after the first packet was opened: strangers cannot cause it. Null when memory is out.
  ReplayWindow* makeWindow(unsigned lane) {
    if (ReplayWindow* present = window(lane)) return present;
    auto made = std::unique_ptr<ReplayWindow>(new (std::nothrow) ReplayWindow());
    ReplayWindow* expected = nullptr;
    if (made && windows_[lane].compare_exchange_strong(expected, made.get(), std::memory_order_acq_rel)) return made.release();
    return expected;
  }

  Peer& peer;
  const uint32_t receiveIndex;
  const uint32_t sendIndex;

  Aead openers[kMaxQueues];  // by receiving thread
  SendLane lanes[kLanes];

  /// Set by the threads, looked at when events are collected.
  std::atomic<bool> confirmed{false};
  std::atomic<bool> rekeyAsked{false};

  /// Event loop only.
  bool confirmedReported = false;
  bool keepaliveSent = false;

  /// Next in the bucket of the session index.
  std::atomic<Session*> next{nullptr};

 private:
  std::atomic<ReplayWindow*> windows_[kLanes]{};
  bool sendReady_ = false;
};

}  // namespace tuntap
