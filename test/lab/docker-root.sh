# What a Docker host of the lab is held by: process 1 of its own process and mount namespaces.
#
#   unshare --mount --uts --pid --fork … bash docker-root.sh FOLDER NAME CHECKOUT [TREE]
#
# FOLDER becomes /var/lib/docker and /etc/docker; /run is empty, so that neither sockets nor plugins of two hosts meet. With TREE, the root of
# another system with another release of Docker, the host has its programs; CHECKOUT and /tmp stay where they are.
set -e
folder=$1
checkout=$3
tree=${4:-}
hostname "$2"
if [ -n "$tree" ]; then
  mkdir -p "$folder/upper" "$folder/work" "$folder/new"
  mount -t overlay -o "lowerdir=$tree,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/new"
  mkdir -p "$folder/new$checkout" "$folder/new/before"
  mount --rbind /proc "$folder/new/proc"
  mount --rbind /sys "$folder/new/sys"
  mount --rbind /dev "$folder/new/dev"
  mount --bind "$checkout" "$folder/new$checkout"
  mount --bind /tmp "$folder/new/tmp"
  # Not chroot(2): runc refuses to run anything in a container below one.
  pivot_root "$folder/new" "$folder/new/before"
  cd /
  umount -l /before
  hash -r
fi
mkdir -p "$folder/docker" "$folder/etc" "$folder/cgroup" /var/lib/docker /etc/docker
mount --bind "$folder/docker" /var/lib/docker
mount --bind "$folder/etc" /etc/docker

# Links under /sys are those of the namespace that mounted it; the control groups hang below and must not go with it.
mount --rbind /sys/fs/cgroup "$folder/cgroup"
umount -l /sys
mount -t sysfs sysfs /sys
mount --rbind "$folder/cgroup" /sys/fs/cgroup
umount -l "$folder/cgroup"

mount -t tmpfs -o mode=755 tmpfs /run
# As systemd has it: what is mounted here later, the sandboxes of containers, a managed plugin sees as well.
mount --make-shared /run
mkdir -p /run/lock

: >"$folder/ready"
# bash buries the orphans that process 1 inherits while it waits.
while :; do
  sleep infinity &
  wait $!
done
