/* Inside the C emitter: what c_scope.c finds out about a kernel and c.c writes down. */
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

typedef struct c_writer {
    arena *arena;
    text *out;
    const kernel *k;
    int indent;
    c_name *regs, *ints;
    bool *dead;      /* an instruction whose result is never used */
    int *parent;     /* of an instruction: what opens the block it stands in; -1: the function */
    c_name **before; /* of an instruction: names to declare before it, because their first definition is nested in it */
    bool uses_arg[LOOP_ARGS_MAX], uses_scratch[LOOP_SCRATCH_MAX];
} c_writer;

/* Fills regs, ints, dead, parent and the used buffers. */
void c_scope(c_writer *w);
/* May the definition at `def` of a register that is used once move to that use? */
bool c_may_fold(const c_writer *w, int def);
/* A literal that reads back as exactly `value` rounded to dtype. */
const char *c_literal(arena *a, double value, int dtype);
bool c_is_int_def(const loop_ins *i);
bool c_is_reg_def(const loop_ins *i);

#endif
