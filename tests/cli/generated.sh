#!/usr/bin/env bash
# What nasc export --to c writes: how long it is; --optimize size and --parallel openmp, which change no bit; under the
# sanitizers, with two threads on one model, and with weights damaged by chance: generated.sh NASC
# shellcheck source=tests/cli/common
. cli/common
flags="-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror -ffp-contract=off"
small="--channels 4 --cells 3 --input 12x12x3 --quiet"
other=$(command -v clang-19 || command -v clang || echo gcc)

export_as() { # FOLDER OPTIONS…: the network is always called net
    must "$nasc" export ../genotypes/darts_v2.json --to c --name net --out "$work/$1" "${@:2}"
}
export_small() {
    # shellcheck disable=SC2086 # a list of options
    export_as "$@" $small
}
passes() { # PROGRAM ARGUMENTS…
    "$@" >"$work/out" 2>&1 || say "$*: $(cat "$work/out")"
    grep -q 'passed.*equal bits$' "$work/out" || say "$*: $(cat "$work/out")"
}
build() { # COMPILER FOLDER OPTIONS…: FOLDER/net_test
    # shellcheck disable=SC2086
    $1 $flags -O1 -I"$work/$2" "$work/$2"/net*.c "${@:3}" -o "$work/$2/net_test" 2>"$work/err" || say "$*: $(cat "$work/err")"
}
shorter() { # FOLDER BYTES
    local bytes
    bytes=$(stat -c %s "$work/$1/net.c")
    [ "$bytes" -le "$2" ] || say "$1/net.c has $bytes bytes, expected $2 at most"
}

code() { # FOLDER OPTIMISATION: bytes of compiled kernels
    # shellcheck disable=SC2086
    gcc $flags "$2" -c "$work/$1/net.c" -o "$work/$1/net.o" && size "$work/$1/net.o" | awk 'NR == 2 { print $1 }'
}

# ---- how long: DARTS_V2 as published, without weights
export_as whole --target generic --weights-as file --quiet
shorter whole 400000
grep -qE ', code about [0-9]+ kB \(estimated\)$' "$work/out" || say "$(cat "$work/out")"
export_as whole_vectors --target x86-64-v4 --weights-as file --quiet
shorter whole_vectors 400000
grep -qE '^KERNEL void k[0-9a-z_]+_1\(' "$work/whole_vectors/net.c" || say "no kernels share a loop"
export_as whole_size --target x86-64-v4 --weights-as file --optimize size --quiet --json
shorter whole_size 400000
holds "$work/out" '50000 < j["code_bytes_estimated"] < 200000'
# Short code has blocks of eight pixels, whose sums do not wait for each other.
blocks=$(awk '/= fma_16f\(splat_16f\(/ { row++; next } { found += row == 8; row = 0 } END { print found + 0 }' "$work/whole_size/net.c")
[ "$blocks" -ge 20 ] || say "--optimize size: $blocks blocks of eight pixels"

# ---- the estimate is what gcc makes of it at -O2, within a quarter
near() { # FOLDER TARGET OPTION…
    local said text
    export_as "$1" --target "$2" --weights-as file --quiet --json "${@:3}"
    said=$(sed -n 's/.*"code_bytes_estimated":\([0-9]*\).*/\1/p' "$work/out")
    text=$(code "$1" -O2)
    if [ $((said * 4)) -lt $((text * 3)) ] || [ $((said * 4)) -gt $((text * 5)) ]; then
        say "$1: about $said bytes of code are said, there are $text"
    fi
}
if [ "$(uname -m)" = x86_64 ]; then
    near near_generic generic
    near near_vectors x86-64-v3
    near near_size x86-64-v3 --optimize size
fi

# ---- for size, and in parallel: the same logits
export_small speed --target native
export_small size --target native --optimize size
grep -qx 'CFLAGS = -Os' "$work/size/Makefile" || say "--optimize size: $(head -3 "$work/size/Makefile")"
[ "$(code size -Os)" -le $(($(code speed -O3) * 2 / 3)) ] || say "--optimize size: $(code size -Os) bytes of $(code speed -O3)"
cmp <(sed -n '/ expected\[/,/};/p' "$work/speed/net_test.c") <(sed -n '/ expected\[/,/};/p' "$work/size/net_test.c") ||
    say "other logits are expected"
