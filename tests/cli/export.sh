#!/usr/bin/env bash
# nasc export --to c: for the generic target and this machine's, weights in an array and in a file, what is written
# compiles without a warning, computes what nasc computed, holds no state, and refuses damaged weights: export.sh NASC
# shellcheck source=tests/cli/common
. cli/common
strict="-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror -ffp-contract=off"
small="--channels 4 --cells 3 --input 12x12x3"

export_small() { # NAME OPTIONS…
    # shellcheck disable=SC2086 # a list of options
    "$nasc" export ../genotypes/darts_v2.json --to c --out "$work/$1" --name "$1" $small "${@:2}" >"$work/out" 2>"$work/err" ||
        say "$*: $(cat "$work/err")"
}
build() { # COMPILER NAME: DIR/NAME_test, and the objects beside it
    local source
    for source in "$work/$2"/*.c; do
        # shellcheck disable=SC2086
        $1 $strict -O1 -c "$source" -o "${source%.c}.o" || say "$1 $source"
    done
    $1 "$work/$2"/*.o -o "$work/$2/$2_test" || say "$1 does not link $2"
}

# ---- four ways to export, and what each must be
export_small plain --target generic --weights-as array --seed 5
grep -q 'initial ones of seed 5' "$work/err" || say "initial weights are not spoken of: $(cat "$work/err")"
export_small plain_file --target generic --weights-as file --layout nchw --no-normalise
export_small simd --target native
export_small simd_file --target native --weights-as file
grep -q "^simd_file for .*: arena $(sed -n 's/.*_ARENA_BYTES \([0-9]*\) .*/\1/p' "$work/simd_file/simd_file.h") bytes, weights .* in a file, code about [0-9]* kB (estimated)\$" "$work/out" ||
    say "sizes: $(cat "$work/out")"
[ -f "$work/simd/simd_weights.c" ] || say "weights below 100 kB are an array"
other=$(command -v clang-19 || command -v clang || echo gcc)
for pair in "gcc plain" "$other plain_file" "$other simd" "gcc simd_file"; do
    # shellcheck disable=SC2086
    build ${pair% *} ${pair#* }
    name=${pair#* }
    "$work/$name/${name}_test" | grep -q 'passed.*equal bits' || say "$pair: $("$work/$name/${name}_test" 2>&1)"
    "$work/$name/${name}_test" --bench 3 | grep -qxE 'min_ms [0-9.]+ median_ms [0-9.]+' || say "$pair: --bench"
    nm "$work/$name/$name.o" >"$work/symbols"
    if grep -E ' [BbDdCc] ' "$work/symbols"; then say "$pair: writable data"; fi
    grep ' U ' "$work/symbols" | grep -vE ' (mem(cpy|set|move)|__cpu_model|__cpu_indicator_init|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail)$' &&
        say "$pair: calls of the library"
done

# ---- a target that this machine need not have
export_small wide --target x86-64-v4 --json
grep -q '"target":"x86-64-v4","arena_bytes":[0-9]*,"weights_bytes"' "$work/out" || say "--json: $(cat "$work/out")"
if [ "$(uname -m)" = x86_64 ]; then
    # shellcheck disable=SC2086
    for compiler in gcc "$other"; do $compiler $strict -fsyntax-only "$work/wide/wide.c" || say "$compiler for x86-64-v4"; done
fi

# ---- another program: two networks at once, header in C++, weights that were damaged
cat >"$work/two.c" <<'END'
#include "plain.h"
#include "simd_file.h"
#include <stdio.h>
#include <string.h>
static _Alignas(64) unsigned char arena[2][plain_ARENA_BYTES + simd_file_ARENA_BYTES], bytes[simd_file_WEIGHTS_BYTES];
static float in[simd_file_INPUT_H * simd_file_INPUT_W * simd_file_INPUT_C], out[2][simd_file_CLASSES];
static int refused(size_t at, size_t size, int code)
{
    simd_file m;
    bytes[at] ^= 64;
    int got = simd_file_init(&m, bytes, size);
    bytes[at] ^= 64;
    if (got != code)
        printf("byte %zu of %zu damaged: %d, expected %d\n", at, size, got, code);
    return got == code;
}
int main(int argc, char **argv)
{
    plain a;
    simd_file b;
    size_t all = sizeof bytes;
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (!f || fread(bytes, 1, all, f) != all)
        return 3;
    fclose(f);
    int good = plain_init(&a, &plain_weights, sizeof plain_weights) == 0 && simd_file_init(&b, bytes, all) == 0;
    good = good && plain_run(&a, in, out[0], arena[0]) == 0 && simd_file_run(&b, in, out[1], arena[1]) == 0;
    good = good && simd_file_run(&b, in, out[1], arena[1] + 4) == simd_file_ARENA_MISALIGNED;
    good = good && simd_file_run(NULL, in, out[1], arena[1]) == simd_file_NULL;
    good = good && simd_file_run(&b, NULL, out[1], arena[1]) == simd_file_NULL;
    good = good && simd_file_run(&b, in, NULL, arena[1]) == simd_file_NULL;
    good = good && simd_file_run(&b, in, out[1], NULL) == simd_file_NULL;
    good = good && simd_file_init(NULL, bytes, all) == simd_file_NULL;
    good = good && simd_file_init(&b, NULL, all) == simd_file_NULL;
    good = good && simd_file_init(&b, bytes + 1, all - 1) == simd_file_WEIGHTS_MISALIGNED;
    /* the same network, its weights laid out for another target */
    good = good && simd_file_init(&b, &plain_weights, sizeof plain_weights) == simd_file_WEIGHTS_MODEL;
    good &= refused(0, all, simd_file_WEIGHTS_MAGIC) & refused(8, all, simd_file_WEIGHTS_FORMAT);
    good &= refused(12, all, simd_file_WEIGHTS_MODEL) & refused(16, all, simd_file_WEIGHTS_MODEL);
    good &= refused(24, all, simd_file_WEIGHTS_CHECKSUM) & refused(64, all, simd_file_WEIGHTS_CHECKSUM);
    good &= refused(all - 1, all, simd_file_WEIGHTS_CHECKSUM);
    bytes[60] = 64; /* as refused() will */
    good &= refused(60, all - 4, simd_file_WEIGHTS_SIZE) & refused(60, 12, simd_file_WEIGHTS_SIZE);
    return good ? 0 : 1;
}
END
# shellcheck disable=SC2086
gcc $strict -I"$work/plain" -I"$work/simd_file" "$work/two.c" "$work/plain/plain.o" "$work/plain/plain_weights.o" \
    "$work/simd_file/simd_file.o" -o "$work/two" && "$work/two" "$work/simd_file/simd_file.bin" || say "two networks in one program"
printf '#include "plain.h"\n#include "plain.h"\nint main() { plain m; return plain_init(&m, &plain_weights, sizeof plain_weights); }\n' >"$work/cpp.cpp"
g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -I"$work/plain" "$work/cpp.cpp" "$work/plain/plain.o" \
    "$work/plain/plain_weights.o" -o "$work/cpp" && "$work/cpp" || say "the header in C++"
if command -v make >/dev/null; then
    rm -f "$work"/simd_file/*.o
    make -s -C "$work/simd_file" CFLAGS=-O1 check >/dev/null || say "make check"
fi

# ---- what is refused
refuses_with() { fails_with "$1" "$2" export "${@:3}" --to c --out "$work/none"; } # CODE PATTERN OPTIONS…
refuses() { refuses_with 1 "$@"; }
refuses_with 2 "no target 'x86-64-v5'; did you mean 'x86-64-v" ../genotypes/darts_v2.json --target x86-64-v5
refuses_with 2 "found '2x', expected letters" ../genotypes/darts_v2.json --name 2x
refuses "is a space" ../genotypes/spaces/darts.json
refuses "mean and deviation of the data are not known" ../genotypes/darts_v2.json --weights no.safetensors
refuses "no.safetensors" ../genotypes/darts_v2.json --no-normalise --weights no.safetensors
[ ! -e "$work/none" ] || say "a refused export left a folder"
exit $bad
