/* How tall a tile is, and how many images one spans: halos against caches, and pixels against weights that each tile reads.
 */
#include "loop/simd.h"

/* ---- the height of a tile ---------------------------------------------------------------------------------------- */

static int64_t rows_of(const simd *s, const stage *g, int rows)
{
    return (rows == s->smallest ? g->h : (int64_t)rows * g->ratio) + g->lo + g->hi;
}

/* Rows that a dense convolution makes for a window are too dear to be made twice. */
static bool has_dear_halo(const simd *s)
{
    bool dear = false;
    for (int i = 0; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        dear |= g->kind == STAGE_TILE && g->core >= 0 && (g->lo || g->hi);
    }
    return dear && !s->chunked;
}

/* Elements of a weight gradient, which each tile takes up and puts down. */
static double weight_elements(const simd *s, const stage *g)
{
    const net_type *t = &s->n->nodes.at[g->value].type;
    return g->kind == STAGE_WEIGHTS ? (double)t->h * t->w * t->c : 0;
}

/* Elements of a dense convolution's weights, which each tile reads. */
static double dense_elements(const simd *s, const stage *g)
{
    if (g->core < 0 || s->chunked)
        return 0;
    const net_node *v = &s->n->nodes.at[g->core];
    return v->prim == NET_conv && !net_is_depthwise(s->n, v) ? simd_work_of(s, g->core) * g->c : 0;
}

/* Relative cost of bringing an element to the first cache level from where so many of them lie: there, in the second, where
 * it is `second`, and more, up to three times as much, as others contend for it, or further away. */
static double reach_of(const simd *s, double elements, double others, double second)
{
    double bytes = elements * 4, l2_bytes = s->t->l2_bytes * 0.8, full = (bytes + others * 4) / l2_bytes;
    if (bytes <= s->t->l1_bytes * 0.9)
        return 0;
    return bytes > l2_bytes ? 16 : second * (full < 1 ? 1 : full > 3 ? 3 : full);
}

enum { AGAIN = 10 }; /* cost of an element that is read and written once more, in multiply-adds of a vector unit */

int64_t simd_scratch_elements(const simd *s, const stage *g, int rows)
{
    return rows_of(s, g, rows) * simd_row_elements(g);
}

static bool keeps_to_scratch(const simd *s, int rows)
{
    int64_t elements = 0;
    for (int i = 0; i < s->stages.count && s->o->scratch_most; i++)
        elements += simd_is_in_scratch(&s->stages.at[i]) ? simd_scratch_elements(s, &s->stages.at[i], rows) : 0;
    return elements * 4 <= s->o->scratch_most;
}

/* What a stage fetches for the next tile. */
static double fetched_elements(const stage *g, int rows)
{
    int channels = 0;
    for (int i = 0; i < g->fetches.count; i++)
        channels += g->c * g->fetches.at[i].wider;
    return (double)channels * g->w * rows * g->ratio;
}

/* Multiply-adds, or what takes as long, of an element that the stage makes. */
static double stage_work(const simd *s, const stage *g)
{
    enum { MAP = 3 }; /* of one that is evaluated and written */
    if (g->kind == STAGE_MAXIMA)
        return 2 * simd_work_of(s, g->value);
    if (g->across >= 0)
        return MAP + s->n->nodes.at[g->across].attr.window.kw;
    return g->core >= 0 ? simd_work_of(s, g->core) : MAP;
}

/* Relative cost of a tile of so many rows: halos, made again or carried on, and traffic to the cache level that scratch
 * needs. */
static double tile_cost(const simd *s, int rows)
{
    double work = 0, elements = 0, moved = 0, passing = 0, stays = 0,
           goes = 0; /* scratch until the tile's end, or not */
    for (int i = 0; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        moved += AGAIN * weight_elements(s, g) + dense_elements(s, g) * reach_of(s, 2 * dense_elements(s, g), 0, 2);
        passing += fetched_elements(g, rows);
        if (!simd_is_in_scratch(g))
            continue;
        double pixels = g->w + g->left + g->right, held = (double)rows_of(s, g, rows) * pixels;
        bool whole = rows == s->smallest, carried = (s->chunked || s->carried) && !whole;
        double made = carried || whole ? (double)rows * g->ratio * pixels : held; /* beyond the map it is filled */
        elements += held * g->pixel;
        if (g->kind == STAGE_TILE && !carried) /* the next stage's will lie there */
            goes = held * g->pixel > goes ? held * g->pixel : goes;
        else
            stays += held * g->pixel;
        moved += carried ? AGAIN * (held - made) * g->pixel : 0;
        work += made * g->c * stage_work(s, g);
    }
    /* Maps pass, those of this tile and of the next: a level that is half full has lost lines already. */
    double scratch = stays + goes, others = scratch + 4 * passing;
    return (work + moved + elements * reach_of(s, scratch, others, 4) + 64) / rows;
}

