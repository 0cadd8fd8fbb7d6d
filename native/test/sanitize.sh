#!/bin/sh
# Runs the data path's tests with a sanitizer build of the addon: sh native/test/sanitize.sh asan|tsan|ubsan [test file]…
set -eu
cd "$(dirname "$0")/../.."
PATH=$PWD/node_modules/.bin:$PATH
kind=${1:?usage: sanitize.sh asan|tsan|ubsan [test file]...}
shift
[ $# -gt 0 ] || set -- test/contract/datapath-native.test.ts test/contract/datapath-slices.test.ts test/contract/datapath-load.test.ts test/fuzz/native-datapath.test.ts

TUN_TAP_NAPI_BINARY=$(sh native/build.sh "$kind")
export TUN_TAP_NAPI_BINARY
# Node is not instrumented itself, so its own leaks and threads are not looked at.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/native/test/tsan.supp"
runtime=$(g++ -print-file-name="lib$kind.so")
for file in "$@"; do
  LD_PRELOAD=$runtime node "$file"
done
