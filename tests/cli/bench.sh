#!/usr/bin/env bash
# nasc bench: small networks through every kind of measurement; what it prints for machines; what it refuses: bench.sh NASC
set -u
nasc=$1 bad=0 space=../genotypes/spaces/darts.json genotype=../genotypes/darts_v2.json
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

# holds EXPRESSION ARGUMENTS…: the command's one line of JSON as `r`
holds() {
    local expression=$1
    shift
    "$nasc" bench "$@" --json >"$work/out" 2>"$work/err" || { echo "nasc bench $*: $(cat "$work/err")"; bad=1; return; }
    python3 - "$expression" "$work/out" <<'END' || { echo "nasc bench $*: not $expression in $(cut -c1-600 "$work/out")"; bad=1; }
import json, sys
text = open(sys.argv[2]).read()
r = json.loads(text)
sys.exit(0 if text.count("\n") == 1 and eval(sys.argv[1]) else 1)
END
}
fails() { # CODE PATTERN ARGUMENTS…: on stderr, nothing on stdout
    local code=$1 pattern=$2 got
    shift 2
    "$nasc" bench "$@" >"$work/out" 2>"$work/err"
    got=$?
    if [ $got != "$code" ] || [ -s "$work/out" ] || ! grep -qE -- "$pattern" "$work/err"; then
        echo "nasc bench $*: exit $got, said: $(cat "$work/err")"
        bad=1
    fi
}

small=(--set nodes=1 --channels 4 --cells 1 --input 8x8x3 --batch 3 --steps 3 --threads 2)
timed='0 < r["min_s"] <= r["median_s"] and min(r["all_s"]) == r["min_s"] and len(r["all_s"]) == 3 and r["maxrss_mib"] > 1
       and 0 < r["kernels"] <= r["instances"] and r["launches"] > 0 and r["arena_mib"] > 0 and r["threads"] == 2
       and r["compile_s"] >= 0 and r["load_s"] >= 0 and "profile" not in r'
timed=$(tr '\n' ' ' <<<"$timed")
holds "$timed" step $space "${small[@]}"
holds "$timed" step $space "${small[@]}" --order 1
holds "$timed" step $genotype "${small[@]}" --set auxiliary=0
paths=(step ../genotypes/spaces/proxyless_small.json --channels 8 --input 8x8x1 --batch 2 --steps 3 --threads 2)
holds "$timed and 0 < r['alpha_min_s'] <= r['alpha_median_s']" "${paths[@]}"
holds "$timed and 'alpha_min_s' not in r" "${paths[@]}" --pass alpha
# The parts of a profile are the whole; a second-order step has the passes of a first-order one and three more.
parts='abs(sum(k["s"] for k in r["profile"]["kernels"]) - r["profile"]["threads_s"]) < 1e-4 * r["profile"]["threads_s"]
       and r["profile"]["peak_gflops_thread"] > 0 and r["profile"]["wall_s"] > 0'
parts=$(tr '\n' ' ' <<<"$parts")
holds "$parts" step $space "${small[@]}" --order 2 --profile
holds "$parts and r['min_ms'] > 0" infer $genotype --channels 4 --cells 1 --steps 3 --profile
"$nasc" bench step $space "${small[@]}" --profile >"$work/out" && grep -qE ' 100\.0% .* together' "$work/out" || bad=1
"$nasc" bench infer $space --set nodes=1 --channels 4 --cells 1 --steps 2 | grep -qE '^min_ms [0-9.]+ median_ms [0-9.]+$' || bad=1

fails 2 "found 'leap', expected one of step\|infer\|peak" leap
fails 2 '^nasc: step: FILE is missing' step
fails 2 '^nasc: infer: FILE is missing' infer
fails 2 '^nasc: bench peak: takes no FILE' peak $space
fails 2 '^nasc: bench peak: takes no FILE' peak --profile
fails 2 "--order is '3', expected one of 0\|1\|2" step $space --order 3
fails 2 "--steps is '0'" step $space --steps 0
fails 2 '^nasc: --order: is for bench step' infer $genotype --order 1
fails 1 "$genotype: is a genotype: --order is for spaces" step $genotype --order 1
fails 1 'did you mean "cells"' step $space --set cell=3
fails 1 'nowhere.json: cannot be opened' step nowhere.json
fails 1 'one candidate runs' infer ../genotypes/spaces/proxyless.json --input 32x32x3 --channels 8
fails 1 'selects candidates: --order is for mixtures' step ../genotypes/spaces/proxyless_small.json --order 1
fails 1 '^nasc: --pass: is for steps of spaces that select' step $space --pass alpha
fails 1 '^nasc: --pass: is for steps of spaces that select' infer ../genotypes/spaces/proxyless_small.json --pass alpha
exit $bad
