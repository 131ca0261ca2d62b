/* clang-format off */ /* tables and the comments beside them are laid out by hand */
/* The net: a tensor graph in SSA form over NHWC tensors. Build makes it, expand rewrites composites into the small core,
 * grad extends it, simplify cleans it, fuse partitions it into groups, the lowering makes a kernel of each group.
 *
 * A value is the node that computes it: node ids rise in topological order and one node has one result.
 *
 * Types. A tensor is (dtype, n, h, w, c), element (n,y,x,c) at ((n·h + y)·w + x)·c. n is NET_BATCH for what exists once an
 * image, else 1. A chunked tensor holds partial sums, a row for every `chunked` images: those of the net's chunk, or of
 * the part of it that conv_dw takes of large maps. The order of every sum over images and pixels belongs to the net:
 * chan_sum adds the pixels of a row, the rows of an image, the images of a chunk; conv_dw adds all pixels of its images
 * row-major; both in the compute type, but for the rows of chan_sum, which are added in float64. Then rows are added in
 * order, in float64.
 *
 * Weights have one canonical layout: a convolution's is [ky][kx][c_in/groups][c_out], with the type (n=ky, h=kx, w=ci, c=co);
 * a linear layer's is (1,1,c_in,c_out); per-channel vectors are (1,1,1,C), per-channel rows (1,1,rows,C).
 *
 * Regions. A `select` node has one region a candidate. Nodes carry the number of the region they stand in (0: always run);
 * they may use values of their own region, of regions around it, and of a region with the same select and candidate (a
 * backward region reads what the forward region left). One candidate of a choice runs, the active one; a region that is a
 * gate runs where its candidate's gate is asked for, several of a choice one after the other, and sees gates alone. */
#ifndef NASC_NET_H
#define NASC_NET_H

#include "base/base.h"
#include "loop/loop.h"
#include "plan/program.h"

enum { NET_BATCH = -1, NET_CHUNK = 8, NET_OPERANDS_MAX = 256 };

typedef struct net_type {
    enum dtype dtype;
    int chunked; /* images of a row; 0: it is not chunked */
    int n, h, w, c;
} net_type;

/* ---- primitives -----------------------------------------------------------------------------------------------
 * X(name, least operands, most operands (-1: many), class)
 * Each row names a shape rule shape_NAME, a gradient rule grad_NAME, a cost rule cost_NAME (compiler/net/rules*.c): a row
 * without its functions does not link. Composites are gone before grad: their gradient rule is grad_none, as is that of
 * the rows that grad itself writes (second derivatives are not taken through the net).
 *
 * Classes, for fuse and the lowering:
 *   LEAF    bound from outside                       MAP     pixel by pixel: out(n,y,x,c) from operands at (n,y,x,c), each
 *   WINDOW  out(y,x) from a neighbourhood                    broadcast in the dimensions where it is 1; rows by number
 *   REDUCE  a partial row a chunk, or a map's row    IMAGE   one result an image (global pool, loss)
 *   VECTOR  small tensors, one thread                VIEW    no code of its own where the plan can alias
 *   LIBRARY computed by a library, from memory to memory
 *   COMPOSITE  rewritten by expand before grad sees it
 */
