/* Rows as one: where a dense convolution sees each pixel alone and neither what it reads nor what it writes has edges,
 * rows follow each other in memory as pixels do. Then several are taken as one long row: weights are read once for all
 * of them, and blocks of columns come out even however narrow the map is. */
#include "loop/simd.h"

/* What counts rows or has columns around it is not read flat. */
bool simd_is_read_flat(simd *s, const stage *g, int node)
{
    const net_node *v = &s->n->nodes.at[node];
    const stage *chip;
    switch (s->f->place[node]) {
    case PLACE_REGISTER:
        return node == g->core;
    case PLACE_CHIP:
        chip = simd_stage_of(s, node, STAGE_CHIP);
        return chip && !chip->left && !chip->right && !chip->lo && !chip->split;
    case PLACE_INLINE:
        break;
    default:
        return !net_is_map_sized(&v->type) || (v->type.h == g->h && v->type.w == g->w);
    }
    bool flat = !simd_place_matters(v->prim);
    for (int k = 0; k < v->count && flat; k++)
        flat = simd_is_read_flat(s, g, v->operand[k]);
    return flat;
}

bool simd_gathers(const stage *g)
{
    bool any = false;
    for (int r = 0; r < g->gathered.count; r++)
        any |= g->gathered.at[r] >= 0;
    return any;
}

static bool is_flat(simd *s, const stage *g)
{
    if (g->core < 0 || g->kind != STAGE_STORE || g->lo || g->hi || g->left || g->right || g->sums.count ||
        simd_gathers(g))
        return false;
    const net_node *v = &s->n->nodes.at[g->core];
    if (!simd_is_dense(s, g->core) || !net_is_pointwise(&v->attr.window))
        return false;
    view x = simd_source(s, g->core);
    bool flat = x.row == g->w * x.column;
    for (int r = 0; r < g->roots.count && flat; r++) {
        const net_node *root = &s->n->nodes.at[g->roots.at[r]];
        flat = !simd_place_matters(root->prim);
        for (int k = 0; k < root->count && g->roots.at[r] != g->core && flat; k++)
            flat = simd_is_read_flat(s, g, root->operand[k]);
    }
    return flat;
}

/* Maps one column wide are read by rows alone. As many as leave what is read and written in a cache level: the first where weights fit beside it, else the second,
 * where weights come from for every such row. */
int simd_rows_at_once(simd *s, const stage *g, int rows)
{
    if (rows == 1 || g->w == 1 || s->images_most > 1 || s->chunked || !is_flat(s, g))
        return 1;
    int from = s->n->nodes.at[s->n->nodes.at[g->core].operand[0]].type.c;
    int64_t weights = (int64_t)from * g->c * 4, row = (int64_t)g->w * (from + g->c) * 4;
    int64_t room = weights <= s->t->l1_bytes / 2 ? s->t->l1_bytes / 2 : s->t->l2_bytes / 2;
    int most = row * rows <= room ? rows : (int)(room / row);
    while (most > 1 && rows % most)
        most--;
    return most > 1 ? most : 1;
}
