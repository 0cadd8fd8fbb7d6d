#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tuntap {

/// What bpf(2) takes: a command and its attributes, in which the kernel finds addresses of further memory.
struct BpfCall {
  struct Pointer {
    /// Where in the attributes the address belongs.
    size_t offset;
    void* memory;
  };
  uint32_t command = 0;
  std::vector<uint8_t> attributes;
  std::vector<Pointer> pointers;
  /// Open descriptor of the network namespace whose links are meant; below 0: that of this process.
  int network = -1;
};

/// The system call's result, in `attributes` what the kernel wrote there, or below 0 an error number. Links of another namespace are found
/// by a thread of its own, which goes there and ends (namespace_socket.h).
int bpf(BpfCall& call);

}  // namespace tuntap
