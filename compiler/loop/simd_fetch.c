/* What crosses memory: read ahead, and stored past the caches.
 *
 * A tile is first read and then computed with, so memory and arithmetic would take turns. Stages that compute therefore
 * fetch, pixel by pixel, what the next tile or a later stage reads; what is read in passing is fetched a row ahead. A
 * processor waits for some dozens of lines at once and no more, which a block of pixels would ask for in one go when it
 * is stored: where a block sums over many channels, it fetches a pixel's lines in each of as many rounds.
 *
 * A map that no cache will hold until it is read is streamed: a store that goes past the caches need not first load the
 * line it fills. Where its pixels do not begin on lines but its rows do, a row is gathered in scratch first. */
#include "loop/simd.h"

enum { SPREAD = 16 }; /* how much better a line is fetched in one of many rounds than behind a block */

/* Is `node` computed by this kernel? */
static bool is_own(const simd *s, int node)
{
    int group = s->f->group_of[node];
    return group >= 0 && &s->f->groups.at[group] == s->g;
}

/* Does a block of the stage loop over the channels that it sums over, a few at a time? */
static bool sums_long(const simd *s, const stage *g)
{
    if (!s->layout->large || s->o->small || g->kind == STAGE_MAXIMA || !simd_is_dense(s, g->core))
        return false;
    const net_window *w = &s->n->nodes.at[g->core].attr.window;
    return w->kh * w->kw == 1 && simd_work_of(s, g->core) >= SIMD_LONG_SUM;
}

/* Does it sum over pixels, the channels of each in many blocks? */
static bool sums_pixels(const simd *s, const stage *g)
{
    return s->layout->large && !s->o->small && simd_is_long_gradient(s, g);
}

/* Do its blocks fetch while they sum? */
static bool fetches_along(const simd *s, const stage *g)
{
    return sums_long(s, g) || sums_pixels(s, g);
}

/* ---- which maps -------------------------------------------------------------------------------------------------- */

static int64_t row_of(const simd *s, int node)
{
    return (int64_t)s->n->nodes.at[node].type.w * s->layout->stride[node];
}

static bool has_map(const map_list *maps, const fetch *m)
{
    for (int i = 0; i < maps->count; i++)
        if (maps->at[i].node == m->node && maps->at[i].channel == m->channel)
            return true;
    return false;
}

/* Does this kernel compute a part of a concat? Then it fetches the others alone. */
static bool has_own_part(const simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    for (int k = 0; k < v->count && v->prim == NET_concat; k++)
        if (is_own(s, v->operand[k]))
            return true;
    return false;
}

bool simd_is_made_here(const simd *s, int node)
{
    return is_own(s, node) || has_own_part(s, node);
}

/* The maps in memory that computing `node` reads, but for what lies under `core`; a concat is one map. Of slices
 * `channels` from `channel` on; 0: all. */
static void add_maps(simd *s, int node, int core, int64_t channel, int channels, map_list *maps)
{
    const net_node *v = &s->n->nodes.at[node];
    if (node == core)
        return;
    if (has_own_part(s, node)) {
        for (int k = 0; k < v->count; k++)
            add_maps(s, v->operand[k], core, 0, 0, maps);
        return;
    }
    if (s->f->place[node] == PLACE_MEMORY || s->f->place[node] == PLACE_LEAF) {
        bool map = s->f->place[node] == PLACE_MEMORY && v->type.n == NET_BATCH && v->type.h > 1 && v->type.c > 1;
        fetch m = {.node = node, .channel = channel, .further = row_of(s, node), .wider = 1};
        m.channels = channels ? channels : v->type.c;
        if (map && !is_own(s, node) && !has_map(maps, &m))
            VEC_PUSH(s->a, maps, m);
        return;
    }
    if (s->f->place[node] == PLACE_CHIP || s->room->seen[node] == s->room->walks)
        return;
    s->room->seen[node] = s->room->walks;
    bool slice = v->prim == NET_slice;
    for (int k = 0; k < v->count && !net_moves_pixels(v->prim); k++)
        add_maps(s, v->operand[k], core, channel + (slice ? v->attr.begin : 0), slice ? v->type.c : channels, maps);
}

