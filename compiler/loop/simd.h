/* Inside the simd lowering. A group is lowered as stages over a tile: a band of rows, all columns, all channels, of one
 * image.
 *
 * Rows are counted from the tile's first row of the same tensor ("rel"); a stage knows how many rows before (lo) and
 * after (hi) its own share its readers need. Tensors of a group may have different heights: `ratio` is rows of this one
 * a row of the smallest. Everything that a window reads stands in scratch with its padding, so inner loops have no
 * edges. */
#ifndef NASC_SIMD_H
#define NASC_SIMD_H

#include "loop/lower.h"

enum stage_kind {
    STAGE_TILE,    /* scratch = a value with padding around, for a window to read, maybe over a window in registers */
    STAGE_CHIP,    /* scratch = a window's result, with padding around */
    STAGE_MAXIMA,  /* scratch = of each window of a max pool's gradient, its first maximum's place, and what goes there
                    */
    STAGE_STORE,   /* memory = roots at their pixels, and the sums that ride on them */
    STAGE_WEIGHTS, /* memory = a convolution's partial weight gradient */
};

enum made_when {
    MADE_ALONE,   /* before its readers */
    MADE_LEADING, /* by its first reader, some pixels before it reads them */
    MADE_AHEAD,   /* for the next tile, by a stage behind the last that reads it */
};

/* A map in memory of which a stage fetches, at each of its pixels, what it or the next tile reads. */
typedef struct fetch {
    int node;
    int64_t channel; /* that the reader's first one is */
    int channels;    /* that it reads */
    int64_t further; /* elements from the pixel at hand on; of what the next tile reads, once its rows are known */
    int below;       /* rows of the next tile that this one has read already */
    int wider;       /* channels of the map for each of the fetcher's, at most */
    bool soon;       /* its reader comes later in the same tile */
    int tiles;       /* else, after so many */
    bool written;
} fetch;

typedef VEC(fetch) map_list;

typedef struct stage {
    enum stage_kind kind;
    int value; /* TILE, CHIP: what stands in scratch; MAXIMA: the max_pool_dx; WEIGHTS: the conv_dw */
    int core; /* CHIP, STORE, TILE: the window computed in registers; MAXIMA: the max pool known by the way; -1: none */
    double fill; /* TILE: what stands beyond the edge */
    int across; /* TILE: the pool whose rows of taps stand in it, each folded to a pixel of the pool's width; -1: none */
    int h, w, c, ratio;
    int map_h, map_w;        /* of one image */
    int lo, hi, left, right; /* rows and columns around the tile's own share */
    int scratch;             /* buffer */
    int pixel;               /* elements a pixel in it */
    int split; /* channels that stand together where those behind them stand apart (simd_split.c); 0: all together */
    VEC(int) roots;      /* STORE */
    VEC(int) sums;       /* STORE: chan_sum roots */
    map_list fetches;    /* CHIP, STORE, WEIGHTS */
    VEC(int) gathered;   /* STORE: scratch for a row of each root, which is streamed from there; -1: none */
    enum made_when made; /* TILE (simd_meanwhile.c) */
    int made_by;         /* TILE: the stage that makes it as it sums; -1: it is made by itself */
    VEC(int) makes;      /* CHIP, STORE, WEIGHTS: those tiles */
} stage;

/* A tensor as windows see it: element (rel, x, c) at origin + rel·row + x·column + c; from channel `split` on, if there is
 * one, at rest + rel·row + x·rest_column + c - split. */
typedef struct view {
    int buffer;
    loop_index origin, rest;
    int64_t row, column, rest_column;
    int split;
} view;

/* Where maps are evaluated: a pixel and `lanes` channels from `c` on. */
typedef struct spot {
    loop_index rel, x, c;
    int lanes;
    int h, w; /* of the map that this is a pixel of */
    int ratio;
} spot;

typedef struct memo {
    int node, row, lanes, reg;
} memo;

typedef VEC(memo) memo_list;

/* 1 / count for every count of rows and columns of a pool's window that can lie inside the map. */
typedef struct share_table {
    int kh, kw;
    int scratch;
} share_table;

/* Rows of a value a channel, each repeated so often that whole vectors of all phases lie there. */
typedef struct repeated {
    int node, period, scratch;
} repeated;