build gcc size
passes "$work/size/net_test"
build "$other" size
passes "$work/size/net_test"
export_small parallel --target native --parallel openmp --threads 5
grep -q '#pragma omp parallel for' "$work/parallel/net.c" || say "no parallel loop"
[ "$(grep -c 'run_parts(k' "$work/parallel/net.c")" -ge 10 ] || say "few launches run in parts"
if grep -qiE '_openmp|pragma omp' "$work/speed/net.c"; then say "OpenMP where nobody asked for it"; fi
build gcc parallel
passes "$work/parallel/net_test"
build gcc parallel -fopenmp
for threads in 1 2 3 8; do passes env OMP_NUM_THREADS=$threads OMP_DYNAMIC=false "$work/parallel/net_test"; done
fails_with 2 "^nasc: --parallel: target cortex-m has no threads" export ../genotypes/darts_v2.json --to c --target cortex-m \
    --parallel openmp --out "$work/none"
fails_with 2 "^nasc: --threads: found 1, expected 2 to 64 with --parallel openmp" export ../genotypes/darts_v2.json --to c \
    --threads 1 --parallel openmp --out "$work/none"
for option in "optimize size" "parallel openmp"; do
    # shellcheck disable=SC2086 # two words
    fails_with 2 "^nasc: --${option% *}: is for --to c" export ../genotypes/darts_v2.json --to onnx --out "$work/none" --$option
done

# ---- under the sanitizers
sanitized="-g -fsanitize=address,undefined -fno-sanitize-recover=all"
export_small generic --target generic
for folder in speed generic; do
    for part in net net_weights; do
        # shellcheck disable=SC2086
        must gcc $flags -O1 $sanitized -c "$work/$folder/$part.c" -o "$work/$folder/$part.o"
    done
    # shellcheck disable=SC2086
    must gcc $flags -O1 $sanitized "$work/$folder"/net{_test.c,.o,_weights.o} -o "$work/$folder/net_test"
    passes "$work/$folder/net_test"
done

# ---- two threads, one model, an arena each
cat >"$work/threads.c" <<'END_OF_C'
#include "net.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
enum { THREADS = 2, RUNS = 4, PIXELS = net_INPUT_H * net_INPUT_W * net_INPUT_C };
static _Alignas(net_ARENA_ALIGN) unsigned char arena[THREADS][(net_ARENA_BYTES + 63) / 64 * 64];
static float in[PIXELS], out[THREADS][net_CLASSES];
static net model;
static void *work(void *of)
{
    float *logits = of;
    for (int i = 0; i < RUNS; i++)
        if (net_run(&model, in, logits, arena[(logits - out[0]) / net_CLASSES]) != net_OK)
            logits[0] = -1;
    return NULL;
}
int main(void)
{
    pthread_t thread[THREADS];
    for (int i = 0; i < PIXELS; i++)
        in[i] = (float)(i % 7) / 7;
    if (net_init(&model, &net_weights, sizeof net_weights) != net_OK)
        return 2;
    for (int t = 0; t < THREADS; t++)
        if (pthread_create(&thread[t], NULL, work, out[t]))
            return 3;
    for (int t = 0; t < THREADS; t++)
        pthread_join(thread[t], NULL);
    puts(memcmp(out[0], out[1], sizeof out[0]) ? "differ" : "alike");
    return 0;
}
END_OF_C
# shellcheck disable=SC2086
must gcc $flags -O1 -g -fsanitize=thread -pthread -I"$work/speed" "$work/threads.c" "$work"/speed/net{,_weights}.c -o "$work/threads"
must "$work/threads"
grep -qx alike "$work/out" || say "two threads: $(cat "$work/out")"

