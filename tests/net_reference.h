/* Nets by definition: every node on plain double arrays, one after the other, nothing fused and nothing clever. The
 * oracle for gradients and for fused kernels.
 *
 * Sums over images and pixels keep rows a chunk, as the net says, but all arithmetic is float64, so that order hardly
 * matters. A select's regions all run; `active[choice]` says whose result it passes on (NULL: candidate 0). */
#ifndef NASC_TESTS_NET_REFERENCE_H
#define NASC_TESTS_NET_REFERENCE_H

#include "net/net.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct reference {
    const net *n;
    int batch;
    double *const *slots;  /* by enum net_slot: flat, as a program would bind them; SLOT_IMAGES: (batch, h, w, c) */
    const int32_t *labels; /* batch */
    const int *active;     /* by number of the choice, or NULL */
    double **value;        /* by node */
    const net_node *node;  /* the one that runs */
    double *out;
} reference;

static inline int reference_rows(const reference *r, const net_type *t)
{
    int images = t->chunked ? t->chunked : 1;
    return t->n != NET_BATCH ? t->n : (r->batch + images - 1) / images;
}

static inline int64_t reference_elements(const reference *r, const net_type *t)
{
    return (int64_t)reference_rows(r, t) * t->h * t->w * t->c;
}

static inline const net_type *ref_type(const reference *r, int i)
{
    return &r->n->nodes.at[r->node->operand[i]].type;
}

static inline const double *ref_value(const reference *r, int i)
{
    return r->value[r->node->operand[i]];
}

static inline int64_t ref_at(const net_type *t, int n, int y, int x, int c)
{
    return (((int64_t)n * t->h + y) * t->w + x) * t->c + c;
}

/* Element of an operand that is broadcast where its extent is 1. */
static inline double ref_broadcast(const reference *r, int i, int n, int y, int x, int c)
{
    const net_type *t = ref_type(r, i);
    int rows = reference_rows(r, t);
    return ref_value(r, i)[ref_at(t, rows == 1 ? 0 : n, t->h == 1 ? 0 : y, t->w == 1 ? 0 : x, t->c == 1 ? 0 : c)];
}

#define REF_EACH(r, t)                                                                                                 \
    for (int n = 0; n < reference_rows(r, t); n++)                                                                     \
        for (int y = 0; y < (t)->h; y++)                                                                               \
            for (int x = 0; x < (t)->w; x++)                                                                           \
                for (int c = 0; c < (t)->c; c++)

/* ---- windows: one walk over (output pixel, tap, input pixel) serves forward and gradients ------------------------ */

typedef struct ref_tap {
    int n, y, x; /* output */
    int ky, kx;  /* tap */
    int iy, ix;  /* input, inside of the map */
} ref_tap;

typedef void ref_visit(reference *r, const ref_tap *tap);

static inline void ref_windows(reference *r, int out_h, int out_w, int in_h, int in_w, ref_visit *visit)
{
    const net_window *w = &r->node->attr.window;
    ref_tap tap;
    for (tap.n = 0; tap.n < r->batch; tap.n++)
        for (tap.y = 0; tap.y < out_h; tap.y++)
            for (tap.x = 0; tap.x < out_w; tap.x++)
                for (tap.ky = 0; tap.ky < w->kh; tap.ky++)
                    for (tap.kx = 0; tap.kx < w->kw; tap.kx++) {
                        tap.iy = tap.y * w->sh - w->top + tap.ky * w->dh;
                        tap.ix = tap.x * w->sw - w->left + tap.kx * w->dw;
                        /* a negative pad behind cuts rows off: they are never reached, as out_h is less */
                        if (tap.iy >= 0 && tap.iy < in_h && tap.ix >= 0 && tap.ix < in_w)
                            visit(r, &tap);
                    }
}

static void ref_conv_tap(reference *r, const ref_tap *t)
{
    const net_type *x = ref_type(r, 0), *w = ref_type(r, 1), *y = &r->node->type;
    int groups = r->node->attr.window.groups, inputs = x->c / groups, outputs = y->c / groups;
    for (int co = 0; co < y->c; co++)
        for (int ci = 0; ci < inputs; ci++)
            r->out[ref_at(y, t->n, t->y, t->x, co)] +=
                ref_value(r, 0)[ref_at(x, t->n, t->iy, t->ix, co / outputs * inputs + ci)] *
                ref_value(r, 1)[ref_at(w, t->ky, t->kx, ci, co)];
}

