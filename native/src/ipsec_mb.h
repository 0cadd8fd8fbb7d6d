#pragma once

#include <cstddef>
#include <cstdint>

namespace tuntap {

/// AES-256-GCM from Intel's Multi-Buffer Crypto library (libIPSec_MB.so.1, Debian's libipsec-mb1), where it is installed: a direct call
/// per packet, without the bookkeeping that OpenSSL does for each. Loaded at run time, so that nothing depends on it, and taken
/// only when it gives the very bytes that OpenSSL gives.
class IpsecMb {
 public:
  /// What the library keeps of a key (gcm_key_data) and of one packet (gcm_context_data). It declares less than half of this.
  static constexpr size_t kExpandedBytes = 4096;
  static constexpr size_t kContextBytes = 256;
  static constexpr size_t kAlignment = 64;

  using Expand = void (*)(const void* key, void* expanded);
  using Crypt = void (*)(const void* expanded, void* context, uint8_t* out, const uint8_t* in, uint64_t length, const uint8_t* nonce,
                         const uint8_t* aad, uint64_t aadLength, uint8_t* tag, uint64_t tagLength);

  /// The fastest variant for this processor; null when there is none. Looked for once in a process; on any thread.
  static const IpsecMb* find();

  const char* name = nullptr;
  Expand expand = nullptr;
  Crypt seal = nullptr;
  /// Leaves the comparison of the tag to the caller.
  Crypt open = nullptr;
};

}  // namespace tuntap
