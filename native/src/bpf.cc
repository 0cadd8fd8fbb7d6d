#include "bpf.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "visit.h"

namespace tuntap {

namespace {

int callHere(BpfCall& call) {
  const long result = syscall(SYS_bpf, call.command, call.attributes.data(), call.attributes.size());
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace

int bpf(BpfCall& call) {
  for (const BpfCall::Pointer& pointer : call.pointers) {
    const auto address = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(pointer.memory));
    if (pointer.offset > call.attributes.size() || call.attributes.size() - pointer.offset < sizeof address) return -EINVAL;
    std::memcpy(call.attributes.data() + pointer.offset, &address, sizeof address);
  }
  if (call.network < 0) return callHere(call);
  int result = 0;
  const OpenError failure = visit(call.network, "bpf", [&] {
    result = callHere(call);
    return OpenError{};
  });
  return failure ? -failure.error : result;
}

}  // namespace tuntap
