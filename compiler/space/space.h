/* Spaces and genotypes: JSON in, a net out.
 *
 * A genotype is a space with every choice made; both are read by the same reader into the same type. The format is
 * described in genotypes/README.md and, for machines, in genotypes/schema/. */
#ifndef NASC_SPACE_H
#define NASC_SPACE_H

#include "base/base.h"
#include "net/net.h"

typedef struct space space;

enum { SPACE_NODES_MAX = 56 }; /* intermediate nodes of a cell */

/* Reads and checks a file. NULL with a diagnostic that names line and column (syntax) or the JSON pointer (meaning). */
space *space_read(const char *path, nasc_diag *d);
/* The same from text of `length` bytes; `file` is what diagnostics call it. */
space *space_parse(const char *source, size_t length, const char *file, nasc_diag *d);
void space_free(space *s);
bool space_is_genotype(const space *s);
/* Whether one candidate of a choice runs (ProxylessNAS), not the sum of all (DARTS). */
bool space_selects(const space *s);
const char *space_name(const space *s);
/* The file's JSON, formatted (see genotype_format); a temporary in the arena. */
const char *space_text(const space *s, arena *a);

/* ---- settings ---------------------------------------------------------------------------------------------------
 * One row a setting: name, type, bounds, and the default for search with DARTS, search with ProxylessNAS, and training.
 * Order of precedence: defaults < the file's "settings" < --config < --set and options. */
enum settings_use { SETTINGS_DARTS, SETTINGS_PROXYLESS, SETTINGS_TRAIN, SETTINGS_USES };
enum setting_type { SETTING_INT, SETTING_REAL, SETTING_TEXT };

