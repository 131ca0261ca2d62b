#!/usr/bin/env bash
# nasc bench: small networks through every kind of measurement; what it prints for machines; what it refuses: bench.sh NASC
# shellcheck source=tests/cli/common
. cli/common
space=../genotypes/spaces/darts.json genotype=../genotypes/darts_v2.json

# measures EXPRESSION ARGUMENTS…: the command's one line of JSON as `r`
measures() {
    local expression=$1
    shift
    "$nasc" bench "$@" --json >"$work/out" 2>"$work/err" || { say "nasc bench $*: $(cat "$work/err")"; return; }
    python3 - "$expression" "$work/out" <<'END' || say "nasc bench $*: not $expression in $(cut -c1-600 "$work/out")"
import json, sys
text = open(sys.argv[2]).read()
r = json.loads(text)
sys.exit(0 if text.count("\n") == 1 and eval(sys.argv[1]) else 1)
END
}

small=(--set nodes=1 --channels 4 --cells 1 --input 8x8x3 --batch 3 --steps 3 --threads 2)
timed='0 < r["min_s"] <= r["median_s"] and min(r["all_s"]) == r["min_s"] and len(r["all_s"]) == 3 and r["maxrss_mib"] > 1
       and 0 < r["kernels"] <= r["instances"] and r["launches"] > 0 and r["arena_mib"] > 0 and r["threads"] == 2
       and r["compile_s"] >= 0 and r["load_s"] >= 0 and "profile" not in r'
timed=$(tr '\n' ' ' <<<"$timed")
measures "$timed" step $space "${small[@]}"
measures "$timed" step $space "${small[@]}" --order 1
measures "$timed" step $genotype "${small[@]}" --set auxiliary=0
paths=(step ../genotypes/spaces/proxyless_small.json --channels 8 --input 8x8x1 --batch 2 --steps 3 --threads 2)
measures "$timed and 0 < r['alpha_min_s'] <= r['alpha_median_s']" "${paths[@]}"
measures "$timed and 'alpha_min_s' not in r" "${paths[@]}" --pass alpha
# The parts of a profile are the whole; a second-order step has the passes of a first-order one and three more.
parts='abs(sum(k["s"] for k in r["profile"]["kernels"]) - r["profile"]["threads_s"]) < 1e-4 * r["profile"]["threads_s"]
       and r["profile"]["peak_gflops_thread"] > 0 and r["profile"]["peak_gbytes_thread"] > 0
       and 0 <= r["profile"]["near_bound"] <= 1 and r["profile"]["wall_s"] > 0'
parts=$(tr '\n' ' ' <<<"$parts")
measures "$parts" step $space "${small[@]}" --order 2 --profile
measures "$parts and r['min_ms'] > 0" infer $genotype --channels 4 --cells 1 --steps 3 --profile
"$nasc" bench step $space "${small[@]}" --profile >"$work/out" && grep -qE ' 100\.0% .* together' "$work/out" || bad=1
"$nasc" bench infer $space --set nodes=1 --channels 4 --cells 1 --steps 2 | grep -qE '^min_ms [0-9.]+ median_ms [0-9.]+$' || bad=1

# On paper: the parts are the whole, and no kernel is below its bound.
paper='r["gpu"] == GPU and abs(sum(k["s"] for k in r["rows"]) - r["serial_s"]) < 1e-4 * r["serial_s"] and
       0 < r["beside_s"] <= r["serial_s"] and r["grids"] == sum(k["calls"] for k in r["rows"]) >= r["launches"] > 0 and
       all(k["s"] > k["bound_s"] > 0 and k["transactions"] > 0 for k in r["rows"] if k["flops"] > 0)'
paper=$(tr '\n' ' ' <<<"$paper")
paper_size=(--set nodes=1 --channels 4 --cells 1 --input 8x8x3 --batch 3)
measures "${paper/GPU/\"h100\"}" step $space "${paper_size[@]}" --predict h100
measures "${paper/GPU/\"rtx4090\"}" step $space "${paper_size[@]}" --predict rtx4090 --order 1
measures "${paper/GPU/\"h100\"}" step $genotype "${paper_size[@]}" --predict h100 --set auxiliary=0
"$nasc" bench step $space "${paper_size[@]}" --predict h100 | grep -qE '^predicted: [0-9.]+ ms grid after grid' || bad=1
fails_with 2 "--predict: there is no table of the GPU 'h101', expected h100 or rtx4090" bench step $space --predict h101
fails '^nasc: --predict: is for mixtures' bench step ../genotypes/spaces/proxyless_small.json --predict h100
fails_with 2 '^nasc: --predict: is for steps of order 0 and 1' bench step $space --predict h100 --order 2
fails_with 2 '^nasc: --predict: is for bench step' bench infer $genotype --predict h100

fails_with 2 "found 'leap', expected one of step\|infer\|peak" bench leap
fails_with 2 '^nasc: step: FILE is missing' bench step
fails_with 2 '^nasc: infer: FILE is missing' bench infer
fails_with 2 '^nasc: bench peak: takes no FILE' bench peak $space
fails_with 2 '^nasc: bench peak: takes no FILE' bench peak --profile
fails_with 2 "--order is '3', expected one of 0\|1\|2" bench step $space --order 3
fails_with 2 "--steps is '0'" bench step $space --steps 0
fails_with 2 '^nasc: --order: is for bench step' bench infer $genotype --order 1
fails "$genotype: is a genotype: --order is for spaces" bench step $genotype --order 1
fails 'did you mean "cells"' bench step $space --set cell=3
fails 'nowhere.json: cannot be opened' bench step nowhere.json
fails 'one candidate runs' bench infer ../genotypes/spaces/proxyless.json --input 32x32x3 --channels 8
fails 'selects candidates: --order is for mixtures' bench step ../genotypes/spaces/proxyless_small.json --order 1
fails '^nasc: --pass: is for steps of spaces that select' bench step $space --pass alpha
fails_with 2 '^nasc: --pass: is for bench step, not for bench infer' bench infer ../genotypes/spaces/proxyless_small.json --pass alpha
exit $bad
