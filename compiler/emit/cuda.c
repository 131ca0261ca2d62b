/* Loop IR to CUDA C that people can read: the C emitter's text in another frame.
 *
 * Where a kernel has threads, a unit is a block and scratch its shared memory; else a unit is a thread, and the grid is
 * as large as all units want it. Integers have 32 bits: no buffer of a program has more elements. */
#include "emit/c_writer.h"
#include "templates.h"

#include <inttypes.h>
#include <string.h>

static void open_outer(c_writer *w, const loop_ins *i)
{
    const char *var = c_int_name(w, i->dst);
    if (i->op == LOOP_THREADS) {
        c_line(w, arena_printf(w->arena, "int %s = threadIdx.x;", var));
    } else if (loop_threads_of(w->k)) {
        c_line(w, arena_printf(w->arena, "int %s = blockIdx.x;", var));
    } else {
        c_line(w, arena_printf(w->arena, "int %s = blockIdx.x * blockDim.x + threadIdx.x;", var));
        c_line(w, arena_printf(w->arena, "if (%s < units) {", var));
        w->indent++;
    }
}

/* A block's kernel is all body: nothing has been opened. */
static void close_outer(c_writer *w, const loop_ins *i)
{
    (void)i;
    if (loop_threads_of(w->k))
        return;
    w->indent--;
    c_line(w, "}");
}

static const c_dialect cuda_c = {.integer = "int", .open = open_outer, .close = close_outer};

static void declare_scratch(c_writer *w)
{
    const char *where = loop_threads_of(w->k) ? "__shared__ __align__(16) " : "";
    for (int i = 0; i < w->k->scratch.count; i++)
        if (w->uses_scratch[i])
            c_line(w, arena_printf(w->arena, "%s%s s%d[%" PRId64 "];", where, c_type[w->k->scratch.at[i].dtype], i,
                                   w->k->scratch.at[i].elements));
}

static const char *parameters(c_writer *w)
{
    text t = {.arena = w->arena};
    for (int i = 0; i < w->k->args.count; i++) {
        const loop_buffer *arg = &w->k->args.at[i];
        text_add(&t, "%s%s *a%d, ", arg->access == LOOP_IN ? "const " : "", c_type[arg->dtype], i);
    }
    text_add(&t, "int n, int units");
    return t.at;
}

/* Vectors come from shared memory and fall apart: they are floats that are loaded at once. */
static bool is_plain(const kernel *k, const loop_ins *i)
{
    if (i->op == LOOP_LANE || loop_op_info[i->op].kind == LOOP_STRUCT || !(c_is_reg_def(i) || i->op == LOOP_STORE))
        return true;
    const loop_reg *r = &k->regs.at[i->op == LOOP_STORE ? i->src[0] : i->dst];
    bool shared = i->op == LOOP_LOAD && i->place.buffer >= LOOP_SCRATCH && loop_threads_of(k);
    return r->lanes == 1 || (shared && r->lanes <= CUDA_VECTOR && r->dtype == DT_F32);
}

/* Can the target say all that the kernel says? */
static bool expressible(const kernel *k, const target *t, nasc_diag *d)
{
    CHECK(t->capability);
    for (int i = 0; i < k->ins.count; i++)
        if (!is_plain(k, &k->ins.at[i]))
            return diag_fail(d, DIAG_INPUT, k->name, "instruction %d: target %s has no such vectors", i, t->name);
    int64_t shared = loop_threads_of(k) ? loop_scratch_offset(k, k->scratch.count) : 0;
    return shared <= t->shared_bytes ||
           diag_fail(d, DIAG_INPUT, k->name, "%" PRId64 " bytes of shared memory, target %s has %d", shared, t->name,
                     t->shared_bytes);
}

bool emit_cuda_kernel(text *out, const kernel *k, const target *t, const char *name, nasc_diag *d)
{
    if (!expressible(k, t, d))
        return false;
    c_writer w = {.dialect = &cuda_c, .arena = out->arena, .out = out, .k = k};
    c_scope(&w);
    c_find_bases(&w);
    if (k->name[0])
        text_add(out, "/* %s */\n", k->name);
    c_line(&w, arena_printf(out->arena, "extern \"C\" __global__ void __launch_bounds__(%d) %s(%s)",
                            cuda_block_threads(k), name, parameters(&w)));
    text_add(out, "{\n");
    w.indent = 1;
    declare_scratch(&w);
    c_statements(&w, 0, w.k->ins.count);
    text_add(out, "}\n");
    return true;
}

int cuda_block_threads(const kernel *k)
{
    int threads = loop_threads_of(k);
    return threads ? threads : CUDA_BLOCK_THREADS;
}

void emit_cuda_prelude(text *out)
{
    text_add(out, "%s\n%s\n", template_cuda_prelude_h, template_c_arithmetic_h);
}
