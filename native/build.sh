#!/bin/sh
# Builds the addon: sh build.sh [asan|tsan|ubsan]. Quick when nothing changed; prints the path of the result.
# `sh build.sh headers` builds nothing and prints where Node's headers are.
# Headers are those of the Node that runs it (its OpenSSL headers are among them), not those of a system package.
set -eu
cd "$(dirname "$0")"
here=$PWD
PATH=$here/../node_modules/.bin:$here/node_modules/.bin:$PATH

case "${1:-}" in
  '' | headers) sanitize='' folder=$here ;;
  asan) sanitize=address folder=$here/build/asan ;;
  tsan) sanitize=thread folder=$here/build/tsan ;;
  ubsan) sanitize=undefined folder=$here/build/ubsan ;;
  *) echo "usage: build.sh [asan|tsan|ubsan|headers]" >&2; exit 1 ;;
esac

# One build at a time: tests may ask for it at once.
mkdir -p "$here/build"
exec 9>"$here/build/.lock"
flock 9

result=$folder/build/Release/tun_tap_napi.node
stamp=$folder/build/Release/.stamp
# What the result depends on: sources, build rules, and the Node whose headers are used.
wanted=$( { node --version; cat binding.gyp build.sh src/*; } | sha256sum)
if [ "${1:-}" != headers ] && [ -f "$result" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  echo "$result"
  exit 0
fi

for tool in node-gyp make g++ python3; do
  command -v $tool >/dev/null || { echo "build.sh: $tool is missing: apt-get install g++ make python3, and npm ci" >&2; exit 1; }
done

# npm's package of the node binary has the headers, but npm may prune it once the binary is in place: then a copy is fetched and kept.
package=node-linux-$(node -p process.arch)
version=$(node -p process.versions.node)
kept=$here/build/headers-$version
headers=''
for folder_with in "$here/../node_modules/node/node_modules/$package" "$here/../node_modules/$package" \
  "$here/../node_modules/.node-binary/node_modules/$package" "$(dirname "$(node -p process.execPath)")/.." "$kept"; do
  [ -f "$folder_with/include/node/openssl/evp.h" ] && grep -q "NODE_MAJOR_VERSION ${version%%.*}$" "$folder_with/include/node/node_version.h" &&
    headers=$folder_with && break
done
if [ -z "$headers" ]; then
  echo "build.sh: fetching the headers of node $version" >&2
  mkdir -p "$kept"
  tarball=$(cd "$kept" && npm pack --silent "$package@$version") || {
    echo "build.sh: no headers of node $version: connect to the npm registry, or put $package@$version into node_modules" >&2
    exit 1
  }
  tar -xzf "$kept/$tarball" -C "$kept" --strip-components=1 package/include
  rm -f "$kept/$tarball"
  headers=$kept
fi
if [ "${1:-}" = headers ]; then
  echo "$headers/include/node"
  exit 0
fi

if [ -n "$sanitize" ]; then
  mkdir -p "$folder"
  ln -sfn "$here/src" "$folder/src"
  ln -sfn "$here/binding.gyp" "$folder/binding.gyp"
  ln -sfn "$here/package.json" "$folder/package.json"
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! node-gyp configure build -C "$folder" --nodedir="$headers" --jobs=2 ${sanitize:+--sanitize=$sanitize} >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
printf '%s\n' "$wanted" >"$stamp"
echo "$result"
