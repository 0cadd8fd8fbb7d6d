/// bpf(command, attributes, [[offset, memory], …], network) → number. `attributes` and each `memory` are Uint8Array; the kernel may
/// write to them. Below 0 the result is an error number.
#include "bpf_binding.h"

#include <cstring>

#include "arguments.h"
#include "bpf.h"

namespace tuntap {

namespace {

bool toCall(const Napi::CallbackInfo& info, BpfCall& call) {
  if (info.Length() != 4 || !info[0].IsNumber() || !isBytes(info[1]) || !info[2].IsArray() || !info[3].IsNumber()) return false;
  call.command = info[0].As<Napi::Number>().Uint32Value();
  call.network = info[3].As<Napi::Number>().Int32Value();
  const auto attributes = info[1].As<Napi::Uint8Array>();
  call.attributes.assign(attributes.Data(), attributes.Data() + attributes.ElementLength());
  const auto pointers = info[2].As<Napi::Array>();
  for (uint32_t i = 0; i < pointers.Length(); ++i) {
    const Napi::Value entry = pointers.Get(i);
    if (!entry.IsArray()) return false;
    const Napi::Value offset = entry.As<Napi::Array>().Get(0u);
    const Napi::Value memory = entry.As<Napi::Array>().Get(1u);
    if (!offset.IsNumber() || !isBytes(memory)) return false;
    call.pointers.push_back({offset.As<Napi::Number>().Uint32Value(), memory.As<Napi::Uint8Array>().Data()});
  }
  return true;
}

Napi::Value run(const Napi::CallbackInfo& info) {
  BpfCall call;
  if (!toCall(info, call)) {
    Napi::TypeError::New(info.Env(), "expected (command, attributes, pointers, network)").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  const int result = bpf(call);
  auto attributes = info[1].As<Napi::Uint8Array>();
  std::memcpy(attributes.Data(), call.attributes.data(), call.attributes.size());
  return Napi::Number::New(info.Env(), result);
}

}  // namespace

void exportBpf(Napi::Env env, Napi::Object exports) { exports.Set("bpf", Napi::Function::New(env, run)); }

}  // namespace tuntap
