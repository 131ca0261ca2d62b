#!/usr/bin/env bash
# bench --tune: measures, keeps, and what it kept is used and changes no bit: a search, on one thread, two and four, before
# and after; a cache that is gone takes the schedules with it: tune.sh NASC
# shellcheck source=tests/cli/common
. cli/common
space=../genotypes/spaces/darts.json
"$nasc" --version --json | grep -q '"llvm": null' && echo "no machine code without LLVM: skipped" && exit 0
export NASC_CACHE=$work/cache
shape=(--channels 8 --cells 2 --set nodes=2 --set batch=8)

search() { # RUN THREADS
    "$nasc" search $space "${shape[@]}" --data synthetic:8x8x3/4/64 --set epochs=2 --set steps=2 --threads "$2" --quiet \
        --out "$work/$1" >"$work/$1.out" 2>&1 || say "run $1 failed: $(cat "$work/$1.out")"
    cmp -s "$work/one/checkpoint.safetensors" "$work/$1/checkpoint.safetensors" || say "$1 ended in other bytes"
}
step() { "$nasc" bench step $space "${shape[@]}" --input 8x8x3 --classes 4 --steps 2 --order 1 --json "$@" >"$work/step" || say "bench step $* failed"; }

search one 1
search two 2
search four 4
step
holds "$work/step" '"tuned" not in j and j["kernels_compiled"] + j["kernels_cached"] > 0'
step --tune
# Which schedules win is chance on kernels so small; that each was measured is not.
holds "$work/step" '0 <= j["tuned"]["better"] <= j["tuned"]["kernels"] and j["tuned"]["kernels"] > 20'
holds "$work/step" 'j["tuned"]["schedules"] > j["tuned"]["kernels"] / 2' # that alternatives make other code is not, either
holds "$work/step" 'j["tuned"]["before_s"] > 0 and j["tuned"]["after_s"] > 0'
step
holds "$work/step" 'j["kernels_compiled"] == 0' # what the tuned step runs is in the cache
search tuned-one 1
search tuned-two 2
search tuned-four 4
"$nasc" bench peak --tune 2>"$work/err" && say "bench peak takes --tune"
exit $bad
