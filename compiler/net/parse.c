/* Reads the text form of a net; words.h describes it. Nodes go through the builder, so a net that is read has passed
 * the shape rules, and the types that the text states must be theirs; net_verify checks the rest. */
#include "net/copy.h"
#include "net/words.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_MOST = 4096 }; /* kernels, strides, pads: what products of two leave inside an int */

typedef struct parser {
    net *n;
    const char *source, *file, *at;
    nasc_diag *d;
    jmp_buf *failed; /* reading has no use for half a net */
} parser;

static void place(const parser *p, const char *at, char where[320])
{
    int line = 1, column = 1;
    for (const char *c = p->source; c < at; c++) {
        column = *c == '\n' ? 1 : column + 1;
        line += *c == '\n';
    }
    snprintf(where, 320, "%s:%d:%d", p->file, line, column);
}

NORETURN static void fail(parser *p, const char *expected)
{
    char where[320];
    int found = (int)strcspn(p->at, " \t\n");
    place(p, p->at, where);
    if (*p->at && found)
        diag_fail(p->d, DIAG_INPUT, where, "expected %s, found '%.*s'", expected, found < 40 ? found : 40, p->at);
    else
        diag_fail(p->d, DIAG_INPUT, where, "expected %s, found the end of the %s", expected, *p->at ? "line" : "file");
    longjmp(*p->failed, 1);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static void skip_blank(parser *p)
{
    while (*p->at == ' ' || *p->at == '\t')
        p->at++;
    if (*p->at == '#')
        p->at += strcspn(p->at, "\n");
}

static bool accept(parser *p, const char *word)
{
    size_t length = strlen(word);
    skip_blank(p);
    if (strncmp(p->at, word, length) != 0)
        return false;
    char next = p->at[length];
    if (isalpha((unsigned char)word[0]) && (isalnum((unsigned char)next) || next == '_'))
        return false;
    p->at += length;
    return true;
}

static void expect(parser *p, const char *word)
{
    if (!accept(p, word))
        fail(p, word);
}

/* The x between extents: no word, a digit follows. */
static void times(parser *p)
{
    if (*p->at != 'x')
        fail(p, "x");
    p->at++;
}

static int64_t integer(parser *p, int64_t low, int64_t high)
{
    char range[80];
    skip_blank(p);
    char *end = (char *)p->at;
    long long value = isspace((unsigned char)*p->at) ? 0 : strtoll(p->at, &end, 10);
    if (end == p->at || value < low || value > high) {
        snprintf(range, sizeof range, "a number from %lld to %lld", (long long)low, (long long)high);
        fail(p, range);
    }
    p->at = end;
    return value;
}

static double real(parser *p)
{
    char *end;
    skip_blank(p);
    double value = strtod(p->at, &end);
    if (end == p->at || isspace((unsigned char)*p->at))
        fail(p, "a number");
    p->at = end;
    return value;
}

/* One of `count` words, by its index. */
static int one_of(parser *p, const char *const *words, int count, const char *what)
{
    for (int i = 0; i < count; i++)
        if (accept(p, words[i]))
            return i;
    fail(p, what);
}

static enum net_slot slot(parser *p)
{
    skip_blank(p);
    if (strncmp(p->at, "user", 4) == 0) {
        p->at += 4;
        return SLOT_USER + (enum net_slot)integer(p, 0, SLOT_COUNT - SLOT_USER - 1);
    }
    return (enum net_slot)one_of(p, net_slot_word, NET_SLOT_WORDS - 1, "a slot");
}

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}

static const char *name(parser *p)
{
    expect(p, "\"");
    char *to = arena_alloc(p->n->arena, strcspn(p->at, "\"\n") + 1);
    int length = 0;
    for (; *p->at != '"'; p->at++) {
        char c = *p->at;
        if (c == '\n' || !c)
            fail(p, "a \" that ends the name");
        if (c == '\\') {
            if (hex(p->at[1]) < 0 || hex(p->at[2]) < 0)
                fail(p, "two hexadecimal digits");
            c = (char)(hex(p->at[1]) * 16 + hex(p->at[2]));
            p->at += 2;
        }
        to[length++] = c;
    }
    p->at++;
    return to;
}

static enum net_prim prim(parser *p)
{
    skip_blank(p);
    for (int i = 0; i < NET_PRIM_COUNT; i++)
        if (accept(p, net_prim_info[i].name))
            return (enum net_prim)i;
    fail(p, "a primitive");
}

