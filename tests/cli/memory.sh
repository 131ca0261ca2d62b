#!/usr/bin/env bash
# What nasc info predicts of a step's memory is within 5 % of what the process took at its largest, for searches of both
# orders, under a budget, and for a training: memory.sh NASC
# shellcheck source=tests/cli/common
. cli/common
"$nasc" --version --json | grep -q '"llvm": null' && exit 0 # machine code by cc is not predicted

near() { # USE FILE ARGUMENTS…: of nasc bench step; those of nasc info are the same without --order
    local use=$1 run info=()
    shift
    for run in compiling cached; do # LLVM's own memory does not count: kernels are in the cache the second time
        "$nasc" bench step "$@" --steps 1 --threads 2 --json >"$work/$run" || { say "bench step $* failed"; return; }
    done
    while [ $# -gt 0 ]; do
        if [ "$1" = --order ]; then shift; else info+=("$1"); fi
        shift
    done
    for run in compiling cached; do # info compiles, too: the inference network, which no step did
        "$nasc" info "${info[@]}" --threads 2 --json >"$work/info" || { say "info ${info[*]} failed"; return; }
    done
    python3 - "$use" "$work/cached" "$work/info" <<'END' || say "not within 5 %: ${info[*]}"
import json, sys
took = json.load(open(sys.argv[2]))["maxrss_mib"]
said, = [m["peak_bytes"] / 2**20 for m in json.load(open(sys.argv[3]))["memory"] if m["use"] == sys.argv[1]]
print(f"{sys.argv[1]}: took {took:.1f} MiB, predicted {said:.1f}")
sys.exit(abs(said - took) > 0.05 * took)
END
}

space=../genotypes/spaces/darts.json
small=($space --channels 8 --cells 4 --batch 16)
near 'search darts-1st' "${small[@]}" --order 1
near 'search darts-2nd' "${small[@]}" --order 2
near 'search darts-1st' "${small[@]}" --order 1 --memory 80M
near 'search darts-1st' $space --channels 4 --cells 3 --batch 4 --input 16x16x3 --order 1
near 'search proxyless' ../genotypes/spaces/proxyless_small.json --batch 32
near train ../genotypes/darts_v2.json --channels 16 --cells 8 --batch 32 --set auxiliary=0
exit $bad
