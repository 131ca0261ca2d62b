/* Instances of a launch come together in grids, but only those that do not depend on each other and find room; and what
 * is written for such a grid. */
#include "emit/emit.h"
#include "plan/grids.h"
#include "plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static const char *const sources[] = {
    "kernel \"copy\" { arg 0 in f32 arg 1 out f32 parallel i1 { f32 r0 = load a0[i1] store a1[i1] = r0 } }",
    "kernel \"double\" { arg 0 in f32 arg 1 out f32 parallel i1 { f32 r0 = load a0[i1] f32 r1 = add r0, r0"
    " store a1[i1] = r1 } }",
    "kernel \"turn\" { arg 0 in f32 arg 1 out f32 scratch 0 f32 64 parallel i1 { threads i2 64 { f32 r0 = load a0[i2]"
    " store s0[i2] = r0 barrier f32 r1 = load s0[63-i2] store a1[i2 + 64*i1] = r1 } } }",
    "kernel \"large\" { arg 0 in f32 arg 1 out f32 scratch 0 f32 12000 parallel i1 { threads i2 128 { f32 r0 = load "
    "a0[i2]"
    " store s0[i2] = r0 barrier f32 r1 = load s0[i2] store a1[i2 + 128*i1] = r1 } } }",
    "kernel \"crowd\" { arg 0 in f32 arg 1 out f32 parallel i1 { threads i2 768 { f32 r0 = load a0[i2]"
    " store a1[i2 + 768*i1] = r0 } } }",
};
enum { COPY, DOUBLE, TURN, LARGE, CROWD, MOST = 300 };

/* A program of one launch, whose instances read value 2·i and write 2·i + 1, unless they are told otherwise. */
typedef struct sample {
    arena a;
    program *p;
    int reads[MOST], writes[MOST];
    grid_touches touches[MOST];
} sample;

static sample *sample_of_no_instance(void)
{
    static sample s;
    nasc_diag d = {0};
    s = (sample){0};
    s.p = NEW(&s.a, program);
    s.p->batch = 4;
    for (size_t i = 0; i < COUNT(sources); i++) {
        const kernel *k = loop_parse(&s.a, sources[i], "test", &d);
        if (!k || !loop_verify(k, &d))
            fail_msg("%s: %s", d.where, d.message);
        VEC_PUSH(&s.a, &s.p->kernels, k);
    }
    program_launch l = {.select = -1};
    VEC_PUSH(&s.a, &s.p->launches, l);
    return &s;
}

static void add(sample *s, int kernel, int units, int args)
{
    program_instance i = {
        .kernel = kernel, .conv = -1, .first_arg = s->p->args.count, .args = args, .unit_tiles = units};
    int number = s->p->launches.at[0].count++;
    program_arg of = {.offset = number};
    for (int k = 0; k < args; k++)
        VEC_PUSH(&s->a, &s->p->args, of);
    VEC_PUSH(&s->a, &s->p->instances, i);
    s->reads[number] = 2 * number;
    s->writes[number] = 2 * number + 1;
}

static void form(sample *s)
{
    int count = s->p->launches.at[0].count;
    for (int i = 0; i < count; i++)
        s->touches[i] = (grid_touches){&s->reads[i], &s->writes[i], 1, 1};
    grids *g = grids_open(&s->a, &s->a, s->p, 2 * count);
    grids_form(g, s->touches);
    grids_close(g);
    assert_int_equal(s->p->launches.at[0].grids, s->p->grids.count);
}

/* What a grid is called; each instance is in one. */
static void expect(const sample *s, int count, const char *const *names)
{
    int next = 0;
    assert_int_equal(s->p->grids.count, count);
    for (int i = 0; i < count; i++) {
        const program_grid *g = &s->p->grids.at[i];
        assert_string_equal(program_grid_name((arena *)&s->a, s->p, g), names[i]);
        assert_int_equal(g->first, next);
        next += g->count;
    }
    assert_int_equal(next, s->p->instances.count);
}
#define EXPECT(s, ...) expect(s, COUNT(((const char *const[]){__VA_ARGS__})), (const char *const[]){__VA_ARGS__})

