#!/usr/bin/env bash
# nasc export --dtype int8: what is written computes what nasc computed, its logits are those of the float network to
# within what bytes can say, accuracy is told, and what has no quantised form is refused by name: int8.sh NASC
# shellcheck source=tests/cli/common
. cli/common
data="--data synthetic:12x12x3/10/64 --input 12x12x3 --channels 8 --quiet"
small="--cells 3"

must "$nasc" derive ../genotypes/spaces/proxyless_small.json --random --seed 3 -o "$work/proxyless.json"
export_int8() { # GENOTYPE NAME OPTIONS…
    # shellcheck disable=SC2086 # lists of options
    must "$nasc" export "$1" --to c --dtype int8 --out "$work/$2" --name "$2" $data "${@:3}"
    grep -qE '^accuracy of int8 [0-9.]+ %, of float [0-9.]+ %, on [0-9]+ test images$' "$work/out" || say "$2: $(cat "$work/out")"
}
# shellcheck disable=SC2086
export_int8 ../genotypes/darts_v2.json darts --target generic --calibration 32 $small
export_int8 "$work/proxyless.json" proxyless --layout nchw --weights-as file
# shellcheck disable=SC2086
export_int8 ../genotypes/darts_v2.json given --no-normalise $small
other=$(command -v clang-19 || command -v clang || echo gcc)
for name in darts proxyless given; do
    for compiler in gcc "$other"; do
        must make -s -C "$work/$name" clean
        must make -s -C "$work/$name" CC="$compiler" CFLAGS="-O1 -Wpedantic -Wconversion -Werror" check
        grep -q 'passed.*equal bits' "$work/out" || say "$name, $compiler: $(cat "$work/out")"
    done
    nm "$work/$name/$name.o" | grep -E ' [BbDdCc] ' && say "$name: writable data"
    for macro in INPUT_SCALE INPUT_ZERO OUTPUT_SCALE OUTPUT_ZERO; do
        grep -qE "^#define ${name}_$macro [0-9.e-]+f?\$" "$work/$name/$name.h" || say "$name: no macro $macro"
    done
done
grep -qE '^#define darts_INPUT_SCALE 0.00392156' "$work/darts/darts.h" || say "grey levels are not taken as they are"

# The float network's logits of the same image: off by no more than a few of the steps that the last layer can say.
# shellcheck disable=SC2086
must "$nasc" export ../genotypes/darts_v2.json --to c --out "$work/float" --name darts --target generic $data $small
cat >"$work/near.py" <<'END'
import re, sys
def logits(path):
    text = re.search(r'expected\[[^{]*\{(.*?)\};', open(path).read(), re.S).group(1)
    return [float(x.strip().rstrip('f')) for x in text.split(',') if x.strip()]
a, b = logits(sys.argv[1]), logits(sys.argv[2])
size = max(b) - min(b)
off = max(abs(x - y) for x, y in zip(a, b))
sys.exit(0 if len(a) == len(b) == 10 and off < 0.25 * size else f'off by {off} of {size}')
END
python3 "$work/near.py" "$work/darts/darts_test.c" "$work/float/darts_test.c" || say "far from the float network's logits"

# A caller of bytes, which gets what the caller of floats gets.
cat >"$work/bytes.cpp" <<'END'
#include "darts.h"
#include <cstdio>
alignas(64) static unsigned char arena[darts_ARENA_BYTES];
int main()
{
    enum { PIXELS = darts_INPUT_H * darts_INPUT_W * darts_INPUT_C };
    static uint8_t in[PIXELS], out[darts_CLASSES];
    static float image[PIXELS], logits[darts_CLASSES];
    darts model;
    if (darts_init(&model, &darts_weights, sizeof darts_weights) != darts_OK)
        return 1;
    for (int i = 0; i < PIXELS; i++)
        image[i] = static_cast<float>(in[i] = static_cast<uint8_t>(i * 7)) / 255.0f;
    if (darts_run(&model, image, logits, arena) || darts_run_u8(&model, in, out, arena))
        return 2;
    if (darts_run_u8(&model, nullptr, out, arena) != darts_NULL || darts_run_u8(&model, in, out, arena + 4) != darts_ARENA_MISALIGNED)
        return 3;
    for (int k = 0; k < darts_CLASSES; k++)
        if (logits[k] != (static_cast<float>(out[k]) - darts_OUTPUT_ZERO) * darts_OUTPUT_SCALE)
            return 4;
}
END
must gcc -std=c11 -O1 -ffp-contract=off -c "$work/darts/darts.c" -o "$work/darts.o"
must gcc -std=c11 -c "$work/darts/darts_weights.c" -o "$work/darts_weights.o"
must g++ -Wall -Wextra -Werror -I"$work/darts" "$work/bytes.cpp" "$work/darts.o" "$work/darts_weights.o" -o "$work/bytes"
"$work/bytes" || say "a caller of bytes: exit $?"

# shellcheck disable=SC2086
must "$nasc" export ../genotypes/darts_v2.json --to c --dtype int8 --out "$work/json" --json --calibration 2 $data $small
holds "$work/out" '0 <= j["accuracy"] <= 1 and 0 <= j["float_accuracy"] <= 1'

# ---- what is refused
seed=0
until grep -q '"squeeze_excite_3x3", [01]\]' "$work/custom.json" 2>/dev/null; do
    must "$nasc" derive ../examples/custom_space/space.json --random --seed $seed -o "$work/custom.json"
    seed=$((seed + 1))
done
# shellcheck disable=SC2086
fails '\.[0-9]: int8 has no hard_swish' export "$work/custom.json" --to c --dtype int8 --out "$work/no" $data $small
fails '--data: images by which ranges are found' export ../genotypes/darts_v2.json --to c --dtype int8 --out "$work/no" --input 12x12x3
fails_with 2 'is for --dtype int8' export ../genotypes/darts_v2.json --to c --calibration 4 --out "$work/no" --input 12x12x3
fails_with 2 '--to c' export ../genotypes/darts_v2.json --to onnx --dtype int8 --out "$work/no.onnx" --input 12x12x3
fails_with 2 'f32' export ../genotypes/darts_v2.json --to c --dtype int4 --out "$work/no"
[ ! -e "$work/no" ] || say "a refused export left files"
exit $bad
