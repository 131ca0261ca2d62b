#!/usr/bin/env bash
# nasc export --target aarch64, compiled by gcc and run by qemu's user mode: aarch64.sh NASC
. cross/common
need make aarch64-linux-gnu-gcc qemu-aarch64
export_networks aarch64 file
for name in "${networks[@]}"; do
    check "$name"
    calls_only aarch64-linux-gnu-nm "$name" 'mem(cpy|set|move)'
done

# A test that is told other weights says so.
bytes=$(wc -c <"$work/darts/darts.bin")
printf '\377' | dd of="$work/darts/darts.bin" bs=1 seek=$((bytes / 2)) conv=notrunc status=none
if make -s -C "$work/darts" check >"$work/out" 2>&1 || ! grep -q 'darts_init returns 6' "$work/out"; then
    fail "damaged weights: $(cat "$work/out")"
fi

# clang for the same, against the same libraries.
clang=$(command -v clang-19 || command -v clang)
for name in "${networks[@]}"; do
    [ -z "$clang" ] || "$clang" --target=aarch64-linux-gnu -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror -O1 \
        -ffp-contract=off -c "$work/$name/$name.c" -o "$work/$name.o" || fail "clang: $name"
done
exit $bad