/* The instructions [begin, end) of a stage. */
typedef struct stage_run {
    int stage, begin, end;
} stage_run;

typedef struct simd {
    arena *a;
    const fusion *f;
    const net *n;
    const group *g;
    const lower_layout *layout;
    const target *t;
    const lower_options *o;
    loop_pen pen;
    lowered *out;
    VEC(stage) stages;
    VEC(stage_run) stage_runs;
    lower_room *room;
    int sum_rows;        /* scratch: the unit's rows of chan_sum, in float64 */
    bool chunked, whole; /* units are chunks of images; a tile is the whole map */
    bool carried;        /* units are images: what a tile has made of the next one's halo moves on */
    int rows;            /* of the smallest map, a tile */
    int tiles;
    int smallest;               /* height of the smallest map */
    int images_most;            /* that a tile spans: more than one where maps are small and each pixel stands alone */
    int unit;                   /* variable of the parallel loop */
    loop_index image, tile;     /* number of the image; the tile's first row of the smallest map */
    int slices;                 /* of the channels, that pass one after the other; 0: all pass together */
    loop_index slice;           /* its first channel: those of blocks and spots count from there */
    int core, core_reg;         /* a window's result at the present pixel */
    loop_index images_end;      /* of the unit */
    struct making *making;      /* tiles that the stage at hand makes */
    int makings;                /* of them; 0 too where its blocks make none */
    int streamed;               /* columns of the row at hand that have gone to memory already */
    map_list along;             /* maps of which blocks of the stage at hand fetch lines while they sum */
    int along_ratio;            /* of that stage */
    bool ahead;                 /* maps in memory are fetched for the next row */
    int at_hand;                /* planning: a window on chip that the reader computes itself; -1: none */
    int finished, finished_row; /* a long sum that stands in a row of scratch; -1: none */
    const int *totals;          /* a norm's two sums, where its kernel has made them; else NULL */
    memo_list pixel_memo, channel_memo;
    VEC(share_table) shares;
    VEC(int) kept; /* roots that a later stage reads, or that are stored in parts of lines: not past the caches */
    VEC(repeated) repeats; /* while the rows of a narrow map are written */
} simd;

void simd_lower(simd *s);

/* Rounds down, b > 0. */
static inline int64_t simd_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* simd_read.c: values at a spot, each computed once a pixel (memo) */
int simd_arg(simd *s, int node, enum loop_access access);
int simd_arg_from(simd *s, int node, int64_t offset); /* read only, from an element on */
int simd_read(simd *s, int node, const spot *at);
int simd_read_apart(simd *s, int node, const spot *at);
int simd_row(simd *s, int node, int row, const spot *at);            /* a per-channel row of a vector value */
int simd_first_pixel(simd *s, int node, loop_index c, int lanes);    /* the value of a node of that name */
int simd_weight(simd *s, int weights, int row, int pick, int lanes); /* one candidate weight in every lane */
int simd_fma(simd *s, int a, int b, int c);
void simd_fma_to(simd *s, int acc, int a, int b);
loop_index simd_element(simd *s, int node, const spot *at); /* of a stored value */
loop_index simd_scratch_element(const stage *g, const spot *at);
/* simd_map.c: the rule of each map */
int simd_map(simd *s, int node, const spot *at);
void simd_fill_shares(simd *s); /* at the start of a unit: the tables that average pools of the group need */
/* simd_stage.c: which stages a group needs, their rows, their scratch */
void simd_plan(simd *s);
net_window simd_window_of(const simd *s, int node); /* padding is a window of one tap */
/* simd_tile.c: the height of a tile; images that one spans; elements of a stage's scratch in a tile of so many rows */
void simd_choose_rows(simd *s);
bool simd_place_matters(enum net_prim prim); /* does it ask where in the map a pixel lies? */
int simd_images_of(simd *s);
int64_t simd_scratch_elements(const simd *s, const stage *g, int rows);
/* From here on a tile spans so many images, of which 1 or images_most: stages see one map that is so much taller, or one row
 * of all pixels where nothing is summed row by row. */
