/* The simt lowering: a group of fused values becomes one kernel, a thread an element or some, or
 * a block a tile. */
#include "loop/simt.h"

loop_index simt_split(simd *s, loop_index *i, int64_t by)
{
    CHECK(by <= INT32_MAX);
    loop_index whole = *i, quotient = loop_at(0);
    if (by == 1) {
        *i = loop_at(0);
        return whole;
    }
    quotient = loop_plus(quotient, loop_int(&s->pen, LOOP_INT_DIV, whole, loop_at(0), (int)by), 1);
    *i = loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_MOD, whole, loop_at(0), (int)by), 1);
    return quotient;
}

spot simt_open(simd *s, const net_type *t)
{
    spot at = {.rel = loop_at(0), .x = loop_at(0), .lanes = 1, .h = t->h, .w = t->w, .ratio = 1};
    s->unit = loop_parallel(&s->pen);
    s->tile = loop_at(0);
    loop_index rest = loop_plus(loop_at(0), s->unit, 1);
    s->image = simt_split(s, &rest, net_elements(t));
    if (t->h > 1)
        at.rel = simt_split(s, &rest, (int64_t)t->w * t->c);
    if (t->w > 1)
        at.x = simt_split(s, &rest, t->c);
    at.c = rest;
    s->out->unit_images = 1;
    s->out->unit_tiles = (int)net_elements(t);
    return at;
}

void simt_each(simd *s, int64_t count, void (*body)(simd *s, loop_index c, int lanes))
{
    s->unit = loop_parallel(&s->pen);
    body(s, loop_plus(loop_at(0), s->unit, 1), 1);
    loop_end(&s->pen);
    s->out->unit_images = 0;
    s->out->unit_tiles = (int)count;
}

/* ---- axes of windows --------------------------------------------------------------------------------------------- */

static bool goes_back(enum net_prim prim)
{
    return prim == NET_conv_dx || prim == NET_sum_pool_dx || prim == NET_max_pool_dx;
}

/* Of a max pool's gradient the source is that of its gradients. */
static const net_type *source_of(const simd *s, const net_node *v)
{
    return &s->n->nodes.at[v->operand[v->prim == NET_max_pool_dx ? 1 : 0]].type;
}

axes simt_axes_of(const net_window *w, const net_type *source, const net_type *out, bool back)
{
    return (axes){.rows = {w->kh, w->sh, w->dh, w->top, source->h, out->h, back},
                  .columns = {w->kw, w->sw, w->dw, w->left, source->w, out->w, back}};
}

axes simt_axes(const simd *s, int window)
{
    const net_node *v = &s->n->nodes.at[window];
    net_window w = simd_window_of(s, window);
    return simt_axes_of(&w, source_of(s, v), &v->type, goes_back(v->prim));
}

axes simt_weight_axes(const simd *s, int window)
{
    const net_node *v = &s->n->nodes.at[window];
    return simt_axes_of(&v->attr.window, &s->n->nodes.at[v->operand[0]].type, &s->n->nodes.at[v->operand[1]].type,
                        false);
}

loop_index simt_tap(simd *s, const axis *q, loop_index at, loop_index k, int *opened)
{
    if (!q->back)
        return loop_offset(loop_sum(loop_times(at, q->stride), loop_times(k, q->dilation)), -q->before);
    loop_index from = loop_offset(loop_sum(at, loop_times(k, -q->dilation)), q->before);
    if (q->stride == 1)
        return from;
    loop_index row = simt_split(s, &from, q->stride);
    loop_if(&s->pen, from, loop_at(1));
    ++*opened;
    return row;
}

void simt_inside(simd *s, const axis *q, loop_index row, int *opened)
{
    int64_t reach = (int64_t)(q->taps - 1) * q->dilation, last = q->out - 1;
    int64_t lo = q->back ? simd_floor_div(q->before - reach, q->stride) : -q->before;
    int64_t hi = q->back ? simd_floor_div(last + q->before, q->stride) : last * q->stride - q->before + reach;
    if (lo < 0) {
        loop_if(&s->pen, loop_at(-1), row);
        ++*opened;
    }
    if (hi >= q->size) {
        loop_if(&s->pen, row, loop_at(q->size));
        ++*opened;
    }
}

int simt_below(simd *s, loop_index i, int most, int at_once)
{
    if (most % at_once == 0)
        return 0;
    loop_if(&s->pen, i, loop_at(most));
    return 1;
}

void simt_close(simd *s, int opened)
{
    for (int i = 0; i < opened; i++)
        loop_end(&s->pen);
}

/* ---- values at many spots of one channel ------------------------------------------------------------------------- */

int simt_read(simd *s, int node, const spot *at)
{
    memo_list pixel = s->pixel_memo;
    int rows = s->channel_memo.count; /* those that are loaded on the way may stand in a branch */
    s->pixel_memo = (memo_list){0};
    int reg = simd_read(s, node, at);
    s->pixel_memo = pixel;
    s->channel_memo.count = rows;
    return reg;
}

static loop_ins definition_of(const kernel *k, int reg, int from)
{
    while (from < k->ins.count && !(loop_op_info[k->ins.at[from].op].kind == LOOP_MEM && k->ins.at[from].dst == reg &&
                                    k->ins.at[from].op != LOOP_STORE))
        from++;
    CHECK(from < k->ins.count);
    return k->ins.at[from];
}