/* X(name, type, low, high, darts, proxyless, train, help); defaults are text, as after --set. */
#define SPACE_SETTINGS(X)                                                                                              \
    X(input, TEXT, 0, 0, "32x32x3", "224x224x3", "32x32x3", "height x width x channels of an image")                   \
    X(classes, INT, 1, 1000000, "10", "1000", "10", "classes of the data")                                             \
    X(channels, INT, 1, 65536, "16", "32", "36", "channels of the first cell")                                         \
    X(cells, INT, 1, 1024, "8", "1", "20", "cells of the network")                                                     \
    X(nodes, INT, 1, SPACE_NODES_MAX, "4", "1", "4", "intermediate nodes of a cell")                                   \
    X(stem, TEXT, 0, 0, "cifar", "imagenet", "cifar", "which of the stems and auxiliary heads")                        \
    X(batch, INT, 1, 65536, "64", "256", "96", "images a step")                                                        \
    X(epochs, INT, 1, 1000000, "50", "150", "600", "passes over the data")                                             \
    X(steps, INT, 0, 1000000000, "0", "0", "0", "steps an epoch; 0: as many as the data give")                         \
    X(lr, REAL, 0, 1000, "0.025", "0.05", "0.025", "learning rate of the weights, at the start")                       \
    X(lr_min, REAL, 0, 1000, "0.001", "0", "0", "learning rate at the end of the cosine")                              \
    X(lr_schedule, TEXT, 0, 0, "epoch", "step", "epoch", "the cosine moves once an epoch or once a step")              \
    X(momentum, REAL, 0, 1, "0.9", "0.9", "0.9", "momentum of the weights")                                            \
    X(nesterov, INT, 0, 1, "0", "1", "0", "1: Nesterov's momentum")                                                    \
    X(weight_decay, REAL, 0, 1000, "3e-4", "4e-5", "3e-4", "weight decay of the weights")                              \
    X(clip, REAL, 0, 1e30, "5", "0", "5", "largest norm of the weights' gradient; 0: no bound")                        \
    X(label_smoothing, REAL, 0, 1, "0", "0.1", "0", "label smoothing")                                                 \
    X(alpha_lr, REAL, 0, 1000, "3e-4", "1e-3", "3e-4", "learning rate of alpha (Adam)")                                \
    X(alpha_beta1, REAL, 0, 1, "0.5", "0", "0.5", "Adam's first beta")                                                 \
    X(alpha_beta2, REAL, 0, 1, "0.999", "0.999", "0.999", "Adam's second beta")                                        \
    X(alpha_weight_decay, REAL, 0, 1000, "1e-3", "0", "1e-3", "weight decay of alpha")                                 \
    X(alpha_every, INT, 1, 1000000, "1", "5", "1", "steps of the weights for one of alpha")                            \
    X(alpha_samples, INT, 1, 1000000, "1", "8", "1", "REINFORCE: networks that are drawn for a step of alpha")         \
    X(held_out, REAL, 0.001, 0.999, "0.5", "0.1", "0.5", "part of the training images that alpha is learned on")       \
    X(cost_loss, TEXT, 0, 0, "add#absolute", "add#absolute", "add#absolute",                                           \
      "of the cost: mul#log, add#linear, add#absolute")                                                                \
    X(cost_beta, REAL, 0, 100, "0.3", "0.3", "0.3", "mul#log: loss x (log cost / log target)^beta")                    \
    X(cost_lambda, REAL, 0, 1000, "0.5", "0.5", "0.5", "add#...: loss + lambda x (cost - target) / target")            \
    X(cost_exponent, REAL, 0, 100, "0.07", "0.07", "0.07", "REINFORCE: accuracy x (target / cost)^exponent")           \
    X(warmup_epochs, INT, 0, 1000000, "0", "40", "0", "epochs of weights alone before alpha is learned")               \
    X(select_epochs, INT, 0, 1000000, "5", "5", "5", "epochs that each run's genotype trains to be compared")          \
    X(auxiliary, REAL, 0, 100, "0", "0", "0", "weight of the auxiliary head's loss; 0: no such head")                  \
    X(drop_path, REAL, 0, 0.99, "0", "0", "0", "probability that drop-path reaches in the last epoch")                 \
    X(dropout, REAL, 0, 0.99, "0", "0", "0", "dropout before the classifier")                                          \
    X(cutout, INT, 0, 4096, "0", "0", "0", "side of the square that is cut out of training images; 0: none")           \
    X(crop, INT, 0, 512, "4", "0", "4", "padding of random crops; 0: none")                                            \
    X(flip, INT, 0, 1, "1", "1", "1", "1: training images are mirrored at random")                                     \
    X(crop_area, REAL, 0, 1, "0", "0", "0", "least part of an image that a crop, resized, keeps; 0: no such crops")    \
    X(brightness, REAL, 0, 10, "0", "0", "0", "most that training images' brightness changes by at random")            \
    X(contrast, REAL, 0, 10, "0", "0", "0", "the same of contrast")                                                    \
    X(saturation, REAL, 0, 10, "0", "0", "0", "the same of saturation")                                                \
    X(centre, REAL, 0.05, 1, "0.875", "0.875", "0.875", "part of an image file's shorter side that evaluation sees")

/* X(name, default): what defaults are where the data are image files, which come in any size. */
#define IMAGE_SETTINGS(X)                                                                                              \
    X(input, "224x224x3")                                                                                              \
    X(crop, "0")                                                                                                       \
    X(crop_area, "0.08")                                                                                               \
    X(brightness, "0.4")                                                                                               \
    X(contrast, "0.4")                                                                                                 \
    X(saturation, "0.4")

enum setting_id {
#define X(name, type, low, high, darts, proxyless, train, help) SETTING_##name,
    SPACE_SETTINGS(X)
#undef X
        SETTING_COUNT
};

typedef struct setting_row {
    const char *name;
    enum setting_type type;
    double low, high;
    const char *fallback[SETTINGS_USES];
    const char *help;
} setting_row;
extern const setting_row setting_table[SETTING_COUNT];

enum { SETTING_TEXT_MAX = 64 };
typedef struct setting_value {
    double number;
    char text[SETTING_TEXT_MAX]; /* of a number too: exactly as it was given */
    bool given;                  /* by anything but a default */
} setting_value;
typedef struct settings {
    setting_value at[SETTING_COUNT];
} settings;

