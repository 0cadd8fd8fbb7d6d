#pragma once

#include <napi.h>

namespace tuntap {

void exportBpf(Napi::Env env, Napi::Object exports);

}  // namespace tuntap