#define NET_PRIMS(X)                                                                                                      \
    /* bound from outside; attr.slot says by whom */                                                                      \
    X(input, 0, 0, LEAF)                                                                                                  \
    X(constant, 0, 0, LEAF)         /* attr.value everywhere; 1×1×1×1 or the type it was made with */                     \
    /* x, w [, bias]: window, groups. Depthwise when groups == c_in */                                                    \
    X(conv, 2, 3, WINDOW)                                                                                                 \
    X(linear, 2, 3, COMPOSITE)      /* x (N,1,1,ci), w (1,1,ci,co) [, bias]: expand makes it conv; bias becomes `bias` */  \
    X(max_pool, 1, 1, WINDOW)       /* beyond the edge: never chosen */                                                   \
    X(avg_pool, 1, 1, COMPOSITE)    /* beyond the edge: not counted */                                                    \
    X(global_pool, 1, 1, IMAGE)     /* mean over y, x: (N,1,1,c) */                                                       \
    /* x, running (1,1,2,C: mean, var) [, gamma, beta]: attr.eps, attr.momentum, attr.train */                            \
    X(batch_norm, 2, 4, COMPOSITE)                                                                                        \
    X(bias, 2, 2, MAP)              /* x + b[c] */                                                                        \
    X(relu, 1, 1, MAP)              /* max(x, 0) */                                                                       \
    X(relu6, 1, 1, MAP)                                                                                                   \
    X(hard_swish, 1, 1, MAP)        /* x · relu6(x+3) / 6 */                                                              \
    X(hard_sigmoid, 1, 1, MAP)      /* relu6(x+3) / 6 */                                                                  \
    X(sigmoid, 1, 1, MAP)                                                                                                 \
    X(tanh, 1, 1, MAP)                                                                                                    \
    X(add, 1, -1, MAP)              /* sum in the order of the operands */                                                \
    X(mul, 2, 2, MAP)               /* broadcasts (N,1,1,C), (N,1,1,1), (1,1,1,1), … */                                   \
    X(mix, 2, -1, MAP)              /* weights (1,1,rows,K), x_1 … x_m: Σ_j weights[attr.row][attr.pick[j]] · x_j */       \
    X(concat, 1, -1, VIEW)          /* channels */                                                                        \
    X(slice, 1, 1, VIEW)            /* channels [attr.begin, attr.begin + attr.count) */                                  \
    X(pad, 1, 1, WINDOW)            /* zeros around (negative: cut off); attr.window pads. `shift` is pad(-d, +d) */      \
    X(shuffle, 1, 1, WINDOW)        /* channel shuffle: out[c·groups + g] = in[g·(C/groups) + c]; attr.window.groups */   \
    X(zero, 1, 1, COMPOSITE)        /* zeros of x's type, strided: attr.window.sh, sw; mix and add drop it in simplify */ \
    X(identity, 1, 1, COMPOSITE)                                                                                          \
    X(softmax_xent, 2, 2, IMAGE)    /* logits (N,1,1,K), labels i32 (N,1,1,1): loss an image; attr.value: smoothing */    \
    X(batch_mean, 1, 1, VECTOR)     /* (N,1,1,c) → (1,1,1,c): mean over the images of this batch */                       \
    X(correct, 2, 2, IMAGE)         /* logits, labels: 1 where the first maximum is the label, else 0 */                  \
    /* operand k: result of region k; attr.select: which choice; attr.offset, attr.row: where SLOT_MIX has its weights */  \
    X(select, 1, -1, LEAF)                                                                                                \
    /* ---- written by expand and grad ---- */                                                                            \
    X(conv_dx, 2, 2, WINDOW)        /* g, weights: gradient by x; attr.window of the conv, attr.h, w, count (channels) of \
                                       x. Depthwise (groups == count): weights as they are; else through `transpose` */   \
    X(conv_dw, 2, 2, REDUCE)        /* x, g: partial gradient by w (chunks, ky, kx·ci/groups, co) */                      \
    X(linear_dw, 2, 2, VECTOR)      /* x (N,1,1,ci), g (N,1,1,co): fold of conv_dw at once, as (1,1,ci,co): many weights, \
                                       each of few products */                                                            \
    X(transpose, 1, 2, VECTOR)      /* (ky,kx,ci,co) → (ky,kx,co,ci); with a second operand (bn) times bn.scale of co */  \
    X(sum_pool, 1, 1, WINDOW)       /* the taps of each row, then the rows, as max_pool */                                \
    X(sum_pool_dx, 1, 1, WINDOW)    /* g: attr.window of the pool, attr.h, w of x */                                      \
    X(pool_scale, 1, 1, MAP)        /* x / number of window elements inside the map attr.h × attr.w at this pixel */      \
    X(max_pool_dx, 2, 2, WINDOW)    /* x, g: to the first maximum in row-major order */                                   \
    X(global_pool_dx, 1, 1, MAP)    /* g (N,1,1,c) → (N, attr.h, attr.w, c): g / (h·w) */                                 \
    X(centre, 2, 2, MAP)            /* x - rows[0][c] */                                                                  \
    X(normalise, 2, 2, MAP)         /* x, bn: (x - bn.mean) · bn.scale + bn.shift */                                      \
    X(standard, 2, 2, MAP)          /* x, bn: (x - bn.mean) · bn.rstd: x̂ */                                              \
    X(fixed_dx, 2, 2, MAP)          /* g, bn: g · bn.scale: normalise's gradient where bn is bn_fixed */                  \
    X(bn_dx, 3, 3, MAP)             /* g, x, coef: coef.a · g + (coef.b · (x - coef.mean) + coef.d) */                    \
    X(act_dx, 2, 2, MAP)            /* x, g: g · f'(x); attr.act: which activation (its primitive) */                     \
    X(scale, 2, 2, MAP)             /* x, weights: x · weights[attr.row][attr.pick[0]] */                                 \
    X(chan_sum, 1, 2, REDUCE)       /* Σ a or Σ a·b over pixels and the chunk's images: (chunks,1,1,C) */                 \
    X(image_sum, 1, 2, IMAGE)       /* Σ a or Σ a·b over an image's pixels: (N,1,1,C) */                                  \
    X(row_sum, 1, 2, REDUCE)        /* Σ a or Σ a·b over a row's pixels: (N,h,1,C); net_split_sums writes it */           \
    X(channel_pad, 1, 1, WINDOW)    /* zero channels around: attr.count in all, x from attr.begin on */                   \
    X(bn_finish, 3, 5, VECTOR)      /* Σd, Σd² (chunks), running [, gamma, beta], d = x - running mean:                   \
                                       (1,1,5,C) rows mean, scale, shift, rstd, var (biased); attr.h·w pixels an image */ \
    X(bn_exact, 2, 4, VECTOR)       /* x, running [, gamma, beta]: the same rows in one pass over x, in float64 */        \
    X(first_pixel, 1, 1, VECTOR)    /* of the first image: (1,1,1,c), a pivot; never stored, read where it stands */      \
    X(bn_gram, 4, 6, VECTOR)        /* Σd·dᵀ (a conv_dw), Σd (chunks), d = x - pivot, pivot (1,1,1,ci), w (1,1,ci,co)      \
                                       [, gamma, beta]: the same rows of x's pointwise convolution with w; attr.h·w       \
                                       pixels an image */                                                                 \
    X(bn_fixed, 1, 3, VECTOR)       /* running [, gamma, beta]: the same rows from running statistics */                  \
    X(bn_move, 2, 2, VECTOR)        /* running, bn: running after one step (unbiased variance; attr.momentum,             \
                                       attr.h·w pixels an image) */                                                       \
    X(bn_coef, 3, 4, VECTOR)        /* Σg, Σg·x̂ (chunks), bn [, weights when g reaches the norm times                    \
                                       weights[attr.row][attr.pick[0]]]: (1,1,4,C) rows a, b, d, mean for bn_dx;          \
                                       attr.h·w pixels an image */                                                        \
    /* bn_dx of that convolution, its x too taken back by w (co,ci: transposed): a convolution of x, and what is the     \
     * same for all x */                                                                                                  \
    X(bn_dx_weights, 2, 2, VECTOR)  /* w, coef: (1,1,ci,ci) Σ_co w·coef.b·w */                                            \
    X(bn_dx_bias, 2, 2, VECTOR)     /* w, coef: (1,1,1,ci) Σ_co w·(coef.d - coef.b·coef.mean) */                          \
    X(fold, 1, 2, VECTOR)           /* chunk rows added in order in float64, as a tensor of attr.type;                    \
                                       with a second operand (weights) times weights[attr.row][attr.pick[0]] */           \
    X(channel_total, 1, -1, VECTOR) /* chunk rows (chunks,1,1,C) each: Σ over chunks and channels, one column an operand  \
                                       (1,1,1,m): the gradients of a mix's candidate weights */                           \
    X(scatter_rows, 1, -1, VECTOR)  /* (1,1,1,m) pieces into (1,1,rows,K) at attr.rows/picks: the alpha-weight gradient */\
    X(xent_dx, 3, 3, IMAGE)         /* logits, labels, g (1,1,1,1) of the mean loss: (softmax - target) · g / n */        \
    X(mean_dx, 2, 2, IMAGE)         /* x (N,1,1,c), g (1,1,1,c) of a mean over the batch: g / n for each image */         \
    /* ---- written by net_sample_strides ---- */                                                                          \
    X(subsample, 1, 1, VIEW)        /* of x the pixels that a 1 x 1 window reads: attr.window's strides and pads, which    \
                                       cut off at most */                                                                 \
    X(subsample_dx, 1, 1, VIEW)     /* g, with zeros between: attr.h, w of x */                                           \
    /* ---- written by net_give_to_library: filters as libraries want them, (co,ky,kx,ci) ---- */                         \
    X(filter, 1, 1, VECTOR)         /* (ky,kx,ci,co) → (co,ky,kx,ci) */                                                   \
    X(unfilter, 1, 2, VECTOR)       /* and back; with a second operand times weights[attr.row][attr.pick[0]] */           \
    X(lib_conv, 2, 2, LIBRARY)      /* x, filter: a dense conv */                                                         \
    X(lib_conv_dx, 2, 2, LIBRARY)   /* g, filter: attributes of conv_dx */                                                \
    X(lib_conv_dw, 2, 2, LIBRARY)   /* x, g: gradient by the filter, all images */                                        \
    /* ---- flat vectors (1,1,1,P): optimisers and the methods' own arithmetic (runtime-made nets) ---- */                \
    X(sub, 2, 2, MAP)                                                                                                     \
    X(divide, 2, 2, MAP)                                                                                                  \
    X(square_root, 1, 1, MAP)                                                                                             \
    X(madd, 3, 3, MAP)              /* x · s + y */                                                                       \
    X(minimum, 2, 2, MAP)                                                                                                 \
    X(norm2, 1, 1, VECTOR)          /* Σ x² of a flat vector, float64 within blocks of 4096, blocks in order: (1,1,1,1) */\
    X(row_softmax, 1, 1, VECTOR)    /* (1,1,rows,K): softmax of each row */                                               \
    X(row_softmax_dx, 2, 2, VECTOR) /* p, g: p·(g - Σ g·p) a row */                                                       \
    X(row_rescale, 3, 3, VECTOR)    /* a, b, marks (0 or 1): b - marks·log(Σ marks·exp b / Σ marks·exp a) a row */        \
    /* ---- written by quantise: maps of u8, value = (byte - zero) · scale; what coefficients hold says quantise.h ---- */ \
    X(q_images, 1, 1, IMAGE)        /* f32 x to u8: round(x · attr.value) + attr.begin, clamped */                        \
    X(q_conv, 3, 3, IMAGE)          /* x, packed weights (i8), rows of output channels (i32); attr.count of them;         \
                                       attr.floor: of x the larger of it and the floor; attr.step */                      \
    X(q_add, 2, -1, IMAGE)          /* x_1 … x_n of one shape, coefficients; attr.step */                                 \
    X(q_max_pool, 1, 1, IMAGE)                                                                                            \
    X(q_avg_pool, 2, 2, IMAGE)      /* x, multipliers by rows and columns of the window inside the map */                 \
    X(q_global_pool, 2, 2, IMAGE)   /* x, coefficients; attr.step */                                                      \
    X(q_logits, 1, 1, IMAGE)        /* u8 x to f32: (x - attr.begin) · attr.value */

