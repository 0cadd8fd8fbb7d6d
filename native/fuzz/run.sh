#!/bin/sh
# Fuzzes the decoders and tables of the native half: sh fuzz/run.sh [seconds for each target]. With libFuzzer where clang is installed
# (the corpus begins with what corpus.mts makes of the tests' models, and stays in build/fuzz), else with random changes of a few seeds;
# with sanitizers either way.
set -eu
cd "$(dirname "$0")"
PATH=$PWD/../../node_modules/.bin:$PATH
seconds=${1:-10}
out=../build/fuzz
mkdir -p "$out"
flags='-std=c++20 -O1 -g -Wall -Wextra -Werror -fno-omit-frame-pointer'
checks=address,undefined

node corpus.mts "$out/datagram.corpus"

for target in datagram tables; do
  echo "fuzz: $target, $seconds s"
  if command -v clang++ >/dev/null; then
    clang++ $flags -fsanitize=fuzzer,$checks -fno-sanitize-recover=all -o "$out/$target" $target.cc
    mkdir -p "$out/$target.corpus"
    "$out/$target" -max_total_time="$seconds" -max_len=2000 -verbosity=0 -print_final_stats=1 -artifact_prefix="$out/$target." "$out/$target.corpus"
  else
    g++ $flags -fsanitize=$checks -fno-sanitize-recover=all -o "$out/$target" $target.cc random_driver.cc
    "$out/$target" "$seconds"
  fi
done