void simd_span(simd *s, int images);
/* Do an image's tiles follow each other in one unit? Then each finds its halo where the tile before left it. */
bool simd_carries(const simd *s);
double simd_work_of(const simd *s, int core); /* multiply-adds an element of a window's result */
/* Does window `core` read its operand 0 where it lies, or a cheap map of that, and leave out the taps beyond the edge? */
bool simd_is_clipped(const simd *s, int core);
stage *simd_stage_of(simd *s, int value, enum stage_kind kind);
/* Does pool `core` read rows of taps that are folded already? Each is then folded once, not by every window that it is a
 * part of. */
bool simd_is_folded(const simd *s, int core);
/* What window `core` reads around a pixel: operand 0, as it stands in scratch or, where it needs no padding, in memory.
 */
view simd_source(simd *s, int core);
view simd_stage_view(const stage *g);
int simd_own_rows(const simd *s, const stage *g); /* of its tile, without those around it */
int simd_window_under(const stage *g);            /* the window that the stage computes, or -1 */
bool simd_reads(const simd *s, const stage *g,
                int value);              /* as an operand of that window, around its pixels or at them */
bool simd_is_in_scratch(const stage *g); /* does a later stage read what it makes from scratch? */
/* Operand k of a conv_dw likewise. */
view simd_operand_view(simd *s, int node, int k);
/* simd_fetch.c: memory ahead of its readers, and past the caches */
void simd_plan_fetches(simd *s);
void simd_fetch_ahead(simd *s, const stage *g, const spot *at);
bool simd_goes_ahead(const simd *s, int lanes,
                     int vector);                /* do the reads of a block's vector fetch the next row's line? */
bool simd_is_fetched(const simd *s, int node);   /* by a stage that does so while it sums */
bool simd_is_made_here(const simd *s, int node); /* by this kernel, all of it or, of a concat, a part */
void simd_plan_streams(simd *s);
/* Around the rows of a stage: may its blocks fetch along? Where they do, nothing is fetched when they are stored. */
void simd_begin_along(simd *s, const stage *g);
void simd_end_along(simd *s);
void simd_store_map(simd *s, int root, const spot *at, int value);
void simd_stream_rows(simd *s, const stage *g, loop_index rel); /* what a row's stores have gathered */
/* simd_window.c: windows in registers: acc[p * vectors + v] for `pixels` columns from x on, `vectors` vectors from c on;
 * acc[pixels * vectors + p] for the channels behind them, where these fill part of a vector and are computed along */
typedef struct block {
    loop_index rel, x, c;
    int pixels, vectors, lanes;
    int columns; /* of the whole row */
    bool ends;   /* are its channels the last of their pixels? */
    int tail;    /* of the channels behind: lanes; 0: none */
    int group;   /* variable of the loop over a grouped convolution's groups; 0: none */
} block;
void simd_window(simd *s, int core, const block *b, int acc[]);
/* Are so many of a depthwise window's rows of taps beyond the edge, where zeros stand in scratch, that each pixel's are asked
 * for? Its columns are known where a block stands at a constant place. */
bool simd_leaves_rows_out(const simd *s, int core);
/* simd_fetch.c: what a row's stores have gathered goes to memory while blocks like this compute, if it is whole lines: behind
 * each, the block before. The rest goes when the row ends. */
bool simd_streams_blocks(const simd *s, const stage *g, const block *b);
void simd_stream_block(simd *s, const stage *g, loop_index rel, loop_index x, int pixels);
/* simd_across.c: a row of taps of each pixel, folded, of a stage that has one */
void simd_across(simd *s, const stage *g, const block *b, int acc[]);
enum loop_op simd_fold_of(const net_node *pool); /* how a pool joins its taps */
/* In `rounds` rounds, into which the `steps` of a block's sum divide, the lines that its pixels will read a row or a tile
 * further (simd_fetch.c): about a pixel's in each. Where nothing is fetched it is one round. */
int simd_fetch_rounds(const simd *s, const block *b, int steps);
void simd_fetch_along(simd *s, const block *b, loop_index round, int rounds);
/* The same where rows of w pixels pass in so many rounds: of maps [first, end) a line or more with each pixel, and what is
 * left with each row. */