enum net_class { NET_LEAF, NET_MAP, NET_WINDOW, NET_REDUCE, NET_IMAGE, NET_VECTOR, NET_VIEW, NET_COMPOSITE, NET_LIBRARY };

enum net_prim {
#define X(name, least, most, class) NET_##name,
    NET_PRIMS(X)
#undef X
    NET_PRIM_COUNT
};

/* Rows of bn_finish and its like; of bn_coef. */
enum { BN_MEAN, BN_SCALE, BN_SHIFT, BN_RSTD, BN_VAR, BN_ROWS };
enum { COEF_A, COEF_B, COEF_D, COEF_MEAN, COEF_ROWS };

/* ---- attributes ------------------------------------------------------------------------------------------------ */

/* A window: input row of output row y and tap ky is y·sh - top + ky·dh. Pads may be negative. */
typedef struct net_window {
    int kh, kw, sh, sw, dh, dw;
    int top, left, bottom, right;
    int groups;
} net_window;

/* Leaves are bound when a program runs: enum net_slot (plan/program.h); attr.offset is the element offset in the slot. */

typedef struct net_attr {
    net_window window;
    net_type type;       /* leaves, fold, scatter_rows: the value's type */
    int h, w;            /* of x, where a gradient needs it; of the map, where a count needs it */
    int begin, count;    /* slice; channel_pad: channels of the result; conv_dx: count = channels of x */
    int row;             /* mix, scale: row of the candidate weights */
    int *pick;           /* columns: mix: one a candidate; scale, bn_coef, fold: one; scatter_rows: one a column of every
                            operand, the operands' columns after each other (arena) */
    int *rows;           /* scatter_rows: one an operand */
    int act;             /* act_dx: enum net_prim of the activation */
    int select;          /* select: number of the choice */
    int first_region;    /* select: region of candidate 0; candidates follow */
    int panel;           /* input: weights of convolutions, not [tap][ci][co] but panel after panel of so many output
                            channels, in each [tap][ci][channel of the panel]; the last has what is left; 0: as ever */
    enum net_slot slot;
    int64_t offset;      /* in the slot, in elements (masks: elements an image; mask i begins at offset · batch) */
    int step;            /* q_…: of requantise, see loop.h */
    bool floor;
    double value;        /* constant, label smoothing, drop rate */
    double eps, momentum;
    bool train;          /* batch_norm: batch statistics */
    bool move;           /* batch_norm: running statistics move */
    bool again;          /* computed a second time, to save memory: as late as possible */
    bool fleeting;       /* cheaper to compute, by each pass and tile by tile, than to keep */
} net_attr;