static bool has_enough_tiles(const simd *s, int rows)
{
    return s->smallest / rows >= s->o->tiles_least;
}

void simd_choose_rows(simd *s)
{
    s->carried = s->o->tiles_least <= 1 && has_dear_halo(s);
    s->rows = s->smallest;
    if (!s->whole) {
        double best = tile_cost(s, s->rows);
        for (int rows = s->smallest - 1; rows >= 1; rows--) {
            if (s->smallest % rows)
                continue;
            double cost = tile_cost(s, rows);
            if (cost < best || !keeps_to_scratch(s, s->rows) || !has_enough_tiles(s, s->rows)) {
                best = cost;
                s->rows = rows;
            }
        }
        if (s->o->tile_rows > 0 && s->smallest % s->o->tile_rows == 0 && keeps_to_scratch(s, s->o->tile_rows))
            s->rows = s->o->tile_rows;
    }
    s->tiles = s->smallest / s->rows;
}

/* ---- several images a tile --------------------------------------------------------------------------------------- */

/* Do all maps that the group reads and stores have a stage's size? */
static bool maps_are_alike(simd *s, const stage *g)
{
    node_list reads = {0};
    for (int i = 0; i < s->g->roots.count; i++) {
        fusion_reads(s->a, s->f, s->g->roots.at[i], &reads);
        VEC_PUSH(s->a, &reads, s->g->roots.at[i]);
    }
    for (int i = 0; i < reads.count; i++) {
        const net_type *t = &s->n->nodes.at[reads.at[i]].type;
        if (t->n == NET_BATCH && !t->chunked && (t->h != g->h || t->w != g->w))
            return false;
    }
    return true;
}

/* Does the stage make or use each pixel from that pixel alone? */
static bool stands_alone(const simd *s, const stage *g)
{
    int window = simd_window_under(g);
    if (g->kind == STAGE_MAXIMA || g->lo || g->hi || g->left || g->right)
        return false;
    if (window < 0)
        return true;
    const net_node *v = &s->n->nodes.at[window];
    const net_window *w = &v->attr.window;
    return (v->prim == NET_conv || v->prim == NET_conv_dx || v->prim == NET_conv_dw) && w->kh * w->kw == 1 &&
           w->sh * w->sw == 1 && !net_is_depthwise(s->n, v);
}

bool simd_place_matters(enum net_prim prim)
{
    return prim == NET_pool_scale || net_moves_pixels(prim);
}

/* Does evaluating `node` ask that, here or below? */
static bool asks_for_place(simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    if (s->room->seen[node] == s->room->walks)
        return false;
    s->room->seen[node] = s->room->walks;
    if (simd_place_matters(v->prim))
        return true;
    for (int k = 0; k < v->count; k++)
        if (s->f->place[v->operand[k]] != PLACE_MEMORY && s->f->place[v->operand[k]] != PLACE_LEAF &&
            asks_for_place(s, v->operand[k]))
            return true;
    return false;
}

static bool places_matter(simd *s)
{
    s->room->walks++;
    for (int i = 0; i < s->g->roots.count; i++)
        if (asks_for_place(s, s->g->roots.at[i]))
            return true;
    return false;
}

/* Do so many images at a time make up each row of weight gradients that is a part of the unit? */
static bool rows_hold(const simd *s, int images)
{
    for (int i = 0; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        if (g->kind == STAGE_WEIGHTS && simd_rows_are_parts(s, g->value) &&
            s->n->nodes.at[g->value].type.chunked % images)
            return false;
    }
    return true;
}

/* Small maps make a dense convolution read its weights for few pixels: then several images pass together. */
int simd_images_of(simd *s)
{
    enum { ENOUGH = 128 }; /* pixels */
    const stage *first = &s->stages.at[0];
    int pixels = first->h * first->w, most = s->n->chunk < s->layout->batch ? s->n->chunk : s->layout->batch;
    bool dense = false, fits = s->tiles == 1 && pixels * 2 <= ENOUGH && maps_are_alike(s, first) && !places_matter(s);
    for (int i = 0; i < s->stages.count && fits; i++) {
        const stage *g = &s->stages.at[i];
        fits = g->h == first->h && g->w == first->w && stands_alone(s, g);
        dense |= g->kind == STAGE_WEIGHTS || g->core >= 0;
    }
    int images = fits && dense ? ENOUGH / pixels : 1;
    images = images < most ? images : most;
    while (!rows_hold(s, images))
        images--;
    return images;
}

void simd_span(simd *s, int images)
{
    bool by_rows = false;
    if (s->images_most == 1)
        return;
    for (int i = 0; i < s->stages.count; i++)
        by_rows |= s->stages.at[i].sums.count > 0;
    for (int i = 0; i < s->stages.count; i++) {
        stage *g = &s->stages.at[i];
        g->h = by_rows ? g->map_h * images : 1;
        g->w = by_rows ? g->map_w : g->map_w * g->map_h * images;
    }
    s->rows = s->smallest * images;
}
