/* Tiles made meanwhile: what windows read, mapped into scratch, takes loads and stores; a dense sum takes multiply-adds.
 * Made one after the other, each waits for units that the other leaves idle. So a stage that sums over channels, or a
 * weight gradient that sums over pixels, makes tiles as it goes: with each of its pixels one of theirs, a few vectors in
 * each of many rounds.
 *
 * Leading: the convolution itself reads the tile. It makes the pixels of a later block, and only the first block's come
 * before. Pixels of a tile without columns around them lie one behind the other, in scratch as in memory, whatever the
 * row: `lead` pixels on from a block's is a place beyond the block.
 *
 * Ahead: it has been read for the last time, and the next tile's is made in its place, of this image or the next one.
 * Rows that both tiles have move up first; the pixel is that of the row behind them. */
#include "loop/simd.h"

/* ---- which tiles ------------------------------------------------------------------------------------------------- */

static bool has_columns_around(const stage *g)
{
    return g->left || g->right;
}

static bool may_be_made(const simd *s, const stage *g)
{
    return g->kind == STAGE_TILE && g->c >= s->t->lanes && g->core < 0 && g->across < 0 && !simd_is_narrow(s, g);
}

/* A convolution of pixels alone, whose blocks loop over channels in rounds. */
static bool is_long_sum(simd *s, const stage *g)
{
    if ((g->kind != STAGE_STORE && g->kind != STAGE_CHIP) || g->across >= 0 || !simd_is_dense(s, g->core))
        return false;
    const net_window *w = &s->n->nodes.at[g->core].attr.window;
    return net_is_pointwise(w) && simd_work_of(s, g->core) >= SIMD_LONG_SUM;
}

bool simd_is_long_gradient(const simd *s, const stage *g)
{
    return g->kind == STAGE_WEIGHTS && net_is_pointwise(&s->n->nodes.at[g->value].attr.window) && g->c >= s->t->lanes;
}

/* Is all of `node` read from memory that other kernels have written? */
static bool reads_memory(const simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    enum place place = s->f->place[node];
    if (place == PLACE_LEAF || place == PLACE_MEMORY)
        return !simd_is_made_here(s, node);
    bool memory = place == PLACE_INLINE;
    for (int k = 0; k < v->count && memory; k++)
        memory = reads_memory(s, v->operand[k]);
    return memory;
}

typedef struct readers {
    int first, last; /* stages; -1: none */
    bool at_pixels;  /* does each read the tile's pixels alone? */
} readers;

static readers readers_of(const simd *s, int tile)
{
    readers r = {-1, -1, true};
    for (int i = tile + 1; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        if (!simd_reads(s, g, s->stages.at[tile].value))
            continue;
        r.first = r.first < 0 ? i : r.first;
        r.last = i;
        r.at_pixels &= net_is_pointwise(&s->n->nodes.at[simd_window_under(g)].attr.window);
    }
    return r;
}

/* Does stage `by` pass over the tile's pixels, as memory has them? */
static bool passes_over(simd *s, const stage *by, const stage *tile)
{
    return by->h == tile->h && by->w == tile->w && simd_is_read_flat(s, by, tile->value);
}

static void let_make(simd *s, int by, int tile, enum made_when when)
{
    s->stages.at[tile].made = when;
    s->stages.at[tile].made_by = by;
    VEC_PUSH(s->a, &s->stages.at[by].makes, tile);
}

static bool leads(const simd *s, const stage *g)
{
    for (int i = 0; i < g->makes.count; i++)
        if (s->stages.at[g->makes.at[i]].made == MADE_LEADING)
            return true;
    return false;
}

/* Maps one column wide are read by rows alone. */
static bool can_lead(simd *s, const stage *by, const stage *tile, const readers *r)
{
    bool alike = by->hi == tile->hi && (!tile->hi || s->chunked) && !tile->lo && tile->w > 1;
    return is_long_sum(s, by) && !leads(s, by) && r->at_pixels && alike && !has_columns_around(tile) &&
           passes_over(s, by, tile);
}