static net_type type(parser *p)
{
    net_type t = {0};
    const char *words[DT_COUNT];
    for (int i = 0; i < DT_COUNT; i++)
        words[i] = dtype_info[i].name;
    t.dtype = (enum dtype)one_of(p, words, DT_COUNT, "an element type");
    skip_blank(p);
    t.n = NET_BATCH;
    char rows = *p->at;
    if (rows == 'K' || rows == 'N')
        p->at++;
    else
        t.n = (int)integer(p, 1, INT32_MAX);
    if (rows == 'K')
        t.chunked = isdigit((unsigned char)*p->at) ? (int)integer(p, 1, INT32_MAX) : p->n->chunk;
    int *extent[3] = {&t.h, &t.w, &t.c};
    int64_t elements = t.n == NET_BATCH ? 1 : t.n;
    for (int i = 0; i < 3; i++) {
        times(p);
        *extent[i] = (int)integer(p, 1, INT32_MAX / elements); /* the product stays below 2^31 */
        elements *= *extent[i];
    }
    return t;
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static void pair(parser *p, int *first, int *second)
{
    *first = (int)integer(p, 0, WINDOW_MOST);
    times(p);
    *second = (int)integer(p, 0, WINDOW_MOST);
}

static bool window_key(parser *p, net_window *w)
{
    int *pads[4] = {&w->top, &w->left, &w->bottom, &w->right};
    if (accept(p, "k"))
        pair(p, &w->kh, &w->kw);
    else if (accept(p, "s"))
        pair(p, &w->sh, &w->sw);
    else if (accept(p, "d"))
        pair(p, &w->dh, &w->dw);
    else if (accept(p, "g"))
        w->groups = (int)integer(p, 1, INT32_MAX);
    else if (accept(p, "p"))
        for (int i = 0; i < 4; i++) {
            if (i)
                expect(p, ",");
            *pads[i] = (int)integer(p, -WINDOW_MOST, WINDOW_MOST);
        }
    else
        return false;
    return true;
}

static int *list(parser *p, int *count)
{
    VEC(int) v = {0};
    do
        VEC_PUSH(p->n->arena, &v, (int)integer(p, 0, INT32_MAX));
    while (accept(p, ","));
    *count = v.count;
    return v.at;
}

static bool number_key(parser *p, net_attr *a)
{
#define X(key, field)                                                                                                  \
    if (accept(p, key)) {                                                                                              \
        a->field = (int)integer(p, 0, INT32_MAX);                                                                      \
        return true;                                                                                                   \
    }
    NET_INTS(X)
#undef X
#define X(key, field)                                                                                                  \
    if (accept(p, key)) {                                                                                              \
        a->field = real(p);                                                                                            \
        return true;                                                                                                   \
    }
    NET_REALS(X)
#undef X
#define X(key, field)                                                                                                  \
    if (accept(p, key))                                                                                                \
        return a->field = true;
    NET_FLAGS(X)
#undef X
    return false;
}

static net_attr attributes(parser *p, int *picks, int *rows)
{
    net_attr a = {0};
    if (!accept(p, "{"))
        return a;
    while (!accept(p, "}")) {
        if (window_key(p, &a.window) || number_key(p, &a))
            continue;
        if (accept(p, "act"))
            a.act = (int)prim(p);
        else if (accept(p, "pick"))
            a.pick = list(p, picks);
        else if (accept(p, "rows"))
            a.rows = list(p, rows);
        else if (accept(p, "slot"))
            a.slot = slot(p);
        else if (accept(p, "offset"))
            a.offset = integer(p, 0, INT64_MAX);
        else
            fail(p, "an attribute or '}'");
    }
    return a;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static int operands(parser *p, int *operand)
{
    int count = 0;
    if (!accept(p, "%"))
        return 0;
    do {
        if (count == NET_OPERANDS_MAX)
            fail(p, "fewer operands");
        operand[count++] = (int)integer(p, 0, p->n->nodes.count - 1);
    } while (accept(p, ",") && (expect(p, "%"), true));
    return count;
}

/* The node's pick and rows are as long as its operands ask for. */
static void check_lists(parser *p, const net_node *draft, int picks, int rows)
{
    if (draft->attr.pick && picks != net_picks(p->n, draft))
        fail(p, "as many columns (pick) as the operands ask for");
    if (draft->attr.rows && rows != draft->count)
        fail(p, "a row (rows) for each operand");
}

static void parse_node(parser *p)
{
    int operand[NET_OPERANDS_MAX], picks = 0, rows = 0;
    net_node draft = {.operand = operand};
    const char *line = p->at;
    if (integer(p, 0, INT32_MAX) != p->n->nodes.count) {
        p->at = line;
        fail(p, arena_printf(p->n->arena, "node %d", p->n->nodes.count));
    }
    expect(p, "=");
    draft.prim = prim(p);
    draft.count = operands(p, operand);
    draft.attr = attributes(p, &picks, &rows);
    check_lists(p, &draft, picks, rows);
    expect(p, ":");
    skip_blank(p);
    const char *stated = p->at;
    draft.type = type(p);
    if (net_type_given(draft.prim))
        draft.attr.type = draft.type;
    skip_blank(p);
    draft.name = *p->at == '"' ? name(p) : NULL;
    p->n->region = accept(p, "@") ? (int)integer(p, 0, p->n->regions.count - 1) : 0;
    nasc_diag d = {0};
    int id = net_add(p->n, draft.prim, operand, draft.count, &draft.attr, draft.name, &d);
    if (id < 0 || !net_type_equal(&p->n->nodes.at[id].type, &draft.type)) {
        char where[320];
        place(p, stated, where);
        diag_fail(p->d, DIAG_INPUT, where, "%s", id < 0 ? d.message : "the shape rule gives another type");
        longjmp(*p->failed, 1);
    }
    enum net_slot place_of = draft.attr.slot;
    if (draft.prim == NET_input && draft.name &&
        (place_of == SLOT_WEIGHTS || place_of == SLOT_STATS || place_of == SLOT_MIX))
        net_name_leaf(p->n, draft.name, id);
}

static void parse_region(parser *p)
{
    net_region region;
    integer(p, p->n->regions.count, p->n->regions.count);
    expect(p, "select");
    region.select = (int)integer(p, 0, INT32_MAX);
    expect(p, "candidate");
    region.candidate = (int)integer(p, 0, INT32_MAX);
    expect(p, "parent");
    region.parent = (int)integer(p, 0, p->n->regions.count - 1);
    region.gate = accept(p, "gate");
    VEC_PUSH(p->n->arena, &p->n->regions, region);
}

static void parse_mask(parser *p)
{
    struct net_mask mask;
    expect(p, "rate");
    mask.rate_scale = real(p);
    expect(p, "channels");
    mask.channels = (int)integer(p, 1, INT32_MAX);
    expect(p, "offset");
    mask.offset = integer(p, 0, INT64_MAX);
    VEC_PUSH(p->n->arena, &p->n->mask_list, mask);
    p->n->masks = p->n->mask_list.count;
}

static void parse_param(parser *p)
{
    net_param param = {.name = name(p)};
    param.slot = slot(p);
    param.offset = integer(p, 0, INT64_MAX);
    int64_t elements = 1;
    for (int i = 0; i < 4; i++) {
        if (i)
            times(p);
        param.dim[i] = (int)integer(p, 1, INT32_MAX / elements);
        elements *= param.dim[i];
    }
    param.layout = (enum net_layout)one_of(p, net_layout_word, COUNT(net_layout_word), "a layout");
    param.init_kind = one_of(p, net_init_word, COUNT(net_init_word), "how it is initialised");
    param.init = real(p);
    VEC_PUSH(p->n->arena, &p->n->params, param);
}

static void parse_output(parser *p)
{
    expect(p, "%");
    int value = (int)integer(p, 0, p->n->nodes.count - 1);
    enum net_slot to = slot(p);
    net_output_add(p->n, value, to, integer(p, 0, INT64_MAX));
}

static void parse_line(parser *p)
{
    if (accept(p, "%"))
        parse_node(p);
    else if (accept(p, "region"))
        parse_region(p);
    else if (accept(p, "mask"))
        parse_mask(p);
    else if (accept(p, "param"))
        parse_param(p);
    else if (accept(p, "out"))
        parse_output(p);
    else if (accept(p, "chunk"))
        p->n->chunk = (int)integer(p, 1, INT32_MAX);
    else if (accept(p, "slot")) {
        enum net_slot which = slot(p);
        p->n->slot_size[which] = integer(p, 0, INT64_MAX);
    }
    skip_blank(p);
    if (*p->at && *p->at != '\n')
        fail(p, "the end of the line");
}

net *net_parse(arena *a, const char *source, const char *file, nasc_diag *d)
{
    jmp_buf failed;
    parser *p = NEW(a, parser);
    *p = (parser){net_new(a), source, file, source, d, &failed};
    if (setjmp(failed))
        return NULL;
    while (*p->at) {
        parse_line(p);
        if (*p->at == '\n')
            p->at++;
    }
    p->n->region = 0;
    return p->n;
}
