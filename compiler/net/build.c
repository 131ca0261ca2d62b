/* Building nets: nodes through the shape rules, leaves by name. Offsets in the flat slots are handed out in the order
 * of creation, so nets that are built alike have the same layout and can share buffers. */
#include "net/copy.h"
#include <string.h>
#include <xxhash.h>

/* An open-addressing table from names to leaves, at most half full. */
typedef struct net_names {
    int capacity, count; /* capacity: a power of two */
    struct net_name {
        const char *name;
        int leaf;
    } *at;
} net_names;

net *net_new(arena *a)
{
    net *n = NEW(a, net);
    n->arena = a;
    n->chunk = NET_CHUNK;
    VEC_PUSH(a, &n->regions, ((net_region){.select = -1, .candidate = -1, .parent = -1}));
    n->names = NEW(a, net_names);
    n->names->capacity = 64;
    n->names->at = NEW_ARRAY(a, struct net_name, 64);
    return n;
}

int net_chunk_of(int batch)
{
    enum { LONG = 12, ROWS = 8 };
    for (int chunk = LONG; chunk > NET_CHUNK; chunk--)
        if (batch % chunk == 0 && batch / chunk >= ROWS && (chunk % 2 == 0 || chunk % 3 == 0))
            return chunk;
    int quarter = batch / 4;
    return quarter < 1 ? 1 : quarter < NET_CHUNK ? quarter : NET_CHUNK;
}

static struct net_name *name_find(net_names *names, const char *name)
{
    size_t mask = (size_t)names->capacity - 1, i = XXH3_64bits(name, strlen(name)) & mask;
    while (names->at[i].name && strcmp(names->at[i].name, name) != 0)
        i = (i + 1) & mask;
    return &names->at[i];
}

void net_name_leaf(net *n, const char *name, int leaf)
{
    net_names *names = n->names;
    if (2 * (names->count + 1) > names->capacity) {
        net_names wider = {2 * names->capacity, names->count,
                           NEW_ARRAY(n->arena, struct net_name, 2 * names->capacity)};
        for (int i = 0; i < names->capacity; i++)
            if (names->at[i].name)
                *name_find(&wider, names->at[i].name) = names->at[i];
        *names = wider;
    }
    *name_find(names, name) = (struct net_name){name, leaf};
    names->count++;
}

/* Whether the element counts of a type stay in what offsets and loops can count. */
static bool type_fits(const net_type *t)
{
    const int64_t most = INT64_C(1) << 31;
    int64_t elements = t->n == NET_BATCH ? 1 : t->n;
    int extent[3] = {t->h, t->w, t->c};
    for (int i = 0; i < 3; i++) {
        elements *= extent[i];
        if (elements >= most)
            return false;
    }
    return true;
}

static bool operands_given(const net *n, enum net_prim prim, const int *operand, int count, const char *where,
                           nasc_diag *d)
{
    const struct net_prim_info *info = &net_prim_info[prim];
    int most = info->most < 0 ? NET_OPERANDS_MAX : info->most;
    if (count < info->least || count > most)
        return diag_fail(d, DIAG_INPUT, where, "%s has %d operands, expected %d to %d", info->name, count, info->least,
                         most);
    for (int i = 0; i < count; i++)
        if (operand[i] < 0 || operand[i] >= n->nodes.count)
            return diag_fail(d, DIAG_INPUT, where, "operand %d of %s could not be built", i, info->name);
    return true;
}

int net_picks(const net *n, const net_node *node)
{
    int picks = 1;
    if (node->prim == NET_mix)
        picks = node->count - 1;
    if (node->prim == NET_scatter_rows) {
        picks = 0;
        for (int i = 0; i < node->count; i++)
            picks += n->nodes.at[node->operand[i]].type.c;
    }
    return picks;
}

