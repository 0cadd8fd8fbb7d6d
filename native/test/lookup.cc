/// What it costs to find whom a packet is for and which key opens it, whatever the number of peers.
/// Usage: lookup PEERS. Prints nanoseconds for each packet: owner of its destination, owner of its source, peer, session.
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "../src/tables.h"

// Sessions without keys: nothing of a cipher library is needed.
extern "C" void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX*) {}
extern "C" void OPENSSL_cleanse(void*, size_t) {}

namespace {

using namespace tuntap;

constexpr uint32_t kFirst = 10u << 24 | 32u << 16;  // 10.32.0.0/12
constexpr uint32_t kAddresses = 1u << 20;
constexpr unsigned kKeysEach = 3;
constexpr size_t kPackets = 1 << 16;
constexpr int kRounds = 100;

uint32_t state = 1;
uint32_t draw() {  // xorshift32: the same in every run
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

struct Packet {
  uint32_t source;
  uint32_t destination;
  uint32_t index;
};

double measure(unsigned peers) {
  Tables tables;
  std::vector<RouteRange> ranges;
  std::vector<uint32_t> indices;
  const uint32_t each = kAddresses / (peers + 1);
  for (unsigned slot = 0; slot <= peers; ++slot) {
    ranges.push_back({kFirst + slot * each, kFirst + slot * each + each - 1, slot});
    if (slot == 0) continue;
    Peer& peer = tables.addPeer(slot);
    for (unsigned key = 0; key < kKeysEach; ++key) {
      SessionKeys keys{};
      keys.receiveIndex = draw();
      indices.push_back(keys.receiveIndex);
      tables.addSession(peer, std::make_unique<Session>(peer, keys));
    }
  }
  tables.setRoutes(ranges);
  std::vector<Packet> packets(kPackets);
  for (Packet& packet : packets) packet = {kFirst + draw() % kAddresses, kFirst + draw() % kAddresses, indices[draw() % indices.size()]};

  uint64_t found = 0;
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (const Packet& packet : packets) {
      const int owner = tables.ownerOf(packet.destination);
      found += static_cast<unsigned>(tables.ownerOf(packet.source));
      if (owner > 0) found += tables.peer(static_cast<unsigned>(owner))->slot;
      found += tables.session(packet.index)->peer.slot;
    }
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    if (spent.count() < best) best = spent.count();
  }
  // So that the compiler cannot leave the work out.
  if (found == 0) std::abort();
  return best / kPackets;
}

}  // namespace

int main(int count, char** words) {
  const long peers = count == 2 ? std::atol(words[1]) : 0;
  if (peers < 1 || peers >= static_cast<long>(kMaxSlots)) {
    std::fprintf(stderr, "usage: lookup PEERS (1 to %u)\n", kMaxSlots - 1);
    return 2;
  }
  std::printf("%.1f\n", measure(static_cast<unsigned>(peers)));
  return 0;
}
