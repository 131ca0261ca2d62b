/* clang-format off */ /* tables and the comments beside them are laid out by hand */
/* The program: what the compiler hands to the runtime, and the one header that they share beside base. Data only.
 *
 * Launches run in order; the instances of one launch do not depend on each other and run as one parallel region. An
 * instance is a kernel with its arguments: places in the arena (planned, known before anything runs) or in slots that the
 * caller binds for the run. Its units are split over threads by the runtime; the result does not depend on how. */
#ifndef NASC_PROGRAM_H
#define NASC_PROGRAM_H

#include "base/base.h"

/* Who binds a buffer when a program runs. Weights, statistics and candidate weights each live in one flat buffer, so that
 * optimisers see one vector, and w, w', w⁺, w⁻ are bindings of one program. */
enum net_slot {
    SLOT_NONE,        /* the arena */
    SLOT_IMAGES,      /* x: (N,H,W,C) */
    SLOT_LABELS,      /* i32 (N,1,1,1) */
    SLOT_WEIGHTS,     /* learned by w's optimiser */
    SLOT_STATS,       /* running means and variances */
    SLOT_MIX,         /* candidate weights: what the method makes of alpha, (1,1,rows,K) a kind */
    SLOT_MASKS,       /* drop-path (N,1,1,1) and dropout (N,1,1,C) masks, already divided by the keep rate */
    SLOT_SCALARS,     /* step-dependent numbers */
    SLOT_WEIGHT_GRAD, /* outputs: the same offsets as SLOT_WEIGHTS */
    SLOT_MIX_GRAD,
    SLOT_LOGITS,
    SLOT_LOSS,        /* (1,1,1,1) mean loss of the batch */
    SLOT_CORRECT,     /* (1,1,1,1) fraction of right answers */
    SLOT_AUX_LOGITS,
    SLOT_USER,        /* flat vectors of runtime-made nets: SLOT_USER + i is binding i */
    SLOT_COUNT = SLOT_USER + 16
};

/* Runs units [begin, end) of a kernel for a batch of n images; see loop.h. */
typedef void kernel_fn(void *const *buffer, int64_t n, int64_t begin, int64_t end, void *scratch);

typedef struct program_arg {
    enum net_slot slot;
    int64_t offset;   /* in elements of 4 bytes (every dtype of a program is one of 4 bytes, as yet) */
    int64_t elements; /* that the kernel may touch there, for the plan's batch: the interpreter checks */
    bool written;     /* by the kernel */
} program_arg;

/* A dense convolution, or one of its gradients, that a library computes. Its arguments are x, the filter, y and, where it
 * takes any, the workspace; filters are [co][ky][kx][ci]. */
typedef struct program_conv {
    enum conv_kind { CONV_FORWARD, CONV_DATA, CONV_FILTER } kind; /* which of x, filter, y is written: y, x, filter */
    int x_h, x_w, x_c, x_pixel; /* x_pixel: elements from pixel to pixel */
    int y_h, y_w, y_c, y_pixel;
    int kh, kw, sh, sw, dh, dw;
    int top, left, bottom, right;
} program_conv;

extern const char *const program_conv_name[3];

typedef struct program_instance {
    int kernel; /* -1: `conv` */
    int conv;   /* of those that a library computes */
    int first_arg, args;
    int unit_images; /* units = ceil(n / unit_images) · unit_tiles; unit_images 0: units = unit_tiles */
    int unit_tiles;
    int64_t flops_image, bytes_image; /* for profiles and blocks: arithmetic and memory touched an image (or once, unit_images 0) */
    int64_t scratch;                  /* place of its scratch in the arena, elements, where one thread runs all launches in turn */
    const char *name;                 /* a path of names from the network */
    unsigned char schedule[16];       /* key of the kernel as the lowering makes it unasked: what a schedule is known by */
    unsigned char code[16];           /* and of the kernel that it is, which a schedule, or want of room, may have changed */
} program_instance;

enum {
    LAUNCH_MOVES_STATS = 1, /* left out where running statistics must stay */
    LAUNCH_GATE = 2         /* runs where the candidate's gate is asked for, not where it is active */
};

/* ---- grids: what a GPU launches. A program for a CPU has none ------------------------------------------------------- */
enum {
    GRID_KERNELS = 8,   /* that a function has, at most */
    GRID_ARGS = 480,    /* of all instances of a grid: they and what follows them are 4096 bytes of parameters at most */
    GRID_THREADS = 256  /* of a block, where kernels say nothing of threads */
};

/* A function for a GPU: kernels, one of which each block runs for one of its instances. */
typedef struct program_function {
    int kernels, threads; /* threads: of a block; kernels that say so have fewer of them at work */
    int table;            /* arguments that its table has room for; 0: one kernel, whose arguments are its parameters */
    struct program_part {
        int kernel, args;
        int threads; /* of a unit, which is a block; 0: a unit is a thread */
    } part[GRID_KERNELS];
} program_function;

/* Instances of a launch, neighbours, that run as one grid: the blocks of one behind those of another. Those of a part of
 * the function are neighbours, and have as many units each. */
typedef struct program_grid {
    int first, count;
    int function; /* -1: a library's convolution */
    int of[GRID_KERNELS]; /* instances of each part */
} program_grid;

typedef struct program_launch {
    int first, count; /* instances */
    int first_grid, grids;
    unsigned flags;
    int select, candidate; /* select ≥ 0: only where that choice has this candidate active */
    int beside; /* gates and what follows them of their choice: gates and the others do not depend on each other, nor share
                   memory, and may run at once; a number of its own for each such stretch of launches, rising; 0: none */
} program_launch;

