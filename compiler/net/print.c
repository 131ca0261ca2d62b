/* Prints a net as text that net_parse reads back; words.h describes it. */
#include "net/copy.h"
#include "net/words.h"
#include <string.h>

const char *const net_slot_word[NET_SLOT_WORDS] = {"none",   "images", "labels",  "weights",     "stats",
                                                   "mix",    "masks",  "scalars", "weight_grad", "mix_grad",
                                                   "logits", "loss",   "correct", "aux_logits",  "user"};
const char *const net_layout_word[3] = {"vector", "conv", "linear"};
const char *const net_init_word[4] = {"uniform", "normal", "zero", "one"};

bool net_type_given(enum net_prim prim)
{
    return prim == NET_input || prim == NET_constant || prim == NET_fold || prim == NET_scatter_rows;
}

static void print_slot(text *t, enum net_slot slot)
{
    if (slot >= SLOT_USER)
        text_add(t, "user%d", slot - SLOT_USER);
    else
        text_add(t, "%s", net_slot_word[slot]);
}

static void print_name(text *t, const char *name)
{
    text_add(t, "\"");
    for (const char *c = name; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
            text_add(t, "\\%02x", (unsigned char)*c);
        else
            text_add(t, "%c", *c);
    text_add(t, "\"");
}

static void print_type(text *t, const net *n, const net_type *type)
{
    text_add(t, "%s ", dtype_info[type->dtype].name);
    if (type->chunked && type->chunked != n->chunk)
        text_add(t, "K%d", type->chunked);
    else if (type->n == NET_BATCH)
        text_add(t, "%s", type->chunked ? "K" : "N");
    else
        text_add(t, "%d", type->n);
    text_add(t, "x%dx%dx%d", type->h, type->w, type->c);
}

static void print_list(text *t, const char *key, const int *at, int count)
{
    if (!at)
        return;
    text_add(t, " %s", key);
    for (int i = 0; i < count; i++)
        text_add(t, "%s%d", i ? "," : " ", at[i]);
}

static void print_window(text *t, const net_window *w)
{
    if (w->kh || w->kw)
        text_add(t, " k %dx%d", w->kh, w->kw);
    if (w->sh || w->sw)
        text_add(t, " s %dx%d", w->sh, w->sw);
    if (w->dh || w->dw)
        text_add(t, " d %dx%d", w->dh, w->dw);
    if (w->top || w->left || w->bottom || w->right)
        text_add(t, " p %d,%d,%d,%d", w->top, w->left, w->bottom, w->right);
    if (w->groups)
        text_add(t, " g %d", w->groups);
}

static void print_attr(text *t, const net *n, const net_node *node)
{
    const net_attr *a = &node->attr;
    size_t begin = t->length;
    text_add(t, " {");
    size_t empty = t->length;
    print_window(t, &a->window);
#define X(key, field)                                                                                                  \
    if (a->field)                                                                                                      \
        text_add(t, " %s %d", key, a->field);
    NET_INTS(X)
#undef X
    if (a->act)
        text_add(t, " act %s", net_prim_info[a->act].name);
    print_list(t, "pick", a->pick, net_picks(n, node));
    print_list(t, "rows", a->rows, node->count);
    if (a->slot) {
        text_add(t, " slot ");
        print_slot(t, a->slot);
    }
    if (a->offset)
        text_add(t, " offset %lld", (long long)a->offset);
#define X(key, field)                                                                                                  \
    if (a->field != 0) {                                                                                               \
        text_add(t, " %s ", key);                                                                                      \
        text_real(t, a->field);                                                                                        \
    }
    NET_REALS(X)
#undef X
#define X(key, field)                                                                                                  \
    if (a->field)                                                                                                      \
        text_add(t, " " key);
    NET_FLAGS(X)
#undef X
    if (t->length == empty) { /* nothing to say */
        t->length = begin;
        t->at[begin] = 0;
        return;
    }
    memmove(t->at + empty, t->at + empty + 1, t->length - empty); /* the first key's blank */
    t->length--;
    text_add(t, "}");
}

static void print_node(text *t, const net *n, int id)
{
    const net_node *node = &n->nodes.at[id];
    text_add(t, "%%%d = %s", id, net_prim_info[node->prim].name);
    for (int i = 0; i < node->count; i++)
        text_add(t, "%s%%%d", i ? ", " : " ", node->operand[i]);
    print_attr(t, n, node);
    text_add(t, " : ");
    print_type(t, n, &node->type);
    if (node->name) {
        text_add(t, " ");
        print_name(t, node->name);
    }
    if (node->region)
        text_add(t, " @%d", node->region);
    text_add(t, "\n");
}

static void print_param(text *t, const net_param *p)
{
    text_add(t, "param ");
    print_name(t, p->name);
    text_add(t, " ");
    print_slot(t, p->slot);
    text_add(t, " %lld %dx%dx%dx%d %s %s ", (long long)p->offset, p->dim[0], p->dim[1], p->dim[2], p->dim[3],
             net_layout_word[p->layout], net_init_word[p->init_kind]);
    text_real(t, p->init);
    text_add(t, "\n");
}

void net_print(text *t, const net *n)
{
    if (n->chunk != NET_CHUNK)
        text_add(t, "chunk %d\n", n->chunk);
    for (int r = 1; r < n->regions.count; r++)
        text_add(t, "region %d select %d candidate %d parent %d%s\n", r, n->regions.at[r].select,
                 n->regions.at[r].candidate, n->regions.at[r].parent, n->regions.at[r].gate ? " gate" : "");
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        if (n->slot_size[slot]) {
            text_add(t, "slot ");
            print_slot(t, slot);
            text_add(t, " %lld\n", (long long)n->slot_size[slot]);
        }
    for (int i = 0; i < n->mask_list.count; i++) {
        text_add(t, "mask rate ");
        text_real(t, n->mask_list.at[i].rate_scale);
        text_add(t, " channels %d offset %lld\n", n->mask_list.at[i].channels, (long long)n->mask_list.at[i].offset);
    }
    for (int i = 0; i < n->nodes.count; i++)
        print_node(t, n, i);
    for (int i = 0; i < n->params.count; i++)
        print_param(t, &n->params.at[i]);
    for (int i = 0; i < n->outputs.count; i++) {
        text_add(t, "out %%%d ", n->outputs.at[i].value);
        print_slot(t, n->outputs.at[i].slot);
        text_add(t, " %lld\n", (long long)n->outputs.at[i].offset);
    }
}