void settings_defaults(settings *s, enum settings_use use);
/* What nobody has given becomes the default for image files. */
void settings_for_images(settings *s);
/* What the space or genotype says itself; checked when it was read. */
void settings_from_space(settings *s, const space *of);
/* Sets one; `where` goes into the diagnostic ("--set", a file). An unknown name is refused with the list. */
bool settings_set(settings *s, const char *name, const char *value, const char *where, nasc_diag *d);
/* "key=value". */
bool settings_assign(settings *s, const char *assignment, const char *where, nasc_diag *d);
double settings_number(const settings *s, enum setting_id id);
int64_t settings_int(const settings *s, enum setting_id id);
const char *settings_text(const settings *s, enum setting_id id);
/* "HxWxC". */
bool settings_input(const settings *s, int *h, int *w, int *c);
/* The number of the setting of that name, or -1. */
int setting_find(const char *name);

/* ---- building ----------------------------------------------------------------------------------------------------
 * From a space the supernet, from a genotype its network. Training adds drop-path and dropout masks (where their
 * settings are not 0), the auxiliary head (where "auxiliary" is not 0), and makes batch norm use the batch's
 * statistics. */
enum combine { COMBINE_MIX, COMBINE_SELECT };

typedef struct space_mode {
    bool train; /* else evaluation: running statistics, no masks, no auxiliary head */
    bool move;  /* training: running statistics move (not so in passes that learn alpha) */
} space_mode;

/* The choices that share one alpha parameter of `rows` × `columns`: a row an edge or block, a column a candidate. */
typedef struct space_choice {
    const char *alpha; /* the parameter's name */
    int rows, columns;
    const char *const *candidates; /* names of the ops, one a column */
    enum combine combine;
    int first_select;         /* of the net, that of row 0; the other rows' follow. -1: mixed */
    const struct cell *cell;  /* the kind of cell, or NULL for a block */
    const struct edge *edges; /* of a cell: from and to, one a row */
    int nodes;
    int section, stage, instance; /* an own alpha: where; instance -1: shared by kind */
    bool reduction;               /* an own alpha of a cell that stands at a reduction */
} space_choice;

/* What a choice of the net stands for (attr.select numbers them): places that share a row of alpha share it. */
struct space_select {
    int choice, row;
};

typedef struct space_net {
    net *net;
    int images;    /* the input */
    int logits;    /* (N,1,1,classes) */
    int auxiliary; /* the auxiliary head's logits, or -1 */
    space_choice *choices;
    int choice_count;
    struct space_select *selects;
    int select_count;
} space_net;

/* Everything is made in `a`, which has a guard of its own set by the caller or none (then this sets one).
 * false with a diagnostic that names the JSON pointer of the step whose shapes or numbers do not fit. */
bool space_build(const space *s, const settings *set, space_mode mode, arena *a, space_net *result, nasc_diag *d);

/* ---- deriving and importing --------------------------------------------------------------------------------------
 * The genotype that alphas say: at each node the edges_per_node edges whose best op is strongest, at each block the
 * best op; ops of "never" do not count. Strength is the softmax weight within the row; ties go to the lower index.
 * alpha[i] holds choices[i].rows × .columns numbers. Returns JSON text; NULL with a diagnostic. */
char *space_derive(const space *s, const space_net *built, const float *const *alpha, const char *name, arena *a,
                   nasc_diag *d);
/* The candidate that it takes at a row of a choice's alpha; -1: "never" leaves none. */
int space_strongest(const space *s, const space_choice *c, const float *alpha, int row);
/* Whether candidate k may be taken: "never" does not name it. */
bool space_allows(const space *s, const space_choice *c, int k);
/* Published text: `Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), …)` in `into` = the DARTS
 * space, or
 * `|op~0|+|op~0|op~1|+…` in `into` = the NAS-Bench-201 space, or the JSON of a ProxylessNAS network (keys name, bn,
 * first_conv, blocks, feature_mix_layer, classifier) in `into` = the ProxylessNAS space, whose widths and strides
 * become the network's. Returns JSON text; NULL with line and column, or the JSON pointer. */
char *space_import(const space *into, const char *source, const char *file, arena *a, nasc_diag *d);
/* What kind of published text this is: the name of the space that it needs ("darts", "nasbench201",
 * "proxyless"), or NULL. */
const char *space_import_kind(const char *source);

#endif
