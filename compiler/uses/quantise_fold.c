/* From trained weights to bytes and coefficients, layer by layer; quantise.h says what they mean. */
#include "loop/int8.h"
#include "quantise_plan.h"

#include <math.h>
#include <string.h>

enum { WEIGHT_MOST = 127, LINE = 16 /* words */, BITS_BELOW = 6, SHIFT_MOST = 31, BIAS_MOST = 1 << 28 };

/* ---- places ------------------------------------------------------------------------------------------------------ */

/* Room for so many words, all zero, from the next line of the cache on. */
static int64_t reserve(packing *p, int64_t count)
{
    int64_t at = p->words.count;
    for (int64_t i = 0; i < (count + LINE - 1) / LINE * LINE; i++)
        VEC_PUSH(p->q->arena, &p->words, 0);
    return at;
}

static const float *leaf_values(const packing *p, int node)
{
    return p->constants + p->q->n->nodes.at[node].attr.offset;
}

/* ---- requantisation ---------------------------------------------------------------------------------------------- */

typedef struct requantisation {
    int shift, multiplier;
} requantisation;

/* As many bits below the result's last as the largest ratio leaves. */
static int step_for(double most)
{
    int bits = BITS_BELOW;
    while (bits > 0 && ldexp(most, bits) >= 1)
        bits--;
    return 15 + bits;
}

static requantisation requantise(double ratio, int step)
{
    double part = ldexp(ratio, step - 15);
    requantisation r = {0};
    while (r.shift < SHIFT_MOST && part < 0.5) {
        part *= 2;
        r.shift++;
    }
    double m = floor(ldexp(part, 15) + 0.5);
    r.multiplier = m > INT16_MAX ? INT16_MAX : (int)m;
    return r;
}

static int32_t rounding(int shift)
{
    return shift ? (int32_t)1 << (shift - 1) : 0;
}

static int32_t zero_of(const unit *u, int step)
{
    return (int32_t)u->scale.zero * ((int32_t)1 << step) + ((int32_t)1 << (step - 1));
}

/* ---- convolutions ------------------------------------------------------------------------------------------------ */

typedef struct layer {
    const unit *u, *x;
    const net_node *v;
    const float *weights;
    int taps, in, out, groups; /* in: channels summed over */
    double *scale, *shift;     /* of each output channel: what is folded in */
    double *zero;              /* of each input channel: the byte that stands for 0, not rounded */
    double *unit;              /* likewise: what one byte is */
    double *step;              /* of each output channel: what one of its weights is */
} layer;

static void fold_affine(const packing *p, layer *l)
{
    for (int c = 0; c < l->out; c++)
        l->scale[c] = 1;
    for (int i = 0; i < l->u->folded.count; i++) {
        const net_node *f = &p->q->n->nodes.at[l->u->folded.at[i].node];
        const float *row = leaf_values(p, f->operand[1]) + l->u->folded.at[i].begin;
        int channels = f->type.c;
        for (int c = 0; c < l->out; c++) {
            if (f->prim == NET_bias) {
                l->shift[c] += (double)row[c];
                continue;
            }
            double mean = (double)row[c], scale = (double)row[channels + c], shift = (double)row[2 * channels + c];
            l->shift[c] = (l->shift[c] - mean) * scale + shift;
            l->scale[c] *= scale;
        }
    }
}

static void know_input(const packing *p, layer *l, int channels)
{
    for (int c = 0; c < channels; c++) {
        l->unit[c] = l->x->scale.scale;
        l->zero[c] = l->x->scale.zero;
        if (!l->u->normalised)
            continue;
        l->unit[c] = 1 / (255 * (double)leaf_values(p, p->q->std)[c]);
        l->zero[c] = 255 * (double)leaf_values(p, p->q->mean)[c];
    }
}

/* The weight of a tap from input channel k of the sum to output channel c, with all that is folded in. */
static double weight(const layer *l, int tap, int k, int c)
{
    double w = (double)l->weights[((int64_t)tap * l->in + k) * l->out + c];
    return w * l->scale[c] * l->unit[l->groups > 1 ? c : k];
}

static int quantised_weight(const layer *l, int tap, int k, int c)
{
    double w = floor(weight(l, tap, k, c) / l->step[c] + 0.5);
    return w > WEIGHT_MOST ? WEIGHT_MOST : w < -WEIGHT_MOST ? -WEIGHT_MOST : (int)w;
}

