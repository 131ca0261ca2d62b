/* Network configurations as the authors of ProxylessNAS publish them: JSON that names the layers of PyTorch code, block
 * by block. The space that is given is made to fit (widths, strides, ops that it does not name), then its choices are
 * made as derive makes them, so that what is imported and what is found by a search have one form. What the space's
 * blocks cannot say is refused with its JSON pointer. */
#include "space/genotype.h"

#include <stdio.h>
#include <string.h>

enum { CHANNELS_MAX = 16384, BLOCKS_MAX = 256 };

typedef struct mbconv {
    int kernel, stride, expand, in, out;
    bool zero; /* left out: the shortcut alone */
} mbconv;

typedef struct config {
    int kernel, stride, stem; /* of the first convolution: kernel, stride, channels out */
    double eps, momentum, dropout;
    mbconv *blocks;
    int block_count, mix, classes; /* mix: channels of the feature mix layer; 0: there is none */
} config;

/* ---- reading -------------------------------------------------------------------------------------------------- */

static bool read_failed(const reader *r)
{
    return r->diag->kind != DIAG_NONE;
}

/* The value of `key` is `literal` (as diagnostics print it), or not there where that is allowed. */
static void must_be(reader *r, const json_t *object, const char *key, const char *literal, bool optional)
{
    char found[128];
    size_t mark;
    const json_t *j = read_at(r, object, key, &mark);
    if (!(optional && !j) && strcmp(json_describe(j, found, sizeof found), literal) != 0)
        read_expected(r, j, literal);
    read_leave(r, mark);
}

/* What layers have in common: batch norm after the weights, then `activation`; no dropout. */
static void read_common(reader *r, const json_t *layer, const char *batch_norm, const char *activation)
{
    must_be(r, layer, "use_bn", batch_norm, true);
    must_be(r, layer, "act_func", activation, true);
    must_be(r, layer, "dropout_rate", "0", true);
    must_be(r, layer, "ops_order", "\"weight_bn_act\"", true);
}

static int read_count(reader *r, const json_t *object, const char *key, int low, int high)
{
    return (int)read_integer_at(r, object, key, low, high);
}

static int read_kernel(reader *r, const json_t *object)
{
    size_t mark;
    const json_t *j = read_at(r, object, "kernel_size", &mark);
    int kernel = json_is_integer(j) ? (int)json_integer_value(j) : 0;
    if (kernel < 1 || kernel > 31 || kernel % 2 == 0)
        read_expected(r, j, "an odd integer from 1 to 31");
    read_leave(r, mark);
    return kernel;
}

static double read_number(reader *r, const json_t *object, const char *key, double low, double high, double fallback)
{
    char expected[64];
    size_t mark;
    const json_t *j = read_at(r, object, key, &mark);
    snprintf(expected, sizeof expected, "a number from %g to %g", low, high);
    if (j && (!json_is_number(j) || json_number_value(j) < low || json_number_value(j) > high))
        read_expected(r, j, expected);
    read_leave(r, mark);
    return j ? json_number_value(j) : fallback;
}

static void read_channels_in(reader *r, const json_t *object, const char *key, int channels)
{
    char literal[16];
    snprintf(literal, sizeof literal, "%d", channels);
    must_be(r, object, key, literal, false);
}

/* A ConvLayer with batch norm and relu6; its channels out. */
static int read_conv(reader *r, const json_t *layer, int in, int *kernel, int *stride)
{
    static const char *const keys[] = {"name",     "kernel_size", "stride",      "dilation",    "groups",
                                       "bias",     "has_shuffle", "use_bn",      "in_channels", "out_channels",
                                       "act_func", "ops_order",   "dropout_rate"};
    if (read_failed(r) || !read_object(r, layer, keys, COUNT(keys)))
        return 1;
    must_be(r, layer, "name", "\"ConvLayer\"", false);
    must_be(r, layer, "dilation", "1", true);
    must_be(r, layer, "groups", "1", true);
    must_be(r, layer, "bias", "false", true);
    must_be(r, layer, "has_shuffle", "false", true);
    read_common(r, layer, "true", "\"relu6\"");
    read_channels_in(r, layer, "in_channels", in);
    *kernel = read_kernel(r, layer);
    *stride = read_count(r, layer, "stride", 1, 4);
    return read_count(r, layer, "out_channels", 1, CHANNELS_MAX);
}

