/* A kernel in float64: what was f32 is f64, so that an emitter of float32 kernels makes machine code of the wide run
 * that the interpreter has. It is no more than a change of types: no instruction goes away or comes, and what a kernel
 * holds in f64 already stays as it is. */
#include "loop.h"

/* Makes an array that is shared one of its own. */
#define OWN(a, v) ((v)->at = arena_copy(a, (v)->at, (size_t)(v)->count * sizeof *(v)->at), (v)->capacity = (v)->count)

static void widen_buffers(loop_buffer *at, int count)
{
    for (int i = 0; i < count; i++)
        if (at[i].dtype == DT_F32)
            at[i].dtype = DT_F64;
}

kernel *loop_widen(arena *a, const kernel *k)
{
    kernel *wide = arena_copy(a, k, sizeof *k);
    OWN(a, &wide->ins);
    OWN(a, &wide->regs);
    OWN(a, &wide->args);
    OWN(a, &wide->scratch);
    widen_buffers(wide->args.at, wide->args.count);
    widen_buffers(wide->scratch.at, wide->scratch.count);
    for (int r = 0; r < wide->regs.count; r++)
        if (wide->regs.at[r].dtype == DT_F32)
            wide->regs.at[r].dtype = DT_F64;
    for (int i = 0; i < wide->ins.count; i++)
        if (wide->ins.at[i].op == LOOP_CONVERT) /* between two registers that are f64 now */
            wide->ins.at[i].op = LOOP_MOVE;
    return wide;
}