/* Which rows they are is found by evaluating the value, all of which is then taken back but its arguments. */
void simt_load_rows(simd *s, int node, const spot *at)
{
    kernel *k = s->pen.k;
    int ins = k->ins.count, regs = k->regs.count, ints = k->ints, known = s->channel_memo.count;
    memo_list pixel = s->pixel_memo;
    s->pixel_memo = (memo_list){0};
    s->image = s->image.count ? s->image : loop_at(0);
    (void)simd_read(s, node, at);
    s->pixel_memo = pixel;
    int count = s->channel_memo.count - known;
    loop_ins *load = NEW_ARRAY(s->a, loop_ins, count + 1);
    for (int i = 0; i < count; i++)
        load[i] = definition_of(k, s->channel_memo.at[known + i].reg, ins);
    k->ins.count = ins;
    k->regs.count = regs;
    k->ints = ints;
    for (int i = 0; i < count; i++) {
        const loop_place *from = &load[i].place;
        s->channel_memo.at[known + i].reg = load[i].op == LOOP_BCAST
                                                ? loop_bcast(&s->pen, DT_F32, 1, from->buffer, from->index)
                                                : loop_load(&s->pen, DT_F32, 1, from->buffer, from->index);
    }
}

bool simt_is_flat(const simd *s, int node, const net_type *t)
{
    const net_node *v = &s->n->nodes.at[node];
    if (s->f->place[node] == PLACE_REGISTER) /* at its own pixel */
        return v->type.h == t->h && v->type.w == t->w;
    if (s->f->place[node] == PLACE_CHIP) /* around it */
        return false;
    if (v->type.n == 1 && s->f->place[node] != PLACE_INLINE)
        return true;
    if (s->f->place[node] == PLACE_MEMORY || s->f->place[node] == PLACE_LEAF)
        return v->type.n == NET_BATCH && v->type.h == t->h && v->type.w == t->w;
    if (v->prim == NET_pool_scale || v->prim == NET_global_pool_dx)
        return false; /* of them the place in the map matters */
    for (int k = 0; k < v->count; k++)
        if (!simt_is_flat(s, v->operand[k], t))
            return false;
    return true;
}

bool simt_is_flat_root(const simd *s, int root, const net_type *t)
{
    const net_node *v = &s->n->nodes.at[root];
    if (net_prim_info[v->prim].class == NET_WINDOW)
        return true;
    if (v->prim == NET_pool_scale || v->prim == NET_global_pool_dx)
        return false;
    for (int k = 0; k < v->count; k++)
        if (!simt_is_flat(s, v->operand[k], t))
            return false;
    return true;
}

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

/* The window that is finished as the map `node`, at its end of a chain of maps; the node itself where it is a window;
 * -1: there is none. */
static int core_of(const simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    if (net_prim_info[v->prim].class == NET_WINDOW)
        return node;
    for (int k = 0; k < v->count; k++) {
        enum place p = s->f->place[v->operand[k]];
        int core = p == PLACE_REGISTER ? v->operand[k] : p == PLACE_INLINE ? core_of(s, v->operand[k]) : -1;
        if (core >= 0)
            return core;
    }
    return -1;
}

int simt_store(simd *s, int root, int core, int result, const spot *at)
{
    s->core = core;
    s->core_reg = result;
    s->pixel_memo.count = s->channel_memo.count = 0;
    int value = core == root ? result : simd_map(s, root, at);
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), simd_element(s, root, at), value);
    s->core = -1;
    return value;
}

static void lower_pixels(simd *s)
{
    int root = s->g->roots.at[0], core = core_of(s, root);
    if (simt_goes_by_tiles(s, core)) {
        simt_lower_tile(s, root, core);
        return;
    }
    if (simt_goes_by_columns(s, core)) {
        simt_lower_columns(s, root, core);
        return;
    }
    if (s->g->roots.count > 1) {
        simt_row_maps(s, root);
        return;
    }
    if (simt_has_bands(s, core)) {
        simt_lower_bands(s, root, core);
        return;
    }
    spot at = simt_open(s, &s->n->nodes.at[root].type);
    simt_store(s, root, core, core >= 0 ? simt_window(s, core, &at) : -1, &at);
    loop_end(&s->pen);
}

static void lower_image(simd *s, int root)
{
    const net_node *v = &s->n->nodes.at[root];
    if (v->prim != NET_global_pool && v->prim != NET_image_sum) {
        simd_lower_image(s, root);
        return;
    }
    spot at = simt_open(s, &v->type);
    simd_sum_image(s, root, at.c, 1);
    loop_end(&s->pen);
}

void simt_lower(simd *s)
{
    int root = s->g->roots.at[0], last = s->g->roots.at[s->g->roots.count - 1];
    if (net_prim_info[s->n->nodes.at[last].prim].class == NET_VECTOR) /* behind the sums that it adds up */
        root = last;
    const net_node *v = &s->n->nodes.at[root];
    enum net_class class = net_prim_info[v->prim].class;
    if (class == NET_VECTOR)
        simd_lower_vector(s, root);
    else if (class == NET_IMAGE)
        lower_image(s, root);
    else if (class == NET_MAP && v->type.n == 1)
        simd_lower_flat(s);
    else if (v->prim == NET_chan_sum)
        simt_channel_sums(s);
    else if (v->prim == NET_row_sum)
        simt_row_sums(s);
    else if (v->prim == NET_conv_dw && simt_weights_go_by_tiles(s, root))
        simt_weight_tile(s, root);
    else if (v->prim == NET_conv_dw && simt_weights_stream(s, root))
        simt_weight_stream(s, root);
    else if (v->prim == NET_conv_dw)
        simt_weights(s, root);
    else
        lower_pixels(s);
}
