/// bpf(command, attributes, [[offset, memory], …], network) → number. `attributes` and each `memory` are Uint8Array; the kernel may
/// write to them. Below 0 the result is an error number.
/// bpfAside(command, attributes, network) → Promise of that number, for what has the kernel wait for packets under way: on a thread of
/// Node's pool, with a copy of `attributes`.
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

class Worker : public Napi::AsyncWorker {
 public:
  Worker(Napi::Env env, BpfCall call) : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), call_(std::move(call)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { result_ = bpf(call_); }
  void OnOK() override { deferred_.Resolve(Napi::Number::New(Env(), result_)); }

 private:
  Napi::Promise::Deferred deferred_;
  BpfCall call_;
  int result_ = 0;
};

Napi::Value runAside(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() != 3 || !info[0].IsNumber() || !isBytes(info[1]) || !info[2].IsNumber()) {
    Napi::TypeError::New(env, "expected (command, attributes, network)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  BpfCall call;
  call.command = info[0].As<Napi::Number>().Uint32Value();
  call.network = info[2].As<Napi::Number>().Int32Value();
  const auto attributes = info[1].As<Napi::Uint8Array>();
  call.attributes.assign(attributes.Data(), attributes.Data() + attributes.ElementLength());
  auto* worker = new Worker(env, std::move(call));
  const Napi::Promise promise = worker->promise();
  // It deletes itself when it is done.
  worker->Queue();
  return promise;
}

}  // namespace

void exportBpf(Napi::Env env, Napi::Object exports) {
  exports.Set("bpf", Napi::Function::New(env, run));
  exports.Set("bpfAside", Napi::Function::New(env, runAside));
}

}  // namespace tuntap
