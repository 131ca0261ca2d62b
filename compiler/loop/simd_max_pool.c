/* The gradient of a max pool, as a gather. First, window by window: where its first maximum lies, and the gradient that
 * goes there, side by side in scratch. Then a pixel adds up, over the windows that cover it in row-major order, the
 * gradients of those whose maximum it is: sums stay in registers, and a window is loaded once for all the pixels of a
 * block.
 *
 * A place within a window is a number, ky·dh·span + kx·dw, where span is the window's width: of a place between a
 * dilated window's taps there is none, so that what covers a pixel without seeing it adds zero. Beyond the map's edge
 * stands -1, nobody's place. */
#include "loop/simd.h"

enum { UNROLLED_TAPS = 25, UNROLLED_PHASES = 4 };

static int64_t span_of(const net_window *w)
{
    return (int64_t)(w->kw - 1) * w->dw + 1;
}

/* best[p]: the window's maximum; best[pixels + p]: its place. Only the first of equals is less than what follows. */
void simd_maxima(simd *s, int node, const block *b, int best[])
{
    const net_window *w = &s->n->nodes.at[node].attr.window;
    view x = simd_source(s, node);
    int *where = &best[b->pixels];
    CHECK(b->vectors == 1 && 2 * b->pixels <= SIMD_ACC_MAX);
    for (int ky = 0; ky < w->kh; ky++) {
        loop_index row = loop_offset(loop_times(b->rel, w->sh), (int64_t)ky * w->dh - w->top);
        loop_index line = loop_sum(loop_sum(x.origin, loop_times(row, x.row)), b->c);
        line = loop_sum(line, loop_times(loop_offset(loop_times(b->x, w->sw), -w->left), x.column));
        int columns = (b->pixels - 1) * w->sw + (w->kw - 1) * w->dw + 1;
        for (int column = 0; column < columns; column++) {
            int value = -1, number = -1;
            for (int p = 0; p < b->pixels; p++) {
                int off = column - p * w->sw, kx = off / w->dw;
                if (off < 0 || off % w->dw || kx >= w->kw)
                    continue;
                if (value < 0)
                    value = loop_load(&s->pen, DT_F32, b->lanes, x.buffer, loop_offset(line, column * x.column));
                number = loop_const(&s->pen, DT_F32, b->lanes, (double)(ky * w->dh * span_of(w) + off));
                bool first = ky + kx == 0;
                where[p] = first ? number : loop_math(&s->pen, LOOP_SELECT_LT, best[p], value, number, where[p]);
                best[p] = first ? value : loop_math(&s->pen, LOOP_MAX, best[p], value, -1, -1);
            }
        }
    }
}

/* ---- the sum of a pixel ------------------------------------------------------------------------------------------ */

/* What a block's pixels gather from. */
typedef struct gather {
    const net_window *w;
    view windows;
    int64_t gradient; /* from a window's place to its gradient, in elements */
    int zero;
} gather;

static loop_index window_element(const gather *q, const block *b, loop_index row, loop_index column)
{
    loop_index e = loop_sum(q->windows.origin, loop_times(row, q->windows.row));
    return loop_sum(loop_sum(e, loop_times(column, q->windows.column)), b->c);
}

/* acc + (where == place ? gradient : 0); without acc, the latter alone. */
static void take(simd *s, const gather *q, int *acc, int where, int gradient, int place)
{
    int more = loop_math(&s->pen, LOOP_SELECT_EQ, where, place, gradient, q->zero);
    if (*acc < 0)
        *acc = more;
    else
        loop_math_to(&s->pen, *acc, LOOP_ADD, *acc, more, -1, -1);
}

/* One row of windows. Pixel p lies `phase` + p columns right of the windows that begin (with their padding) at column
 * `first`, and ky·dh rows below them. */
static void gather_row(simd *s, const gather *q, const block *b, loop_index row, int ky, loop_index first, int phase,
                       int acc[])
{
    const net_window *w = q->w;
    int64_t lo = simd_floor_div(phase - (int64_t)(w->kw - 1) * w->dw, w->sw), hi = (phase + b->pixels - 1) / w->sw;
    for (int64_t column = lo; column <= hi; column++) {
        int where = -1, gradient = -1;
        for (int p = 0; p < b->pixels; p++) {
            int64_t off = phase + p - column * w->sw;
            if (off < 0 || off >= span_of(w) || off % w->dw)
                continue;
            if (where < 0) {
                loop_index e = window_element(q, b, row, loop_offset(first, column));
                where = loop_load(&s->pen, DT_F32, b->lanes, q->windows.buffer, e);
                gradient = loop_load(&s->pen, DT_F32, b->lanes, q->windows.buffer, loop_offset(e, q->gradient));
            }
            double place = (double)(ky * w->dh * span_of(w) + off);
            take(s, q, &acc[p], where, gradient, loop_const(&s->pen, DT_F32, b->lanes, place));
        }
    }
}