/* Those that a stage reads at its own pixels. */
static void add_passing_maps(simd *s, const stage *g, map_list *maps)
{
    s->room->walks++;
    if (g->kind == STAGE_TILE)
        add_maps(s, g->value, g->core, 0, 0, maps);
    for (int r = 0; r < g->roots.count; r++)
        for (int k = 0; k < s->n->nodes.at[g->roots.at[r]].count && g->roots.at[r] != g->core; k++)
            add_maps(s, s->n->nodes.at[g->roots.at[r]].operand[k], g->core, 0, 0, maps);
    for (int i = 0; i < g->sums.count; i++)
        for (int k = 0; k < s->n->nodes.at[g->sums.at[i]].count; k++)
            add_maps(s, s->n->nodes.at[g->sums.at[i]].operand[k], g->core, 0, 0, maps);
}

/* Channels that the stage fetches at each of its pixels. */
static int load_of(simd *s, const stage *g)
{
    map_list maps = {0};
    int channels = 0;
    if (sums_long(s, g))
        add_passing_maps(s, g, &maps);
    for (int i = 0; i < maps.count; i++)
        channels += maps.at[i].channels;
    for (int i = 0; i < g->fetches.count; i++)
        channels += g->fetches.at[i].channels;
    return channels;
}

/* The stage that computes most for each channel that it fetches, at the pixels of `m`, and best as it sums; of stages that
 * are about as good the last before stage `reader`, which the tile before has too. NULL: there is none. More channels than
 * the stage has take one that sums: it has the time. */
static stage *fetcher_of(simd *s, const fetch *m, int reader)
{
    enum { ABOUT = 4 }; /* a quarter */
    const net_type *t = &s->n->nodes.at[m->node].type;
    int count = s->stages.count;
    stage *best = NULL;
    double most = 0;
    for (int k = 1; k <= count; k++) {
        stage *g = &s->stages.at[(reader + k) % count];
        bool sums = fetches_along(s, g);
        bool stores = (g->kind == STAGE_CHIP || g->kind == STAGE_STORE) && g->core >= 0;
        bool has_time = stores || sums_pixels(s, g);
        bool fits = g->h == t->h && g->w == t->w && (m->channels == g->c || (m->channels > g->c && sums));
        if (!has_time || !fits)
            continue;
        double work = simd_work_of(s, simd_window_under(g)) * g->c * (sums ? SPREAD : 1);
        double each = work / (load_of(s, g) + m->channels);
        if (each * (1 + ABOUT) > most * ABOUT) {
            best = g;
            most = each > most ? each : most;
        }
    }
    return best;
}

/* Those that another stage had better fetch: of stages that do not fetch along, and of windows that read them where they
 * lie. */
static void add_tile_maps(simd *s, const stage *g, map_list *maps)
{
    int window = g->kind == STAGE_WEIGHTS || g->kind == STAGE_MAXIMA ? g->value : g->core;
    if (!sums_long(s, g) || g->kind == STAGE_TILE)
        add_passing_maps(s, g, maps);
    s->room->walks++;
    for (int k = 0; window >= 0 && k < s->n->nodes.at[window].count; k++) {
        int x = s->n->nodes.at[window].operand[k];
        if (s->f->place[x] == PLACE_MEMORY || g->kind == STAGE_MAXIMA)
            add_maps(s, x, -1, 0, 0, maps);
    }
}

/* The first stage that reads a map has taken along so many rows below a tile's own. */
static int rows_below(const stage *g)
{
    return g->kind == STAGE_TILE ? g->hi : 0;
}

/* For stage `reader`. A concat goes by parts, where no stage has all of its channels. */
static void plan_fetch(simd *s, const fetch *m, const stage *reader)
{
    const net_node *v = &s->n->nodes.at[m->node];
    bool ahead = reader->made == MADE_AHEAD;
    const stage *at = ahead ? &s->stages.at[reader->made_by] : reader;
    stage *by = fetcher_of(s, m, (int)(at - s->stages.at));
    for (int k = 0; k < v->count && v->prim == NET_concat && m->channels == v->type.c && !by; k++) {
        fetch part = *m;
        part.node = v->operand[k];
        part.channels = s->n->nodes.at[part.node].type.c;
        if (s->f->place[part.node] == PLACE_MEMORY)
            plan_fetch(s, &part, reader);
    }
    if (!by || by == reader)
        return;
    fetch f = *m;
    f.soon = by < at && !ahead;
    f.tiles = by >= at && ahead ? 2 : 1;
    f.wider = (m->channels + by->c - 1) / by->c;
    VEC_PUSH(s->a, &by->fetches, f);
}