/* Of the stages from `first` on that pass over the tile's pixels, that which sums most for each tile that it makes; -1. */
static int idle_maker(simd *s, const stage *tile, int first)
{
    int best = -1;
    double most = 0;
    for (int i = first; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        bool sums = is_long_sum(s, g) || simd_is_long_gradient(s, g);
        if (!sums || g->lo || g->hi || !passes_over(s, g, tile) || leads(s, g))
            continue;
        const net_node *v = &s->n->nodes.at[simd_window_under(g)];
        double work = (double)g->c * s->n->nodes.at[v->operand[0]].type.c / (1 + g->makes.count);
        if (work > most) {
            best = i;
            most = work;
        }
    }
    return best;
}

static void plan_tile(simd *s, int i)
{
    const stage *tile = &s->stages.at[i];
    readers r = readers_of(s, i);
    bool edges = tile->lo || tile->hi || has_columns_around(tile);
    if (r.first < 0 || !may_be_made(s, tile))
        return;
    if (can_lead(s, &s->stages.at[r.first], tile, &r)) {
        let_make(s, r.first, i, MADE_LEADING);
        return;
    }
    int ahead = edges && s->chunked && reads_memory(s, tile->value) ? idle_maker(s, tile, r.last + 1) : -1;
    if (ahead >= 0)
        let_make(s, ahead, i, MADE_AHEAD);
}

void simd_plan_meanwhile(simd *s)
{
    for (int i = 0; i < s->stages.count; i++)
        if (s->stages.at[i].kind == STAGE_MAXIMA) /* reads tiles by itself */
            return;
    for (int i = 0; i < s->stages.count; i++)
        plan_tile(s, i);
}

/* ---- where, in this tile ----------------------------------------------------------------------------------------- */

/* How far ahead of its blocks a convolution makes this tile: a block's columns, of its first channels. 0: the tile is no
 * longer than that, and is made before. */
static int lead_of(simd *s, const stage *made)
{
    int lead = simd_first_columns(s, &s->stages.at[made->made_by]);
    return lead < (simd_own_rows(s, made) - made->hi) * made->w ? lead : 0;
}

/* Rows of the tile at hand that are in the map, those of its halo included. */
static loop_index rows_inside(simd *s, const stage *g)
{
    if (s->tiles == 1 || !g->hi)
        return loop_at(simd_own_rows(s, g));
    loop_index left = loop_offset(loop_times(s->tile, -g->ratio), g->h), most = loop_at(simd_own_rows(s, g) + g->hi);
    return loop_plus(loop_at(0), loop_int(&s->pen, LOOP_INT_MIN, left, most, 0), 1);
}

void simd_make_first_pixels(simd *s, const stage *g)
{
    stage first = *g;
    first.w = lead_of(s, g);
    if (!first.w) {
        simd_emit_rows(s, g);
        return;
    }
    first.right = g->w - first.w; /* rows lie as far apart as ever */
    bool carries = s->tiles > 1 && g->hi;
    simd_emit_row(s, &first, carries ? simd_carry_rows(s, g, simd_own_rows(s, g)) : loop_at(0));
}

/* ---- where, in the next ------------------------------------------------------------------------------------------ */

/* The tile that comes next, if there is one: `more` is 1, else 0. */
typedef struct next_tile {
    loop_index image, tile, begins, more; /* begins: 1 where the image does, else 0 */
} next_tile;

static loop_index var(int v)
{
    return loop_plus(loop_at(0), v, 1);
}

static next_tile tile_behind(simd *s)
{
    next_tile n = {.tile = loop_at(0), .begins = loop_at(1)};
    if (s->tiles > 1) {
        loop_index behind = loop_offset(s->tile, s->rows);
        n.begins = var(loop_int(&s->pen, LOOP_INT_DIV, behind, loop_at(0), s->smallest));
        n.tile = loop_sum(behind, loop_times(n.begins, -s->smallest));
    }
    n.image = loop_sum(s->image, n.begins);
    loop_index left = loop_sum(s->images_end, loop_times(n.image, -1));
    n.more = var(loop_int(&s->pen, LOOP_INT_MIN, left, loop_at(1), 0));
    return n;
}

/* From here on, and back: the tile at hand is that one. */
static void swap_tiles(simd *s, next_tile *n)
{
    loop_index image = s->image, tile = s->tile;
    s->image = n->image;
    s->tile = n->tile;
    n->image = image;
    n->tile = tile;
}