/* An MBInvertedConvLayer: expansion by 1×1, depthwise, projection by 1×1. */
static void read_mbconv(reader *r, const json_t *layer, int in, mbconv *b)
{
    static const char *const keys[] = {"name",         "in_channels",  "out_channels", "kernel_size", "stride",
                                       "expand_ratio", "mid_channels", "act_func",     "use_se"};
    if (!read_object(r, layer, keys, COUNT(keys)))
        return;
    read_channels_in(r, layer, "in_channels", in);
    *b = (mbconv){.kernel = read_kernel(r, layer),
                  .stride = read_count(r, layer, "stride", 1, 4),
                  .expand = read_count(r, layer, "expand_ratio", 1, 64),
                  .in = in,
                  .out = read_count(r, layer, "out_channels", 1, CHANNELS_MAX)};
    if (!json_is_null(json_object_get(layer, "mid_channels")) && json_object_get(layer, "mid_channels"))
        read_channels_in(r, layer, "mid_channels", in * b->expand);
    must_be(r, layer, "act_func", "\"relu6\"", true);
    must_be(r, layer, "use_se", "false", true);
}

static void read_body(reader *r, const json_t *layer, int in, mbconv *b)
{
    static const char *const zero_keys[] = {"name", "stride"};
    const json_t *name = json_object_get(layer, "name");
    const char *text = json_is_string(name) ? json_string_value(name) : "";
    if (strcmp(text, "MBInvertedConvLayer") == 0) {
        read_mbconv(r, layer, in, b);
    } else if (strcmp(text, "ZeroLayer") == 0) {
        *b = (mbconv){.kernel = 1, .stride = 1, .expand = 1, .in = in, .out = in, .zero = true};
        if (read_object(r, layer, zero_keys, 2))
            must_be(r, layer, "stride", "1", true);
    } else if (json_is_object(layer)) {
        size_t mark = read_enter(r, "name");
        read_expected(r, name, "\"MBInvertedConvLayer\" or \"ZeroLayer\"");
        read_leave(r, mark);
    } else {
        read_expected(r, layer, "a layer");
    }
}

/* The shortcut is there exactly where stride and channels allow it, as the space has it. */
static void read_shortcut(reader *r, const json_t *shortcut, const mbconv *b)
{
    static const char *const keys[] = {"name",     "in_channels",  "out_channels", "use_bn",
                                       "act_func", "dropout_rate", "ops_order"};
    bool possible = b->stride == 1 && b->in == b->out;
    if (!shortcut || json_is_null(shortcut)) {
        if (possible)
            read_expected(r, shortcut, "an \"IdentityLayer\": the stride is 1 and no channels change");
        return;
    }
    if (!read_object(r, shortcut, keys, COUNT(keys)))
        return;
    must_be(r, shortcut, "name", "\"IdentityLayer\"", false);
    read_common(r, shortcut, "false", "null");
    if (!possible)
        read_fail(r, "found a shortcut, expected null: the stride is %d, the channels change from %d to %d", b->stride,
                  b->in, b->out);
}

static void read_blocks_list(reader *r, const json_t *root, config *c)
{
    static const char *const keys[] = {"name", "mobile_inverted_conv", "shortcut"};
    size_t mark, item, inner;
    const json_t *list = read_array(r, read_at(r, root, "blocks", &mark), "a list of blocks");
    if (json_array_size(list) > BLOCKS_MAX)
        read_fail(r, "found %zu blocks, expected at most %d", json_array_size(list), BLOCKS_MAX);
    else if (list && json_array_size(list) == 0)
        read_expected(r, list, "at least one block");
    c->blocks = NEW_ARRAY(r->arena, mbconv, json_array_size(list) + 1);
    for (size_t i = 0, in = (size_t)c->stem; i < json_array_size(list) && !read_failed(r); i++) {
        mbconv *b = &c->blocks[c->block_count++];
        const json_t *block = json_array_get(list, i);
        item = read_enter_index(r, i);
        if (read_object(r, block, keys, COUNT(keys))) {
            must_be(r, block, "name", "\"MobileInvertedResidualBlock\"", false);
            read_body(r, read_at(r, block, "mobile_inverted_conv", &inner), (int)in, b);
            read_leave(r, inner);
            read_shortcut(r, read_at(r, block, "shortcut", &inner), b);
            read_leave(r, inner);
        }
        read_leave(r, item);
        in = (size_t)b->out;
    }
    read_leave(r, mark);
}

static void read_classifier(reader *r, const json_t *root, int in, config *c)
{
    static const char *const keys[] = {"name",   "in_features", "out_features", "bias",
                                       "use_bn", "act_func",    "dropout_rate", "ops_order"};
    size_t mark;
    const json_t *layer = read_at(r, root, "classifier", &mark);
    if (!read_failed(r) && read_object(r, layer, keys, COUNT(keys))) {
        must_be(r, layer, "name", "\"LinearLayer\"", false);
        must_be(r, layer, "bias", "true", true);
        must_be(r, layer, "use_bn", "false", true);
        must_be(r, layer, "act_func", "null", true);
        read_channels_in(r, layer, "in_features", in);
        c->classes = read_count(r, layer, "out_features", 1, 1000000);
        c->dropout = read_number(r, layer, "dropout_rate", 0, 0.99, 0);
    }
    read_leave(r, mark);
}

