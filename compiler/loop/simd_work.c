/* How much a kernel of the simd lowering does: operations an image, and bytes of memory an image.
 *
 * Counted from the stages as they were planned, so that rows which tiles compute twice and maps that are evaluated
 * again where they are read count as often as they run. */
#include "loop/simd.h"

static int64_t clipped_flops(simd *s, int core);
static int64_t edged_flops(const simd *s, int core);

/* A max pool's gradient is half in the stage of its maxima, half in that of its sums. */
static int64_t flops_of(simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    if (simd_is_clipped(s, node))
        return clipped_flops(s, node);
    if ((v->prim == NET_conv || v->prim == NET_conv_dx) && net_is_depthwise(s->n, v) &&
        simd_row_phases(s, node) * simd_column_phases(s, node) == 1)
        return edged_flops(s, node);
    int64_t flops = net_prim_info[v->prim].cost(s->n, v).flops;
    if (simd_is_folded(s, node))
        return flops / v->attr.window.kw; /* a row of taps is one value */
    return flops / (v->prim == NET_max_pool_dx ? 2 : 1);
}

/* Maps that are evaluated where `node` is read; each once, as pixels remember them. */
static int64_t inline_flops(simd *s, int node, node_list *seen)
{
    if (s->f->place[node] != PLACE_INLINE)
        return 0;
    for (int i = 0; i < seen->count; i++)
        if (seen->at[i] == node)
            return 0;
    VEC_PUSH(s->a, seen, node);
    const net_node *v = &s->n->nodes.at[node];
    int64_t flops = flops_of(s, node);
    for (int k = 0; k < v->count; k++)
        flops += inline_flops(s, v->operand[k], seen);
    if (v->prim != NET_subsample)
        return flops;
    const net_type *x = &s->n->nodes.at[v->operand[0]].type; /* of which it takes some pixels */
    return flops * v->type.h * v->type.w / ((int64_t)x->h * x->w);
}

/* Of a stretch of `size`, how many taps of all windows lie on it. */
static int64_t taps_on(int windows, int taps, int step, int before, int dilation, int size)
{
    int64_t on = 0;
    for (int i = 0; i < windows; i++)
        for (int k = 0; k < taps; k++) {
            int at = i * step - before + k * dilation;
            on += at >= 0 && at < size;
        }
    return on;
}

/* Columns that a block loads for each of its own, of a window whose result is `width` columns wide. */
static double columns_loaded(const simd *s, int core, int width)
{
    const net_window *w = &s->n->nodes.at[core].attr.window;
    int pixels = simd_block_pixels(s, core, width, 1, 0);
    return (double)((pixels - 1) * w->sw + 1 + (w->kw - 1) * w->dw) / pixels;
}

/* Of a window that leaves out what lies beyond the edge; a map under it is evaluated for each row of taps, and in a block of
 * columns once a column. */
static int64_t clipped_flops(simd *s, int core)
{
    const net_node *v = &s->n->nodes.at[core];
    const net_window *w = &v->attr.window;
    const net_type *x = &s->n->nodes.at[v->operand[0]].type, *y = &v->type;
    node_list seen = {0};
    int64_t rows = taps_on(y->h, w->kh, w->sh, w->top, w->dh, x->h);
    int64_t columns = taps_on(y->w, w->kw, w->sw, w->left, w->dw, x->w);
    double again = columns_loaded(s, core, y->w);
    again = again < w->kw ? again : w->kw; /* of a column, by all taps of all pixels */
    double map = (double)inline_flops(s, v->operand[0], &seen) / ((double)x->h * x->w);
    return 2 * rows * columns * y->c + (int64_t)(map * (double)rows * y->w * again);
}

