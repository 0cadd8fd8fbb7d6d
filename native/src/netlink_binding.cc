/// netlink(network, requests) → Promise of the answers, both Uint8Array: see netlink.h. Rejects with an Error that has `step` and `errno`.
/// netlinkGeneric does the same for families that are known by name, and netlinkBatch for nftables, all requests at once.
/// On a thread of Node's pool: the kernel lets one program at a time change links, and some of those changes take tens of milliseconds.
#include "netlink_binding.h"

#include <linux/netlink.h>

#include <cstring>

#include "arguments.h"
#include "netlink.h"

namespace tuntap {

namespace {

class Worker : public Napi::AsyncWorker {
 public:
  Worker(Napi::Env env, NetlinkExchange exchange)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), exchange_(std::move(exchange)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { failure_ = exchangeNetlink(exchange_); }

  void OnOK() override {
    const Napi::Env env = Env();
    if (failure_) {
      deferred_.Reject(errorOf(env, failure_.step, failure_.error).Value());
      return;
    }
    const size_t size = exchange_.answers.size();
    Napi::Uint8Array answers = Napi::Uint8Array::New(env, size);
    if (size > 0) std::memcpy(answers.Data(), exchange_.answers.data(), size);
    deferred_.Resolve(answers);
  }

 private:
  Napi::Promise::Deferred deferred_;
  NetlinkExchange exchange_;
  OpenError failure_;
};

Napi::Value start(const Napi::CallbackInfo& info, int protocol) {
  const Napi::Env env = info.Env();
  if (info.Length() != 2 || !info[0].IsNumber() || !isBytes(info[1])) {
    Napi::TypeError::New(env, "expected (network, requests)").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  NetlinkExchange exchange;
  exchange.protocol = protocol;
  exchange.network = info[0].As<Napi::Number>().Int32Value();
  const auto requests = info[1].As<Napi::Uint8Array>();
  exchange.requests.assign(requests.Data(), requests.Data() + requests.ElementLength());
  auto* worker = new Worker(env, std::move(exchange));
  const Napi::Promise promise = worker->promise();
  // It deletes itself when it is done.
  worker->Queue();
  return promise;
}

Napi::Value oneByOne(const Napi::CallbackInfo& info) { return start(info, NETLINK_ROUTE); }
Napi::Value generic(const Napi::CallbackInfo& info) { return start(info, NETLINK_GENERIC); }
Napi::Value batch(const Napi::CallbackInfo& info) { return start(info, NETLINK_NETFILTER); }

}  // namespace

void exportNetlink(Napi::Env env, Napi::Object exports) {
  exports.Set("netlink", Napi::Function::New(env, oneByOne));
  exports.Set("netlinkGeneric", Napi::Function::New(env, generic));
  exports.Set("netlinkBatch", Napi::Function::New(env, batch));
}

}  // namespace tuntap