typedef struct net_node {
    enum net_prim prim;
    int region;
    int count;           /* operands */
    int *operand;        /* node ids */
    net_type type;
    net_attr attr;
    const char *name;    /* a path of names from the network to the step, for people and generated code; may be NULL */
} net_node;

typedef struct net_region {
    int select;    /* number of the choice */
    int candidate;
    int parent;    /* region around it */
    bool gate;     /* computes the gate's gradient of a candidate that is not active */
} net_region;

/* What leaves: a value written to a slot. */
typedef struct net_output {
    int value;
    enum net_slot slot;
    int64_t offset;
} net_output;

typedef struct net {
    arena *arena;
    VEC(net_node) nodes;
    VEC(net_region) regions; /* [0] is the top */
    VEC(net_output) outputs;
    VEC(net_param) params;
    int64_t slot_size[SLOT_COUNT]; /* elements of the flat slots (weights, stats, mix, scalars); masks: elements an image */
    int masks;                     /* number of masks */
    VEC(struct net_mask { double rate_scale; int channels; int64_t offset; }) mask_list;
    int region;                    /* where net_add puts nodes; leaves always stand in region 0 */
    int chunk;                     /* images of a row of a chunked tensor, at most; NET_CHUNK in a new net */
    struct net_names *names;       /* build.c: leaves by name */
} net;

