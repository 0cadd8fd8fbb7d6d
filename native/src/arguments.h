#pragma once

#include <napi.h>

#include <cmath>
#include <cstring>
#include <string>

#include "constants.h"

/// What JavaScript hands over, unpacked and checked again.
namespace tuntap {

/// An error with `code` (see src/datapath/native.ts for the texts that people read).
inline Napi::Error errorOf(Napi::Env env, const char* step, int number) {
  Napi::Error error = Napi::Error::New(env, std::string(step) + ": " + strerror(number));
  error.Set("step", Napi::String::New(env, step));
  error.Set("errno", Napi::Number::New(env, number));
  return error;
}

inline bool isBytes(const Napi::Value& value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
}

inline bool toUint32(const Napi::Value& value, uint32_t limit, uint32_t& out) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= limit) || std::floor(number) != number) return false;
  out = static_cast<uint32_t>(number);
  return true;
}

inline bool toBytes(const Napi::Value& value, uint8_t* out, size_t length) {
  if (!isBytes(value) || value.As<Napi::TypedArray>().ByteLength() != length) return false;
  std::memcpy(out, value.As<Napi::Uint8Array>().Data(), length);
  return true;
}

inline bool toKey(const Napi::Value& value, uint8_t* out) { return toBytes(value, out, kKeyBytes); }

inline std::string textOf(const Napi::Object& options, const char* name) {
  const Napi::Value value = options.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

inline bool flagOf(const Napi::Object& options, const char* name) {
  const Napi::Value value = options.Get(name);
  return !value.IsBoolean() || value.As<Napi::Boolean>().Value();
}

inline void limitOf(const Napi::Object& options, const char* name, uint64_t& out) {
  const Napi::Value value = options.Get(name);
  bool lossless = false;
  if (!value.IsBigInt()) return;
  const uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
  if (lossless && number < out) out = number;
}

}  // namespace tuntap