void simd_plan_fetches(simd *s)
{
    map_list seen = {0};
    for (int i = 0; i < s->stages.count; i++) {
        map_list maps = {0};
        add_tile_maps(s, &s->stages.at[i], &maps);
        for (int k = 0; k < maps.count; k++) {
            fetch *m = &maps.at[k];
            m->below = rows_below(&s->stages.at[i]);
            if (!has_map(&seen, m))
                plan_fetch(s, m, &s->stages.at[i]);
            VEC_PUSH(s->a, &seen, *m);
        }
    }
}

bool simd_is_fetched(const simd *s, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    if (has_own_part(s, node)) {
        for (int k = 0; k < v->count; k++)
            if (!is_own(s, v->operand[k]) && !simd_is_fetched(s, v->operand[k]))
                return false;
        return true;
    }
    for (int i = 0; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        for (int k = 0; k < g->fetches.count && fetches_along(s, g); k++)
            if (g->fetches.at[k].node == node)
                return true;
    }
    return false;
}

/* From a pixel of the fetcher to that of the reader, which comes later in the tile, or in the next tile. Tiles follow each
 * other in memory, those of the next image those of this one. */
static int64_t until_read(const simd *s, const stage *g, const fetch *f)
{
    if (f->soon)
        return 0;
    if (s->slices && s->tiles == 1) /* the next slice's */
        return g->c;
    return (f->tiles * s->rows * g->ratio + (s->tiles > 1 ? f->below : 0)) * row_of(s, f->node);
}

bool simd_goes_ahead(const simd *s, int lanes, int vector)
{
    return s->layout->large && !s->along.count && vector % simd_line_vectors(lanes) == 0;
}

void simd_fetch_ahead(simd *s, const stage *g, const spot *at)
{
    for (int i = 0; i < g->fetches.count; i++) {
        const fetch *f = &g->fetches.at[i];
        loop_index next = loop_offset(simd_element(s, f->node, at), f->channel + until_read(s, g, f));
        loop_prefetch(&s->pen, simd_arg(s, f->node, LOOP_IN), next);
    }
}

/* ---- past the caches --------------------------------------------------------------------------------------------- */

/* Does the stage read `root`, which another one stores? */
static bool takes_up(simd *s, const stage *g, int root)
{
    node_list reads = {0};
    for (int r = 0; r < g->roots.count; r++) {
        if (g->roots.at[r] == root)
            return false;
        fusion_reads(s->a, s->f, g->roots.at[r], &reads);
    }
    for (int i = 0; i < g->sums.count; i++)
        fusion_reads(s->a, s->f, g->sums.at[i], &reads);
    if (g->value >= 0)
        fusion_reads(s->a, s->f, g->value, &reads);
    for (int i = 0; i < reads.count; i++)
        if (reads.at[i] == root)
            return true;
    return false;
}

/* What is streamed must be fetched from memory again when a later stage of the same tile reads it. */
static bool is_taken_up(simd *s, int root)
{
    for (int i = 0; i < s->stages.count; i++)
        if (takes_up(s, &s->stages.at[i], root))
            return true;
    return false;
}

static bool is_kept(const simd *s, int root)
{
    for (int i = 0; i < s->kept.count; i++)
        if (s->kept.at[i] == root)
            return true;
    return false;
}

/* A store past the caches that fills part of a line is dear: the rest of it, stored when the row's pixels have passed, goes
 * to memory by itself. Does the stage store a pixel's whole lines one after the other? */
static bool fills_lines(simd *s, const stage *g)
{
    bool maps_alone = g->core < 0 && g->sums.count == 0;
    int vectors = simd_block_vectors(s, g->core, g->w, g->c);
    return maps_alone || simd_goes_by_rows(s, g) || vectors >= simd_line_vectors(s->t->lanes);
}

void simd_plan_streams(simd *s)
{
    for (int i = 0; i < s->stages.count; i++)
        for (int r = 0; r < s->stages.at[i].roots.count; r++) {
            int root = s->stages.at[i].roots.at[r];
            bool in_parts = s->layout->lines && s->layout->lines[root] && !fills_lines(s, &s->stages.at[i]);
            if (in_parts || is_taken_up(s, root))
                VEC_PUSH(s->a, &s->kept, root);
        }
    for (int i = 0; i < s->stages.count && s->images_most == 1; i++) {
        stage *g = &s->stages.at[i];
        if (g->kind != STAGE_STORE || simd_goes_by_rows(s, g))
            continue;
        for (int r = 0; r < g->roots.count; r++) {
            int root = g->roots.at[r], w = s->n->nodes.at[root].type.w;
            bool gathers = s->layout->row_lines && s->layout->row_lines[root] && !is_kept(s, root) && !s->slices;
            int row = gathers ? loop_scratch(&s->pen, DT_F32, (int64_t)w * s->layout->stride[root]) : -1;
            VEC_PUSH(s->a, &g->gathered, row);
        }
    }
}

