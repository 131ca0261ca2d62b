/* Loop IR to CUDA C that people can read: the C emitter's text in another frame.
 *
 * Where a kernel has threads, a unit is a block and scratch its shared memory; else a unit is a thread, and the grid is
 * as large as all units want it. Integers have 32 bits: no buffer of a program has more elements.
 *
 * A function that runs several instances as one grid has a table of all their arguments for its parameter, which lies in
 * constant memory; a block finds its instance by its number, and calls the kernel's text, which is a function then. */
#include "emit/c_writer.h"
#include "templates.h"

#include <inttypes.h>
#include <string.h>

static void open_outer(c_writer *w, const loop_ins *i)
{
    const char *var = c_int_name(w, i->dst), *block = w->dialect->block;
    if (i->op == LOOP_THREADS) {
        c_line(w, arena_printf(w->arena, "int %s = threadIdx.x;", var));
    } else if (loop_threads_of(w->k)) {
        c_line(w, arena_printf(w->arena, "int %s = %s;", var, block));
    } else {
        c_line(w, arena_printf(w->arena, "int %s = %s * blockDim.x + threadIdx.x;", var, block));
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

/* Of a grid of one instance, and of one that shares its grid. */
static const c_dialect cuda_c = {.integer = "int", .block = "blockIdx.x", .open = open_outer, .close = close_outer},
                       cuda_part_c = {.integer = "int", .block = "block", .open = open_outer, .close = close_outer};

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
    int64_t shared = loop_shared_bytes(k);
    return shared <= t->shared_bytes ||
           diag_fail(d, DIAG_INPUT, k->name, "%" PRId64 " bytes of shared memory, target %s has %d", shared, t->name,
                     t->shared_bytes);
}

static c_writer open_writer(text *out, const kernel *k, const c_dialect *dialect)
{
    c_writer w = {.dialect = dialect, .arena = out->arena, .out = out, .k = k, .indent = 1};
    c_scope(&w);
    c_find_bases(&w);
    return w;
}

/* A function's first line. */
static void write_head(text *out, const char *line)
{
    c_writer w = {.arena = out->arena, .out = out};
    c_line(&w, line);
    text_add(out, "{\n");
}

bool emit_cuda_kernel(text *out, const kernel *k, const target *t, const char *name, nasc_diag *d)
{
    if (!expressible(k, t, d))
        return false;
    c_writer w = open_writer(out, k, &cuda_c);
    if (k->name[0])
        text_add(out, "/* %s */\n", k->name);
    write_head(out, arena_printf(out->arena, "extern \"C\" __global__ void BLOCK(%d) %s(%s)", cuda_block_threads(k),
                                 name, parameters(&w)));
    declare_scratch(&w);
    c_statements(&w, 0, w.k->ins.count);
    text_add(out, "}\n");
    return true;
}

/* ---- grids of several instances ---------------------------------------------------------------------------------- */

/* Bytes of shared memory that parts take turns with; 0: one of them at most wants any, and has it to itself. */
static int64_t joint_bytes(const program_function *f, const kernel *const *kernels)
{
    int64_t most = 0;
    int users = 0;
    for (int i = 0; i < f->kernels; i++) {
        int64_t bytes = loop_shared_bytes(kernels[f->part[i].kernel]);
        users += bytes > 0;
        most = bytes > most ? bytes : most;
    }
    return users > 1 ? most : 0;
}

static void point_to_scratch(c_writer *w)
{
    for (int i = 0; i < w->k->scratch.count; i++) {
        const char *type = c_type[w->k->scratch.at[i].dtype];
        if (w->uses_scratch[i])
            c_line(w, arena_printf(w->arena, "%s *s%d = (%s *)(shared + %" PRId64 ");", type, i, type,
                                   loop_scratch_offset(w->k, i)));
    }
}

/* A part's kernel as a function of its arguments and the number of its block. */
static void write_part(text *out, const program_function *f, int part, const kernel *k, bool joint, const char *name)
{
    c_writer w = open_writer(out, k, &cuda_part_c);
    int threads = f->part[part].threads;
    bool shares = joint && threads;
    text_add(out, "/* %s */\n", k->name);
    write_head(out, arena_printf(out->arena, "INLINE_ALWAYS void %s_part%d(%s, int block%s)", name, part,
                                 parameters(&w), shares ? ", char *shared" : ""));
    if (shares)
        point_to_scratch(&w);
    else
        declare_scratch(&w);
    c_statements(&w, 0, w.k->ins.count);
    text_add(out, "}\n\n");
}

static void write_table(text *out, const program_function *f, const char *name)
{
    text_add(out,
             "struct %s_table {\n    void *at[%d];\n    int n;\n    struct {\n        int instances, blocks, units;\n"
             "    } part[%d];\n};\n\n",
             name, f->table, f->kernels);
}

/* A part that begins at `block` 0, with the arguments of its first instance at `at`. */
static void write_call(c_writer *w, const program_function *f, int part, const kernel *k, bool joint, const char *name)
{
    text call = {.arena = w->arena};
    int threads = f->part[part].threads;
    if (threads && threads < f->threads) {
        c_line(w, arena_printf(w->arena, "if (threadIdx.x >= %d)", threads));
        c_line(w, "    return;");
    }
    c_line(w, arena_printf(w->arena, "int instance = block / table.part[%d].blocks;", part));
    c_line(w, arena_printf(w->arena, "block -= instance * table.part[%d].blocks;", part));
    c_line(w, arena_printf(w->arena, "at += %d * instance;", k->args.count));
    text_add(&call, "%s_part%d(", name, part);
    for (int i = 0; i < k->args.count; i++)
        text_add(&call, "(%s%s *)at[%d], ", k->args.at[i].access == LOOP_IN ? "const " : "",
                 c_type[k->args.at[i].dtype], i);
    text_add(&call, "table.n, table.part[%d].units, block%s);", part, joint && threads ? ", shared" : "");
    c_line(w, call.at);
}

/* Blocks of this part return; those of the next count from its own. */
static void write_branch(c_writer *w, const program_function *f, int part, const kernel *k, bool joint,
                         const char *name)
{
    const char *all = arena_printf(w->arena, "table.part[%d].instances * table.part[%d].blocks", part, part);
    c_line(w, arena_printf(w->arena, "if (block < %s) {", all));
    w->indent++;
    write_call(w, f, part, k, joint, name);
    c_line(w, "return;");
    w->indent--;
    c_line(w, "}");
    c_line(w, arena_printf(w->arena, "block -= %s;", all));
    c_line(w, arena_printf(w->arena, "at += %d * table.part[%d].instances;", k->args.count, part));
}

bool emit_cuda_function(text *out, const program_function *f, const kernel *const *kernels, const target *t,
                        const char *name, nasc_diag *d)
{
    if (!f->table)
        return emit_cuda_kernel(out, kernels[f->part[0].kernel], t, name, d);
    int64_t joint = joint_bytes(f, kernels);
    write_table(out, f, name);
    for (int i = 0; i < f->kernels; i++) {
        if (!expressible(kernels[f->part[i].kernel], t, d))
            return false;
        write_part(out, f, i, kernels[f->part[i].kernel], joint > 0, name);
    }
    c_writer w = {.arena = out->arena, .out = out, .indent = 1};
    write_head(out, arena_printf(out->arena, "extern \"C\" __global__ void BLOCK(%d) %s(TABLE %s_table table)",
                                 f->threads, name, name));
    if (joint)
        c_line(&w, arena_printf(w.arena, "__shared__ __align__(16) char shared[%" PRId64 "];", joint));
    c_line(&w, "int block = blockIdx.x;");
    c_line(&w, "void *const *at = table.at;");
    for (int i = 0; i + 1 < f->kernels; i++)
        write_branch(&w, f, i, kernels[f->part[i].kernel], joint > 0, name);
    write_call(&w, f, f->kernels - 1, kernels[f->part[f->kernels - 1].kernel], joint > 0, name);
    text_add(out, "}\n");
    return true;
}

int cuda_block_threads(const kernel *k)
{
    int threads = loop_threads_of(k);
    return threads ? threads : GRID_THREADS;
}

void emit_cuda_prelude(text *out)
{
    text_add(out, "%s\n%s\n", template_cuda_prelude_h, template_c_arithmetic_h);
}
