/// Feeds a target where libFuzzer is not installed: seeds, changed at random, for a number of seconds. Usage: target SECONDS [SEED]
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length);

namespace {

using Bytes = std::vector<uint8_t>;

/// One of each decoder: a datagram, a UDP packet, a slice of a TCP packet of two.
const Bytes kSeeds[] = {
    {0, 1, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {1, 0x45, 0, 0, 32, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 32, 0, 1, 10, 32, 1, 1, 1, 1, 2, 2, 0, 12, 0, 0, 7, 7, 7, 7},
    {2,  1, 1, 0, 4, 20, 16, 40, 0, 0, 0, 0, 5, 0x45, 0, 0, 48, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 32, 0, 1, 10, 32,
     1,  1, 1, 1, 2, 2,  0,  0,  0, 1, 0, 0, 0, 1,    0x50, 0x18, 1, 0, 0, 0, 0, 0, 7, 7, 7, 7},
};

Bytes next(std::mt19937_64& random) {
  if (random() % 8 == 0) {
    Bytes noise(1 + random() % 400);
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random());
    return noise;
  }
  Bytes bytes = kSeeds[random() % 3];
  for (uint64_t changes = random() % 5; changes > 0; --changes) bytes[1 + random() % (bytes.size() - 1)] = static_cast<uint8_t>(random());
  if (random() % 4 == 0) bytes.resize(1 + random() % (bytes.size() + 8));
  return bytes;
}

}  // namespace

int main(int count, char** arguments) {
  const double seconds = count > 1 ? std::atof(arguments[1]) : 1;
  const uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : std::random_device()();
  std::mt19937_64 random(seed);
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  uint64_t runs = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end)
    for (int i = 0; i < 1000; ++i, ++runs) {
      const Bytes bytes = next(random);
      LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    }
  std::printf("%llu runs\n", static_cast<unsigned long long>(runs));
}