/* Of columns, those of the last block, and of the first where it is the only one, stand at a constant place. */
static int64_t columns_met(const simd *s, int core, int step, int before, int dilation)
{
    const net_node *v = &s->n->nodes.at[core];
    int width = v->type.w, taps = v->attr.window.kw, source = s->n->nodes.at[v->operand[0]].type.w;
    int pixels = simd_block_pixels(s, core, width, 1, 0), blocks = width / pixels;
    int first = blocks > 1 ? blocks * pixels : 0; /* that does */
    return (int64_t)first * taps + taps_on(width - first, taps, step, before - first * step, dilation, source);
}

/* Of a depthwise window over scratch, without the taps that it leaves out. */
static int64_t edged_flops(const simd *s, int core)
{
    const net_node *v = &s->n->nodes.at[core];
    const net_window *w = &v->attr.window;
    bool back = v->prim == NET_conv_dx; /* of stride 1: taps go up and left */
    int64_t columns = back ? columns_met(s, core, 1, -w->left, -w->dw) : columns_met(s, core, w->sw, w->left, w->dw);
    int64_t rows = (int64_t)v->type.h * w->kh;
    if (simd_leaves_rows_out(s, core))
        rows = taps_on(v->type.h, w->kh, back ? 1 : w->sh, back ? -w->top : w->top, back ? -w->dh : w->dh,
                       s->n->nodes.at[v->operand[0]].type.h);
    return 2 * rows * columns * v->type.c;
}

/* Of rows of taps; a map under them is evaluated once more where blocks of columns meet. */
static int64_t across_flops(simd *s, const stage *g)
{
    const net_window *w = &s->n->nodes.at[g->across].attr.window;
    node_list seen = {0};
    double columns = columns_loaded(s, g->across, g->map_w) * g->map_w;
    double map = (double)inline_flops(s, g->value, &seen) / s->n->nodes.at[g->value].type.w;
    return (int64_t)(map * columns) + (int64_t)w->kw * g->map_h * g->map_w * g->c;
}

static int64_t root_flops(simd *s, int root, node_list *seen)
{
    const net_node *v = &s->n->nodes.at[root];
    int64_t flops = flops_of(s, root);
    bool elsewhere = net_prim_info[v->prim].class == NET_WINDOW || v->prim == NET_conv_dw; /* in a tile's stage */
    for (int k = 0; k < v->count && !elsewhere; k++)
        flops += inline_flops(s, v->operand[k], seen);
    return flops;
}

/* Of an image, by all tiles: what one has around it, its neighbours compute, too, unless it is carried on; beyond the map's
 * edges it is filled. */
static int64_t rows_computed(const simd *s, const stage *g)
{
    int own = s->rows * g->ratio;
    int64_t rows = 0;
    bool once = s->tiles == 1 || simd_carries(s);
    for (int tile = 0; tile < s->tiles && !once; tile++) {
        int lo = tile * own - g->lo, hi = (tile + 1) * own + g->hi;
        rows += (hi < g->h ? hi : g->h) - (lo > 0 ? lo : 0);
    }
    return once ? g->h : rows;
}

static int64_t stage_flops(simd *s, const stage *g)
{
    node_list seen = {0};
    int64_t flops = 0;
    for (int i = 0; i < g->sums.count; i++)
        flops += root_flops(s, g->sums.at[i], &seen);
    if (g->kind == STAGE_STORE) {
        for (int i = 0; i < g->roots.count; i++)
            flops += root_flops(s, g->roots.at[i], &seen);
        return flops + (g->core >= 0 && g->core != g->value ? flops_of(s, g->core) : 0);
    }
    if (g->across >= 0)
        flops += across_flops(s, g);
    else if (g->kind == STAGE_TILE)
        flops += inline_flops(s, g->value, &seen) + (g->core >= 0 ? flops_of(s, g->core) : 0);
    else
        flops += flops_of(s, g->value);
    if (g->kind == STAGE_MAXIMA)
        flops += inline_flops(s, s->n->nodes.at[g->value].operand[1], &seen);
    return flops * rows_computed(s, g) / g->h;
}