/* Rows [0, rows) of the tile at hand, which an image begins with, and what is above and below the map. */
static void begin_image(simd *s, const stage *g, int rows)
{
    int inside = rows < g->h ? rows : g->h;
    simd_fill_rows(s, g, -g->lo, 0);
    simd_fill_rows(s, g, inside, rows);
    if (inside) {
        simd_emit_row(s, g, simd_open(s, 0, inside, 1));
        simd_close(s, inside);
    }
}

void simd_begin_ahead(simd *s, loop_index image)
{
    for (int i = 0; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        int own = simd_own_rows(s, g);
        if (g->made != MADE_AHEAD)
            continue;
        s->image = image;
        s->tile = loop_at(0);
        simd_fill_sides(s, g, simd_open(s, -g->lo, g->lo + own + g->hi, 1));
        simd_close(s, g->lo + own + g->hi);
        begin_image(s, g, own + g->hi);
    }
}

/* Makes room for the next tile's new rows, of which there are so many. */
static loop_index clear_ahead(simd *s, const stage *g, next_tile *n)
{
    int own = simd_own_rows(s, g);
    loop_index rows = loop_times(n->more, own);
    if (s->tiles == 1)
        return rows;
    loop_if(&s->pen, n->begins, loop_at(1));
    simd_move_rows(s, g, own);
    loop_end(&s->pen);
    swap_tiles(s, n);
    loop_if(&s->pen, loop_at(1), loop_sum(n->begins, n->more));
    begin_image(s, g, g->hi);
    loop_end(&s->pen);
    loop_index left = loop_offset(loop_times(s->tile, -g->ratio), g->h - g->hi);
    loop_index inside = var(loop_int(&s->pen, LOOP_INT_MIN, rows, left, 0));
    loop_index below = var(loop_int(&s->pen, LOOP_INT_MAX, left, loop_at(0), 0));
    loop_index rel = var(loop_for(&s->pen, loop_offset(below, g->hi), loop_at(own + g->hi), 1));
    simd_fill_row(s, g, rel);
    loop_end(&s->pen);
    swap_tiles(s, n);
    return inside;
}

/* ---- a stage that makes others ----------------------------------------------------------------------------------- */

typedef struct making {
    const stage *tile;
    int lead;
    loop_index limit; /* pixels of the tile at hand, or rows of the next one */
    next_tile next;
} making;

void simd_begin_meanwhile(simd *s, const stage *g)
{
    s->making = NULL;
    s->makings = 0;
    if (!g->makes.count)
        return;
    s->making = NEW_ARRAY(s->a, making, g->makes.count);
    for (int i = 0; i < g->makes.count; i++) {
        making m = {.tile = &s->stages.at[g->makes.at[i]]};
        bool ahead = m.tile->made == MADE_AHEAD;
        if (m.tile->made == MADE_LEADING && !(m.lead = lead_of(s, m.tile)))
            continue;
        if (ahead)
            m.next = tile_behind(s);
        m.limit = ahead ? clear_ahead(s, m.tile, &m.next) : loop_times(rows_inside(s, m.tile), m.tile->w);
        s->making[s->makings++] = m;
    }
}

void simd_end_meanwhile(simd *s)
{
    s->makings = 0;
}

/* ---- in which rounds --------------------------------------------------------------------------------------------- */

enum { FEW_VECTORS = 2 }; /* that a part of a pixel has at least, if it is one of several */

meanwhile_rounds simd_meanwhile_rounds(const simd *s, const block *b, int steps)
{
    int most = b->pixels < steps ? b->pixels : steps, each = (b->pixels + most - 1) / most, parts = 1;
    int channels = s->making[0].tile->c, vectors = channels / s->t->lanes;
    bool whole = s->makings == 1 && channels % s->t->lanes == 0;
    int pixels = (b->pixels + each - 1) / each;
    for (int p = 2; whole && p * FEW_VECTORS <= vectors && pixels * p <= steps; p++)
        parts = vectors % p == 0 ? p : parts;
    return (meanwhile_rounds){.pixels = pixels, .parts = parts, .each = each};
}