/* Where a row of `root` is gathered; -1: nowhere. */
static int gathered_row(const simd *s, int root)
{
    for (int i = 0; i < s->stages.count; i++) {
        const stage *g = &s->stages.at[i];
        for (int r = 0; r < g->gathered.count; r++)
            if (g->roots.at[r] == root)
                return g->gathered.at[r];
    }
    return -1;
}

/* ---- fetching while a block computes ----------------------------------------------------------------------------- */

static bool streams(const simd *s, int root)
{
    return s->layout->lines && s->layout->lines[root] && !is_kept(s, root);
}

/* Roots that are stored as they come: their lines are there when they are written. */
static void add_stores(simd *s, const stage *g, map_list *maps)
{
    for (int r = 0; r < g->roots.count && g->h > 1; r++) {
        int root = g->roots.at[r];
        if (gathered_row(s, root) < 0 && !streams(s, root))
            VEC_PUSH(s->a, maps, ((fetch){.node = root, .further = row_of(s, root), .wider = 1, .written = true}));
    }
}

void simd_begin_along(simd *s, const stage *g)
{
    s->along = (map_list){0};
    s->along_ratio = g->ratio;
    if (!fetches_along(s, g))
        return;
    add_passing_maps(s, g, &s->along);
    add_stores(s, g, &s->along);
    for (int i = 0; i < g->fetches.count; i++) {
        fetch f = g->fetches.at[i];
        f.further = until_read(s, g, &f);
        VEC_PUSH(s->a, &s->along, f);
    }
}

void simd_end_along(simd *s)
{
    s->along = (map_list){0};
}

static void fetch_line(simd *s, const fetch *f, const spot *at)
{
    loop_index e = loop_offset(simd_element(s, f->node, at), f->channel + f->further);
    loop_prefetch(&s->pen, simd_arg(s, f->node, f->written ? LOOP_INOUT : LOOP_IN), e);
}

int simd_fetch_rounds(const simd *s, const block *b, int steps)
{
    int rounds = !s->along.count ? 1 : b->pixels < steps ? b->pixels : steps;
    while (steps % rounds)
        rounds++;
    return rounds;
}

void simd_fetch_along(simd *s, const block *b, loop_index round, int rounds)
{
    int each = (b->pixels + rounds - 1) / rounds, width = b->vectors * b->lanes + b->tail;
    for (int p = 0; p < each; p++)
        for (int i = 0; i < s->along.count; i++) {
            int wider = s->along.at[i].wider;
            for (int c = 0; c < width * wider; c += SIMD_LINE) {
                spot at = {.rel = b->rel, .c = loop_offset(loop_times(b->c, wider), c), .ratio = s->along_ratio};
                at.x = loop_sum(loop_offset(b->x, p), loop_times(round, each));
                fetch_line(s, &s->along.at[i], &at);
            }
        }
}

/* Does it fetch all of a pixel's channels? Then a row is lines that follow each other; else each pixel has its own. */
static bool is_whole(const simd *s, const fetch *f)
{
    return f->channels == s->layout->stride[f->node];
}

static int lines_of(const simd *s, const fetch *f, int w)
{
    int64_t elements = is_whole(s, f) ? w * s->layout->stride[f->node] : f->channels;
    return (int)((elements + SIMD_LINE - 1) / SIMD_LINE);
}

/* Lines [line, line + many) of what is fetched with the pixel. */
static void fetch_lines(simd *s, const fetch *f, loop_index rel, loop_index x, loop_index line, int many)
{
    for (int i = 0; i < many; i++) {
        spot at = {.rel = rel, .x = x, .ratio = s->along_ratio};
        at.c = loop_times(loop_offset(line, i), SIMD_LINE);
        fetch_line(s, f, &at);
    }
}

/* So many lines of a row each pixel of each round fetches, at least one. */
static int lines_a_pixel(const simd *s, const fetch *f, const fetch_share *q, int w)
{
    int each = lines_of(s, f, w) / (q->rounds * w);
    return each < 1 ? 1 : each;
}

