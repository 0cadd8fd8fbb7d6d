#pragma once

#include <napi.h>

namespace tuntap {

void exportSegmentLimit(Napi::Env env, Napi::Object exports);

}  // namespace tuntap