static void find_steps(layer *l)
{
    for (int c = 0; c < l->out; c++) {
        double most = fabs(l->shift[c]) / BIAS_MOST * WEIGHT_MOST;
        for (int i = 0; i < l->taps * l->in; i++)
            most = fmax(most, fabs(weight(l, i / l->in, i % l->in, c)));
        l->step[c] = most > 0 ? most / WEIGHT_MOST : 1;
    }
}

static layer open_layer(const packing *p, const unit *u)
{
    arena *a = p->q->arena;
    const net_node *v = unit_node(p->q, u);
    int channels = p->q->n->nodes.at[v->operand[0]].type.c;
    layer l = {.u = u, .x = &p->q->units.at[u->input.at[0]], .v = v, .out = v->type.c};
    l.groups = v->attr.window.groups;
    l.in = channels / l.groups;
    l.taps = v->attr.window.kh * v->attr.window.kw;
    l.weights = leaf_values(p, v->operand[1]);
    l.scale = NEW_ARRAY(a, double, l.out);
    l.shift = NEW_ARRAY(a, double, l.out);
    l.step = NEW_ARRAY(a, double, l.out);
    l.zero = NEW_ARRAY(a, double, channels);
    l.unit = NEW_ARRAY(a, double, channels);
    fold_affine(p, &l);
    know_input(p, &l, channels);
    find_steps(&l);
    return l;
}

/* Lanes of the vector that channel c is in. */
static int lanes_around(int lanes, int channels, int c)
{
    int at = 0, here = int8_lanes_at(lanes, channels, 0);
    while (at + here <= c) {
        at += here;
        here = int8_lanes_at(lanes, channels, at);
    }
    return here;
}

static void pack_rows(packing *p, const layer *l, packed *to)
{
    double most = 0;
    for (int c = 0; c < l->out; c++)
        most = fmax(most, l->step[c] / l->u->scale.scale);
    to->step = step_for(most);
    to->row_words = 4 * (int64_t)l->out;
    to->rows = reserve(p, to->row_words);
    int32_t *row = p->words.at + to->rows;
    for (int c = 0; c < l->out; c++) {
        double bias = l->shift[c] / l->step[c];
        int sum = 0;
        for (int i = 0; i < l->taps * l->in; i++) {
            int w = quantised_weight(l, i / l->in, i % l->in, c);
            bias -= w * l->zero[l->groups > 1 ? c : i % l->in];
            sum += w;
        }
        bool by_dots = l->groups == 1 || lanes_around(p->t->lanes, l->out, c) >= 4;
        requantisation r = requantise(l->step[c] / l->u->scale.scale, to->step);
        row[INT8_BIAS * l->out + c] = (int32_t)floor(bias + 0.5) + rounding(r.shift);
        row[INT8_BIAS * l->out + c] += p->t->dot_signed && by_dots ? 128 * sum : 0;
        row[INT8_SHIFT * l->out + c] = r.shift;
        row[INT8_MULTIPLIER * l->out + c] = r.multiplier;
        row[INT8_ZERO * l->out + c] = zero_of(l->u, to->step);
    }
}

/* Byte of the weight (tap, k) of lane `lane` of the vector that begins at channel c. */
static int64_t weight_byte(const layer *l, int lanes, int tap, int k, int c, int lane)
{
    int64_t base = 4 * (int64_t)c * int8_quads(&l->v->attr.window, l->in);
    int ky = tap / l->v->attr.window.kw, kx = tap % l->v->attr.window.kw;
    if (l->groups == 1)
        return base + 4 * (((int64_t)tap * ((l->in + 3) / 4) + k / 4) * lanes + lane) + k % 4;
    if (lanes < 4)
        return base + (int64_t)tap * lanes + lane;
    return base + 4 * ((int64_t)(ky / 4 * l->v->attr.window.kw + kx) * lanes + lane) + ky % 4;
}

