#!/usr/bin/env bash
# nasc export --target cortex-m, without an operating system, on two boards that qemu emulates; for the generic target on
# a processor without a floating-point unit: cortex_m.sh NASC
. cross/common
need make arm-none-eabi-gcc qemu-system-arm
export_networks cortex-m array
for name in "${networks[@]}"; do
    check "$name"
    check "$name" PROCESSOR="-mcpu=cortex-m4 -mfloat-abi=hard" BOARD=mps2-an386
    calls_only arm-none-eabi-nm "$name" 'mem(cpy|set|move)'
done
arm-none-eabi-nm "$work/darts/darts_weights.o" | grep -q ' R darts_weights$' || fail "the weights are not constants"

# Processors that no board of qemu's has; one that lacks the unit is told so.
processor() { # MCPU FILE
    arm-none-eabi-gcc -std=c11 -Wall -Wextra -Werror -O2 -mthumb "-mcpu=$1" "-mfloat-abi=$2" -c "$work/custom/custom.c" \
        -o "$work/custom.o"
}
for mcpu in cortex-m33 cortex-m55; do
    processor $mcpu hard || fail "$mcpu"
done
if processor cortex-m3 soft 2>"$work/err" || ! grep -q 'needs a floating-point unit' "$work/err"; then
    fail "cortex-m3: $(head -3 "$work/err")"
fi

# Weights in a file, which the board reads through the debugger.
export_networks cortex-m file
check custom

# Strict C on the smallest: the cortex-m frame around the generic code.
"$nasc" export "$work/darts.json" --to c --target generic --weights-as array --name darts --out "$work/plain" $small \
    --cells 3 >"$work/out" 2>&1 || fail "generic: $(cat "$work/out")"
cp "$work"/plain/darts*.[ch] "$work/darts"
check darts PROCESSOR="-mcpu=cortex-m3 -mfloat-abi=soft" BOARD=mps2-an385 OBJECTS="darts.o darts_weights.o startup.o"
exit $bad