static void read_config(reader *r, const json_t *root, config *c)
{
    static const char *const keys[] = {"name", "bn", "first_conv", "blocks", "feature_mix_layer", "classifier"},
                             *const bn_keys[] = {"momentum", "eps", "ws_eps"};
    size_t mark;
    int kernel, stride;
    must_be(r, root, "name", "\"ProxylessNASNets\"", false);
    if (read_failed(r) || !read_object(r, root, keys, COUNT(keys)))
        return;
    const json_t *bn = read_at(r, root, "bn", &mark);
    if (read_object(r, bn, bn_keys, COUNT(bn_keys))) {
        c->momentum = read_number(r, bn, "momentum", 0, 1, 0.1);
        c->eps = read_number(r, bn, "eps", 1e-12, 1, 1e-5);
        must_be(r, bn, "ws_eps", "null", true);
    }
    read_leave(r, mark);
    c->stem = read_conv(r, read_at(r, root, "first_conv", &mark), 3, &c->kernel, &c->stride);
    read_leave(r, mark);
    read_blocks_list(r, root, c);
    int last = c->block_count ? c->blocks[c->block_count - 1].out : c->stem;
    const json_t *mix = read_at(r, root, "feature_mix_layer", &mark);
    if (mix && !json_is_null(mix)) {
        c->mix = read_conv(r, mix, last, &kernel, &stride);
        must_be(r, mix, "kernel_size", "1", false);
        must_be(r, mix, "stride", "1", false);
    }
    read_leave(r, mark);
    read_classifier(r, root, c->mix ? c->mix : last, c);
}

/* ---- the space made to fit ------------------------------------------------------------------------------------ */

/* Ops are named as the space names them: kernel and expansion. Added where they are not there. */
static const char *op_name(making *m, json_t *ops, const mbconv *b, char *to, size_t size)
{
    if (b->zero)
        snprintf(to, size, "Zero");
    else
        snprintf(to, size, "%dx%d_MBConv%d", b->kernel, b->kernel, b->expand);
    if (!json_object_get(ops, to))
        make_put(m, ops, to,
                 json_pack("[{sssss{sisi}}]", "name", "", "use", "MBConv", "with", "k", b->kernel, "e", b->expand));
    return to;
}

/* A stage goes on while neither channels nor stride change. The first block is the space's "first" where it is that. */
static void make_stages(making *m, const config *c, json_t *ops, json_t *stages, json_t *made)
{
    json_t *list = NULL;
    for (int i = 0; i < c->block_count; i++) {
        const mbconv *b = &c->blocks[i];
        char op[40], number[16];
        if (i == 0 && b->kernel == 3 && b->expand == 1 && b->stride == 1 && !b->zero && b->in != b->out) {
            make_append(m, stages, json_pack("{sssi}", "block", "first", "channels", b->out));
            continue;
        }
        if (!list || b->out != b->in || b->stride != 1) {
            snprintf(number, sizeof number, "%zu", json_array_size(stages));
            make_append(m, stages,
                        json_pack("{sssisisi}", "block", "mb", "channels", b->out, "repeat", 1, "stride", b->stride));
            list = json_array();
            make_put(m, made, number, list);
        }
        make_append(m, list, json_string(op_name(m, ops, b, op, sizeof op)));
    }
}

static void fit_batch_norm(making *m, json_t *steps, const config *c)
{
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step)
    {
        json_t *bn = json_object_get(step, "batch_norm");
        if (bn && c->eps != json_number_value(json_object_get(bn, "eps")))
            make_put(m, bn, "eps", json_real(c->eps));
        if (bn && c->momentum != 0.1)
            make_put(m, bn, "momentum", json_real(c->momentum));
    }
}

/* The step of `name` among the sections, in its stem or as itself. */
static json_t *find_section(json_t *network, const char *key, const char *name, size_t *at)
{
    json_t *section;
    json_array_foreach(network, (*at), section)
    {
        json_t *of = json_object_get(section, key), *called = json_object_get(section, "name");
        if (of && (!name || (json_is_string(called) && strcmp(json_string_value(called), name) == 0)))
            return section;
    }
    return NULL;
}