static void pack_weights(packing *p, const layer *l, packed *to)
{
    int channels = l->groups > 1 ? l->out : l->in, lanes;
    int64_t begin = int8_weights_at(channels);
    to->weight_bytes = begin + 4 * (int64_t)l->out * int8_quads(&l->v->attr.window, l->in);
    to->weights = reserve(p, (to->weight_bytes + 3) / 4);
    unsigned char *byte = (unsigned char *)(p->words.at + to->weights);
    memset(byte, l->x->scale.zero, 4);
    for (int c = 0; c < channels; c++)
        byte[INT8_FILL + c] = (unsigned char)fmin(fmax(floor(l->zero[c] + 0.5), 0), 255);
    for (int c = 0; c < l->out; c += lanes) {
        lanes = int8_lanes_at(p->t->lanes, l->out, c);
        for (int lane = 0; lane < lanes; lane++)
            for (int i = 0; i < l->taps * l->in; i++) {
                int tap = i / l->in, k = i % l->in, w = quantised_weight(l, tap, k, c + lane);
                byte[begin + weight_byte(l, lanes, tap, k, c, lane)] = (unsigned char)w;
            }
    }
}

static bool pack_conv(packing *p, const unit *u, packed *to)
{
    layer l = open_layer(p, u);
    if ((int64_t)l.taps * l.in > (INT32_MAX - 2 * (int64_t)BIAS_MOST) / (255 * WEIGHT_MOST))
        return diag_fail(p->d, DIAG_INPUT, l.v->name ? l.v->name : "conv", "sums of %d products may not fit 32 bits",
                         l.taps * l.in);
    pack_rows(p, &l, to);
    pack_weights(p, &l, to);
    return true;
}

/* ---- what has no weights ----------------------------------------------------------------------------------------- */

/* Factors of 14 bits, so that 16 bytes' products fit; the sum of what they leave is requantised. */
static void pack_add(packing *p, const unit *u, packed *to)
{
    int count = u->input.count, bits = 14;
    double most = 0;
    for (int i = 0; i < count; i++)
        most = fmax(most, p->q->units.at[u->input.at[i]].scale.scale / u->scale.scale);
    while (ldexp(most, bits) > 1 << 14)
        bits--;
    to->row_words = count + 4;
    to->rows = reserve(p, to->row_words);
    to->step = step_for(ldexp(1, -bits));
    requantisation r = requantise(ldexp(1, -bits), to->step);
    int32_t *row = p->words.at + to->rows, constant = rounding(r.shift);
    for (int i = 0; i < count; i++) {
        quantised_scale s = p->q->units.at[u->input.at[i]].scale;
        row[i] = (int32_t)floor(ldexp(s.scale / u->scale.scale, bits) + 0.5);
        constant -= row[i] * s.zero;
    }
    row[count] = constant;
    row[count + 1] = r.shift;
    row[count + 2] = r.multiplier;
    row[count + 3] = zero_of(u, to->step);
}

/* 2^15 / elements of the window inside the map, by rows and columns. */
static void pack_avg_pool(packing *p, const unit *u, packed *to)
{
    const net_window *w = &unit_node(p->q, u)->attr.window;
    to->row_words = (w->kh + 1) * (int64_t)(w->kw + 1);
    to->rows = reserve(p, to->row_words);
    for (int y = 1; y <= w->kh; y++)
        for (int x = 1; x <= w->kw; x++) {
            double share = floor(32768.0 / (y * x) + 0.5);
            p->words.at[to->rows + y * (w->kw + 1) + x] = share > INT16_MAX ? INT16_MAX : (int32_t)share;
        }
}

static void pack_global_pool(packing *p, const unit *u, packed *to)
{
    const net_type *t = &p->q->n->nodes.at[unit_node(p->q, u)->operand[0]].type;
    quantised_scale s = p->q->units.at[u->input.at[0]].scale;
    double ratio = s.scale / (u->scale.scale * t->h * t->w);
    to->row_words = 4;
    to->rows = reserve(p, to->row_words);
    to->step = step_for(ratio);
    requantisation r = requantise(ratio, to->step);
    const int32_t row[] = {rounding(r.shift) - s.zero * t->h * t->w, r.shift, r.multiplier, zero_of(u, to->step)};
    memcpy(p->words.at + to->rows, row, sizeof row);
}

bool quantise_pack(packing *p, const unit *u, packed *to)
{
    switch (u->kind) {
    case UNIT_CONV:
        return pack_conv(p, u, to);
    case UNIT_ADD:
        pack_add(p, u, to);
        return true;
    case UNIT_AVG_POOL:
        pack_avg_pool(p, u, to);
        return true;
    case UNIT_GLOBAL_POOL:
        pack_global_pool(p, u, to);
        return true;
    default:
        return true;
    }
}