# ---- weights damaged by chance: refused, or harmless
cat >"$work/fuzz.c" <<'END_OF_C'
/* fuzz SEED ROUNDS: gives net_init weights that were changed, each in memory of its own that ends where they end. What
 * is accepted is run. Prints how often each code was returned. */
#include "net.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { SIZE = net_WEIGHTS_BYTES, HEADER = 64, CHECKSUM = 24, PIXELS = net_INPUT_H * net_INPUT_W * net_INPUT_C };
static _Alignas(net_ARENA_ALIGN) unsigned char arena[net_ARENA_BYTES];
static float in[PIXELS], out[net_CLASSES];
static uint64_t state;
static size_t below(size_t end)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return end ? (size_t)(state >> 33) % end : 0;
}
/* As net.c says: so that what is changed may be accepted. */
static void sign(unsigned char *bytes)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t i = HEADER; i < SIZE; i += 4) {
        uint32_t word;
        memcpy(&word, bytes + i, 4);
        sum = (sum ^ word) * 0x100000001b3u;
    }
    memcpy(bytes + CHECKSUM, &sum, sizeof sum);
}
static size_t change(unsigned char *bytes)
{
    size_t size = SIZE, kind = below(6), within = below(2) ? HEADER : SIZE, at, length;
    for (size_t n = 1 + below(4); n && kind < 4; n--)
        if (kind < 2) { /* bits */
            at = below(within);
            bytes[at] = (unsigned char)(bytes[at] ^ 1u << below(8));
        } else { /* a run of bytes from elsewhere, or of one value */
            length = below(64), at = below(within - length);
            if (kind == 2)
                memmove(bytes + at, bytes + below(SIZE - length), length);
            else
                memset(bytes + at, below(2) ? 0xff : 0, length);
        }
    if (kind == 4)
        size = below(2) ? below(HEADER + 8) : below(SIZE);
    if (kind == 5 || below(4) == 0) { /* numbers that are none, infinite, tiny, signed as if they were weights */
        static const uint32_t odd[] = {0x7fc00000, 0x7f800000, 0xff800000, 1, 0x7f7fffff, 0xff7fffff};
        for (size_t n = 1 + below(8); n; n--)
            memcpy(bytes + HEADER + 4 * below((SIZE - HEADER) / 4), &odd[below(6)], 4);
        sign(bytes);
    }
    return size;
}
int main(int argc, char **argv)
{
    long codes[16] = {0};
    state = argc > 2 ? strtoull(argv[1], NULL, 10) : 0;
    for (long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 0; rounds; rounds--) {
        unsigned char *whole = malloc(SIZE);
        if (!whole)
            return 2;
        memcpy(whole, &net_weights, SIZE);
        size_t size = change(whole), shift = below(8) ? 0 : 1 + below(3);
        unsigned char *bytes = malloc(size + shift);
        if (!bytes)
            return 2;
        memcpy(bytes + shift, whole, size);
        net model;
        int code = net_init(&model, bytes + shift, size);
        if (code < 0 || code > net_NULL)
            return 3;
        if (code == net_OK && net_run(&model, in, out, arena) != net_OK)
            return 4;
        codes[code]++;
        free(bytes);
        free(whole);
    }
    for (int code = 0; code <= net_NULL; code++)
        printf("%d %ld\n", code, codes[code]);
    return 0;
}
END_OF_C
seed=${NASC_SEED:-$(date +%s)}
for folder in speed generic; do
    # shellcheck disable=SC2086
    must gcc $flags -O1 $sanitized -I"$work/$folder" "$work/fuzz.c" "$work/$folder"/net{,_weights}.o -o "$work/fuzz"
    "$work/fuzz" "$seed" 1000 >"$work/out" 2>&1 || say "fuzz $seed, $folder (NASC_SEED=$seed repeats it): $(cat "$work/out")"
    echo "fuzz: seed $seed, $folder: $(tr '\n' ',' <"$work/out")"
    for code in 0 1 2 3 4 5 6; do
        grep -qE "^$code [1-9]" "$work/out" || say "fuzz $seed, $folder: code $code was never returned"
    done
done
exit $bad
