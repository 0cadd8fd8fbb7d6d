#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "constants.h"

namespace tuntap {

enum class CipherSuite : uint8_t { aes256Gcm, chacha20Poly1305 };

/// One key in one direction with the OpenSSL inside node: every suite on every machine. Keyed once, because keying again for each packet
/// would double its cost. Not for use by two threads at once.
class EvpAead {
 public:
  enum class Direction : uint8_t { seal, open };

  /// False when the library refuses; the object is then unusable.
  bool init(CipherSuite suite, Direction direction, const uint8_t* key) {
    context_.reset(EVP_CIPHER_CTX_new());
    if (!context_) return false;
    const EVP_CIPHER* cipher = suite == CipherSuite::aes256Gcm ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
    return EVP_CipherInit_ex(context_.get(), cipher, nullptr, key, nullptr, direction == Direction::seal ? 1 : 0) == 1;
  }

  /// Writes `length` bytes of ciphertext and the tag to `out`, which may not overlap `plain`.
  bool seal(const uint8_t* nonce, const uint8_t* aad, size_t aadLength, const uint8_t* plain, size_t length, uint8_t* out) {
    int written = 0;
    return start(nonce, aad, aadLength) && EVP_EncryptUpdate(context_.get(), out, &written, plain, static_cast<int>(length)) == 1 &&
           EVP_EncryptFinal_ex(context_.get(), out + length, &written) == 1 &&
           EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, out + length) == 1;
  }

  /// Opens `length` bytes in place; the tag stands behind them. False: the bytes are garbage and not to be looked at.
  bool open(const uint8_t* nonce, const uint8_t* aad, size_t aadLength, uint8_t* data, size_t length) {
    int written = 0;
    return start(nonce, aad, aadLength) && EVP_DecryptUpdate(context_.get(), data, &written, data, static_cast<int>(length)) == 1 &&
           EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, data + length) == 1 &&
           EVP_DecryptFinal_ex(context_.get(), data + length, &written) == 1;
  }

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };

  bool start(const uint8_t* nonce, const uint8_t* aad, size_t aadLength) {
    int written = 0;
    return EVP_CipherInit_ex(context_.get(), nullptr, nullptr, nullptr, nonce, -1) == 1 &&
           EVP_CipherUpdate(context_.get(), nullptr, &written, aad, static_cast<int>(aadLength)) == 1;
  }

  std::unique_ptr<EVP_CIPHER_CTX, Free> context_;
};

}  // namespace tuntap