typedef struct program {
    int batch; /* the largest n */
    VEC(const struct kernel *) kernels;
    VEC(program_conv) convs;
    VEC(program_instance) instances;
    VEC(program_arg) args;
    VEC(program_launch) launches;
    VEC(program_function) functions;
    VEC(program_grid) grids;
    int64_t arena_elements; /* of 4 bytes */
    int64_t alive_elements; /* of them at once, at most: no plan of this order of launches can have fewer */
    int64_t single_elements; /* of the arena with every launch's scratch in it */
    int64_t scratch_bytes;  /* a thread's, float32 (at most twice that in float64) */
    int64_t slot_size[SLOT_COUNT]; /* elements: flat slots; images, logits, masks: an image's */
    VEC(struct program_mask { double rate; int channels; int64_t offset; }) masks; /* offset: elements, for the plan's batch */
    int selects; /* number of choices */
} program;

/* ---- what lies in the flat slots ----------------------------------------------------------------------------------- */

/* A named tensor of the outside world (checkpoints): where it lies in its slot and how files lay it out. */
enum net_layout { LAYOUT_VECTOR, LAYOUT_CONV /* file OIHW, here HWIO */, LAYOUT_LINEAR /* file [out][in], here [in][out] */ };
typedef struct net_param {
    const char *name;
    enum net_slot slot; /* SLOT_WEIGHTS, SLOT_STATS, SLOT_MIX (alphas: offset and shape of the rows) */
    int64_t offset;
    int dim[4];         /* here: ky, kx, ci/groups, co; vectors 1,1,1,C; alphas 1,1,rows,K */
    enum net_layout layout;
    double init;        /* bound of the uniform, deviation of the normal distribution */
    enum { INIT_UNIFORM, INIT_NORMAL, INIT_ZERO, INIT_ONE } init_kind;
} net_param;

/* ---- the methods' own programs: arithmetic between passes through the network -----------------------------------------
 * What each computes stands in compiler/net/methods.h. */
#define NET_METHODS(X)                                                                                                 \
    X(softmax) X(alpha) X(alpha_2nd) X(reinforce) X(sgd) X(unroll) X(perturb) X(adam) X(gates) X(rescale)

enum net_method {
#define X(name) METHOD_##name,
    NET_METHODS(X)
#undef X
    METHOD_COUNT
};

/* What is bound to SLOT_USER + …. */
enum method_binding {
    BIND_VALUE,   /* weights, alpha, or candidate weights */
    BIND_GRAD,    /* their gradient */
    BIND_FIRST,   /* momentum, or Adam's first moment */
    BIND_SECOND,  /* Adam's second moment */
    BIND_PLUS,    /* w⁺, or the gradient there */
    BIND_MINUS,   /* w⁻, or the gradient there */
    BIND_EPSILON, /* one number */
    BIND_SAMPLE,  /* one-hot rows; 1 for every candidate that takes part */
    BIND_COST,    /* of each candidate */
    BIND_VALUE_OUT,
    BIND_FIRST_OUT,
    BIND_SECOND_OUT
};

/* Their numbers in SLOT_SCALARS; which of them change with the step is the runtime's affair. */
enum method_scalar {
    SCALAR_LR,
    SCALAR_MOMENTUM,
    SCALAR_DECAY,
    SCALAR_CLIP,       /* largest norm of the gradient; FLT_MAX: no bound */
    SCALAR_RADIUS,     /* 0.01: length of the step from w to w± */
    SCALAR_BETA1,
    SCALAR_BETA1_REST, /* 1 - β1 */
    SCALAR_BETA2,
    SCALAR_BETA2_REST,
    SCALAR_ADAM_LR,    /* lr / (1 - β1^t) */
    SCALAR_ADAM_ROOT,  /* 1 / √(1 - β2^t) */
    SCALAR_ADAM_EPS,
    SCALAR_ADAM_DECAY,
    SCALAR_ADVANTAGE,  /* reward - baseline */
    SCALAR_LOSS_SCALE, /* factors of the gates' gradients and of the candidates' costs */
    SCALAR_COST_SCALE,
    SCALAR_COUNT
};

/* A function for a GPU: what its driver loads. Its parameters: every argument, then int n, int units; where it has a
 * table, that: every argument, one instance after the other, as many as there is room for; then int n, then for each
 * part int instances, int blocks (of each), int units. */
typedef struct program_image {
    const void *image;
    const char *symbol; /* its name there */
} program_image;

/* How a device has convolutions computed that are not kernels. `most`: bytes at `workspace`; addresses are the GPU's. */
typedef struct program_library {
    void *user; /* NULL: there is none */
    bool (*run)(void *user, const program_conv *conv, int n, const uint64_t at[3], uint64_t workspace, int64_t most,
                void *stream, nasc_diag *d);
} program_library;

/* How a program's kernels run: machine code, or a function that interprets them (tests, and no compiler at hand). */
typedef struct program_code {
    kernel_fn *const *entry;    /* one a kernel: of this machine's processor */
    const program_image *image; /* one a function: of a GPU. Both NULL: interpret */
    bool (*interpret)(const struct kernel *k, void *const *buffer, const int64_t *sizes, int64_t n, int64_t begin,
                      int64_t end, bool wide, nasc_diag *d);
    program_library library;
    bool wide; /* float64, interpreted or compiled: every float buffer holds doubles */
} program_code;

#endif
