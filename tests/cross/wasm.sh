#!/usr/bin/env bash
# nasc export --target wasm, compiled by clang with wasi-libc and run by Node.js; the same for the generic target, which
# must give the same bits: wasm.sh NASC
. cross/common
clang=$(command -v clang-19 || command -v clang || echo clang-19)
need make node "$clang"
printf '#include <string.h>\nint main(void) { return (int)strlen(""); }\n' >"$work/libc.c"
"$clang" --target=wasm32-wasi "$work/libc.c" -o "$work/libc" 2>/dev/null ||
    { echo "skipped: wasi-libc, wasm-ld or the run-time library of $clang is not installed (tools/setup cross)"; exit 77; }
export_networks wasm file
for name in "${networks[@]}"; do
    check "$name" CC="$clang --target=wasm32-wasi"
    sed -n '/ expected\[/,/};/p' "$work/$name/${name}_test.c" >"$work/$name.wasm"
done
export_networks generic file
for name in "${networks[@]}"; do
    check "$name"
    sed -n '/ expected\[/,/};/p' "$work/$name/${name}_test.c" | cmp -s - "$work/$name.wasm" || fail "$name: other logits"
    [ -s "$work/$name.wasm" ] || fail "$name: no logits"
done
exit $bad
