/* What norms make of sums over rows: a block adds up all of some channels, and then knows what a norm is of them. So there
 * is no kernel between that of a map and that of its norm.
 *
 * The order is that of chan_sum and its readers: rows of a chunk in float64, a thread a chunk; then, rounded, the chunks.
 * Some threads fetch the next rows, which wait in registers, while the others add those that stand in shared memory. */
#include "loop/simt.h"

enum {
    CHANNELS = 8, /* of a block, side by side: a transaction of memory */
    CHUNKS = 8,   /* at a time */
    SUMS = 2,
    ROWS_AT_ONCE = 512, /* of all chunks */
    ADDERS = CHANNELS * CHUNKS * SUMS,
    FILLERS = 384,
    HELD = (CHANNELS * ROWS_AT_ONCE + FILLERS - 1) / FILLERS /* rows of each sum, that a thread has fetched */
};

typedef struct totals {
    const net_type *t;                  /* of the rows */
    int rows[SUMS];                     /* values: the sums over rows */
    int stored[SUMS];                   /* those of chunks that something else reads as well; -1 */
    int channels, chunks, chunk, lines; /* lines: of a chunk, at a time; chunk: rows of one */
    int groups;                         /* of chunks that are added up at a time */
    int thread, at_hand, sums;          /* its variable; scratch: [sum][line][chunk][channel], [sum][chunk][channel] */
    loop_index first_c, group;
    int held[SUMS][HELD], total, all[SUMS]; /* all: over the chunks, in float64 */
} totals;

static int zero(simd *s, enum dtype t)
{
    return loop_math(&s->pen, LOOP_MOVE, loop_const(&s->pen, t, 1, 0), -1, -1, -1);
}

static void clear(simd *s, int reg, enum dtype t)
{
    loop_math_to(&s->pen, reg, LOOP_MOVE, loop_const(&s->pen, t, 1, 0), -1, -1, -1);
}

bool simt_norms_rows(const simd *s, int root)
{
    int sum = s->n->nodes.at[root].operand[0];
    return s->f->place[sum] == PLACE_INLINE || s->f->group_of[sum] == s->f->group_of[root];
}

static totals open_totals(simd *s, int root)
{
    totals q = {.thread = -1};
    for (int r = 0; r < SUMS; r++) {
        int sum = s->n->nodes.at[root].operand[r];
        q.rows[r] = s->n->nodes.at[sum].operand[0];
        q.stored[r] = s->f->place[sum] == PLACE_MEMORY ? sum : -1;
        CHECK(q.stored[r] < 0 || s->f->group_of[sum] == s->f->group_of[root]);
    }
    q.t = &s->n->nodes.at[q.rows[0]].type;
    int chunks = (s->layout->batch + s->n->chunk - 1) / s->n->chunk, groups = (q.t->c + CHANNELS - 1) / CHANNELS;
    q.channels = q.t->c < CHANNELS ? q.t->c : CHANNELS;
    q.chunks = chunks < CHUNKS ? chunks : CHUNKS;
    q.groups = (chunks + q.chunks - 1) / q.chunks;
    q.chunk = s->n->chunk * q.t->h;
    q.lines = ROWS_AT_ONCE / q.chunks < q.chunk ? ROWS_AT_ONCE / q.chunks : q.chunk;
    q.at_hand = loop_scratch(&s->pen, DT_F32, (int64_t)SUMS * q.lines * q.chunks * q.channels);
    q.sums = loop_scratch(&s->pen, DT_F32, (int64_t)SUMS * q.chunks * q.channels);
    s->unit = loop_parallel(&s->pen);
    q.thread = loop_threads(&s->pen, ADDERS + FILLERS);
    q.first_c = loop_plus(loop_at(0), s->unit, q.channels);
    s->tile = loop_at(0);
    s->out->unit_images = 0;
    s->out->unit_tiles = groups;
    q.total = zero(s, DT_F64);
    for (int r = 0; r < SUMS; r++) {
        q.all[r] = zero(s, DT_F64);
        for (int i = 0; i < HELD; i++)
            q.held[r][i] = zero(s, DT_F32);
    }
    return q;
}

