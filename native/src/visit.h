#pragma once

#include <errno.h>
#include <sched.h>

#include <functional>

#include "thread.h"
#include "tun_queue.h"

namespace tuntap {

/// Runs `body` inside a network namespace, on a thread of its own with that name: Node's cannot change theirs. `network` is an open descriptor;
/// one of anything else is refused.
inline OpenError visit(int network, const char* name, const std::function<OpenError()>& body) {
  OpenError result;
  Thread visitor;
  const int error = visitor.start(name, [&] {
    if (setns(network, CLONE_NEWNET) != 0) result = {"namespace", errno};
    else result = body();
  });
  if (error != 0) return {"thread", error};
  visitor.join();
  return result;
}

}  // namespace tuntap