static void ref_conv(reference *r)
{
    ref_windows(r, r->node->type.h, r->node->type.w, ref_type(r, 0)->h, ref_type(r, 0)->w, ref_conv_tap);
    if (r->node->count > 2)
        REF_EACH(r, &r->node->type)
    r->out[ref_at(&r->node->type, n, y, x, c)] += ref_value(r, 2)[c];
}

static void ref_conv_dx_tap(reference *r, const ref_tap *t)
{
    const net_type *g = ref_type(r, 0), *w = ref_type(r, 1), *dx = &r->node->type;
    int groups = r->node->attr.window.groups, inputs = dx->c / groups, outputs = g->c / groups;
    bool depthwise = net_is_channelwise(r->n, r->node);
    for (int co = 0; co < g->c; co++)
        for (int ci = 0; ci < inputs; ci++)
            r->out[ref_at(dx, t->n, t->iy, t->ix, co / outputs * inputs + ci)] +=
                ref_value(r, 0)[ref_at(g, t->n, t->y, t->x, co)] *
                ref_value(r, 1)[depthwise ? ref_at(w, t->ky, t->kx, 0, co) : ref_at(w, t->ky, t->kx, co, ci)];
}

static void ref_conv_dx(reference *r)
{
    ref_windows(r, ref_type(r, 0)->h, ref_type(r, 0)->w, r->node->type.h, r->node->type.w, ref_conv_dx_tap);
}

static void ref_conv_dw_tap(reference *r, const ref_tap *t)
{
    const net_type *x = ref_type(r, 0), *g = ref_type(r, 1), *rows = &r->node->type;
    int groups = r->node->attr.window.groups, inputs = x->c / groups, outputs = g->c / groups;
    for (int co = 0; co < g->c; co++)
        for (int ci = 0; ci < inputs; ci++)
            r->out[ref_at(rows, t->n / rows->chunked, t->ky, t->kx * inputs + ci, co)] +=
                ref_value(r, 0)[ref_at(x, t->n, t->iy, t->ix, co / outputs * inputs + ci)] *
                ref_value(r, 1)[ref_at(g, t->n, t->y, t->x, co)];
}

static void ref_conv_dw(reference *r)
{
    ref_windows(r, ref_type(r, 1)->h, ref_type(r, 1)->w, ref_type(r, 0)->h, ref_type(r, 0)->w, ref_conv_dw_tap);
}

static void ref_linear_dw(reference *r)
{
    const net_type *x = ref_type(r, 0), *g = ref_type(r, 1);
    for (int n = 0; n < r->batch; n++)
        for (int ci = 0; ci < x->c; ci++)
            for (int co = 0; co < g->c; co++)
                r->out[(int64_t)ci * g->c + co] +=
                    ref_value(r, 0)[ref_at(x, n, 0, 0, ci)] * ref_value(r, 1)[ref_at(g, n, 0, 0, co)];
}

static void ref_linear(reference *r)
{
    const net_type *w = ref_type(r, 1);
    REF_EACH(r, &r->node->type)
    {
        double sum = r->node->count > 2 ? ref_value(r, 2)[c] : 0;
        for (int i = 0; i < w->w; i++)
            sum += ref_value(r, 0)[(int64_t)n * w->w + i] * ref_value(r, 1)[(int64_t)i * w->c + c];
        r->out[ref_at(&r->node->type, n, y, x, c)] = sum;
    }
}

static void ref_sum_tap(reference *r, const ref_tap *t)
{
    const net_type *x = ref_type(r, 0), *y = &r->node->type;
    for (int c = 0; c < y->c; c++)
        r->out[ref_at(y, t->n, t->y, t->x, c)] += ref_value(r, 0)[ref_at(x, t->n, t->iy, t->ix, c)];
}

