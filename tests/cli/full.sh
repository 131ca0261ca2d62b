#!/usr/bin/env bash
# Whatever prints says once that stdout is full, and ends with 1; files that a command was asked for are written all the
# same: full.sh NASC
# shellcheck source=tests/cli/common
. cli/common
full() { # ARGUMENTS…
    "$nasc" "$@" >/dev/full 2>"$work/err"
    if [ $? != 1 ] || [ "$(cat "$work/err")" != 'nasc: standard output: cannot be written: No space left on device' ]; then
        say "nasc $*: $(cat "$work/err")"
    fi
}
both() { full "$@" && full "$@" --json; }
darts=../genotypes/spaces/darts.json genotype=../genotypes/darts_v2.json small=../genotypes/spaces/proxyless_small.json
tiny=(--channels 4 --cells 1 --quiet)

full --help
full search --help
full --man
full --completion bash
full --version
full --version --json
both info golden/tiny.json
full derive $darts --random
full import '|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|'
full dump golden/tiny.json --stage net
full dump golden/tiny.json --stage all
full draw $darts
both bench infer $genotype "${tiny[@]}" --steps 1
both bench step $darts "${tiny[@]}" --set nodes=1 --input 8x8x3 --batch 2 --steps 1
both bench step $darts "${tiny[@]}" --set nodes=1 --input 8x8x3 --batch 2 --predict h100
both bench peak --threads 1

# shellcheck disable=SC2016 # they are the compiler's
printf 'while [ "$1" != -o ]; do shift; done; : >"$2"\n' >"$work/cc"
CC="bash $work/cc" both latency $small --channels 4 --input 8x8x1 --classes 4 --rounds 1 --quiet --run 'echo min_ms 1 median_ms 2 #'

run=(--data synthetic:8x8x3/4/64 --cells 3 --channels 4 --set batch=16 --set epochs=1 --set steps=1 --quiet)
full search $darts "${run[@]}" --set nodes=1 --method darts-1st --out "$work/search"
full search $darts "${run[@]}" --set nodes=1 --method darts-1st --out "$work/search-json" --json
cmp "$work/search/genotype.json" "$work/search-json/genotype.json" || bad=1
full train $genotype "${run[@]}" --set auxiliary=0 --out "$work/train"
full train $genotype "${run[@]}" --set auxiliary=0 --out "$work/train-json" --json
both eval "$work/train" --quiet
both export "$work/train" --to c --target generic --name net --out "$work/c" --quiet
both export "$work/train" --to onnx --out "$work/net.onnx" --quiet
for file in c/net.c net.onnx; do [ -s "$work/$file" ] || say "$file is empty"; done
exit $bad
