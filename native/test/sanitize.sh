#!/bin/sh
# Runs the data path's tests, and whole hosts, with a sanitizer build of the addon: npm run sanitize -- asan|tsan|ubsan [test file]…
# As root; each file is one process, so that its first finding ends it. Says at the end which files had one.
set -eu
cd "$(dirname "$0")/../.."
PATH=$PWD/node_modules/.bin:$PATH
kind=${1:?usage: npm run sanitize -- asan|tsan|ubsan [test file]...}
shift
# Left out: what measures (datapath-size, datapath-pressure) or has no native half in it. Of the hosts' suites one runs by default, because a
# host takes ten times as long to start; any may be named.
[ $# -gt 0 ] || set -- test/contract/datapath-native.test.ts test/contract/datapath-slices.test.ts test/contract/datapath-trains.test.ts \
  test/contract/datapath-streams.test.ts test/contract/datapath-turns.test.ts test/contract/datapath-load.test.ts \
  test/contract/datapath-path.test.ts test/contract/datapath-faults.test.ts test/contract/datapath-ipv6.test.ts \
  test/contract/datapath-relay.test.ts test/contract/datapath-several-queues.test.ts test/fuzz/native-datapath.test.ts \
  test/fuzz/native-packets.test.ts test/hosts/mesh-join.test.ts

TUN_TAP_NAPI_BINARY=$(sh native/build.sh "$kind")
export TUN_TAP_NAPI_BINARY
node src/build.ts
# Node is not instrumented itself, so its own leaks and threads are not looked at.
export ASAN_OPTIONS="detect_leaks=0:suppressions=$PWD/native/test/asan.supp" UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/native/test/tsan.supp"
runtime=$(g++ -print-file-name="lib$kind.so")
bad=''
for file in "$@"; do
  echo "sanitize $kind: $file"
  LD_PRELOAD=$runtime node --test-reporter=dot "$file" || bad="$bad $file"
done
[ -z "$bad" ] || { echo "sanitize $kind: failed in$bad" >&2; exit 1; }