static void ref_sum_dx_tap(reference *r, const ref_tap *t)
{
    for (int c = 0; c < r->node->type.c; c++)
        r->out[ref_at(&r->node->type, t->n, t->iy, t->ix, c)] +=
            ref_value(r, 0)[ref_at(ref_type(r, 0), t->n, t->y, t->x, c)];
}

static void ref_sum_pool(reference *r)
{
    ref_windows(r, r->node->type.h, r->node->type.w, ref_type(r, 0)->h, ref_type(r, 0)->w, ref_sum_tap);
}

static void ref_sum_pool_dx(reference *r)
{
    ref_windows(r, ref_type(r, 0)->h, ref_type(r, 0)->w, r->node->type.h, r->node->type.w, ref_sum_dx_tap);
}

static void ref_subsample(reference *r)
{
    ref_sum_pool(r);
}

static void ref_subsample_dx(reference *r)
{
    ref_sum_pool_dx(r);
}

static double ref_count(const net_window *w, int y, int x, int in_h, int in_w)
{
    int count = 0;
    for (int ky = 0; ky < w->kh; ky++)
        for (int kx = 0; kx < w->kw; kx++) {
            int iy = y * w->sh - w->top + ky * w->dh, ix = x * w->sw - w->left + kx * w->dw;
            count += iy >= 0 && iy < in_h && ix >= 0 && ix < in_w;
        }
    return count;
}

static void ref_pool_scale(reference *r)
{
    const net_attr *a = &r->node->attr;
    REF_EACH(r, &r->node->type)
    r->out[ref_at(&r->node->type, n, y, x, c)] =
        ref_value(r, 0)[ref_at(ref_type(r, 0), n, y, x, c)] / ref_count(&a->window, y, x, a->h, a->w);
}

static void ref_avg_pool(reference *r)
{
    const net_type *in = ref_type(r, 0);
    ref_sum_pool(r);
    REF_EACH(r, &r->node->type)
    r->out[ref_at(&r->node->type, n, y, x, c)] /= ref_count(&r->node->attr.window, y, x, in->h, in->w);
}

/* Index in x of the first maximum of the window of output (n, y, x, c). */
static int64_t ref_first_maximum(const reference *r, int n, int y, int x, int c)
{
    const net_window *w = &r->node->attr.window;
    const net_type *in = ref_type(r, 0);
    int64_t best = -1;
    for (int ky = 0; ky < w->kh; ky++)
        for (int kx = 0; kx < w->kw; kx++) {
            int iy = y * w->sh - w->top + ky * w->dh, ix = x * w->sw - w->left + kx * w->dw;
            if (iy < 0 || iy >= in->h || ix < 0 || ix >= in->w)
                continue;
            int64_t here = ref_at(in, n, iy, ix, c);
            if (best < 0 || ref_value(r, 0)[here] > ref_value(r, 0)[best])
                best = here;
        }
    return best;
}

static void ref_max_pool(reference *r)
{
    REF_EACH(r, &r->node->type)
    r->out[ref_at(&r->node->type, n, y, x, c)] = ref_value(r, 0)[ref_first_maximum(r, n, y, x, c)];
}

static void ref_max_pool_dx(reference *r)
{
    const net_type *g = ref_type(r, 1);
    REF_EACH(r, g)
    r->out[ref_first_maximum(r, n, y, x, c)] += ref_value(r, 1)[ref_at(g, n, y, x, c)];
}

static void ref_pad(reference *r)
{
    const net_type *in = ref_type(r, 0);
    REF_EACH(r, &r->node->type)
    {
        int iy = y - r->node->attr.window.top, ix = x - r->node->attr.window.left;
        if (iy >= 0 && iy < in->h && ix >= 0 && ix < in->w)
            r->out[ref_at(&r->node->type, n, y, x, c)] = ref_value(r, 0)[ref_at(in, n, iy, ix, c)];
    }
}

static void ref_shuffle(reference *r)
{
    const net_type *t = &r->node->type;
    int groups = r->node->attr.window.groups;
    REF_EACH(r, t)
    r->out[ref_at(t, n, y, x, c)] = ref_value(r, 0)[ref_at(t, n, y, x, c % groups * (t->c / groups) + c / groups)];
}

