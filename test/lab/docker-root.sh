# What a Docker host of the lab is held by: process 1 of its own process and mount namespaces.
#
#   unshare --mount --uts --pid --fork … bash docker-root.sh FOLDER NAME
#
# FOLDER becomes /var/lib/docker and /etc/docker; /run is empty, so that neither sockets nor plugins of two hosts meet.
set -e
folder=$1
hostname "$2"
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
mkdir -p /run/lock

: >"$folder/ready"
# bash buries the orphans that process 1 inherits while it waits.
while :; do
  sleep infinity &
  wait $!
done