/* ---- fetching ---------------------------------------------------------------------------------------------------- */

/* Element number i of those of a filling thread: [line][chunk][channel]. */
static loop_index element(const totals *q, int i)
{
    return loop_offset(simt_variable(q->thread), (int64_t)i * FILLERS - ADDERS);
}

static int elements(const totals *q)
{
    return q->lines * q->chunks * q->channels;
}

static int held(const totals *q)
{
    return (elements(q) + FILLERS - 1) / FILLERS;
}

static int open_element(simd *s, const totals *q, int i)
{
    if ((i + 1) * FILLERS <= elements(q))
        return 0;
    loop_if(&s->pen, element(q, i), loop_at(elements(q)));
    return 1;
}

static void fetch_element(simd *s, const totals *q, int i, loop_index base)
{
    for (int r = 0; r < SUMS; r++)
        clear(s, q->held[r][i], DT_F32);
    int opened = open_element(s, q, i);
    loop_index c = element(q, i), chunk = simt_split(s, &c, q->channels), line = simt_split(s, &chunk, q->chunks);
    spot at = {.x = loop_at(0), .c = loop_sum(q->first_c, c), .lanes = 1, .ratio = 1};
    chunk = loop_sum(chunk, loop_times(q->group, q->chunks));
    at.rel = loop_sum(base, line);
    opened += simt_below(s, at.rel, q->chunk, q->lines) + simt_below(s, at.c, q->t->c, q->channels);
    s->image = loop_sum(loop_times(chunk, s->n->chunk), simt_split(s, &at.rel, q->t->h));
    loop_if(&s->pen, s->image, simt_variable(0));
    for (int r = 0; r < SUMS; r++) {
        int row = loop_load(&s->pen, DT_F32, 1, simd_arg(s, q->rows[r], LOOP_IN), simd_element(s, q->rows[r], &at));
        loop_math_to(&s->pen, q->held[r][i], LOOP_MOVE, row, -1, -1, -1);
    }
    simt_close(s, opened + 1);
}

static void fetch_rows(simd *s, const totals *q, loop_index base)
{
    for (int i = 0; i < held(q); i++)
        fetch_element(s, q, i, base);
}