/* ---- building (compiler/net/build.c) ---------------------------------------------------------------------------
 * net_add returns the new value's id, or -1 with a diagnostic where the shape rule refuses (where = attr name path). Leaves:
 * -1 where their name stands for another one, or where they have 2^31 elements or more. */
net *net_new(arena *a);
/* Images a chunk for batches of this size: NET_CHUNK, less where there were not four chunks for as many threads, and 9, 10 or
 * 12 where eight chunks or more of these are the batch. Sums, and with them the bits, depend on the batch, not on threads. */
int net_chunk_of(int batch);
int net_add(net *n, enum net_prim prim, const int *operand, int count, const net_attr *attr, const char *name, nasc_diag *d);
int net_images(net *n, int h, int w, int c);
int net_labels(net *n);
/* A weight and its entry in the table of parameters; initialised by U(±1/√fan_in) or as said. dim: see net_param. */
int net_weight(net *n, const char *name, const int dim[4], enum net_layout layout, int init_kind, double init);
/* Running statistics of C channels: mean (0) and variance (1), two table entries NAME.running_mean and NAME.running_var. */
int net_stats(net *n, const char *name, int channels);
/* Candidate weights of `rows` choices of `columns` candidates, shared by all that use the same name. */
int net_mix_weights(net *n, const char *name, int rows, int columns);
/* A mask (N,1,1,channels) that the runtime fills with 0 or 1/keep; `rate` relative to the schedule (drop-path: 1). */
int net_mask(net *n, int channels, double rate, const char *name);
int net_constant(net *n, net_type type, double value);
int net_scalar(net *n, int index);                        /* SLOT_SCALARS[index], (1,1,1,1) */
int net_flat(net *n, int index, int64_t count);           /* SLOT_USER + index: a flat vector (1,1,1,count) */
void net_output_add(net *n, int value, enum net_slot slot, int64_t offset);
/* A select: begin, then for each candidate net_region_begin … build … net_region_end(result); net_select_end gives the value. */
int net_select_begin(net *n, int choice, int candidates);
void net_region_begin(net *n, int first_region, int candidate);
void net_region_end(net *n);
int net_select_end(net *n, int first_region, const int *result, int candidates, const char *name, nasc_diag *d);
/* Says where SLOT_MIX has the select's candidate weights: row `row` of the leaf `weights`. */
void net_select_weights(net *n, int select, int weights, int row);

