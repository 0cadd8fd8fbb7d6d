#pragma once

#include <napi.h>

namespace tuntap {

void exportNetlink(Napi::Env env, Napi::Object exports);

}  // namespace tuntap
