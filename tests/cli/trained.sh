#!/usr/bin/env bash
# A trained network gives the same bits everywhere: logits of 100 images by nasc's machine code and by the C that export
# writes for this machine, of two by the interpreter: trained.sh NASC
# shellcheck source=tests/cli/common
. cli/common
images=100
strict="-std=c11 -Wall -Wextra -Werror -ffp-contract=off -O1"

# ---- images of four classes as IDX: noise on nothing, on rows, on columns, on a checkerboard
cat >"$work/draw.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
enum { SIDE = 12, CLASSES = 4 };
static unsigned state = 20;
static unsigned noise(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 24;
}
static void put(FILE *f, unsigned v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        fputc((int)(v >> shift & 255), f);
}
int main(int argc, char **argv) /* IMAGES LABELS COUNT */
{
    FILE *images = fopen(argv[1], "wb"), *labels = fopen(argv[2], "wb");
    unsigned count = (unsigned)atoi(argv[argc - 1]);
    put(images, 0x803), put(images, count), put(images, SIDE), put(images, SIDE);
    put(labels, 0x801), put(labels, count);
    for (unsigned n = 0; n < count; n++) {
        unsigned class = noise() / 64;
        fputc((int)class, labels);
        for (unsigned y = 0; y < SIDE; y++)
            for (unsigned x = 0; x < SIDE; x++)
                fputc((int)(noise() / 2 + (((class & 1 ? x : 0) + (class & 2 ? y : 0)) & 1 ? 120 : 0)), images);
    }
    return fclose(images) | fclose(labels);
}
END
# shellcheck disable=SC2086 # a list of options
must gcc $strict "$work/draw.c" -o "$work/draw"
mkdir "$work/data"
must "$work/draw" "$work/data/train-images-idx3-ubyte" "$work/data/train-labels-idx1-ubyte" 240
must "$work/draw" "$work/data/t10k-images-idx3-ubyte" "$work/data/t10k-labels-idx1-ubyte" $images

# ---- trained, and what nasc says of each test image
must "$nasc" train ../genotypes/darts_v2.json --data "idx:$work/data" --channels 5 --cells 3 --set batch=24 --set epochs=2 \
    --set lr=0.1 --set auxiliary=0 --set drop_path=0 --set cutout=0 --quiet --out "$work/run"
must "$nasc" eval "$work/run" --quiet --json --logits "$work/jit"
cp "$work/out" "$work/json"
grep -q "\"images\":$images," "$work/json" || say "eval: $(cat "$work/json")"
[ "$(awk 'NF == 4' "$work/jit" | sort -u | wc -l)" = $images ] || say "--logits: not a line of four an image, all different"
must "$nasc" eval "$work/run" --quiet --engine interpreter --limit 2 --logits "$work/interpreter"
head -2 "$work/jit" | cmp - "$work/interpreter" || say "the interpreter's logits are other ones"
# Trained means: it knows the classes, which initial weights do not.
right=$(sed 's/.*"accuracy":\([0-9.]*\).*/\1/' "$work/json")
awk -v right="$right" 'BEGIN { exit !(right > 0.5) }' || say "accuracy is $right, expected more than half of four classes"

# ---- the exported C, on the same images
cat >"$work/main.c" <<'END'
#include "net.h"
#include <stdio.h>
#include <stdlib.h>
enum { PIXELS = net_INPUT_H * net_INPUT_W * net_INPUT_C };
static _Alignas(64) unsigned char arena[net_ARENA_BYTES], weights[net_WEIGHTS_BYTES];
int main(int argc, char **argv) /* WEIGHTS IMAGES */
{
    net model;
    unsigned char grey[PIXELS];
    float in[PIXELS], out[net_CLASSES];
    FILE *w = argc == 3 ? fopen(argv[1], "rb") : NULL, *images = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (!w || !images || fread(weights, 1, sizeof weights, w) != sizeof weights || fseek(images, 16, SEEK_SET) != 0 ||
        net_init(&model, weights, sizeof weights) != 0)
        return 1;
    while (fread(grey, 1, PIXELS, images) == PIXELS) {
        for (int i = 0; i < PIXELS; i++)
            in[i] = (float)grey[i] / 255.0f;
        if (net_run(&model, in, out, arena) != 0)
            return 1;
        for (int k = 0; k < net_CLASSES; k++)
            printf("%.9g%c", (double)out[k], k + 1 < net_CLASSES ? ' ' : '\n');
    }
    return fclose(w) | fclose(images);
}
END
must "$nasc" export "$work/run" --to c --target native --weights-as file --name net --out "$work/c"
# shellcheck disable=SC2086
must gcc $strict -I"$work/c" "$work/main.c" "$work/c/net.c" -o "$work/main"
must "$work/main" "$work/c/net.bin" "$work/data/t10k-images-idx3-ubyte"
cmp "$work/jit" "$work/out" || say "the logits of the exported C are other ones than the JIT's"
exit $bad