/* Rows and columns of windows are known but for the phase of the row: which taps can meet it is decided once a block.
 */
static void gather_unrolled(simd *s, const gather *q, const block *b, int acc[])
{
    const net_window *w = q->w;
    loop_index y = loop_offset(b->rel, w->top), first = b->x;
    int phase = w->left, row_phase = 0;
    if (w->sw > 1) {
        first = loop_at(b->x.base / w->sw);
        phase += b->x.count ? 0 : (int)(b->x.base % w->sw);
        if (b->x.count)
            first = loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_DIV, b->x, loop_at(0), w->sw), 1);
    }
    if (w->sh > 1) {
        row_phase = loop_int(&s->pen, LOOP_INT_MOD, y, loop_at(0), w->sh);
        y = loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_DIV, y, loop_at(0), w->sh), 1);
    }
    for (int f = 0; f < w->sh; f++) {
        if (f + 1 < w->sh)
            loop_if(&s->pen, loop_plus(loop_at(0), row_phase, 1), loop_at(f + 1));
        for (int ky = w->kh - 1; ky >= 0; ky--)
            if ((f - ky * w->dh) % w->sh == 0)
                gather_row(s, q, b, loop_offset(y, (f - ky * w->dh) / w->sh), ky, first, phase, acc);
        if (f + 1 < w->sh)
            loop_else(&s->pen);
    }
    for (int f = 0; f + 1 < w->sh; f++)
        loop_end(&s->pen);
}

/* The range of windows along one axis that cover position `at` (counted from the padding's edge), as an open loop; its
 * index, and by how much the position lies beyond that window's begin. */
static loop_index open_windows(simd *s, loop_index at, int k, int stride, int dilation, loop_index *off)
{
    int64_t reach = (int64_t)(k - 1) * dilation;
    int lo = loop_int(&s->pen, LOOP_INT_DIV, loop_offset(at, stride - 1 - reach), loop_at(0), stride);
    int hi = loop_int(&s->pen, LOOP_INT_DIV, loop_offset(at, stride), loop_at(0), stride);
    int i = loop_for(&s->pen, loop_plus(loop_at(0), lo, 1), loop_plus(loop_at(0), hi, 1), 1);
    *off = loop_plus(at, i, -stride);
    return loop_plus(loop_at(0), i, 1);
}

static void gather_rolled(simd *s, const gather *q, const block *b, int acc[])
{
    const net_window *w = q->w;
    for (int p = 0; p < b->pixels; p++) {
        loop_index below, right;
        loop_index row = open_windows(s, loop_offset(b->rel, w->top), w->kh, w->sh, w->dh, &below);
        loop_index column = open_windows(s, loop_offset(b->x, p + w->left), w->kw, w->sw, w->dw, &right);
        loop_index e = window_element(q, b, row, column), place = loop_sum(loop_times(below, span_of(w)), right);
        int where = loop_load(&s->pen, DT_F32, b->lanes, q->windows.buffer, e);
        int gradient = loop_load(&s->pen, DT_F32, b->lanes, q->windows.buffer, loop_offset(e, q->gradient));
        take(s, q, &acc[p], where, gradient, loop_from_int(&s->pen, DT_F32, b->lanes, place));
        loop_end(&s->pen);
        loop_end(&s->pen);
    }
}

void simd_gather(simd *s, int node, const block *b, int acc[])
{
    const net_node *v = &s->n->nodes.at[node];
    const net_window *w = &v->attr.window;
    const stage *g = simd_stage_of(s, node, STAGE_MAXIMA);
    CHECK(g && b->vectors == 1);
    gather q = {.w = w, .windows = simd_stage_view(g), .gradient = g->c};
    q.zero = loop_const(&s->pen, DT_F32, b->lanes, 0);
    bool few = w->kh * w->kw <= UNROLLED_TAPS && w->sh <= UNROLLED_PHASES;
    bool every = few && w->sh == 1 && w->sw == 1; /* a window begins at every pixel: each adds at least one */
    for (int p = 0; p < b->pixels; p++)
        acc[p] = every ? -1 : loop_math(&s->pen, LOOP_MOVE, q.zero, -1, -1, -1);
    if (few && (b->x.count == 0 || b->pixels % w->sw == 0))
        gather_unrolled(s, &q, b, acc);
    else
        gather_rolled(s, &q, b, acc);
}
