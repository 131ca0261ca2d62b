/* Inside the GPU's device: what its files share.
 *
 * cuda_memory.c   one piece of the GPU's memory: the arena of programs, behind it the vectors that stay there
 * cuda_queue.c    runs are written down when they are asked for, and begin together: a step of a search is one queue.
 *                 Two stages take turns: what the host gave to one queue goes up while the queue before it runs
 * cuda_graph.c    a queue that comes again is a graph, made once and launched whole
 * cuda_library.c  convolutions that a library launches, on a stream or into a graph
 * cuda.c          opening, programs, profiles */
#ifndef NASC_CUDA_H
#define NASC_CUDA_H

#include "cuda_driver.h"
#include "device_kind.h"

enum { ELEMENT = 4, ALIGN_ELEMENTS = 64 /* a transaction's and a vector's places begin alike */ };

/* What the kernels of a program touch of a slot: elements [lo, hi). */
typedef struct extent {
    int64_t lo, hi;
    bool written;
} extent;

typedef struct loaded {
    const void *image;
    void *module, *function;
} loaded;

typedef struct prepared {
    const program *program;
    void **function;         /* one a function of the program */
    program_library library; /* of its convolutions that are no kernels */
    extent slot[SLOT_COUNT];
} prepared;

typedef struct kept {
    struct kept *next;
    float *host;
    int64_t elements, at; /* at: in the GPU's memory, elements */
    enum { BOTH_ALIKE, HOST_NEWER, GPU_NEWER } state;
    bool queued; /* a run of the queue is bound to it */
} kept;

/* ---- queue ------------------------------------------------------------------------------------------------------- */

/* Where a slot's elements from its extent's first one on lie. */
typedef struct place {
    enum { UNBOUND, KEPT, STAGED_IN, STAGED_OUT } where;
    int64_t at; /* kept: elements from the begin of the GPU's memory; staged: bytes from the area's */
} place;

typedef struct queued {
    const prepared *of;
    int n;
    bool keep_stats;
    int choices; /* numbers of `active` and `gates` in their pools; -1: there are none */
    int gates;
    place slot[SLOT_COUNT];
} queued;

typedef struct staged_batch {
    const void *from;
    int64_t bytes, at;
} staged_batch;

typedef struct queue {
    VEC(queued) runs;
    VEC(int64_t) key; /* all that tells a queue from others but the choices: equal keys, equal graphs */
    VEC(int) active;
    VEC(uint64_t) gates;
    VEC(staged_batch) batches; /* bound by several runs, staged once */
} queue;

/* Memory of the host's that the GPU reads and writes by itself, and as much of the GPU's. */
typedef struct area {
    char *host;
    gpu_address gpu;
    int64_t host_bytes, gpu_bytes, used;
} area;

typedef struct arrival { /* of what a run wrote beside kept vectors */
    void *to;
    int64_t bytes, at; /* at: of the area, bytes */
} arrival;

typedef struct stage {
    area in, out;
    VEC(arrival) arrivals;
    void *uploaded, *ended; /* events */
    bool in_flight, brings; /* brings: what runs write beside kept vectors begins as the host has it */
    int runs;               /* in flight */
} stage;

enum { STAGES = 2 };

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

/* A kernel that runs or not, as candidates are active. */
typedef struct graph_switch {
    void *node;
    int run; /* of the queue */
    const program_launch *launch;
    bool on;
} graph_switch;

typedef struct sequence {
    int64_t *key; /* NULL: the place is free */
    int length;
    int64_t last_use;
    void *graph, *ready; /* NULL: it has come once */
    graph_switch *switches;
    int switch_count;
} sequence;

enum { SEQUENCES = 16 }; /* most that are remembered */

typedef struct cuda {
    device base;
    driver call;
    void *context, *compute, *copy; /* streams: kernels and what they wrote; batches */
    int number;                     /* the driver's, of the GPU */
    arena own;
    VEC(loaded) modules;
    VEC(prepared) programs;
    kept *kept;
    gpu_address memory;
    int64_t bytes;
    bool stale; /* programs or vectors have come since memory was laid out */
    queue queue;
    stage stage[STAGES];
    int turn; /* the stage that the queue fills */
    sequence seen[SEQUENCES];
    int64_t uses;            /* of sequences, so far */
    const device_run *timed; /* the run of the queue is timed kernel by kernel, for this one; NULL: none is */
    void *start, *end;       /* events of that */
} cuda;

static inline bool cuda_done(const cuda *v, int code, const char *what, nasc_diag *d)
{
    return driver_done(&v->call, code, what, d);
}

/* cuda_memory.c */
void cuda_keep(cuda *v, arena *a, float *at, int64_t elements);
/* NULL: it is not kept. */
kept *cuda_kept(cuda *v, const void *at);
/* Memory for what was prepared and is kept. requires: nothing is queued or in flight. */
bool cuda_lay_out(cuda *v, nasc_diag *d);
bool cuda_upload(cuda *v, kept *k, nasc_diag *d);
bool cuda_download(cuda *v, kept *k, nasc_diag *d);
/* Room behind what the area holds for so many bytes, on the host; their place. -1 with a diagnostic. */
int64_t cuda_area_add(cuda *v, area *a, int64_t bytes, nasc_diag *d);
/* As much on the GPU, where contents are lost. requires, where it must grow: nothing is in flight. */
bool cuda_area_place(cuda *v, area *a, nasc_diag *d);
void cuda_memory_close(cuda *v);

/* cuda_queue.c */
bool cuda_record(cuda *v, const device_run *r, nasc_diag *d);
bool cuda_submit(cuda *v, nasc_diag *d);
/* Waits for what was submitted before the last. */
bool cuda_land(cuda *v, nasc_diag *d);
/* Waits for all; what is queued begins. */
bool cuda_wait(cuda *v, nasc_diag *d);

/* cuda_graph.c */
/* Begins the queue's kernels on the stream for computing. */
bool cuda_begin(cuda *v, nasc_diag *d);
/* Addresses are others now. requires: nothing is in flight. */
void cuda_forget_graphs(cuda *v);
/* The run as it was asked for, by its number in the queue; it stands until the queue does. */
device_run cuda_run_of(const cuda *v, int run);
gpu_address cuda_address(const cuda *v, const queued *q, const program_arg *a);

/* cuda_library.c */
/* Asks for a convolution on the stream for computing. */
bool cuda_convolve(const cuda *v, const queued *q, const program_instance *i, nasc_diag *d);
/* The same as a node of a graph, after those given. */
bool cuda_add_convolution(const cuda *v, const queued *q, const program_instance *i, void *graph, void *const *after,
                          size_t count, void **node, nasc_diag *d);

#endif