void simd_fetch_beside(simd *s, const fetch_share *q, loop_index rel, loop_index x, int w)
{
    for (int m = q->first; m < q->end; m++) {
        const fetch *f = &s->along.at[m];
        if (is_whole(s, f)) {
            int each = lines_a_pixel(s, f, q, w);
            loop_index line = loop_times(loop_sum(loop_times(q->round, w), x), each);
            fetch_lines(s, f, rel, loop_at(0), line, each);
            continue;
        }
        int lines = lines_of(s, f, w), each = (lines + q->rounds - 1) / q->rounds;
        loop_index line = loop_times(q->round, each);
        loop_if(&s->pen, line, loop_at(lines));
        fetch_lines(s, f, rel, x, line, each);
        loop_end(&s->pen);
    }
}

void simd_fetch_rest(simd *s, const fetch_share *q, loop_index rel, int w)
{
    for (int m = q->first; m < q->end; m++) {
        const fetch *f = &s->along.at[m];
        int left = lines_of(s, f, w) - lines_a_pixel(s, f, q, w) * q->rounds * w;
        int each = (left + q->rounds - 1) / q->rounds;
        if (is_whole(s, f) && left > 0)
            fetch_lines(s, f, rel, loop_at(0), loop_offset(loop_times(q->round, each), lines_of(s, f, w) - left), each);
    }
}

/* ---- stores ------------------------------------------------------------------------------------------------------ */

void simd_store_map(simd *s, int root, const spot *at, int value)
{
    const net_node *v = &s->n->nodes.at[root];
    loop_index e = simd_element(s, root, at);
    int row = gathered_row(s, root);
    if (row >= 0) {
        loop_store(&s->pen, row, loop_sum(loop_times(at->x, s->layout->stride[root]), at->c), value);
        return;
    }
    if (streams(s, root) && at->lanes == s->t->lanes && at->lanes > 1) {
        loop_stream(&s->pen, simd_arg(s, root, LOOP_OUT), e, value);
        return;
    }
    if (s->ahead && v->type.h > 1)
        loop_prefetch(&s->pen, simd_arg(s, root, LOOP_INOUT), loop_offset(e, v->type.w * s->layout->stride[root]));
    loop_store(&s->pen, simd_arg(s, root, LOOP_OUT), e, value);
}

/* So many columns of a row of root r, from x on: whole lines. */
static void stream(simd *s, const stage *g, int r, loop_index rel, loop_index x, int columns)
{
    int root = g->roots.at[r], lanes = s->t->lanes, to = simd_arg(s, root, LOOP_OUT);
    int64_t stride = s->layout->stride[root];
    spot first = {
        .rel = rel, .x = loop_at(0), .c = loop_at(0), .lanes = lanes, .h = g->h, .w = g->w, .ratio = g->ratio};
    loop_index row = simd_element(s, root, &first);
    int i = loop_for(&s->pen, loop_at(0), loop_at(columns * stride), lanes);
    loop_index e = loop_plus(loop_times(x, stride), i, 1);
    int value = loop_load(&s->pen, DT_F32, lanes, g->gathered.at[r], e);
    if (lanes > 1)
        loop_stream(&s->pen, to, loop_sum(row, e), value);
    else
        loop_store(&s->pen, to, loop_sum(row, e), value);
    loop_end(&s->pen);
}

bool simd_streams_blocks(const simd *s, const stage *g, const block *b)
{
    bool lines = b->ends && simd_gathers(g);
    for (int r = 0; r < g->gathered.count; r++)
        lines &= g->gathered.at[r] < 0 || b->pixels * s->layout->stride[g->roots.at[r]] % SIMD_LINE == 0;
    return lines;
}

void simd_stream_block(simd *s, const stage *g, loop_index rel, loop_index x, int pixels)
{
    if (x.count == 0 && x.base < pixels)
        return;
    if (x.count)
        loop_if(&s->pen, loop_at(0), x);
    for (int r = 0; r < g->gathered.count; r++)
        if (g->gathered.at[r] >= 0)
            stream(s, g, r, rel, loop_offset(x, -pixels), pixels);
    if (x.count)
        loop_end(&s->pen);
}

void simd_stream_rows(simd *s, const stage *g, loop_index rel)
{
    for (int r = 0; r < g->gathered.count; r++)
        if (g->gathered.at[r] >= 0)
            stream(s, g, r, rel, loop_at(s->streamed), s->n->nodes.at[g->roots.at[r]].type.w - s->streamed);
    s->streamed = 0;
}
