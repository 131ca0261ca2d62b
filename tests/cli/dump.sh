#!/usr/bin/env bash
# nasc dump: each level of a tiny space is what golden/tiny.STAGE.txt says, C compiles, and what is refused: dump.sh NASC
# NASC_UPDATE=1 writes the expectations anew; read them before you commit them.
# shellcheck source=tests/cli/common
. cli/common
tiny=golden/tiny.json

golden() { # STAGE USE [TARGET NAME]
    local want=golden/tiny.${4-$1}.txt
    "$nasc" dump $tiny --stage "$1" --use "$2" --target "${3-x86-64-v3}" >"$work/got" || bad=1
    [ -z "${NASC_UPDATE-}" ] || cp "$work/got" "$want"
    diff -u "$want" "$work/got" >"$work/diff" || { head -40 "$work/diff"; bad=1; }
}
for stage in net expand grad simplify settle fuse plan; do golden $stage both; done
golden loop eval
golden plan both sm_80 grids
"$nasc" dump $tiny --stage loop --use both --target sm_80 >"$work/threads" || bad=1
grep -q '^    threads i2 ' "$work/threads" || say "loop: no kernel for a GPU has threads"
"$nasc" dump $tiny --stage cuda --use both --target sm_80 >"$work/cuda" || bad=1
grep -q '^    __shared__ __align__(16) float s0\[' "$work/cuda" || say "cuda: nothing is shared"

"$nasc" dump $tiny --stage all --target x86-64-v3 >"$work/all" || bad=1
for stage in net expand plan c cuda asm; do grep -qx "; ---- $stage" "$work/all" || say "all: no $stage"; done
"$nasc" dump $tiny --stage c --use weights --target generic >"$work/kernels.c" || bad=1
${CC:-cc} -std=c11 -Wall -Wextra -Wno-unused-function -Werror -ffp-contract=off -c "$work/kernels.c" -o "$work/kernels.o" || bad=1

fails_with 2 '^nasc: --stage: no stage "lop"; did you mean loop; expected net, .* or all' dump $tiny --stage lop
fails_with 2 '^nasc: --stage: no stage "zebra"; expected net' dump $tiny --stage zebra
fails_with 2 "^nasc: --target: there is no target 'vax'; targets are native, generic, .*, sm_100$" dump $tiny --stage plan --target vax
fails '^nasc: nowhere.json: cannot be opened' dump nowhere.json --stage net
fails '^nasc: .*LLVM' dump $tiny --stage llvm --target generic
fails '^nasc: x86-64-v3: is no GPU: CUDA is not written for it' dump $tiny --stage cuda --target x86-64-v3
fails '^nasc: .*target sm_80 is a GPU, which C is not written for' dump $tiny --stage c --target sm_80
exit $bad