static void equal_kernels(void **state)
{
    (void)state;
    sample *s = sample_of_no_instance();
    for (int i = 0; i < 6; i++)
        add(s, i % 2 ? COPY : DOUBLE, 1 << 20, 2);
    form(s);
    EXPECT(s, "3 copy, 3 double");
    assert_int_equal(s->p->functions.at[0].table, 60);
    for (int i = 0; i < 6; i++) /* with their own arguments */
        assert_int_equal(s->p->args.at[s->p->instances.at[i].first_arg].offset, i < 3 ? 2 * i + 1 : 2 * (i - 3));
    arena_free(&s->a);
}

/* Of one kernel, but of other numbers of units: parts of their own. One alone has no table. */
static void other_units(void **state)
{
    (void)state;
    sample *s = sample_of_no_instance();
    add(s, COPY, 100, 2);
    add(s, COPY, 200, 2);
    add(s, COPY, 100, 2);
    form(s);
    EXPECT(s, "2 copy, 1 copy");
    arena_free(&s->a);
    s = sample_of_no_instance();
    add(s, COPY, 100, 2);
    form(s);
    EXPECT(s, "1 copy");
    assert_int_equal(s->p->functions.at[0].table, 0);
    arena_free(&s->a);
}

/* An instance that reads, or writes, what another writes is in no grid with it. */
static void dependent_instances(void **state)
{
    (void)state;
    sample *s = sample_of_no_instance();
    for (int i = 0; i < 4; i++)
        add(s, COPY, 100, 2);
    s->reads[2] = s->writes[0];
    s->writes[3] = s->writes[1];
    form(s);
    EXPECT(s, "2 copy", "2 copy");
    assert_int_equal(s->p->args.at[s->p->instances.at[2].first_arg].offset, 2);
    assert_int_equal(s->p->args.at[s->p->instances.at[3].first_arg].offset, 3);
    arena_free(&s->a);
}

static void more_than_a_table_holds(void **state)
{
    (void)state;
    sample *s = sample_of_no_instance();
    for (int i = 0; i < MOST; i++)
        add(s, COPY, 100, 2);
    form(s);
    EXPECT(s, "240 copy", "60 copy");
    assert_int_equal(s->p->functions.at[0].table, GRID_ARGS);
    arena_free(&s->a);
}

/* Kernels that take a lot of a multiprocessor leave others room elsewhere, unless they are few. */
static void room(void **state)
{
    (void)state;
    sample *s = sample_of_no_instance();
    add(s, LARGE, 1000, 2);
    add(s, COPY, 1 << 20, 2);
    add(s, DOUBLE, 500, 2);
    form(s);
    EXPECT(s, "1 double, 1 large", "1 copy");
    assert_int_equal(s->p->functions.at[0].threads, 128);
    arena_free(&s->a);
}

/* Where a block has so many threads that they have few registers each, others stay away. */
static void crowds(void **state)
{
    (void)state;
    sample *s = sample_of_no_instance();
    add(s, CROWD, 10, 2);
    add(s, COPY, 100, 2);
    add(s, CROWD, 10, 2);
    form(s);
    EXPECT(s, "2 crowd", "1 copy");
    nasc_diag d = {0};
    text out = {.arena = &s->a};
    assert_true(emit_cuda_function(&out, &s->p->functions.at[0], s->p->kernels.at, &target_gpus[0], "grid", &d));
    assert_non_null(strstr(out.at, " BLOCK(768) grid("));
    arena_free(&s->a);
}

/* ---- what is written --------------------------------------------------------------------------------------------- */

