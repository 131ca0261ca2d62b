#!/usr/bin/env bash
# nasc export --dtype int8 for every target at hand: each compiles without a warning, and all give the same logits, to the
# last bit: int8.sh NASC
. cross/common
need make
"$nasc" derive ../genotypes/spaces/proxyless_small.json --random --seed 3 -o "$work/proxyless.json" || exit 1
cp ../genotypes/darts_v2.json "$work/darts.json"
clang=$(command -v clang-19 || command -v clang || echo clang-19)
data="--data synthetic:12x12x3/10/64 --calibration 16 --channels 5 --quiet"
count=0
try() { # TARGET MAKE_ARGUMENTS…
    local target=$1 name
    shift
    for name in darts proxyless; do
        # shellcheck disable=SC2046,SC2086 # lists of options
        "$nasc" export "$work/$name.json" --to c --dtype int8 --target "$target" --weights-as array --name $name \
            --out "$work/$name" $data --input 12x12x3 $([ $name = darts ] && echo --cells 3) >"$work/out" 2>"$work/err" ||
            { fail "export $name for $target: $(cat "$work/err")"; return; }
        check $name "$@"
        sed -n '/ expected\[/,/};/p' "$work/$name/${name}_test.c" >"$work/$name.now"
        [ -s "$work/$name.first" ] || cp "$work/$name.now" "$work/$name.first"
        cmp -s "$work/$name.now" "$work/$name.first" || fail "$target: other logits of $name"
    done
    count=$((count + 1))
}
try generic
try generic CC="$clang"
if [ "$(uname -m)" = x86_64 ]; then
    grep -qw avx2 /proc/cpuinfo && try x86-64-v3
    grep -qw avx512bw /proc/cpuinfo && try x86-64-v4
    grep -qw avx512_vnni /proc/cpuinfo && try x86-64-v4+vnni && try x86-64-v4+vnni CC="$clang"
fi
if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
    try aarch64
    try aarch64+dotprod
fi
if command -v arm-none-eabi-gcc >/dev/null && command -v qemu-system-arm >/dev/null; then
    try cortex-m
    try cortex-m PROCESSOR="-mcpu=cortex-m4 -mfloat-abi=hard" BOARD=mps2-an386
fi
if command -v node >/dev/null && echo 'int main(void) { return 0; }' >"$work/libc.c" &&
    "$clang" --target=wasm32-wasi "$work/libc.c" -o "$work/libc" 2>/dev/null; then
    try wasm CC="$clang --target=wasm32-wasi"
fi
echo "$count targets and compilers"
[ $count -ge 2 ] || exit 77
exit $bad