typedef struct fetch_share {
    int first, end;
    loop_index round;
    int rounds;
    int begun; /* rounds before */
} fetch_share;
void simd_fetch_beside(simd *s, const fetch_share *q, loop_index rel, loop_index x, int w);
void simd_fetch_rest(simd *s, const fetch_share *q, loop_index rel, int w);
/* What a convolution, forward or back, multiplies with for output channel c, of group `group`: weight k of a tap is at
 * base + tap · per_tap + k · per_inner and meets channel k from `first` on of the source. */
typedef struct filter {
    int buffer;
    loop_index base;
    int64_t per_tap, per_inner;
    int inner; /* channels summed over; 0: depthwise */
    loop_index first;
} filter;
filter simd_filter(simd *s, int core, loop_index c, loop_index group);
/* simd_scratch.c: once all is emitted */
void simd_hand_on_scratch(simd *s);
/* simd_slices.c: channels that never meet */
void simd_plan_slices(simd *s);
/* Vectors of a block of so many channels; columns of one of so many vectors: as many accumulators as the registers hold
 * beside the operands, few columns left over. */
int simd_block_vectors(const simd *s, int core, int width, int channels);
int simd_block_pixels(const simd *s, int core, int width, int vectors, int tail);
/* Is the core a convolution, or its gradient by its input, that sums over channels? */
bool simd_is_dense(const simd *s, int core);
bool simd_is_depthwise(const simd *s, int window); /* or a gradient of one, by input or weights */
/* Can a block compute the channels behind its last vector along? */
bool simd_takes_tail(const simd *s, int core, int tail);
/* Do the taps of a block of so many columns from x on reach beyond the edge, where nothing stands? */
bool simd_meets_edge(const simd *s, const stage *g, int x, int pixels);
/* Rows and columns after which a window sees the same taps again: the stride of one that takes a gradient back, else 1.
 * Loops of its stage take so many at a time. */
int simd_row_phases(const simd *s, int core);
int simd_column_phases(const simd *s, int core);
/* simd_flat_rows.c: how many of a stage's rows are taken as one; divides `rows` */
int simd_rows_at_once(simd *s, const stage *g, int rows);
bool simd_gathers(const stage *g); /* is a row of a root gathered in scratch before it is stored? */
/* Is what a map reads of `node` laid out row after row, as the stage's pixels are? */
bool simd_is_read_flat(simd *s, const stage *g, int node);
/* simd_split.c: scratch whose pixels are in two pieces */
void simd_plan_splits(simd *s);
int64_t simd_row_elements(const stage *g); /* of a row of the stage's scratch */
loop_index simd_view_element(const view *v, loop_index row, loop_index column, loop_index c);
/* simd_meanwhile.c: tiles that a stage makes as it sums */
void simd_plan_meanwhile(simd *s);
bool simd_is_long_gradient(const simd *s, const stage *g); /* by weights, of pixels alone, in blocks of whole vectors */
void simd_make_first_pixels(simd *s, const stage *g);      /* of a tile that leads its maker */
void simd_begin_ahead(simd *s, loop_index image); /* before a unit's first image: the tiles that others make ahead */
/* Around the blocks of a stage that make its tiles, if it has any. */
void simd_begin_meanwhile(simd *s, const stage *g);
void simd_end_meanwhile(simd *s);
/* With each of so many pixels of a block, in so many parts, `each` pixels; `pixels` · `parts` rounds in all, at most the
 * `steps` of the block's sum. */