/* Row `row` of a batch norm's rows (operand i), or of its coefficients. */
static double ref_row(const reference *r, int i, int row, int c)
{
    return ref_value(r, i)[(int64_t)row * ref_type(r, i)->c + c];
}

enum { REF_MEAN, REF_SCALE, REF_SHIFT, REF_RSTD, REF_VAR };
enum { REF_COEF_A, REF_COEF_B, REF_COEF_D, REF_COEF_MEAN };

static void ref_transpose(reference *r)
{
    const net_type *t = &r->node->type;
    REF_EACH(r, t)
    r->out[ref_at(t, n, y, x, c)] =
        ref_value(r, 0)[ref_at(ref_type(r, 0), n, y, c, x)] * (r->node->count > 1 ? ref_row(r, 1, REF_SCALE, x) : 1);
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

/* Channels of operand i from `from` on, to the result's from `to` on. */
static void ref_channels(reference *r, int i, int from, int to, int count)
{
    const net_type *in = ref_type(r, i);
    REF_EACH(r, in)
    if (c >= from && c < from + count)
        r->out[ref_at(&r->node->type, n, y, x, c - from + to)] = ref_value(r, i)[ref_at(in, n, y, x, c)];
}

static void ref_concat(reference *r)
{
    for (int i = 0, to = 0; i < r->node->count; to += ref_type(r, i)->c, i++)
        ref_channels(r, i, 0, to, ref_type(r, i)->c);
}

static void ref_slice(reference *r)
{
    ref_channels(r, 0, r->node->attr.begin, 0, r->node->attr.count);
}

static void ref_channel_pad(reference *r)
{
    ref_channels(r, 0, 0, r->node->attr.begin, ref_type(r, 0)->c);
}

static void ref_zero(reference *r)
{
    (void)r;
}

/* ---- pixel by pixel ---------------------------------------------------------------------------------------------- */

static double ref_relu6(double x)
{
    return fmin(fmax(x, 0), 6);
}

static double ref_act(enum net_prim act, double x)
{
    switch (act) {
    case NET_relu:
        return fmax(x, 0);
    case NET_relu6:
        return ref_relu6(x);
    case NET_hard_swish:
        return x * ref_relu6(x + 3) / 6;
    case NET_hard_sigmoid:
        return ref_relu6(x + 3) / 6;
    case NET_sigmoid:
        return 1 / (1 + exp(-x));
    case NET_tanh:
        return tanh(x);
    case NET_square_root:
        return sqrt(x);
    default:
        return x;
    }
}

static double ref_act_slope(enum net_prim act, double x)
{
    double s = ref_act(act, x);
    bool bend = x + 3 > 0 && x + 3 < 6;
    switch (act) {
    case NET_relu:
        return x > 0;
    case NET_relu6:
        return x > 0 && x < 6;
    case NET_hard_swish:
        return ref_relu6(x + 3) / 6 + (bend ? x / 6 : 0);
    case NET_hard_sigmoid:
        return bend ? 1.0 / 6 : 0;
    case NET_sigmoid:
        return s * (1 - s);
    case NET_tanh:
        return 1 - s * s;
    default:
        return 1;
    }
}

static double ref_weight(const reference *r, int operand, int j)
{
    return ref_value(r, operand)[(int64_t)r->node->attr.row * ref_type(r, operand)->c + r->node->attr.pick[j]];
}

static double ref_pixel(const reference *r, int n, int y, int x, int c)
{
    const net_node *v = r->node;
    const enum net_prim p = v->prim; /* the others' second operand (mix: the first) is rows or weights */
    bool second = p == NET_bias || p == NET_add || p == NET_mul || p == NET_bn_dx || p == NET_act_dx || p == NET_sub ||
                  p == NET_divide || p == NET_madd || p == NET_minimum;
    double a = p == NET_mix ? 0 : ref_broadcast(r, 0, n, y, x, c), sum = 0;
    double b = second && v->count > 1 ? ref_broadcast(r, 1, n, y, x, c) : 0;
    switch (v->prim) {
    case NET_bias:
        return a + b;
    case NET_add:
        for (int i = 0; i < v->count; i++)
            sum += ref_broadcast(r, i, n, y, x, c);
        return sum;
    case NET_mul:
        return a * b;
    case NET_mix:
        for (int i = 1; i < v->count; i++)
            sum += ref_weight(r, 0, i - 1) * ref_broadcast(r, i, n, y, x, c);
        return sum;
    case NET_scale:
        return a * ref_weight(r, 1, 0);
    case NET_centre:
        return a - ref_row(r, 1, 0, c);
    case NET_normalise:
        return (a - ref_row(r, 1, REF_MEAN, c)) * ref_row(r, 1, REF_SCALE, c) + ref_row(r, 1, REF_SHIFT, c);
    case NET_standard:
        return (a - ref_row(r, 1, REF_MEAN, c)) * ref_row(r, 1, REF_RSTD, c);
    case NET_fixed_dx:
        return a * ref_row(r, 1, REF_SCALE, c);
    case NET_bn_dx:
        return ref_row(r, 2, 0, c) * a + (ref_row(r, 2, 1, c) * (b - ref_row(r, 2, 3, c)) + ref_row(r, 2, 2, c));
    case NET_act_dx:
        return b * ref_act_slope(v->attr.act, a);
    case NET_global_pool_dx:
        return a / ((double)v->attr.h * v->attr.w);
    case NET_sub:
        return a - b;
    case NET_divide:
        return a / b;
    case NET_madd:
        return a * b + ref_broadcast(r, 2, n, y, x, c);
    case NET_minimum:
        return a < b ? a : b;
    default:
        return ref_act(v->prim, a);
    }
}

static void ref_map(reference *r)
{
    REF_EACH(r, &r->node->type)
    r->out[ref_at(&r->node->type, n, y, x, c)] = ref_pixel(r, n, y, x, c);
}

/* ---- sums and small tensors -------------------------------------------------------------------------------------- */

static void ref_sum(reference *r)
{
    const net_type *a = ref_type(r, 0);
    int per_row = r->node->type.chunked ? r->node->type.chunked : 1;
    REF_EACH(r, a)
    r->out[(int64_t)(n / per_row) * a->c + c] +=
        ref_value(r, 0)[ref_at(a, n, y, x, c)] * (r->node->count > 1 ? ref_value(r, 1)[ref_at(a, n, y, x, c)] : 1);
}

static void ref_row_sum(reference *r)
{
    const net_type *a = ref_type(r, 0);
    REF_EACH(r, a)
    r->out[ref_at(&r->node->type, n, y, 0, c)] +=
        ref_value(r, 0)[ref_at(a, n, y, x, c)] * (r->node->count > 1 ? ref_value(r, 1)[ref_at(a, n, y, x, c)] : 1);
}

static void ref_global_pool(reference *r)
{
    const net_type *in = ref_type(r, 0);
    ref_sum(r);
    for (int64_t i = 0; i < reference_elements(r, &r->node->type); i++)
        r->out[i] /= (double)in->h * in->w;
}

/* Σ over chunk rows of channel (or element) c of operand i. */
static double ref_total(const reference *r, int i, int64_t c)
{
    const net_type *t = ref_type(r, i);
    double sum = 0;
    for (int row = 0; row < reference_rows(r, t); row++)
        sum += ref_value(r, i)[row * net_elements(t) + c];
    return sum;
}

#include "net_reference_norms.h"

static void ref_fold(reference *r)
{
    double weight = r->node->count > 1 ? ref_weight(r, 1, 0) : 1;
    for (int64_t i = 0; i < net_elements(&r->node->type); i++)
        r->out[i] = ref_total(r, 0, i) * weight;
}

static void ref_channel_total(reference *r)
{
    for (int i = 0; i < r->node->count; i++)
        for (int c = 0; c < ref_type(r, i)->c; c++)
            r->out[i] += ref_total(r, i, c);
}

static void ref_scatter_rows(reference *r)
{
    const int *pick = r->node->attr.pick;
    for (int i = 0; i < r->node->count; i++)
        for (int c = 0; c < ref_type(r, i)->c; c++)
            r->out[r->node->attr.rows[i] * r->node->type.c + *pick++] += ref_value(r, i)[c];
}

static double ref_log_sum(const double *logits, int count)
{
    double most = logits[0], sum = 0;
    for (int c = 1; c < count; c++)
        most = fmax(most, logits[c]);
    for (int c = 0; c < count; c++)
        sum += exp(logits[c] - most);
    return most + log(sum);
}

static double ref_target(const reference *r, int n, int c, int classes)
{
    double smoothing = r->node->attr.value;
    return smoothing / classes + (r->labels[n] == c ? 1 - smoothing : 0);
}

static void ref_softmax_xent(reference *r)
{
    int classes = ref_type(r, 0)->c;
    for (int n = 0; n < r->batch; n++) {
        const double *logits = ref_value(r, 0) + (int64_t)n * classes;
        for (int c = 0; c < classes; c++)
            r->out[n] += ref_target(r, n, c, classes) * (ref_log_sum(logits, classes) - logits[c]);
    }
}

static void ref_xent_dx(reference *r)
{
    int classes = ref_type(r, 0)->c;
    for (int n = 0; n < r->batch; n++) {
        const double *logits = ref_value(r, 0) + (int64_t)n * classes;
        for (int c = 0; c < classes; c++)
            r->out[n * classes + c] = (exp(logits[c] - ref_log_sum(logits, classes)) - ref_target(r, n, c, classes)) *
                                      ref_value(r, 2)[0] / r->batch;
    }
}

static void ref_correct(reference *r)
{
    int classes = ref_type(r, 0)->c;
    for (int n = 0; n < r->batch; n++) {
        const double *logits = ref_value(r, 0) + (int64_t)n * classes;
        int best = 0;
        for (int c = 1; c < classes; c++)
            best = logits[c] > logits[best] ? c : best;
        r->out[n] = best == r->labels[n];
    }
}

static void ref_batch_mean(reference *r)
{
    for (int n = 0; n < r->batch; n++)
        for (int c = 0; c < r->node->type.c; c++)
            r->out[c] += ref_value(r, 0)[n * r->node->type.c + c] / r->batch;
}

static void ref_mean_dx(reference *r)
{
    int channels = r->node->type.c;
    for (int n = 0; n < r->batch; n++)
        for (int c = 0; c < channels; c++)
            r->out[n * channels + c] = ref_value(r, 1)[c] / r->batch;
}

static void ref_norm2(reference *r)
{
    for (int64_t i = 0; i < net_elements(ref_type(r, 0)); i++)
        r->out[0] += ref_value(r, 0)[i] * ref_value(r, 0)[i];
}

static void ref_row_softmax(reference *r)
{
    int columns = r->node->type.c;
    for (int row = 0; row < r->node->type.w; row++)
        for (int c = 0; c < columns; c++)
            r->out[row * columns + c] =
                exp(ref_value(r, 0)[row * columns + c] - ref_log_sum(ref_value(r, 0) + row * columns, columns));
}

static void ref_row_softmax_dx(reference *r)
{
    int columns = r->node->type.c;
    for (int row = 0; row < r->node->type.w; row++) {
        const double *p = ref_value(r, 0) + row * columns, *g = ref_value(r, 1) + row * columns;
        double dot = 0;
        for (int c = 0; c < columns; c++)
            dot += p[c] * g[c];
        for (int c = 0; c < columns; c++)
            r->out[row * columns + c] = p[c] * (g[c] - dot);
    }
}

static void ref_row_rescale(reference *r)
{
    int columns = r->node->type.c;
    for (int row = 0; row < r->node->type.w; row++) {
        const double *a = ref_value(r, 0) + row * columns, *b = ref_value(r, 1) + row * columns;
        const double *mark = ref_value(r, 2) + row * columns;
        double before = 0, after = 0;
        for (int c = 0; c < columns; c++) {
            before += mark[c] * exp(a[c]);
            after += mark[c] * exp(b[c]);
        }
        for (int c = 0; c < columns; c++)
            r->out[row * columns + c] = b[c] - mark[c] * log(after / before);
    }
}

/* ---- leaves and the walk ----------------------------------------------------------------------------------------- */

static void ref_input(reference *r)
{
    const net_attr *a = &r->node->attr;
    int64_t elements = reference_elements(r, &r->node->type);
    int64_t offset = a->slot == SLOT_MASKS ? a->offset * r->batch : a->offset;
    for (int64_t i = 0; i < elements; i++)
        r->out[i] = a->slot == SLOT_LABELS ? r->labels[i] : r->slots[a->slot][offset + i];
}

static void ref_constant(reference *r)
{
    for (int64_t i = 0; i < reference_elements(r, &r->node->type); i++)
        r->out[i] = r->node->attr.value;
}

static void ref_select(reference *r)
{
    int k = r->active ? r->active[r->node->attr.select] : 0;
    memcpy(r->out, ref_value(r, k), (size_t)reference_elements(r, &r->node->type) * sizeof(double));
}

/* clang-format off */
#define REF_MAPS(X)                                                                                                    \
    X(bias)                                                                                                            \
    X(relu)                                                                                                            \
    X(relu6)                                                                                                           \
    X(hard_swish) X(hard_sigmoid) X(sigmoid) X(tanh) X(add) X(mul) X(mix) X(identity) X(global_pool_dx) X(centre)      \
        X(normalise) X(standard) X(bn_dx) X(fixed_dx) X(act_dx) X(scale) X(sub) X(divide) X(square_root) X(madd)       \
            X(minimum)
#define REF_OTHERS(X)                                                                                                  \
    X(input)                                                                                                           \
    X(constant)                                                                                                        \
    X(conv)                                                                                                            \
    X(linear) X(max_pool) X(avg_pool) X(global_pool) X(batch_norm) X(concat) X(slice) X(pad) X(shuffle) X(zero)        \
        X(softmax_xent) X(batch_mean) X(correct) X(select) X(conv_dx) X(conv_dw) X(linear_dw) X(transpose) X(sum_pool)              \
            X(sum_pool_dx) X(subsample) X(subsample_dx) X(pool_scale) X(max_pool_dx) X(channel_pad) X(bn_finish) X(bn_exact) X(first_pixel) X(bn_gram) X(bn_dx_weights) X(bn_dx_bias) X(bn_fixed) X(bn_move) \
                X(bn_coef) X(fold) X(channel_total) X(scatter_rows) X(xent_dx) X(mean_dx) X(norm2) X(row_softmax)                 \
                    X(row_softmax_dx) X(row_rescale)
/* clang-format on */

/* Whether a node's output is written: in select's regions those of active candidates, and all gates. */
static inline bool reference_writes(const net *n, int node, const int *active)
{
    for (int region = n->nodes.at[node].region; region > 0; region = n->regions.at[region].parent) {
        const net_region *in = &n->regions.at[region];
        if ((in->candidate == (active ? active[in->select] : 0)) == in->gate)
            return false;
    }
    return true;
}

/* Computes every node and writes the outputs whose slot is bound. The caller frees with reference_free. */
static inline double **reference_run(const net *n, int batch, double *const *slots, const int32_t *labels,
                                     const int *active)
{
    static void (*const run[NET_PRIM_COUNT])(reference *) = {
#define X(name) [NET_##name] = ref_map,
        REF_MAPS(X)
#undef X
#define X(name) [NET_##name] = ref_##name,
            REF_OTHERS(X)
#undef X
                [NET_chan_sum] = ref_sum,
        [NET_image_sum] = ref_sum,
        [NET_row_sum] = ref_row_sum,
    };
    reference r = {n, batch, slots, labels, active, calloc((size_t)n->nodes.count + 1, sizeof(double *)), NULL, NULL};
    for (int i = 0; i < n->nodes.count; i++) {
        r.node = &n->nodes.at[i];
        r.out = r.value[i] = calloc((size_t)reference_elements(&r, &r.node->type), sizeof(double));
        run[r.node->prim](&r);
    }
    for (int i = 0; i < n->outputs.count; i++) {
        const net_output *out = &n->outputs.at[i];
        if (reference_writes(n, out->value, active) && slots[out->slot])
            memcpy(slots[out->slot] + out->offset, r.value[out->value],
                   (size_t)reference_elements(&r, &n->nodes.at[out->value].type) * sizeof(double));
    }
    return r.value;
}

static inline void reference_free(const net *n, double **value)
{
    for (int i = 0; i < n->nodes.count; i++)
        free(value[i]);
    free(value);
}

#endif
