/// limitSegments(descriptor, bytes): TCP_MAXSEG (tcp(7)). Zero, or the number of the error.
#include "segment_limit_binding.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

namespace tuntap {

namespace {

Napi::Value limit(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() != 2 || !info[0].IsNumber() || !info[1].IsNumber()) {
    Napi::TypeError::New(env, "expected (descriptor, bytes)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const int bytes = info[1].As<Napi::Number>().Int32Value();
  const int result = setsockopt(info[0].As<Napi::Number>().Int32Value(), IPPROTO_TCP, TCP_MAXSEG, &bytes, sizeof bytes);
  return Napi::Number::New(env, result == 0 ? 0 : errno);
}

}  // namespace

void exportSegmentLimit(Napi::Env env, Napi::Object exports) { exports.Set("limitSegments", Napi::Function::New(env, limit)); }

}  // namespace tuntap