/* ---- the table ------------------------------------------------------------------------------------------------- */
typedef struct net_grad_context net_grad_context; /* see grad.h */
typedef struct net_cost {
    int64_t macs;  /* multiply-adds an image (convolutions and linear layers) */
    int64_t flops; /* all arithmetic an image */
    int64_t bytes; /* read and written an image, were nothing fused */
} net_cost;
extern const struct net_prim_info {
    const char *name;
    int least, most;
    enum net_class class;
    bool (*shape)(const net *n, const net_node *node, net_type *result, char *why, size_t size);
    void (*grad)(net_grad_context *g, int node, int gradient);
    net_cost (*cost)(const net *n, const net_node *node);
} net_prim_info[NET_PRIM_COUNT];

/* ---- passes ------------------------------------------------------------------------------------------------------ */
enum { GRAD_WEIGHTS = 1, GRAD_MIX = 2 };
/* A stretch of the flat weights that one region alone uses (a candidate's own), or that is used always (region 0), and
 * where its gradient lies: what is in front of the first region's is not moved; candidates of one select share a place,
 * since only one of them has gradients at a time. */
typedef struct net_path {
    int64_t offset, count, grad;
    int region;
} net_path;
typedef struct net_paths {
    VEC(net_path) at;    /* by offset */
    int64_t grad_elements; /* of the slot of the weights' gradients */
} net_paths;
/* Of a net as built or expanded, without gradients. Lives in `a`. */
net_paths *net_paths_of(arena *a, const net *n);
/* Extends the net by the gradient of the scalar `loss` (1,1,1,1, a batch_mean): outputs in SLOT_WEIGHT_GRAD and SLOT_MIX_GRAD, those asked
 * for and no others. Batch norm is differentiated whole, at `normalise`: with batch statistics (bn_finish) its rule writes
 * chan_sum(g), chan_sum(g, standard(x, bn)), bn_coef, bn_dx (and folds for gamma, beta); nothing flows into bn_finish. When the
 * gradient that reaches it is scale(g', weights), the sums are taken over g' and bn_coef gets the weight: so they are the very
 * sums that the candidate weight's own gradient needs, and simplify makes them one.
 * What several consumers give to one value is summed by one `add`, in the order of the consumers in the net; what comes out
 * of the regions of a select comes as one select of its candidates' sums. A weight that is used in one region alone gets
 * its gradient (and the output) there; where that is decided by net_paths.
 * A select whose weights have a place gets gates: with y = Σ gate_k · y_k, gate 1 for the active candidate and 0 for the
 * others, dL/dgate_k = Σ dL/dy · y_k goes to SLOT_MIX_GRAD. That of the active candidate stands in its backward region, that
 * of any other in a gate region, which runs the candidate once more from the choice's input and keeps nothing. A candidate
 * that is zero everywhere writes no gradient: the caller clears the slot. Gate regions stand directly before the backward
 * regions of their select.
 * requires: verified, no composites. breaks: nothing. */
