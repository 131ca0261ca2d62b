/* Inside the emitters of C and of CUDA: what c_scope.c finds out about a kernel, and what c.c writes down for both. */
#ifndef NASC_C_WRITER_H
#define NASC_C_WRITER_H

#include "emit/emit.h"

/* A register or an integer variable of the kernel. `used` counts operands of live instructions that define something
 * else: what only feeds itself is dead. A name lives in the innermost block that holds all its mentions; it is declared
 * at instruction `declare` of that block, with its first value where `declare` is the first definition itself. */
typedef struct c_name {
    int defs, uses, used;
    int def, use; /* the last definition, the last use */
    int first;    /* the first mention */
    int scope;    /* instruction that opens the block; -1: the function's own */
    int declare;
    struct c_name *next; /* another that is declared before the same instruction */
    const char *folded;  /* the value's text, where it stands in its only use instead of a declaration */
    int level;           /* how tightly that text binds: see c.c */
} c_name;

/* Places in one block that differ by a constant: a pointer to the lowest of them, where there are enough. */
typedef struct c_base {
    int block, buffer;
    loop_index index; /* of the lowest */
    int uses;
    bool stores, declared;
} c_base;

typedef struct c_writer c_writer;

/* A loop that several kernels have: a function, written before the first of them. */
typedef struct c_part {
    const c_writer *w; /* the first */
    int begin;         /* the FOR in it */
    const char *name;
} c_part;

/* What each writes in its own way. */
typedef struct c_dialect {
    const char *integer;                           /* the type of integer variables */
    const char *block;                             /* a GPU's: the number of the block that runs */
    void (*open)(c_writer *w, const loop_ins *i);  /* PARALLEL, THREADS */
    void (*close)(c_writer *w, const loop_ins *i); /* their ends, by what opened them */
} c_dialect;

struct c_writer {
    const c_dialect *dialect;
    arena *arena;
    text *out;
    const kernel *k;
    int indent;
    c_name *regs, *ints;
    bool *dead;      /* an instruction whose result is never used */
    int *parent;     /* of an instruction: what opens the block it stands in; -1: the function */
    c_name **before; /* of an instruction: names to declare before it, because their first definition is nested in it */
    bool uses_arg[LOOP_ARGS_MAX], uses_scratch[LOOP_SCRATCH_MAX];
    VEC(c_base) bases;
    int *base_of;           /* of an instruction: which of them its place is of; -1: none */
    const char *name;       /* of the function */
    const c_part **part_of; /* of a FOR: the function that it became; else NULL. NULL: none became one */
    int parts;              /* named after this kernel */
    struct { /* the declaration that was written last: of what type, where its line begins and ends in `out` */
        const char *type;
        size_t begin, end;
    } declaration;
};

/* Fills regs, ints, dead, parent and the used buffers. */
void c_scope(c_writer *w);
/* After it: fills bases and base_of. */
void c_find_bases(c_writer *w);
/* May the definition at `def` of a register that is used once move to that use? */
bool c_may_fold(const c_writer *w, int def);
/* One line at the present depth, broken after commas and before signs where it is too long. */
void c_line(c_writer *w, const char *statement);
/* Instructions [from, to) of the kernel, after c_scope. */
void c_statements(c_writer *w, int from, int to);
const char *c_int_name(c_writer *w, int var);
const char *c_buffer_name(c_writer *w, int buffer);
const loop_buffer *c_buffer(const c_writer *w, int buffer);
/* Finds loops that several of these kernels have in common: fills part_of. After c_scope of all. */
void c_share(arena *a, c_writer *w, int count);
/* The functions that kernel `w` is the first to call; a call, in place of the FOR at `at`. */
void c_write_parts(c_writer *w);
void c_call_part(c_writer *w, int at);
/* How many instructions kernel `w` brings into the file, with the functions that it is the first to call. */
int64_t c_instructions(const c_writer *w);
/* The type of an element, by its dtype. */
extern const char *const c_type[DT_COUNT];
/* A literal that reads back as exactly `value` rounded to dtype. */
const char *c_literal(arena *a, double value, int dtype);
bool c_is_int_def(const loop_ins *i);
bool c_is_reg_def(const loop_ins *i);
bool c_has_place(const loop_ins *i);
/* Is a variable of the loop at `begin` its own: its counter, or named nowhere else? */
bool c_is_local_int(const c_writer *w, int begin, int var);

#endif
