#pragma once

#include <cstddef>
#include <cstdint>

#include "bytes.h"
#include "evp_aead.h"
#include "ipsec_mb_aead.h"

namespace tuntap {

/// One key in one direction, with the fastest implementation of its cipher that this machine has. Not for use by two threads at once.
class Aead {
 public:
  using Direction = EvpAead::Direction;

  /// `library` null: OpenSSL for everything. False when the implementation refuses; the object is then unusable.
  bool init(CipherSuite suite, Direction direction, const uint8_t* key, const IpsecMb* library) {
    if (library != nullptr && suite == CipherSuite::aes256Gcm) return fast_.init(*library, key);
    return portable_.init(suite, direction, key);
  }

  /// Writes `length` bytes of ciphertext and the tag to `out`, which may not overlap `plain`.
  bool seal(const uint8_t* nonce, const uint8_t* aad, size_t aadLength, const uint8_t* plain, size_t length, uint8_t* out) {
    if (!fast_.ready()) return portable_.seal(nonce, aad, aadLength, plain, length, out);
    fast_.seal(nonce, aad, aadLength, plain, length, out);
    return true;
  }

  /// Opens `length` bytes in place; the tag stands behind them. False: the bytes are garbage and not to be looked at.
  bool open(const uint8_t* nonce, const uint8_t* aad, size_t aadLength, uint8_t* data, size_t length) {
    return fast_.ready() ? fast_.open(nonce, aad, aadLength, data, length) : portable_.open(nonce, aad, aadLength, data, length);
  }

  static void nonceOf(uint8_t lane, uint64_t counter, uint8_t* nonce) {
    nonce[0] = lane;
    nonce[1] = nonce[2] = nonce[3] = 0;
    storeBe64(nonce + 4, counter);
  }

 private:
  IpsecMbAead fast_;
  EvpAead portable_;
};

}  // namespace tuntap