static const char expected[] =
    "struct grid_table {\n"
    "    void *at[60];\n"
    "    int n;\n"
    "    struct {\n"
    "        int instances, blocks, units;\n"
    "    } part[2];\n"
    "};\n"
    "\n"
    "/* copy */\n"
    "INLINE_ALWAYS void grid_part0(const float *a0, float *a1, int n, int units, int block)\n"
    "{\n"
    "    int i1 = block * blockDim.x + threadIdx.x;\n"
    "    if (i1 < units) {\n"
    "        a1[i1] = a0[i1];\n"
    "    }\n"
    "}\n"
    "\n"
    "/* turn */\n"
    "INLINE_ALWAYS void grid_part1(const float *a0, float *a1, int n, int units, int block)\n"
    "{\n"
    "    __shared__ __align__(16) float s0[64];\n"
    "    int i1 = block;\n"
    "    int i2 = threadIdx.x;\n"
    "    s0[i2] = a0[i2];\n"
    "    __syncthreads();\n"
    "    a1[64 * i1 + i2] = s0[-i2 + 63];\n"
    "}\n"
    "\n"
    "extern \"C\" __global__ void BLOCK(128) grid(TABLE grid_table table)\n"
    "{\n"
    "    int block = blockIdx.x;\n"
    "    void *const *at = table.at;\n"
    "    if (block < table.part[0].instances * table.part[0].blocks) {\n"
    "        int instance = block / table.part[0].blocks;\n"
    "        block -= instance * table.part[0].blocks;\n"
    "        at += 2 * instance;\n"
    "        grid_part0((const float *)at[0], (float *)at[1], table.n, table.part[0].units, block);\n"
    "        return;\n"
    "    }\n"
    "    block -= table.part[0].instances * table.part[0].blocks;\n"
    "    at += 2 * table.part[0].instances;\n"
    "    if (threadIdx.x >= 64)\n"
    "        return;\n"
    "    int instance = block / table.part[1].blocks;\n"
    "    block -= instance * table.part[1].blocks;\n"
    "    at += 2 * instance;\n"
    "    grid_part1((const float *)at[0], (float *)at[1], table.n, table.part[1].units, block);\n"
    "}\n";

static void text_of_a_grid(void **state)
{
    (void)state;
    sample *s = sample_of_no_instance();
    nasc_diag d = {0};
    text out = {.arena = &s->a};
    add(s, TURN, 10, 2);
    add(s, COPY, 1000, 2);
    add(s, TURN, 10, 2);
    form(s);
    EXPECT(s, "1 copy, 2 turn");
    assert_true(emit_cuda_function(&out, &s->p->functions.at[0], s->p->kernels.at, &target_gpus[0], "grid", &d));
    assert_string_equal(out.at, expected);
    arena_free(&s->a);
}

/* Where several want shared memory, they take turns with the same. */
static void shared_memory(void **state)
{
    (void)state;
    sample *s = sample_of_no_instance();
    nasc_diag d = {0};
    text out = {.arena = &s->a};
    add(s, TURN, 10, 2);
    add(s, LARGE, 10, 2);
    form(s);
    EXPECT(s, "1 turn, 1 large");
    assert_true(emit_cuda_function(&out, &s->p->functions.at[0], s->p->kernels.at, &target_gpus[0], "grid", &d));
    assert_non_null(strstr(out.at, "    __shared__ __align__(16) char shared[48000];\n"));
    assert_non_null(strstr(out.at, "    float *s0 = (float *)(shared + 0);\n"));
    assert_null(strstr(out.at, "__shared__ __align__(16) float"));
    arena_free(&s->a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_kernels),
        cmocka_unit_test(other_units),
        cmocka_unit_test(dependent_instances),
        cmocka_unit_test(more_than_a_table_holds),
        cmocka_unit_test(room),
        cmocka_unit_test(crowds),
        cmocka_unit_test(text_of_a_grid),
        cmocka_unit_test(shared_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
