#!/bin/sh
# Makes the folder that `docker plugin create` takes, from what is on this machine; the plugin needs neither a registry nor, later, the network.
#
#   npm run build:plugin            into docker-plugin/managed/build
#   npm run build:plugin -- DIR     into DIR, which is replaced
#
# In it are config.json and rootfs/: Node, Weft, and the programs that weftd runs, each with its libraries.
set -eu
cd "$(dirname "$0")/../.."
out=${1:-docker-plugin/managed/build}
PATH=$PWD/node_modules/.bin:$PATH:/usr/sbin:/sbin

fail() {
  echo "build.sh: $*" >&2
  exit 1
}

# 1. The places that Docker mounts something on, and the folders of a system whose /usr holds all programs.
rm -rf "$out"
root=$out/rootfs
mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" "$root/opt/weft/native" "$root/var/lib/weft" "$root/etc" \
  "$root/run/docker/plugins" "$root/host/docker" "$root/proc" "$root/sys" "$root/dev" "$root/tmp"
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
ln -s ../run "$root/var/run"
ln -s /host/docker/netns "$root/run/docker/netns"
: >"$root/run/docker.sock"
: >"$root/etc/hosts"
: >"$root/etc/resolv.conf"

# 2. Programs and their libraries, by the names under which they are looked for.
copy() { install -D "$1" "$root$1"; }
libraries() { ldd "$1" 2>/dev/null | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p'; }
copy_with_libraries() {
  copy "$1"
  for library in $(libraries "$1"); do [ -e "$root$library" ] || copy "$library"; done
}
for program in sh mount env cat tee nsenter ip bridge tc nft; do
  path=$(command -v "$program") || fail "the program $program is missing: apt-get install iproute2 nftables util-linux coreutils"
  copy_with_libraries "$path"
done
# Where there is no iptables nobody closes its chains; with it come the extensions that it needs to read what Docker has written there.
if path=$(command -v iptables); then
  copy_with_libraries "$path"
  for extension in /usr/lib/*/xtables/lib*.so; do copy_with_libraries "$extension"; done
fi
node=$(readlink -f "$(command -v node)")
install "$node" "$root/usr/bin/node"
strip --strip-unneeded "$root/usr/bin/node" 2>/dev/null || true # a third smaller, where binutils are installed
for library in $(libraries "$node"); do [ -e "$root$library" ] || copy "$library"; done

# 3. Weft itself.
node src/build.ts
addon=$(sh native/build.sh)
install -D "$addon" "$root/opt/weft/native/build/Release/tun_tap_napi.node"
for library in $(libraries "$addon"); do [ -e "$root$library" ] || copy "$library"; done
cp native/index.cjs native/package.json "$root/opt/weft/native/"
cp -R dist package.json "$root/opt/weft/"
ln -s /opt/weft/dist/cli/main.js "$root/usr/bin/weft"
ln -s /opt/weft/dist/daemon/main.js "$root/usr/bin/weftd"
install docker-plugin/managed/start.sh "$root/usr/bin/weft-plugin"
cp docker-plugin/managed/config.json "$out/config.json"
echo "$out"
