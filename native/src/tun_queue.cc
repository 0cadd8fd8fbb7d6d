#include "tun_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <cstring>

#include "segment.h"

// In the kernel since 6.2; older headers do not name them.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#endif
#ifndef TUN_F_USO6
#define TUN_F_USO6 0x40
#endif

namespace tuntap {

OpenError TunQueue::open(const std::string& device, bool multiQueue, TunFeatures wanted) {
  Fd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return {"tun-open", errno};

  ifreq request{};
  if (device.empty() || device.size() >= sizeof request.ifr_name) return {"tun-name", ENAMETOOLONG};
  std::memcpy(request.ifr_name, device.data(), device.size());
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (multiQueue) request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_MULTI_QUEUE);
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0) return {"tun-name", errno};

  int headerBytes = sizeof(VnetHeader);
  if (ioctl(fd.get(), TUNSETVNETHDRSZ, &headerBytes) != 0) return {"tun-header", errno};

  // From most to least: a kernel refuses the whole set when it lacks one. An adopted device may have kept an old set: always say.
  const unsigned long tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  const unsigned long uso = TUN_F_USO4 | TUN_F_USO6;
  features_ = {false, false};
  if (wanted.segmentation && wanted.udpSegmentation && ioctl(fd.get(), TUNSETOFFLOAD, tso | uso) == 0) {
    features_ = {true, true};
  } else if (wanted.segmentation && ioctl(fd.get(), TUNSETOFFLOAD, tso) == 0) {
    features_ = {true, false};
  } else if (ioctl(fd.get(), TUNSETOFFLOAD, 0ul) != 0) {
    return {"tun-offload", errno};
  }
  fd_ = std::move(fd);
  return {};
}

ssize_t TunQueue::read(uint8_t* buffer, size_t length) const { return ::read(fd_.get(), buffer, length); }

bool TunQueue::write(const iovec* parts, int count) const {
  ssize_t written;
  do {
    written = ::writev(fd_.get(), parts, count);
  } while (written < 0 && errno == EINTR);
  return written >= 0;
}

}  // namespace tuntap
