/* An exported model, here one called `net`, on a Cortex-M without an operating system: weights in flash, where they are
 * read from, the arena in RAM, no heap. Run by qemu, which lends the board its files and its console (semihosting);
 * on a board of yours the image comes from a camera, and startup.c and board.ld are the board's own.
 *
 *     nasc export RUN --to c --target cortex-m --name net --out net
 *     arm-none-eabi-gcc -mcpu=cortex-m7 -mfloat-abi=hard -std=c11 -O2 -ffp-contract=off -Inet -T net/board.ld \
 *         --specs=rdimon.specs examples/board.c net/net.c net/net_weights.c net/startup.c -o board
 *     qemu-system-arm -M mps2-an500 -nographic -monitor none -serial none \
 *         -semihosting-config enable=on,target=native -kernel board
 *
 * Reads the input's height x width x channels bytes from the file `image.raw`; prints the class. */
#include "net.h"

#include <stdio.h>

enum { PIXELS = net_INPUT_H * net_INPUT_W * net_INPUT_C };

static _Alignas(net_ARENA_ALIGN) unsigned char arena[net_ARENA_BYTES];
static float in[PIXELS], out[net_CLASSES];

/* One image, grey levels as they are read made numbers in [0, 1]. 1: there is one. */
static int take_image(void)
{
    FILE *camera = fopen("image.raw", "rb");
    int taken = 0;
    for (int level; camera && taken < PIXELS && (level = getc(camera)) != EOF; taken++)
        in[taken] = (float)level / 255.0f;
    if (camera)
        fclose(camera);
    return taken == PIXELS;
}

int main(void)
{
    net model;
    int error = net_init(&model, &net_weights, sizeof net_weights);
    if (error != net_OK || !take_image()) {
        printf("board: net_init returns %d; image.raw must have %d bytes\n", error, PIXELS);
        return 1;
    }
    error = net_run(&model, in, out, arena);
    if (error != net_OK) {
        printf("board: net_run returns %d\n", error);
        return 1;
    }
    int best = 0;
    for (int k = 1; k < net_CLASSES; k++)
        if (out[k] > out[best])
            best = k;
    printf("class %d; %d bytes of RAM for the arena, %d bytes of flash for the weights\n", best, net_ARENA_BYTES,
           net_WEIGHTS_BYTES);
    return 0;
}