int net_add(net *n, enum net_prim prim, const int *operand, int count, const net_attr *attr, const char *name,
            nasc_diag *d)
{
    const char *where = name ? name : net_prim_info[prim].name;
    char why[320] = "";
    if (!operands_given(n, prim, operand, count, where, d))
        return -1;
    net_node node = {.prim = prim, .count = count, .name = name, .region = n->region};
    if (count)
        node.operand = arena_copy(n->arena, operand, (size_t)count * sizeof *operand);
    if (attr)
        node.attr = *attr;
    if (net_prim_info[prim].class == NET_LEAF && prim != NET_select)
        node.region = 0;
    if (!net_prim_info[prim].shape(n, &node, &node.type, why, sizeof why)) {
        diag_fail(d, DIAG_INPUT, where, "%s: %s", net_prim_info[prim].name, why);
        return -1;
    }
    if (!type_fits(&node.type)) {
        diag_fail(d, DIAG_INPUT, where, "%s: the result has 2^31 elements or more", net_prim_info[prim].name);
        return -1;
    }
    if (node.attr.pick)
        node.attr.pick = arena_copy(n->arena, node.attr.pick, (size_t)net_picks(n, &node) * sizeof(int));
    if (node.attr.rows)
        node.attr.rows = arena_copy(n->arena, node.attr.rows, (size_t)count * sizeof(int));
    VEC_PUSH(n->arena, &n->nodes, node);
    return n->nodes.count - 1;
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

static int leaf_add(net *n, enum net_slot slot, net_type type, int64_t offset, const char *name)
{
    net_attr attr = {.slot = slot, .type = type, .offset = offset};
    nasc_diag ignored = {0};
    return net_add(n, NET_input, NULL, 0, &attr, name, &ignored);
}

/* The leaf of that name: -2 none yet, -1 one of another type or slot. */
static int leaf_named(net *n, enum net_slot slot, const net_type *type, const char *name)
{
    struct net_name *found = name_find(n->names, name);
    if (!found->name)
        return -2;
    const net_node *leaf = &n->nodes.at[found->leaf];
    return leaf->attr.slot == slot && net_type_equal(&leaf->type, type) ? found->leaf : -1;
}

int net_images(net *n, int h, int w, int c)
{
    return leaf_add(n, SLOT_IMAGES, (net_type){DT_F32, false, NET_BATCH, h, w, c}, 0, "images");
}

int net_labels(net *n)
{
    return leaf_add(n, SLOT_LABELS, (net_type){DT_I32, false, NET_BATCH, 1, 1, 1}, 0, "labels");
}

/* A leaf of a flat slot, its place at the slot's end, and its name. */
static int leaf_new(net *n, enum net_slot slot, net_type type, const char *name)
{
    char *kept = arena_strdup(n->arena, name);
    int leaf = leaf_add(n, slot, type, n->slot_size[slot], kept);
    if (leaf < 0)
        return -1;
    n->slot_size[slot] += net_elements(&type);
    net_name_leaf(n, kept, leaf);
    return leaf;
}

int net_weight(net *n, const char *name, const int dim[4], enum net_layout layout, int init_kind, double init)
{
    net_type type = {DT_F32, false, dim[0], dim[1], dim[2], dim[3]};
    int leaf = leaf_named(n, SLOT_WEIGHTS, &type, name);
    if (leaf != -2)
        return leaf;
    leaf = leaf_new(n, SLOT_WEIGHTS, type, name);
    if (leaf < 0)
        return -1;
    const net_node *node = &n->nodes.at[leaf];
    net_param param = {.name = node->name, .slot = SLOT_WEIGHTS, .offset = node->attr.offset, .layout = layout};
    memcpy(param.dim, dim, sizeof param.dim);
    param.init = init;
    param.init_kind = init_kind;
    VEC_PUSH(n->arena, &n->params, param);
    return leaf;
}

int net_stats(net *n, const char *name, int channels)
{
    net_type type = {DT_F32, false, 1, 1, 2, channels};
    int leaf = leaf_named(n, SLOT_STATS, &type, name);
    if (leaf != -2)
        return leaf;
    leaf = leaf_new(n, SLOT_STATS, type, name);
    if (leaf < 0)
        return -1;
    int64_t offset = n->nodes.at[leaf].attr.offset;
    net_param mean = {.slot = SLOT_STATS, .offset = offset, .dim = {1, 1, 1, channels}, .layout = LAYOUT_VECTOR};
    net_param var = mean;
    mean.name = arena_printf(n->arena, "%s.running_mean", name);
    mean.init_kind = INIT_ZERO;
    var.name = arena_printf(n->arena, "%s.running_var", name);
    var.init_kind = INIT_ONE;
    var.offset = offset + channels;
    VEC_PUSH(n->arena, &n->params, mean);
    VEC_PUSH(n->arena, &n->params, var);
    return leaf;
}

int net_mix_weights(net *n, const char *name, int rows, int columns)
{
    net_type type = {DT_F32, false, 1, 1, rows, columns};
    int leaf = leaf_named(n, SLOT_MIX, &type, name);
    if (leaf != -2)
        return leaf;
    leaf = leaf_new(n, SLOT_MIX, type, name);
    if (leaf < 0)
        return -1;
    const net_node *node = &n->nodes.at[leaf];
    net_param param = {.name = node->name, .slot = SLOT_MIX, .offset = node->attr.offset, .dim = {1, 1, rows, columns}};
    param.layout = LAYOUT_VECTOR;
    param.init = 1e-3; /* alphas: 1e-3 · N(0,1) */
    param.init_kind = INIT_NORMAL;
    VEC_PUSH(n->arena, &n->params, param);
    return leaf;
}

int net_mask(net *n, int channels, double rate, const char *name)
{
    net_type type = {DT_F32, false, NET_BATCH, 1, 1, channels};
    int leaf = leaf_add(n, SLOT_MASKS, type, n->slot_size[SLOT_MASKS], name);
    if (leaf < 0)
        return -1;
    n->nodes.at[leaf].attr.value = rate;
    struct net_mask mask = {rate, channels, n->slot_size[SLOT_MASKS]};
    VEC_PUSH(n->arena, &n->mask_list, mask);
    n->masks = n->mask_list.count;
    n->slot_size[SLOT_MASKS] += channels;
    return leaf;
}

int net_constant(net *n, net_type type, double value)
{
    net_attr attr = {.type = type, .value = value};
    nasc_diag ignored = {0};
    return net_add(n, NET_constant, NULL, 0, &attr, NULL, &ignored);
}

int net_scalar(net *n, int index)
{
    if (n->slot_size[SLOT_SCALARS] < index + 1)
        n->slot_size[SLOT_SCALARS] = index + 1;
    return leaf_add(n, SLOT_SCALARS, (net_type){DT_F32, false, 1, 1, 1, 1}, index, NULL);
}

int net_flat(net *n, int index, int64_t count)
{
    if (count < 1 || count > INT32_MAX || index < 0 || index >= SLOT_COUNT - SLOT_USER)
        return -1;
    if (n->slot_size[SLOT_USER + index] < count)
        n->slot_size[SLOT_USER + index] = count;
    return leaf_add(n, SLOT_USER + index, (net_type){DT_F32, false, 1, 1, 1, (int)count}, 0, NULL);
}

void net_output_add(net *n, int value, enum net_slot slot, int64_t offset)
{
    if (value >= 0)
        VEC_PUSH(n->arena, &n->outputs, ((net_output){value, slot, offset}));
}

/* ---- select ------------------------------------------------------------------------------------------------------ */

int net_select_begin(net *n, int choice, int candidates)
{
    int first = n->regions.count;
    for (int k = 0; k < candidates; k++)
        VEC_PUSH(n->arena, &n->regions, ((net_region){.select = choice, .candidate = k, .parent = n->region}));
    return first;
}

void net_region_begin(net *n, int first_region, int candidate)
{
    CHECK(n->regions.at[first_region + candidate].parent == n->region);
    n->region = first_region + candidate;
}

void net_region_end(net *n)
{
    CHECK(n->region > 0);
    n->region = n->regions.at[n->region].parent;
}

int net_select_end(net *n, int first_region, const int *result, int candidates, const char *name, nasc_diag *d)
{
    net_attr attr = {.select = n->regions.at[first_region].select, .first_region = first_region};
    return net_add(n, NET_select, result, candidates, &attr, name, d);
}

void net_select_weights(net *n, int select, int weights, int row)
{
    net_attr *attr = &n->nodes.at[select].attr;
    attr->slot = SLOT_MIX;
    attr->offset = n->nodes.at[weights].attr.offset;
    attr->row = row;
}

int net_region_candidates(const net *n, int first)
{
    int count = 1;
    while (first + count < n->regions.count && n->regions.at[first + count].candidate == count &&
           n->regions.at[first + count].select == n->regions.at[first].select)
        count++;
    return count;
}
