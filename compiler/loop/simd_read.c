/* Reading values at a spot. What is recomputed is computed once a pixel: results are remembered until the pixel
 * changes; per-channel rows until the channels change; single numbers for the whole kernel, where they are loaded
 * first. */
#include "loop/simt.h"

static int new_arg(simd *s, int node, enum loop_access access, int64_t offset)
{
    lower_arg arg = {node, (int)access, offset};
    VEC_PUSH(s->a, &s->out->args, arg);
    return loop_arg(&s->pen, s->n->nodes.at[node].type.dtype, access);
}

int simd_arg(simd *s, int node, enum loop_access access)
{
    int *arg = &s->room->arg_of[node];
    if (!*arg)
        *arg = 1 + new_arg(s, node, access, 0);
    int buffer = *arg - 1;
    s->pen.k->args.at[buffer].access |= (int)access;
    s->out->args.at[buffer].access |= (int)access;
    return buffer;
}

int simd_arg_from(simd *s, int node, int64_t offset)
{
    for (int i = 0; i < s->out->args.count; i++)
        if (s->out->args.at[i].value == node && s->out->args.at[i].offset == offset && s->room->arg_of[node] != i + 1)
            return i;
    return new_arg(s, node, LOOP_IN, offset);
}

/* Multiply-add: one rounding where the target has it, two elsewhere. */
int simd_fma(simd *s, int a, int b, int c)
{
    if (s->t->fma)
        return loop_math(&s->pen, LOOP_FMA, a, b, c, -1);
    return loop_math(&s->pen, LOOP_ADD, loop_math(&s->pen, LOOP_MUL, a, b, -1, -1), c, -1, -1);
}

void simd_fma_to(simd *s, int acc, int a, int b)
{
    if (s->t->fma)
        loop_math_to(&s->pen, acc, LOOP_FMA, a, b, acc, -1);
    else
        loop_math_to(&s->pen, acc, LOOP_ADD, loop_math(&s->pen, LOOP_MUL, a, b, -1, -1), acc, -1, -1);
}

static int64_t stride_of(const simd *s, int node)
{
    return s->f->place[node] == PLACE_MEMORY ? s->layout->stride[node] : s->n->nodes.at[node].type.c;
}

loop_index simd_element(simd *s, int node, const spot *at)
{
    const net_type *t = &s->n->nodes.at[node].type;
    int64_t stride = stride_of(s, node);
    loop_index e = loop_at(0);
    if (t->n == NET_BATCH)
        e = loop_sum(e, loop_times(s->image, (int64_t)t->h * t->w * stride));
    bool spans = t->n == NET_BATCH && s->images_most > 1;
    if (t->h > 1 || spans) {
        loop_index y = loop_sum(at->rel, loop_times(s->tile, at->ratio));
        e = loop_sum(e, loop_times(y, t->w * stride));
    }
    if (t->w > 1 || spans)
        e = loop_sum(e, loop_times(at->x, stride));
    return t->c > 1 ? loop_sum(e, loop_sum(at->c, s->slice)) : e;
}

loop_index simd_scratch_element(const stage *g, const spot *at)
{
    view v = simd_stage_view(g);
    return simd_view_element(&v, at->rel, at->x, at->c);
}

static int load_scratch(simd *s, const stage *g, const spot *at)
{
    return loop_load(&s->pen, DT_F32, at->lanes, g->scratch, simd_scratch_element(g, at));
}

/* A row of a value a channel, where the channels of a narrow map pass several times in a vector. */
static int load_repeated(simd *s, const repeated *r, int row, const spot *at)
{
    return loop_load(&s->pen, DT_F32, at->lanes, r->scratch,
                     loop_at((int64_t)row * r->period + at->c.base % r->period));
}

static int load_memory(simd *s, int node, const spot *at)
{
    const repeated *r = simd_repeated(s, node);
    if (r)
        return load_repeated(s, r, 0, at);
    const net_type *t = &s->n->nodes.at[node].type;
    int buffer = simd_arg(s, node, LOOP_IN);
    loop_index e = simd_element(s, node, at);
    if (s->ahead && t->h > 1 && t->c > 1 && !simd_is_fetched(s, node))
        loop_prefetch(&s->pen, buffer, loop_offset(e, t->w * stride_of(s, node)));
    if (t->c > 1)
        return loop_load(&s->pen, DT_F32, at->lanes, buffer, e);
    return loop_bcast(&s->pen, DT_F32, at->lanes, buffer, e);
}

static int read_subsample(simd *s, const net_node *v, const spot *at)
{
    const net_window *w = &v->attr.window;
    spot from = *at;
    from.rel = loop_offset(loop_times(at->rel, w->sh), -w->top);
    from.x = loop_offset(loop_times(at->x, w->sw), -w->left);
    from.ratio = at->ratio * w->sh;
    return simd_read_apart(s, v->operand[0], &from);
}

/* The quotient of an index, rounded down; the remainder stays in *at. Without instructions where both are known. */
static loop_index divide(simd *s, loop_index *at, int step)
{
    loop_index quotient = loop_at(simd_floor_div(at->base, step));
    for (int i = 0; i < at->count; i++) {
        if (at->term[i].coef % step)
            return simt_split(s, at, step);
        quotient = loop_plus(quotient, at->term[i].var, at->term[i].coef / step);
    }
    *at = loop_at(at->base - simd_floor_div(at->base, step) * step);
    return quotient;
}