/* Does a kernel whose units are no images read what has images? Then a run reads that of all of them. */
static bool is_over_batch(const simd *s)
{
    const net_node *v = &s->n->nodes.at[s->g->roots.at[0]];
    for (int k = 0; k < v->count && s->out->unit_images == 0; k++)
        if (s->n->nodes.at[v->operand[k]].type.n == NET_BATCH)
            return true;
    return false;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* What is read of a value: so many channels of each of so many pixels. */
typedef struct part {
    int node;
    int64_t begin, channels, pixels;
} part;

typedef VEC(part) part_list;

static bool is_listed(const part_list *list, const part *p)
{
    for (int i = 0; i < list->count; i++) {
        const part *q = &list->at[i];
        if (q->node == p->node && q->begin == p->begin && q->channels == p->channels && q->pixels == p->pixels)
            return true;
    }
    return false;
}

/* Those of `p.node`'s operands, of theirs, and so on to memory. */
static void add_parts(simd *s, part p, part_list *list)
{
    const net_node *v = &s->n->nodes.at[p.node];
    for (int k = 0; k < v->count; k++) {
        const net_type *t = &s->n->nodes.at[v->operand[k]].type;
        bool broadcast = t->n != v->type.n || t->h * t->w < v->type.h * v->type.w || t->c < v->type.c;
        bool view = v->prim == NET_slice || v->prim == NET_subsample;
        part x = {v->operand[k], 0, t->c, (int64_t)t->h * t->w};
        if (view || (net_prim_info[v->prim].class == NET_MAP && !broadcast)) {
            x.begin = p.begin + (v->prim == NET_slice ? v->attr.begin : 0);
            x.channels = p.channels;
            x.pixels = p.pixels;
        }
        if (is_listed(list, &x))
            continue;
        VEC_PUSH(s->a, list, x);
        if (s->f->place[x.node] != PLACE_MEMORY && s->f->place[x.node] != PLACE_LEAF)
            add_parts(s, x, list);
    }
}

/* An image's elements of an argument that the kernel touches, or the tensor's: all that it writes. Parts that overlap count
 * twice, but no more than all of it. */
static int64_t elements_touched(const part_list *list, int node, const net_type *t, bool read)
{
    int64_t all = net_elements(t), some = 0;
    for (int i = 0; i < list->count && read; i++)
        some += list->at[i].node == node ? list->at[i].channels * list->at[i].pixels : 0;
    return some > 0 && some < all ? some : all;
}

/* Multiply-adds count as two operations, zeros that stand between a strided gradient's rows and columns as none. Per
 * image, or in all where units are no images. */
void simd_count_work(simd *s)
{
    node_list seen = {0};
    int64_t images = is_over_batch(s) ? s->layout->batch : 1;
    for (int i = 0; i < s->stages.count; i++)
        s->out->flops_image += stage_flops(s, &s->stages.at[i]);
    for (int i = 0; i < s->g->roots.count && s->stages.count == 0; i++)
        s->out->flops_image += images * root_flops(s, s->g->roots.at[i], &seen);
    part_list parts = {0};
    for (int i = 0; i < s->g->roots.count; i++) {
        const net_type *t = &s->n->nodes.at[s->g->roots.at[i]].type;
        add_parts(s, (part){s->g->roots.at[i], 0, t->c, (int64_t)t->h * t->w}, &parts);
    }
    for (int i = 0; i < s->out->args.count; i++) {
        const lower_arg *arg = &s->out->args.at[i];
        const net_type *t = &s->n->nodes.at[arg->value].type;
        int64_t elements = elements_touched(&parts, arg->value, t, arg->access == LOOP_IN);
        int64_t bytes = elements * dtype_info[t->dtype].bytes;
        if (t->n == NET_BATCH && t->chunked)
            s->out->bytes_image += bytes * images / t->chunked;
        else if (t->n == NET_BATCH || s->out->unit_images == 0) /* else weights and rows, which stay in the cache */
            s->out->bytes_image += bytes * (t->n == NET_BATCH ? images : 1);
    }
}
