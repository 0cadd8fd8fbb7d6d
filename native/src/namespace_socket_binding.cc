/// openNamespaceSocket({network, kind, role, address, port}) → {descriptor, port}. The caller owns the descriptor.
#include "namespace_socket_binding.h"

#include "arguments.h"
#include "namespace_socket.h"

namespace tuntap {

namespace {

bool toPlan(const Napi::Value& value, SocketPlan& plan) {
  if (!value.IsObject()) return false;
  const auto given = value.As<Napi::Object>();
  const Napi::Value kind = given.Get("kind");
  const Napi::Value role = given.Get("role");
  const Napi::Value address = given.Get("address");
  uint32_t network = 0;
  uint32_t port = 0;
  if (!kind.IsString() || !role.IsString() || !address.IsString()) return false;
  if (!toUint32(given.Get("network"), INT32_MAX, network) || !toUint32(given.Get("port"), 65'535, port)) return false;
  const std::string kindText = kind.As<Napi::String>().Utf8Value();
  const std::string roleText = role.As<Napi::String>().Utf8Value();
  if (kindText != "udp" && kindText != "tcp") return false;
  if (roleText != "serve" && roleText != "call") return false;
  plan.network = static_cast<int>(network);
  plan.kind = kindText == "udp" ? SocketKind::udp : SocketKind::tcp;
  plan.role = roleText == "serve" ? SocketRole::serve : SocketRole::call;
  plan.address = address.As<Napi::String>().Utf8Value();
  plan.port = static_cast<uint16_t>(port);
  return true;
}

Napi::Value open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  SocketPlan plan;
  if (info.Length() != 1 || !toPlan(info[0], plan)) {
    Napi::TypeError::New(env, "expected ({network, kind, role, address, port})").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Fd socket;
  uint16_t port = 0;
  if (const OpenError failure = openSocketIn(plan, socket, port)) {
    errorOf(env, failure.step, failure.error).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("port", Napi::Number::New(env, port));
  result.Set("descriptor", Napi::Number::New(env, socket.release()));
  return result;
}

}  // namespace

void exportNamespaceSocket(Napi::Env env, Napi::Object exports) { exports.Set("openNamespaceSocket", Napi::Function::New(env, open)); }

}  // namespace tuntap