/* Zero but at every so many rows and columns. */
static int read_spread(simd *s, const net_node *v, const spot *at)
{
    const net_window *w = &v->attr.window;
    loop_index y = loop_offset(loop_sum(at->rel, loop_times(s->tile, at->ratio)), w->top);
    loop_index x = loop_offset(at->x, w->left);
    int value = loop_const(&s->pen, DT_F32, at->lanes, 0);
    spot from = *at;
    from.x = divide(s, &x, w->sw); /* and x and y are what is left */
    if (x.count == 0 && x.base > 0)
        return value;
    from.rel = divide(s, &y, w->sh);
    from.ratio = 0; /* rows count from the top of the map */
    bool ahead = s->ahead;
    s->ahead = s->layout->large;
    loop_if(&s->pen, loop_sum(x, y), loop_at(1));
    loop_math_to(&s->pen, value, LOOP_MOVE, simd_read_apart(s, v->operand[0], &from), -1, -1, -1);
    loop_end(&s->pen);
    s->ahead = ahead;
    return value;
}

static int evaluate(simd *s, int node, const spot *at)
{
    const net_node *v = &s->n->nodes.at[node];
    stage *g;
    switch (s->f->place[node]) {
    case PLACE_CHIP:
        if (s->t->capability)
            return simt_window(s, node, at);
        g = simd_stage_of(s, node, STAGE_CHIP);
        CHECK(g);
        return load_scratch(s, g, at);
    case PLACE_REGISTER:
        BUG("a window in registers is read apart from its pixel");
    case PLACE_MEMORY:
    case PLACE_LEAF:
        return load_memory(s, node, at);
    default:
        break;
    }
    if (v->prim == NET_slice) {
        spot inside = *at;
        inside.c = loop_offset(inside.c, v->attr.begin);
        return simd_read_apart(s, v->operand[0], &inside);
    }
    if (v->prim == NET_subsample)
        return read_subsample(s, v, at);
    if (v->prim == NET_subsample_dx)
        return read_spread(s, v, at);
    if (v->prim == NET_constant)
        return loop_const(&s->pen, DT_F32, at->lanes, v->attr.value);
    return simd_map(s, node, at);
}

static int recall(const memo *list, int count, int node, int row, int lanes)
{
    for (int i = count - 1; i >= 0; i--)
        if (list[i].node == node && list[i].row == row && list[i].lanes == lanes)
            return list[i].reg;
    return -1;
}

int simd_read(simd *s, int node, const spot *at)
{
    if (node == s->core)
        return s->core_reg;
    if (node == s->finished)
        return simd_read_finished(s, at);
    int reg = recall(s->pixel_memo.at, s->pixel_memo.count, node, 0, at->lanes);
    if (reg >= 0)
        return reg;
    reg = evaluate(s, node, at);
    VEC_PUSH(s->a, &s->pixel_memo, ((memo){node, 0, at->lanes, reg}));
    return reg;
}

/* The same at another spot than the present one: nothing is recalled, nothing remembered. */
int simd_read_apart(simd *s, int node, const spot *at)
{
    memo_list pixel = s->pixel_memo, channel = s->channel_memo;
    s->pixel_memo = s->channel_memo = (memo_list){0};
    int reg = simd_read(s, node, at);
    s->pixel_memo = pixel;
    s->channel_memo = channel;
    return reg;
}

int simd_first_pixel(simd *s, int node, loop_index c, int lanes)
{
    loop_index image = s->image, tile = s->tile;
    spot first = {.rel = loop_at(0), .x = loop_at(0), .c = c, .lanes = lanes, .ratio = 1};
    s->image = s->tile = loop_at(0);
    int reg = simd_read_apart(s, s->n->nodes.at[node].operand[0], &first);
    s->image = image;
    s->tile = tile;
    return reg;
}

int simd_row(simd *s, int node, int row, const spot *at)
{
    int reg = recall(s->channel_memo.at, s->channel_memo.count, node, row, at->lanes);
    if (reg >= 0)
        return reg;
    const net_type *t = &s->n->nodes.at[node].type;
    const repeated *r = simd_repeated(s, node);
    bool pixel = s->n->nodes.at[node].prim == NET_first_pixel;
    if (pixel)
        reg = simd_first_pixel(s, node, at->c, at->lanes);
    else if (r)
        reg = load_repeated(s, r, row, at);
    else
        reg = loop_load(&s->pen, DT_F32, at->lanes, simd_arg(s, node, LOOP_IN),
                        loop_sum(s->slice, loop_offset(at->c, (int64_t)row * t->c)));
    if (!pixel || !s->t->capability) /* a GPU's threads remember what is loaded, and this may be computed */
        VEC_PUSH(s->a, &s->channel_memo, ((memo){node, row, at->lanes, reg}));
    return reg;
}

int simd_weight(simd *s, int weights, int row, int pick, int lanes)
{
    int64_t element = (int64_t)row * s->n->nodes.at[weights].type.c + pick;
    int reg = recall(s->channel_memo.at, s->channel_memo.count, weights, (int)element, lanes);
    if (reg >= 0)
        return reg;
    reg = loop_bcast(&s->pen, DT_F32, lanes, simd_arg_from(s, weights, element), loop_at(0));
    VEC_PUSH(s->a, &s->channel_memo, ((memo){weights, (int)element, lanes, reg}));
    return reg;
}