static void fit_settings(making *m, json_t *root, const config *c)
{
    json_t *train = json_object_get(root, "train");
    make_put(m, train, "classes", json_integer(c->classes));
    make_put(m, train, "channels", json_integer(c->stem));
    if (c->dropout > 0)
        make_put(m, train, "dropout", json_real(c->dropout));
}

/* The space's JSON, changed in place; false where it is not of the kind that the configuration needs. */
static bool fit(making *m, json_t *root, const config *c, json_t *decisions)
{
    size_t stem_at, blocks_at, mix_at;
    char number[16];
    json_t *ops = json_object_get(root, "ops"), *network = json_object_get(root, "network");
    json_t *stem = find_section(network, "stem", NULL, &stem_at),
           *blocks = find_section(network, "blocks", NULL, &blocks_at);
    json_t *mix = find_section(network, "steps", "feature_mix_layer", &mix_at);
    json_t *part = json_array_get(json_object_get(json_object_get(stem, "stem"), "imagenet"), 0);
    json_t *with = json_object_get(json_array_get(json_object_get(part, "steps"), 0), "with");
    json_t *kinds = json_object_get(root, "blocks");
    if (!json_object_get(ops, "MBConv") || !json_object_get(ops, "conv_bn") || !json_object_get(ops, "Zero") ||
        !json_object_get(kinds, "first") || !json_object_get(kinds, "mb") || !blocks || !mix || !with ||
        !json_object_get(root, "train"))
        return false;
    fit_settings(m, root, c);
    fit_batch_norm(m, json_object_get(ops, "conv_bn"), c);
    make_put(m, with, "k", json_integer(c->kernel));
    make_put(m, with, "s", json_integer(c->stride));
    json_t *stages = json_array(), *made = json_object(), *sections = json_object();
    make_put(m, blocks, "blocks", stages);
    snprintf(number, sizeof number, "%zu", blocks_at);
    make_put(m, decisions, "made", sections);
    make_put(m, sections, number, made);
    make_stages(m, c, ops, stages, made);
    if (c->mix)
        make_put(m, mix, "channels", json_integer(c->mix));
    else
        json_array_remove(network, mix_at);
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

/* What is asked for, and what is on the heap while the arena may unwind. */
typedef struct holding {
    const space *into;
    const char *source, *file;
    char *made;
    json_t *config, *space;
    struct space *fitted;
    making decisions;
} holding;

/* The genotype's name: that of the file without folder and ending. */
static void name_of(const char *file, char *to, size_t size)
{
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
    snprintf(to, size, "%.*s", (int)strcspn(base, "."), base);
    bool good = *to;
    for (const char *p = to; *p && good; p++)
        good = (unsigned char)*p > ' ' && *p != '"' && *p != '\\' && *p != 127;
    if (!good)
        snprintf(to, size, "imported");
}

static bool import_held(void *user, arena *a, nasc_diag *d)
{
    holding *h = user;
    const space *into = h->into;
    const char *file = h->file;
    char name[64];
    reader *r = NEW(a, reader);
    config *c = NEW(a, config);
    *r = (reader){.arena = a, .file = file, .diag = d};
    h->config = json_read(h->source, strlen(h->source), file, 1, d);
    if (!h->config)
        return false;
    read_config(r, h->config, c);
    if (read_failed(r))
        return false;
    h->decisions.root = json_object();
    h->space = json_deep_copy(into->json);
    if (!json_equal(h->space, into->json)) /* Jansson leaves out what it has no memory for */
        h->decisions.lost = true;
    if (!h->space || !fit(&h->decisions, h->space, c, h->decisions.root)) {
        if (!h->space || h->decisions.lost)
            diag_memory(d);
        diag_fail(d, DIAG_INPUT, file,
                  "found a ProxylessNAS network, expected a space with its ops, blocks and stem; \"%s\" has them not",
                  into->name);
        return false;
    }
    if (h->decisions.lost)
        diag_memory(d);
    const char *fitted = json_pretty(a, h->space);
    h->fitted = read_failed(r) ? NULL : space_parse(fitted, strlen(fitted), into->file, d);
    if (!h->fitted)
        return false;
    name_of(file, name, sizeof name);
    making decisions = h->decisions;
    h->decisions.root = NULL; /* genotype_text gives it back */
    h->made = genotype_text(h->fitted, name, &decisions, a, d);
    return h->made != NULL;
}

char *import_config(const space *into, const char *source, const char *file, arena *a, nasc_diag *d)
{
    holding h = {.into = into, .source = source, .file = file};
    bool ok = arena_guard(a, import_held, &h, d);
    json_decref(h.config);
    json_decref(h.space);
    json_decref(h.decisions.root);
    space_free(h.fitted);
    return ok ? h.made : NULL;
}
