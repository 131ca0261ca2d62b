/* What a space is once it has been read: expressions, ops, cells, blocks and the sections of the network, each with the
 * JSON pointer it came from, so that whatever goes wrong later can still say where. All of it lives in the space's
 * arena. */
#ifndef NASC_SPACE_MODEL_H
#define NASC_SPACE_MODEL_H

#include "space/json.h"
#include "space/space.h"

/* ---- limits, checked before anything is built ----------------------------------------------------------------- */

enum {
    SPACE_INPUTS_MAX = 8,       /* inputs of a cell */
    SPACE_CANDIDATES_MAX = 63,  /* of a choice */
    SPACE_CELLS_MAX = 1024,     /* cells or blocks of a section */
    SPACE_CHANNELS_MAX = 65536, /* of any tensor */
    SPACE_NESTING_MAX = 32,     /* ops in ops, branches in branches */
    SPACE_STEPS_MAX = 1000000,  /* primitives of the whole network */
    EXPR_LENGTH_MAX = 256,
    EXPR_DEPTH_MAX = 32
};

/* ---- expressions ---------------------------------------------------------------------------------------------- */

typedef struct expr expr;
struct expr {
    enum expr_kind {
        EXPR_NUMBER,
        EXPR_NAME,
        EXPR_ADD,
        EXPR_SUB,
        EXPR_MUL,
        EXPR_DIV,
        EXPR_EQ,
        EXPR_NE,
        EXPR_LT,
        EXPR_LE,
        EXPR_GT,
        EXPR_GE,
        EXPR_AND,
        EXPR_OR,
        EXPR_NOT
    } kind;
    int64_t number;
    const char *name;
    const expr *left, *right;
};

typedef struct variable {
    const char *name;
    int64_t value;
} variable;

/* Variables by name; an inner scope hides the outer. */
typedef struct scope {
    const struct scope *outer;
    const variable *at;
    int count;
} scope;

/* NULL: `problem` says what was found, where (column) and what was expected. */
const expr *expr_parse(arena *a, const char *source, char *problem, size_t size);
/* false: `problem` names the unknown variable (with a suggestion), the division by zero, or the overflow. */
bool expr_value(const expr *e, const scope *s, int64_t *value, char *problem, size_t size);
/* The first name in `e` for which `known` is false, or NULL. */
const char *expr_unknown(const expr *e, bool (*known)(const void *context, const char *name), const void *context);

/* ---- ops ------------------------------------------------------------------------------------------------------ */

typedef struct step step;
typedef struct op op;

typedef struct steps {
    step *at;
    int count;
} steps;

typedef struct binding {
    const char *name;
    const expr *value;
} binding;

enum { PRIMITIVE_ATTRIBUTES_MAX = 8 };

/* The value of an attribute: one expression, two for what has a height and a width, or a real number (maybe a
 * setting's). */
typedef struct attribute_value {
    bool given;
    const expr *y, *x;
    double real;
    const char *setting; /* the real setting it is read from, or NULL */
} attribute_value;

enum step_kind { STEP_PRIMITIVE, STEP_USE, STEP_BRANCHES, STEP_IF };
enum join { JOIN_ADD, JOIN_MUL, JOIN_CONCAT };

struct step {
    enum step_kind kind;
    const char *where;
    const char *name; /* NULL: its index */
    const struct primitive *primitive;
    attribute_value value[PRIMITIVE_ATTRIBUTES_MAX];
    const char *used_name;
    const op *used;
    binding *with;
    int with_count;
    enum join join;
    steps *branch; /* STEP_BRANCHES: the branches; STEP_IF: then, else */
    int branches;
    const expr *condition;
};

struct op {
    const char *name;
    const char *where;
    steps body;
    int height; /* ops deep; 0: not known yet, -1: being found out */
};

/* The primitives that steps may name: what JSON calls them and their attributes. */
enum attribute_kind { ATTRIBUTE_INT, ATTRIBUTE_PAIR, ATTRIBUTE_REAL, ATTRIBUTE_FLAG };

typedef struct attribute {
    const char *name;
    enum attribute_kind kind;
    const char *fallback; /* an expression or number; "": worked out by the builder; NULL: must be given */
    int64_t low, high;    /* bounds of an integer */
} attribute;

typedef struct primitive {
    const char *name;
    attribute attributes[PRIMITIVE_ATTRIBUTES_MAX];
} primitive;

/* One row a primitive; PRIMITIVE_conv … number the rows, attributes are numbered in the order of the row. */
#define SPACE_PRIMITIVES(X)                                                                                            \
    X(conv, INT(out, "C", 1, SPACE_CHANNELS_MAX) PAIR(kernel, NULL, 1, 255) PAIR(stride, "1", 1, 64)                   \
                PAIR(padding, "", 0, 1024) PAIR(dilation, "1", 1, 64) INT(groups, "1", 1, SPACE_CHANNELS_MAX)          \
                    FLAG(bias, "0"))                                                                                   \
    X(linear, INT(out, "C", 1, SPACE_CHANNELS_MAX) FLAG(bias, "1"))                                                    \
    X(batch_norm, FLAG(affine, "1") REAL(eps, "1e-5") REAL(momentum, "0.1"))                                           \
    X(max_pool, PAIR(kernel, NULL, 1, 255) PAIR(stride, "1", 1, 64) PAIR(padding, "", 0, 127))                         \
    X(avg_pool, PAIR(kernel, NULL, 1, 255) PAIR(stride, "1", 1, 64) PAIR(padding, "", 0, 127))                         \
    X(global_pool, )                                                                                                   \
    X(relu, )                                                                                                          \
    X(relu6, )                                                                                                         \
    X(hard_swish, )                                                                                                    \
    X(sigmoid, )                                                                                                       \
    X(hard_sigmoid, )                                                                                                  \
    X(tanh, )                                                                                                          \
    X(zero, PAIR(stride, "1", 1, 64))                                                                                  \
    X(shift, INT(y, "0", -255, 255) INT(x, "0", -255, 255))                                                            \
    X(pad, INT(top, "0", 0, 255) INT(left, "0", 0, 255) INT(bottom, "0", 0, 255) INT(right, "0", 0, 255))              \
    X(slice, INT(begin, "0", 0, SPACE_CHANNELS_MAX) INT(count, NULL, 1, SPACE_CHANNELS_MAX))                           \
    X(shuffle, INT(groups, NULL, 1, SPACE_CHANNELS_MAX))                                                               \
    X(dropout, REAL(rate, NULL))                                                                                       \
    X(drop_path, REAL(rate, "1"))

