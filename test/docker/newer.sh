# The suite on a newer Docker than this machine's: that of another release of Debian, in a root of its own.
#
#   sh test/docker/newer.sh [--suite sid] [FILE…]      npm run test:docker-newer -- test/docker/names.test.ts
#
# Makes the root once, with mmdebstrap (apt-get install mmdebstrap), in /var/tmp/weft-docker-SUITE; remove that folder to get the newest again.
set -eu
cd "$(dirname "$0")/../.."
suite=sid
if [ "${1:-}" = --suite ]; then
  suite=$2
  shift 2
fi
tree=/var/tmp/weft-docker-$suite
if [ ! -e "$tree/usr/sbin/dockerd" ] || [ ! -e "$tree/usr/bin/busybox" ]; then
  echo "making $tree"
  rm -rf "$tree" "$tree.new"
  nice mmdebstrap --quiet --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Sandbox::User "root"' \
    --include=docker.io,docker-cli,busybox-static,iptables,nftables,iproute2,procps,mount "$suite" "$tree.new"
  mv "$tree.new" "$tree"
fi
chroot "$tree" dockerd --version
[ $# -gt 0 ] || set -- docker
WEFT_DOCKER_TREE=$tree exec node test/run.ts "$@"
