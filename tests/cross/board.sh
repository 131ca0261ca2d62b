#!/usr/bin/env bash
# examples/board.c on two boards that qemu emulates: the class of the image that NAME_test holds: board.sh NASC
. cross/common
. ./stored_case
need arm-none-eabi-gcc qemu-system-arm
# shellcheck disable=SC2086,SC2154 # a list of options, of common
"$nasc" export ../genotypes/darts_v2.json --to c --target cortex-m --name net --out "$work/net" $small --cells 3 \
    >"$work/out" 2>&1 || fail "export: $(cat "$work/out")"
stored net image | bytes >"$work/image.raw"
class=$(stored net expected | best)
[ -n "$class" ] || fail "no logits in net_test.c"

run_on() { # BOARD PROCESSOR
    # shellcheck disable=SC2086 # lists of options
    arm-none-eabi-gcc $2 $clean -std=c11 -ffp-contract=off -I"$work/net" -T "$work/net/board.ld" --specs=rdimon.specs \
        ../examples/board.c "$work"/net/net.c "$work"/net/net_weights.c "$work"/net/startup.c -o "$work/board" 2>"$work/err" ||
        fail "$1: $(cat "$work/err")"
    (cd "$work" && timeout 120 qemu-system-arm -M "$1" -nographic -monitor none -serial none \
        -semihosting-config enable=on,target=native -kernel board) >"$work/out" 2>&1 || fail "$1: $(cat "$work/out")"
    grep -qE "^class $class; [0-9]+ bytes of RAM for the arena, [0-9]+ bytes of flash for the weights" "$work/out" ||
        fail "$1: $(cat "$work/out"), expected class $class"
}
run_on mps2-an500 "-mcpu=cortex-m7 -mfloat-abi=hard"
run_on mps2-an386 "-mcpu=cortex-m4 -mfloat-abi=hard"
mv "$work/image.raw" "$work/other"
if (cd "$work" && timeout 60 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -kernel board) >"$work/out" 2>&1; then fail "without an image: $(cat "$work/out")"; fi
grep -q 'image.raw must have 432 bytes' "$work/out" || fail "$(cat "$work/out")"
exit $bad