enum primitive_id {
#define X(name, attributes) PRIMITIVE_##name,
    SPACE_PRIMITIVES(X)
#undef X
        PRIMITIVE_COUNT
};
extern const primitive primitive_table[PRIMITIVE_COUNT];

/* ---- choices, cells, blocks -------------------------------------------------------------------------------------- */

typedef struct candidate {
    const char *name;
    const op *op;
    const expr *condition; /* offered where it holds; NULL: everywhere */
} candidate;

typedef struct choice {
    const char *where;
    candidate *at;
    int count;
    enum combine combine;
    bool own; /* an alpha for each instance; else one for all instances of the kind */
    const char *alpha;
    const char *path; /* of the candidates below their edge */
} choice;

typedef struct edge {
    int from, to; /* nodes of the cell: inputs first, then intermediate ones */
    const op *op; /* of a cell whose choices are made */
} edge;

typedef struct cell_input {
    const char *name;
    steps body;
} cell_input;

enum cell_output { OUTPUT_CONCAT, OUTPUT_LAST, OUTPUT_LIST };

typedef struct cell {
    const char *name;
    const char *where;
    cell_input *inputs;
    int input_count;
    bool fixed;        /* every choice is made: edges have their op */
    const expr *nodes; /* of a cell with choices; fixed: node_count */
    int node_count;
    bool every_edge; /* each node from all before it */
    edge *edges;
    int edge_count;
    const expr *stride; /* of an edge, over from, to, inputs */
    choice choice;
    const char *path; /* of the edges below the cell */
    enum cell_output output;
    int *listed;
    int listed_count;
    bool drop_path;
} cell;

typedef struct block {
    const char *name;
    const char *where;
    const char *path; /* of the body below the block */
    bool chosen;      /* the body is a choice; else steps */
    choice choice;
    steps body;
    const expr *shortcut;
} block;

/* ---- the network ------------------------------------------------------------------------------------------------- */

struct part { /* one output of a stem */
    const char *name;
    steps body;
};

typedef struct variant { /* a named stem or auxiliary head */
    const char *name;
    const char *where;
    struct part *parts;
    int part_count;
} variant;

typedef struct stage {
    const char *where;
    const expr *channels, *repeat, *stride;
    const block *block;
    const op **made; /* the op of each instance, where the choices are made; else NULL */
    int made_count;
} stage;

enum section_kind { SECTION_STEM, SECTION_CELLS, SECTION_BLOCKS, SECTION_STEPS, SECTION_HEAD, SECTION_AUXILIARY };

typedef struct section {
    enum section_kind kind;
    const char *where;
    const char *name;
    variant *variants; /* stem, auxiliary */
    int variant_count;
    const cell **kinds; /* cells: one for all, or one for each instance */
    int kind_count;
    bool each;
    const cell *reduce; /* the kind at reductions */
    const expr *repeat, *channels, *widen;
    const expr **reduce_at;
    int reduce_count;
    stage *stages; /* blocks */
    int stage_count;
    bool count_left_out; /* a block without body keeps its number: the names of those after it */
    steps body;          /* steps, head */
    const expr *after;   /* auxiliary: index in the section before it */
} section;

/* What a space says of a setting, as text. */
typedef struct preset {
    const char *name;
    const char *value;
} preset;

struct space {
    arena arena;
    json_t *json;
    const char *file;
    const char *name;
    bool genotype;
    preset *settings;
    int settings_count;
    binding *variables;
    int variable_count;
    op *ops;
    int op_count;
    cell *cells;
    int cell_count;
    block *blocks;
    int block_count;
    section *sections;
    int section_count;
    bool normal_init; /* convolutions start as N(0, √(2/(k²·c_out))), else U(±1/√fan_in) */
    preset *train;    /* settings of the genotypes that a search in this space finds */
    int train_count;
    int edges_per_node; /* 0: all */
    const char **never;
    int never_count;
};

/* ---- reading JSON ----------------------------------------------------------------------------------------------- */

/* An integer, true, false, or the text of an expression; `fallback` (may be NULL) where `j` is NULL. */
const expr *read_expr(reader *r, const json_t *j, const char *fallback);
/* The same for the value of `key`. */
const expr *read_expr_at(reader *r, const json_t *object, const char *key, const char *fallback);

/* A number as JSON, in the fewest digits that read back as the same one. */
void write_number(text *t, const json_t *j);
/* Formatted for people; deterministic. */
const char *json_pretty(arena *a, const json_t *j);

steps read_steps(reader *r, const json_t *j);
void read_ops(reader *r, const json_t *j);
void read_uses(reader *r); /* resolves "use", refuses cycles */
const op *read_op_name(reader *r, const json_t *j);
void read_cells(reader *r, const json_t *j);
void read_blocks(reader *r, const json_t *j);
void read_network(reader *r, const json_t *j);

#endif
