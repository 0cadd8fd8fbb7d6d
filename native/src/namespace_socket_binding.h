#pragma once

#include <napi.h>

namespace tuntap {

void exportNamespaceSocket(Napi::Env env, Napi::Object exports);

}  // namespace tuntap