/* The same channels of some pixels: what is read a channel, and not a pixel, is read once. */
static void make_channels(simd *s, const stage *made, const spot at[], int pixels, loop_index c, int lanes)
{
    memo_list pixel = s->pixel_memo, channel = s->channel_memo;
    int value[SIMD_ACC_MAX];
    s->channel_memo = (memo_list){0};
    for (int p = 0; p < pixels; p++) {
        spot here = at[p];
        here.c = c;
        here.lanes = lanes;
        s->pixel_memo = (memo_list){0};
        value[p] = simd_read(s, made->value, &here);
    }
    for (int p = 0; p < pixels; p++) {
        spot here = at[p];
        here.c = c;
        here.lanes = lanes;
        loop_store(&s->pen, made->scratch, simd_scratch_element(made, &here), value[p]);
    }
    s->pixel_memo = pixel;
    s->channel_memo = channel;
}

/* `vectors` vectors from vector `first` on, and what is left behind them. */
static void make_pixels(simd *s, const stage *made, const spot at[], int pixels, loop_index first, int vectors,
                        bool rest)
{
    channel_run run[8];
    int runs = simd_channel_runs(s, made->c, 1, run);
    for (int v = 0; v < vectors; v++)
        make_channels(s, made, at, pixels, loop_times(loop_offset(first, v), s->t->lanes), s->t->lanes);
    for (int r = 1; r < runs && rest; r++)
        make_channels(s, made, at, pixels, loop_at(run[r].lo), run[r].lanes);
}

/* A part of the pixels that go with those at (rel, x); `exact`: all are the tile's. */
static void make(simd *s, making *m, loop_index rel, loop_index x, int pixels, bool exact, loop_index part, int parts)
{
    const stage *g = m->tile;
    int vectors = g->c / s->t->lanes;
    bool ahead = g->made == MADE_AHEAD;
    loop_index last = ahead ? loop_at(g->w - 1) : loop_offset(m->limit, -1);
    spot at[SIMD_ACC_MAX];
    CHECK(pixels <= SIMD_ACC_MAX);
    for (int p = 0; p < pixels; p++) {
        at[p] = (spot){.rel = loop_at(0), .x = loop_offset(x, p), .ratio = g->ratio};
        if (ahead)
            at[p].rel = loop_offset(rel, s->tiles > 1 ? g->hi : 0);
        else
            at[p].x = loop_offset(loop_sum(loop_times(rel, g->w), at[p].x), m->lead);
        if (!exact)
            at[p].x = var(loop_int(&s->pen, LOOP_INT_MIN, at[p].x, last, 0));
    }
    if (ahead)
        swap_tiles(s, &m->next);
    s->ahead = s->layout->large;
    make_pixels(s, g, at, pixels, loop_times(part, vectors / parts), vectors / parts, parts == 1);
    s->ahead = false;
    if (ahead)
        swap_tiles(s, &m->next);
}

/* Opens a test: is there a pixel that goes with (rel, x)? */
static void if_made(simd *s, const making *m, loop_index rel, loop_index x)
{
    if (m->tile->made == MADE_AHEAD)
        loop_if(&s->pen, rel, m->limit);
    else
        loop_if(&s->pen, loop_offset(loop_sum(loop_times(rel, m->tile->w), x), m->lead), m->limit);
}

void simd_make_meanwhile(simd *s, const block *b, const meanwhile_rounds *q, loop_index round, loop_index part)
{
    for (int i = 0; i < s->makings; i++) {
        making *m = &s->making[i];
        bool exact = q->pixels * q->each == b->pixels && b->columns % b->pixels == 0 && m->lead % b->pixels == 0;
        if_made(s, m, b->rel, b->x);
        make(s, m, b->rel, loop_sum(b->x, loop_times(round, q->each)), q->each, exact, part, q->parts);
        loop_end(&s->pen);
    }
}

void simd_make_beside(simd *s, loop_index rel, loop_index x)
{
    for (int i = 0; i < s->makings; i++) {
        making *m = &s->making[i];
        if_made(s, m, rel, x);
        make(s, m, rel, x, 1, true, loop_at(0), 1);
        loop_end(&s->pen);
    }
}