typedef struct meanwhile_rounds {
    int pixels, parts, each;
} meanwhile_rounds;
meanwhile_rounds simd_meanwhile_rounds(const simd *s, const block *b, int steps);
void simd_make_meanwhile(simd *s, const block *b, const meanwhile_rounds *q, loop_index round, loop_index part);
void simd_make_beside(simd *s, loop_index rel, loop_index x); /* one pixel */
/* simd_narrow.c: maps of few channels, a row as one run; begun before and ended behind a stage's rows */
bool simd_is_narrow(const simd *s, const stage *g);
void simd_begin_narrow(simd *s, const stage *g);
void simd_emit_narrow_row(simd *s, const stage *g, loop_index rel);
void simd_end_narrow(simd *s);
const repeated *simd_repeated(const simd *s, int node); /* NULL: it is read where it is */
/* simd_max_pool.c: the gradient of a max pool, windows first, then pixels */
void simd_maxima(simd *s, int node, const block *b, int best[]);
void simd_gather(simd *s, int node, const block *b, int acc[]);
/* simd_rows.c: long sums, a term at a time */
int simd_line_vectors(int lanes); /* vectors of a cache line */
bool simd_goes_by_rows(simd *s, const stage *g);
void simd_emit_by_rows(simd *s, const stage *g, loop_index rel);
int simd_read_finished(simd *s, const spot *at);
void simd_add_to_sum(simd *s, int root, int acc, const spot *at); /* one pixel of a chan_sum */
void simd_add_row_sum(simd *s, int sum, int acc, const spot *at); /* a row's sum to that of the chunk */
/* simd_weights.c: partial weight gradients */
void simd_weights(simd *s, const stage *g);
/* Are there several rows in a unit, each of some of its images? */
bool simd_rows_are_parts(const simd *s, int conv_dw);
/* Before and after the images of a row: the row itself, and what waits in scratch until all its pixels are added up. */
void simd_clear_weights(simd *s, stage *g);
void simd_store_turned(simd *s, const stage *g);
/* simd_work.c: operations and bytes of the kernel, once its stages are planned */
void simd_count_work(simd *s);
/* simd_vector.c, simd_image.c, simd_flat.c: groups without pixels, of the simt lowering as well */
void simd_lower_vector(simd *s, int root);
void simd_lower_image(simd *s, int root);
void simd_lower_flat(simd *s);
/* simd_linear.c, likewise */
void simd_lower_linear_dw(simd *s, int root);
enum { SIMD_FLAT_BLOCK = 16384 }; /* elements of a flat vector a unit */
/* Σ over the chunks of elements [c, c + lanes) of rows of `width`, in float64. */
int simd_fold_rows(simd *s, int buffer, int rows, int64_t width, loop_index c, int lanes);
/* A chunked value's rows in this run. */
int simd_chunks(simd *s, int node);

/* Σ over an image's pixels of what an image_sum or global_pool sums, stored for channels [c, c + lanes). */
void simd_sum_image(simd *s, int root, loop_index c, int lanes);
/* The whole kernel over `count` elements: body for every vector of `lanes`, then for what is left, one by one. */
void simd_each(simd *s, int64_t count, int lanes, void (*body)(simd *s, loop_index c, int lanes));

/* Channels as runs of vectors: `count` blocks of `vectors` vectors of `lanes`, from channel `lo` on. */
typedef struct channel_run {
    int lo, count, vectors, lanes;
    int tail; /* see block */
} channel_run;
int simd_channel_runs(const simd *s, int channels, int vectors, channel_run run[8]);
int simd_part(channel_run run[], int *runs,
              int most); /* the first `most` blocks become runs of their own; how many there are */
enum {
    SIMD_ACC_MAX = 64,
    SIMD_LINE = 16,   /* floats of a cache line */
    SIMD_LONG_SUM = 8 /* channels: at least two rounds of a block's loop */
};
/* Copies or zeroes `count` elements from `to` on with the widest vectors. */
void simd_fill(simd *s, int buffer, loop_index to, int64_t count, double value);
/* Opens a loop over a run where it has more than one block; the first channel of the block. simd_close ends it. */
loop_index simd_open(simd *s, int lo, int count, int step);
void simd_close(simd *s, int count);
/* simd.c: a stage's rows; one of them; and the columns of its first block */
void simd_emit_rows(simd *s, const stage *g);
void simd_emit_row(simd *s, const stage *g, loop_index rel);
int simd_first_columns(simd *s, const stage *g);
/* simd_edge.c: scratch columns left and right of the map, in one row; rows that hold nothing of it; rows above and below,
 * where a tile is all of the map */
void simd_fill_sides(simd *s, const stage *g, loop_index rel);
void simd_fill_row(simd *s, const stage *g, loop_index rel);
void simd_fill_rows(simd *s, const stage *g, int lo, int hi);
void simd_fill_around(simd *s, const stage *g);
/* Rows that the tile before has made already move up, it had so many of its own; the first that is left to be made. Of an
 * image's first tile none is there. */
loop_index simd_carry_rows(simd *s, const stage *g, int own);
void simd_move_rows(simd *s, const stage *g, int own); /* the same where it is not the first */

#endif