static void leave(simd *s, const totals *q)
{
    for (int i = 0; i < held(q); i++) {
        int opened = open_element(s, q, i);
        for (int r = 0; r < SUMS; r++)
            loop_store(&s->pen, q->at_hand, loop_offset(element(q, i), (int64_t)r * elements(q)), q->held[r][i]);
        simt_close(s, opened);
    }
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

/* Thread number [sum][chunk][channel]. */
static void add_lines(simd *s, const totals *q)
{
    int each = q->chunks * q->channels;
    loop_index mine = simt_variable(q->thread), sum = simt_split(s, &mine, each), line = simd_open(s, 0, q->lines, 1);
    loop_index from = loop_sum(loop_sum(mine, loop_times(line, each)), loop_times(sum, elements(q)));
    int row = loop_load(&s->pen, DT_F64, 1, q->at_hand, from);
    loop_math_to(&s->pen, q->total, LOOP_ADD, q->total, row, -1, -1);
    simd_close(s, q->lines);
}

/* Of the chunks at hand, by the threads that have them. */
static void store_chunks(simd *s, const totals *q, int r)
{
    int each = q->chunks * q->channels;
    loop_if(&s->pen, loop_at((int64_t)r * each - 1), simt_variable(q->thread));
    loop_if(&s->pen, simt_variable(q->thread), loop_at((int64_t)(r + 1) * each));
    loop_index c = loop_offset(simt_variable(q->thread), -(int64_t)r * each), chunk = simt_split(s, &c, q->channels);
    chunk = loop_sum(chunk, loop_times(q->group, q->chunks));
    c = loop_sum(q->first_c, c);
    loop_if(&s->pen, loop_times(chunk, s->n->chunk), simt_variable(0));
    int opened = 3 + simt_below(s, c, q->t->c, q->channels);
    loop_store(&s->pen, simd_arg(s, q->stored[r], LOOP_OUT), loop_sum(loop_times(chunk, q->t->c), c),
               loop_convert(&s->pen, DT_F32, q->total));
    simt_close(s, opened);
}

/* The rows of the chunks at hand. */
static void add_rows(simd *s, const totals *q)
{
    int adders = SUMS * q->chunks * q->channels, rounds = (q->chunk + q->lines - 1) / q->lines;
    clear(s, q->total, DT_F64);
    loop_if(&s->pen, loop_at(ADDERS - 1), simt_variable(q->thread));
    fetch_rows(s, q, loop_at(0));
    loop_end(&s->pen);
    loop_index base = simd_open(s, 0, rounds, q->lines);
    loop_barrier(&s->pen);
    loop_if(&s->pen, loop_at(ADDERS - 1), simt_variable(q->thread));
    leave(s, q);
    loop_end(&s->pen);
    loop_barrier(&s->pen);
    loop_if(&s->pen, simt_variable(q->thread), loop_at(adders));
    add_lines(s, q);
    loop_else(&s->pen);
    loop_if(&s->pen, loop_at(ADDERS - 1), simt_variable(q->thread));
    loop_if(&s->pen, loop_offset(base, q->lines), loop_at(q->chunk));
    fetch_rows(s, q, loop_offset(base, q->lines));
    loop_end(&s->pen);
    loop_end(&s->pen);
    loop_end(&s->pen);
    simd_close(s, rounds);
    loop_if(&s->pen, simt_variable(q->thread), loop_at(adders));
    loop_store(&s->pen, q->sums, simt_variable(q->thread), loop_convert(&s->pen, DT_F32, q->total));
    loop_end(&s->pen);
    for (int r = 0; r < SUMS; r++)
        if (q->stored[r] >= 0)
            store_chunks(s, q, r);
    loop_barrier(&s->pen);
}

/* Opens an IF around what the threads of the block's channels do. */
static int open_channel(simd *s, const totals *q)
{
    loop_if(&s->pen, simt_variable(q->thread), loop_at(q->channels));
    return 1 + simt_below(s, loop_sum(q->first_c, simt_variable(q->thread)), q->t->c, q->channels);
}

static void add_chunks(simd *s, const totals *q)
{
    int opened = open_channel(s, q);
    for (int r = 0; r < SUMS; r++) {
        loop_index chunk = simd_open(s, 0, q->chunks, 1), from = loop_times(chunk, q->channels);
        from = loop_sum(loop_offset(from, (int64_t)r * q->chunks * q->channels), simt_variable(q->thread));
        int row = loop_load(&s->pen, DT_F64, 1, q->sums, from);
        loop_math_to(&s->pen, q->all[r], LOOP_ADD, q->all[r], row, -1, -1);
        simd_close(s, q->chunks);
    }
    simt_close(s, opened);
}

void simt_norm_rows(simd *s, int root, void (*body)(simd *s, loop_index c, int lanes))
{
    totals q = open_totals(s, root);
    q.group = simd_open(s, 0, q.groups, 1);
    add_rows(s, &q);
    add_chunks(s, &q);
    if (q.groups > 1)
        loop_barrier(&s->pen);
    simd_close(s, q.groups);
    int opened = open_channel(s, &q);
    s->totals = q.all;
    body(s, loop_sum(q.first_c, simt_variable(q.thread)), 1);
    s->totals = NULL;
    simt_close(s, opened);
    loop_end(&s->pen);
    loop_end(&s->pen);
}
