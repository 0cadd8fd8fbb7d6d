/// The Node-API side: unpacks arguments, checks them again although JavaScript has, and packs events. No packet passes here.
#include <napi.h>

#include <memory>

#include "arguments.h"
#include "bpf_binding.h"
#include "datapath.h"
#include "namespace_socket_binding.h"
#include "netlink_binding.h"
#include "segment_limit_binding.h"

namespace tuntap {

/// new NativeDatapath(options, counters, onEvents)
class Binding : public Napi::ObjectWrap<Binding> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeDatapath",
                       {InstanceMethod<&Binding::setPeer>("setPeer"), InstanceMethod<&Binding::removePeer>("removePeer"),
                        InstanceMethod<&Binding::setCarrier>("setCarrier"), InstanceMethod<&Binding::ask>("ask"),
                        InstanceMethod<&Binding::setRoutes>("setRoutes"), InstanceMethod<&Binding::setKeys>("setKeys"),
                        InstanceMethod<&Binding::close>("close"), InstanceAccessor<&Binding::port>("port"),
                        InstanceAccessor<&Binding::features>("features")});
  }

  explicit Binding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Binding>(info) {
    DatapathOptions options;
    if (!unpack(info, options)) return;
    wakeUp_ = Napi::ThreadSafeFunction::New(info.Env(), info[2].As<Napi::Function>(), "tun-tap-napi", 0, 1);
    wakeUp_.Unref(info.Env());
    // Released after the threads have ended, so it is there for as long as they can call. A call that is still queued then finds
    // nobody at home.
    auto datapath = std::make_shared<Datapath>(std::move(options), [this] {
      wakeUp_.NonBlockingCall([home = home_](Napi::Env env, Napi::Function callback) {
        if (home->binding != nullptr && home->binding->open()) home->binding->deliverEvents(env, callback);
      });
    });
    if (const OpenError error = datapath->open()) {
      wakeUp_.Release();
      errorOf(info.Env(), error.step, error.error).ThrowAsJavaScriptException();
      return;
    }
    counters_ = Napi::Persistent(info[1].As<Napi::Object>());
    datapath_ = std::move(datapath);
    // Runs before the environment takes the wake function down, because it was added after it.
    napi_add_env_cleanup_hook(info.Env(), &Binding::environmentEnds, this);
  }

  ~Binding() override {
    home_->binding = nullptr;
    end();
  }

 private:
  /// Outlives the object; event loop only.
  struct Home {
    Binding* binding;
  };

  /// Joins the threads off the event loop.
  class CloseWork : public Napi::AsyncWorker {
   public:
    CloseWork(Napi::Env env, Binding& binding)
        : Napi::AsyncWorker(env),
          deferred_(Napi::Promise::Deferred::New(env)),
          binding_(binding),
          self_(Napi::Persistent(binding.Value())),
          datapath_(binding.datapath_) {}
    Napi::Promise promise() const { return deferred_.Promise(); }
    void Execute() override { datapath_->stop(); }
    void OnOK() override {
      datapath_.reset();
      binding_.end();
      deferred_.Resolve(Env().Undefined());
    }

   private:
    Napi::Promise::Deferred deferred_;
    Binding& binding_;
    Napi::ObjectReference self_;
    /// Its own share: the environment may end while Execute runs.
    std::shared_ptr<Datapath> datapath_;
  };

  bool open() const { return datapath_ != nullptr && !closing_; }

  /// The process exits, or the worker does, with the path still open.
  static void environmentEnds(void* self) { static_cast<Binding*>(self)->end(); }

  /// Event loop: threads first, then what they could call. A worker that joins them at this moment is waited for.
  void end() {
    if (datapath_ == nullptr) return;
    datapath_->stop();
    datapath_.reset();
    napi_remove_env_cleanup_hook(Env(), &Binding::environmentEnds, this);
    wakeUp_.Release();
  }

  static bool unpack(const Napi::CallbackInfo& info, DatapathOptions& options) {
    const Napi::Env env = info.Env();
    uint32_t port = 0;
    uint32_t queues = 1;
    const bool shaped = info.Length() == 3 && info[0].IsObject() && info[1].IsTypedArray() && info[2].IsFunction();
    if (!shaped || !toUint32(info[0].As<Napi::Object>().Get("port"), 65'535, port) ||
        !toUint32(info[0].As<Napi::Object>().Get("queues"), kMaxQueues, queues) || queues == 0) {
      Napi::TypeError::New(env, "expected (options, counters, onEvents)").ThrowAsJavaScriptException();
      return false;
    }
    const auto array = info[1].As<Napi::TypedArray>();
    if (array.TypedArrayType() != napi_biguint64_array || array.ElementLength() < Counters::kWords * 2 * queues) {
      Napi::TypeError::New(env, "counters must be a BigUint64Array with room for two threads per queue").ThrowAsJavaScriptException();
      return false;
    }
    const auto given = info[0].As<Napi::Object>();
    options.device = textOf(given, "device");
    options.address = textOf(given, "address");
    options.port = static_cast<uint16_t>(port);
    options.queues = queues;
    options.deviceNamespace = textOf(given, "deviceNamespace");
    options.socketNamespace = textOf(given, "socketNamespace");
    options.tun = {flagOf(given, "tunSegmentation"), flagOf(given, "tunUdpSegmentation")};
    options.udp = {flagOf(given, "udpSegmentation"), flagOf(given, "udpCoalescing")};
    options.ipsecMb = flagOf(given, "ipsecMb");
    options.copyDscp = given.Get("copyDscp").ToBoolean();
    options.carries = flagOf(given, "carries");
    Prefix prefix;
    if (toBytes(given.Get("prefix"), prefix.data(), prefix.size())) options.prefix = prefix;
    limitOf(given, "rekeyAfter", options.limits.rekeyAfter);
    limitOf(given, "rejectAfter", options.limits.rejectAfter);
    return dataOf(info[1], options.counters);
  }

  /// node-addon-api looks at the ArrayBuffer of a typed array, and a SharedArrayBuffer is none: ask Node-API itself.
  static bool dataOf(const Napi::Value& value, uint64_t*& out) {
    void* data = nullptr;
    if (napi_get_typedarray_info(value.Env(), value, nullptr, nullptr, &data, nullptr, nullptr) != napi_ok) return false;
    out = static_cast<uint64_t*>(data);
    return true;
  }

  void refuse(Napi::Env env, const char* message) { Napi::TypeError::New(env, message).ThrowAsJavaScriptException(); }

  static bool slotOf(const Napi::Value& value, uint32_t& slot) { return toUint32(value, kMaxSlots - 1, slot) && slot != 0; }

  void setPeer(const Napi::CallbackInfo& info) {
    uint32_t slot = 0;
    uint32_t port = 0;
    if (!open()) return;
    if (!slotOf(info[0], slot) || !info[1].IsString() || !toUint32(info[2], 65'535, port) ||
        !datapath_->setPeer(slot, info[1].As<Napi::String>().Utf8Value(), static_cast<uint16_t>(port), nameOf(info[3])))
      refuse(info.Env(), "expected (slot, address, port, name)");
  }

  /// A BigInt; 0 for what is none or does not fit 64 bits.
  static uint64_t nameOf(const Napi::Value& value) {
    bool lossless = false;
    const uint64_t number = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
    return lossless ? number : 0;
  }

  /// (slot, slot of the carrier or 0)
  void setCarrier(const Napi::CallbackInfo& info) {
    uint32_t slot = 0;
    uint32_t carrier = 0;
    if (!open()) return;
    if (!slotOf(info[0], slot) || !toUint32(info[1], kMaxSlots - 1, carrier) || !datapath_->setCarrier(slot, carrier))
      refuse(info.Env(), "the peer is unknown or has no name");
  }

  /// (slot, number, slot of the carrier or 0, address or empty, port)
  Napi::Value ask(const Napi::CallbackInfo& info) {
    uint32_t slot = 0;
    uint32_t number = 0;
    uint32_t carrier = 0;
    uint32_t port = 0;
    if (!open()) return Napi::Boolean::New(info.Env(), false);
    const bool good = slotOf(info[0], slot) && toUint32(info[1], Probe::kCarried - 1, number) &&
                      toUint32(info[2], kMaxSlots - 1, carrier) && info[3].IsString() && toUint32(info[4], 65'535, port);
    if (!good) refuse(info.Env(), "expected (slot, number, carrier, address, port)");
    const std::string address = good ? info[3].As<Napi::String>().Utf8Value() : "";
    return Napi::Boolean::New(info.Env(), good && datapath_->ask(slot, number, carrier, address, static_cast<uint16_t>(port)));
  }

  void removePeer(const Napi::CallbackInfo& info) {
    uint32_t slot = 0;
    if (!open()) return;
    if (!slotOf(info[0], slot)) return refuse(info.Env(), "expected (slot)");
    datapath_->removePeer(slot);
  }

  /// (Uint32Array of start, last, slot, start, last, slot …)
  void setRoutes(const Napi::CallbackInfo& info) {
    if (!open()) return;
    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array ||
        info[0].As<Napi::TypedArray>().ElementLength() % 3 != 0)
      return refuse(info.Env(), "expected (Uint32Array of triples)");
    const auto flat = info[0].As<Napi::Uint32Array>();
    std::vector<RouteRange> ranges;
    ranges.reserve(flat.ElementLength() / 3);
    for (size_t i = 0; i < flat.ElementLength(); i += 3) ranges.push_back({flat[i], flat[i + 1], flat[i + 2]});
    if (!datapath_->setRoutes(ranges)) refuse(info.Env(), "ranges must be sorted by start and must not overlap");
  }

  /// (slot, [{receiveIndex, sendIndex, receiveKey, sendKey, suite, send}])
  void setKeys(const Napi::CallbackInfo& info) {
    uint32_t slot = 0;
    if (!open()) return;
    if (!slotOf(info[0], slot) || !info[1].IsArray()) return refuse(info.Env(), "expected (slot, keys)");
    const auto list = info[1].As<Napi::Array>();
    if (list.Length() > kMaxKeys) return refuse(info.Env(), "too many keys for one peer");
    std::vector<SessionKeys> keys(list.Length());
    const char* problem = nullptr;
    for (uint32_t i = 0; i < list.Length() && problem == nullptr; ++i)
      if (!toKeys(list.Get(i), keys[i])) problem = "a key is malformed";
    if (problem == nullptr) problem = datapath_->setKeys(slot, keys);
    for (SessionKeys& key : keys) OPENSSL_cleanse(&key, sizeof key);
    if (problem != nullptr) refuse(info.Env(), problem);
  }

  static bool toKeys(const Napi::Value& value, SessionKeys& out) {
    if (!value.IsObject()) return false;
    const auto given = value.As<Napi::Object>();
    const std::string suite = textOf(given, "suite");
    if (suite != "aes-256-gcm" && suite != "chacha20-poly1305") return false;
    out.suite = suite == "aes-256-gcm" ? CipherSuite::aes256Gcm : CipherSuite::chacha20Poly1305;
    out.send = given.Get("send").ToBoolean();
    return toUint32(given.Get("receiveIndex"), ~0u, out.receiveIndex) && out.receiveIndex != 0 &&
           toUint32(given.Get("sendIndex"), ~0u, out.sendIndex) && toKey(given.Get("receiveKey"), out.receiveKey) &&
           toKey(given.Get("sendKey"), out.sendKey);
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    if (!open()) return info.Env().Undefined();
    closing_ = true;
    auto* work = new CloseWork(info.Env(), *this);
    const Napi::Promise promise = work->promise();
    work->Queue();
    return promise;
  }

  Napi::Value port(const Napi::CallbackInfo& info) {
    return datapath_ == nullptr ? info.Env().Undefined() : Napi::Number::New(info.Env(), datapath_->port());
  }

  Napi::Value features(const Napi::CallbackInfo& info) {
    if (datapath_ == nullptr) return info.Env().Undefined();
    const Napi::Env env = info.Env();
    Napi::Object result = Napi::Object::New(env);
    result.Set("queues", Napi::Number::New(env, datapath_->queueCount()));
    result.Set("tunSegmentation", Napi::Boolean::New(env, datapath_->tunFeatures().segmentation));
    result.Set("tunUdpSegmentation", Napi::Boolean::New(env, datapath_->tunFeatures().udpSegmentation));
    result.Set("udpSegmentation", Napi::Boolean::New(env, datapath_->udpFeatures().segmentation));
    result.Set("udpCoalescing", Napi::Boolean::New(env, datapath_->udpFeatures().coalescing));
    result.Set("cipher", Napi::String::New(env, datapath_->cipher()));
    return result;
  }

  /// One call with all events that have gathered.
  void deliverEvents(Napi::Env env, const Napi::Function& callback) {
    Napi::Array list = Napi::Array::New(env);
    const auto add = [&](const char* type, unsigned slot) {
      Napi::Object event = Napi::Object::New(env);
      event.Set("type", Napi::String::New(env, type));
      event.Set("slot", Napi::Number::New(env, slot));
      list.Set(list.Length(), event);
      return event;
    };
    datapath_->collect([&](const PeerEvents& events) {
      for (const uint32_t index : events.confirmed) add("keyConfirmed", events.slot).Set("receiveIndex", Napi::Number::New(env, index));
      for (const uint32_t number : events.answered) add("answered", events.slot).Set("number", Napi::Number::New(env, number));
      if (events.keyWanted) add("keyWanted", events.slot);
      if (events.rekeyDue) add("rekeyDue", events.slot);
      if (!events.roamed) return;
      Napi::Object endpoint = Napi::Object::New(env);
      endpoint.Set("address", Napi::String::New(env, events.endpoint.text()));
      endpoint.Set("port", Napi::Number::New(env, events.endpoint.port()));
      add("roamed", events.slot).Set("endpoint", endpoint);
    });
    const EventBox::Failed failed = datapath_->takeFailure();
    if (failed.what != EventBox::Failure::none) {
      Napi::Object event = add("failed", 0);
      event.Set("part", Napi::String::New(env, failed.what == EventBox::Failure::device ? "device" : "socket"));
      event.Set("message", Napi::String::New(env, strerror(failed.error)));
    }
    if (list.Length() > 0) callback.Call({list});
  }

  std::shared_ptr<Home> home_{new Home{this}};
  Napi::ThreadSafeFunction wakeUp_;
  std::shared_ptr<Datapath> datapath_;
  Napi::ObjectReference counters_;
  bool closing_ = false;
};

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeDatapath", Binding::define(env));
  exports.Set("countersPerThread", Napi::Number::New(env, static_cast<double>(Counters::kWords)));
  exports.Set("maxQueues", Napi::Number::New(env, kMaxQueues));
  Napi::Array reasons = Napi::Array::New(env);
  for (uint32_t i = 0; i < kDropReasons; ++i) reasons.Set(i, Napi::String::New(env, kDropNames[i]));
  exports.Set("dropReasons", reasons);
  exportNamespaceSocket(env, exports);
  exportSegmentLimit(env, exports);
  exportBpf(env, exports);
  exportNetlink(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(tun_tap_napi, init)

}  // namespace tuntap
