#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "event_box.h"
#include "fd.h"
#include "parts.h"
#include "receive_loop.h"
#include "send_loop.h"
#include "tables.h"
#include "thread.h"

namespace tuntap {

struct DatapathOptions {
  std::string device;
  std::string address;
  uint16_t port = 0;
  unsigned queues = 1;
  /// Path of a network namespace to open the device in, and one for the socket; empty: the process's own.
  std::string deviceNamespace;
  std::string socketNamespace;
  TunFeatures tun;
  UdpFeatures udp;
  Limits limits;
  bool copyDscp = false;
  /// Whether datagrams are carried for others.
  bool carries = true;
  std::optional<Prefix> prefix;
  /// Whether Intel's library may be used where it is installed.
  bool ipsecMb = true;
  /// Counters::kWords for each of 2 × queues threads, zeroed; must outlive the Datapath.
  uint64_t* counters = nullptr;
};

/// One event as the event loop sees it.
struct PeerEvents {
  unsigned slot;
  bool keyWanted;
  bool rekeyDue;
  bool roamed;
  Endpoint endpoint;
  /// Numbers that ask() was given and the peer has sent back.
  std::vector<uint32_t> answered;
  std::vector<uint32_t> confirmed;
};

/// The packet path of one host: device, socket, tables, and a pair of threads per queue. All methods are for one thread, the event loop.
class Datapath {
 public:
  /// `wake` may be called on any thread until stop() returns; collect() is then to be called soon.
  Datapath(DatapathOptions options, std::function<void()> wake);
  ~Datapath() { stop(); }
  Datapath(const Datapath&) = delete;
  Datapath& operator=(const Datapath&) = delete;

  OpenError open();
  /// Ends the threads and waits for them; any number of times and, unlike the rest, on any thread.
  void stop();

  uint16_t port() const;
  TunFeatures tunFeatures() const { return queues_[0]->tun.features(); }
  UdpFeatures udpFeatures() const { return queues_[0]->udp.features(); }
  /// The implementation of AES-256-GCM.
  const char* cipher() const { return library_ == nullptr ? "openssl" : library_->name; }
  unsigned queueCount() const { return static_cast<unsigned>(queues_.size()); }

  /// False when the address is none. An empty one means nowhere; so does one of a family that the socket cannot reach.
  /// The name counts when the peer is new.
  bool setPeer(unsigned slot, const std::string& address, uint16_t port, uint64_t name);
  /// What goes to the peer goes by way of the one in the slot `carrier`; 0: directly. False when the peer is unknown or has no name.
  bool setCarrier(unsigned slot, unsigned carrier);
  /// Asks the peer to send the number back, by way of `carrier` or directly (0). False when there is no key or no place to send it to.
  bool ask(unsigned slot, uint32_t number, unsigned carrier, const std::string& address, uint16_t port);
  void removePeer(unsigned slot);
  bool setRoutes(const std::vector<RouteRange>& ranges);
  /// Null, or what is wrong with the keys; then nothing has changed.
  const char* setKeys(unsigned slot, const std::vector<SessionKeys>& keys);
  void collect(const std::function<void(const PeerEvents&)>& visit);
  EventBox::Failed takeFailure() { return events_.takeFailure(); }

 private:
  struct Queue {
    TunQueue tun;
    UdpSocket udp;
    Turn turn;
    std::unique_ptr<SendLoop> send;
    std::unique_ptr<ReceiveLoop> receive;
    Thread sender;
    Thread receiver;
  };

  OpenError openDescriptors();
  OpenError openTuns();
  OpenError openSockets();
  OpenError startThreads();
  size_t longestDatagram() const;
  size_t deviceMtu() const;
  static Session* sessionOf(const Peer& peer, uint32_t receiveIndex);
  void greet(Peer& peer, bool moved);
  void probe(Peer& peer, bool anew);
  void answer(Peer& peer);
  bool say(Peer& peer, unsigned carrier, DatagramType type, const std::vector<uint8_t>& body, const Endpoint& elsewhere = {});

  DatapathOptions options_;
  const IpsecMb* library_;
  Tables tables_;
  EventBox events_;
  std::atomic<bool> stopping_{false};
  Fd wakeFd_;
  /// Any socket in the device's namespace: to ask for the device's MTU.
  Fd deviceSocket_;
  std::mutex stopLock_;
  std::vector<std::unique_ptr<Queue>> queues_;
};

}  // namespace tuntap
