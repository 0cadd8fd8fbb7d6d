#pragma once

#include <openssl/crypto.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

#include "constants.h"
#include "ipsec_mb.h"

namespace tuntap {

/// One AES-256-GCM key with Intel's library.
class IpsecMbAead {
 public:
  /// False when memory is out; the object is then unusable.
  bool init(const IpsecMb& library, const uint8_t* key) {
    expanded_.reset(new (std::align_val_t{IpsecMb::kAlignment}, std::nothrow) uint8_t[IpsecMb::kExpandedBytes]);
    if (!expanded_) return false;
    library_ = &library;
    library.expand(key, expanded_.get());
    return true;
  }

  bool ready() const { return library_ != nullptr; }

  /// Writes `length` bytes of ciphertext and the tag to `out`, which may not overlap `plain`.
  void seal(const uint8_t* nonce, const uint8_t* aad, size_t aadLength, const uint8_t* plain, size_t length, uint8_t* out) const {
    Context context;
    library_->seal(expanded_.get(), context.bytes, out, plain, length, nonce, aad, aadLength, out + length, kTagBytes);
  }

  /// Opens `length` bytes in place; the tag stands behind them. The library deciphers before the tag is known, so what turns out not to
  /// be authentic is wiped.
  bool open(const uint8_t* nonce, const uint8_t* aad, size_t aadLength, uint8_t* data, size_t length) const {
    Context context;
    uint8_t tag[kTagBytes];
    library_->open(expanded_.get(), context.bytes, data, data, length, nonce, aad, aadLength, tag, kTagBytes);
    if (CRYPTO_memcmp(tag, data + length, kTagBytes) == 0) return true;
    std::memset(data, 0, length);
    return false;
  }

 private:
  struct Free {
    void operator()(uint8_t* expanded) const {
      OPENSSL_cleanse(expanded, IpsecMb::kExpandedBytes);
      operator delete[](expanded, std::align_val_t{IpsecMb::kAlignment});
    }
  };
  /// Scratch of one call; the library fills it before it reads it.
  struct alignas(IpsecMb::kAlignment) Context {
    uint8_t bytes[IpsecMb::kContextBytes];
  };

  const IpsecMb* library_ = nullptr;
  std::unique_ptr<uint8_t[], Free> expanded_;
};

}  // namespace tuntap