bool net_grad(net *n, int loss, unsigned wanted, nasc_diag *d);
/* Rewrites composites into the core, before grad. batch_norm (train): d = centre(x, running), bn = bn_finish(chan_sum(d),
 * chan_sum(d, d), running …), normalise(x, bn), and where it moves, bn_move to SLOT_STATS; (not train): normalise(x, bn_fixed).
 * avg_pool: pool_scale(sum_pool). linear: conv 1×1. Conv with bias: conv, then bias. A new net; ids change. */
net *net_expand(arena *a, const net *n, nasc_diag *d);
/* After grad. Common subexpressions, dead nodes, zeros in mix and add, pad into windows; norms of one tensor take the sums of
 * the first; gradients of equal pools over one tensor become one, of the sum of theirs; a new net. */
net *net_simplify(arena *a, const net *n, nasc_diag *d);
bool net_verify(const net *n, nasc_diag *d);
void net_print(text *t, const net *n);
net *net_parse(arena *a, const char *source, const char *file, nasc_diag *d);

/* Words of 32 bits that they take, of those of one byte rounded up. */
int64_t net_words(const net_type *t);
int64_t net_elements(const net_type *t); /* an image's, a chunk row's or the whole tensor's */
bool net_type_equal(const net_type *a, const net_type *b);
/* Whether a node of region `from` may use a value of region `to` (see Regions). */
bool net_region_sees(const net *n, int from, int to);
/* How many candidates the select has whose candidate 0 has region `first`. */
int net_region_candidates(const net *n, int first);
/* conv, conv_dx, conv_dw: one input channel a group, whatever the number of output channels. */
bool net_is_channelwise(const net *n, const net_node *conv);
/* And one output channel: each channel stands alone. Not of a single channel, which is dense as well. */
bool net_is_depthwise(const net *n, const net_node *conv);
/* Does the window read single pixels of a map of h × w, all of them inside, and every one that lies on its stride? */
bool net_is_subsample(const net_window *v, int h, int w);
/* Is it a view of other pixels than its own? */
bool net_moves_pixels(enum net_prim prim);
/* Sum of the cost rule over all nodes; the parameters are n->slot_size[SLOT_WEIGHTS]. */
net_cost net_cost_total(const net *n);

#endif
