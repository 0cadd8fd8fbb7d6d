#include "ipsec_mb.h"

#include <dlfcn.h>

#include <cstring>
#include <string>
#include <vector>

#include "evp_aead.h"
#include "ipsec_mb_aead.h"

namespace tuntap {

namespace {

#ifdef __x86_64__

/// The library's implementations, best first, and whether the processor can run them.
struct Variant {
  const char* name;
  const char* suffix;
  bool supported;
};

std::vector<Variant> variants() {
  __builtin_cpu_init();
  const bool aes = __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("avx");
  const bool avx2 = aes && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  const bool vaes = avx512 && __builtin_cpu_supports("vaes") && __builtin_cpu_supports("vpclmulqdq");
  return {{"ipsec-mb vaes-avx512", "vaes_avx512", vaes},
          {"ipsec-mb avx512", "avx512", avx512},
          {"ipsec-mb avx2", "avx_gen4", avx2},
          {"ipsec-mb avx", "avx_gen2", aes}};
}

template <typename Function>
Function symbol(void* library, const char* operation, const char* suffix) {
  return reinterpret_cast<Function>(dlsym(library, (std::string("aes_gcm_") + operation + "_256_" + suffix).c_str()));
}

#endif

/// One packet of each kind of length, sealed and opened by both, and forged.
bool agrees(IpsecMbAead& tested, EvpAead& sealer, size_t length, size_t aadLength) {
  constexpr uint8_t kGuard = 0xa5;
  uint8_t nonce[kNonceBytes];
  uint8_t aad[32];
  std::memset(nonce, static_cast<int>(length), sizeof nonce);
  std::memset(aad, static_cast<int>(length + 1), sizeof aad);
  std::vector<uint8_t> plain(length + 1);
  for (size_t i = 0; i < length; ++i) plain[i] = static_cast<uint8_t>(i * 7 + length);
  std::vector<uint8_t> expected(length + kTagBytes + 1, kGuard);
  std::vector<uint8_t> found = expected;
  if (!sealer.seal(nonce, aad, aadLength, plain.data(), length, expected.data())) return false;
  tested.seal(nonce, aad, aadLength, plain.data(), length, found.data());
  if (found != expected) return false;

  std::vector<uint8_t> forged = expected;
  forged[(length * 5) % (length + kTagBytes)] ^= 0x10;
  if (tested.open(nonce, aad, aadLength, forged.data(), length)) return false;
  return tested.open(nonce, aad, aadLength, found.data(), length) && std::memcmp(found.data(), plain.data(), length) == 0 &&
         found.back() == kGuard;
}

/// Every length around the block sizes of the implementations, and some up to the largest packet.
bool passes(const IpsecMb& library) {
  uint8_t key[kKeyBytes];
  for (size_t i = 0; i < sizeof key; ++i) key[i] = static_cast<uint8_t>(i * 37 + 11);
  IpsecMbAead tested;
  EvpAead sealer;
  if (!tested.init(library, key) || !sealer.init(CipherSuite::aes256Gcm, EvpAead::Direction::seal, key)) return false;
  for (size_t length = 0; length <= 1'100; length += length < 300 ? 1 : 7)
    if (!agrees(tested, sealer, length, 16)) return false;
  for (const size_t length : {1'368u, 1'400u, 1'452u, 1'500u, 4'096u, 9'001u, 65'535u})
    if (!agrees(tested, sealer, length, 16)) return false;
  for (const size_t aadLength : {0u, 1u, 15u, 17u, 32u})
    if (!agrees(tested, sealer, 100, aadLength)) return false;
  return true;
}

IpsecMb load() {
#ifdef __x86_64__
  // Never closed: found once, used until the process ends.
  void* library = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {};
  for (const Variant& variant : variants()) {
    if (!variant.supported) continue;
    IpsecMb found;
    found.name = variant.name;
    found.expand = symbol<IpsecMb::Expand>(library, "pre", variant.suffix);
    found.seal = symbol<IpsecMb::Crypt>(library, "enc", variant.suffix);
    found.open = symbol<IpsecMb::Crypt>(library, "dec", variant.suffix);
    if (found.expand != nullptr && found.seal != nullptr && found.open != nullptr && passes(found)) return found;
  }
#endif
  return {};
}

}  // namespace

const IpsecMb* IpsecMb::find() {
  static const IpsecMb library = load();
  return library.name == nullptr ? nullptr : &library;
}

}  // namespace tuntap
