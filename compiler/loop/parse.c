/* Reads the text form of a kernel (loop.h describes it). Writes through the pen's tables directly, because registers
 * and variables keep the numbers that the text gives them. Checks syntax and that numbers fit; loop_verify checks
 * meaning. */
#include "loop.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 1 << 20 }; /* registers and variables */

typedef struct parser {
    loop_pen pen;
    const char *source, *file;
    const char *at;
    nasc_diag *d;
    jmp_buf *failed; /* where an error goes: reading has no use for half a kernel */
} parser;

NORETURN static void fail(parser *p, const char *expected)
{
    int line = 1, column = 1;
    for (const char *c = p->source; c < p->at; c++) {
        column = *c == '\n' ? 1 : column + 1;
        line += *c == '\n';
    }
    char where[320];
    snprintf(where, sizeof where, "%s:%d:%d", p->file, line, column);
    int found = (int)strcspn(p->at, " \t\n");
    diag_fail(p->d, DIAG_INPUT, where, "expected %s, found '%.*s'", expected, found < 40 ? found : 40, p->at);
    longjmp(*p->failed, 1);
}

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

static void skip_blank(parser *p)
{
    while (isspace((unsigned char)*p->at) || *p->at == '#') {
        if (*p->at == '#')
            p->at += strcspn(p->at, "\n");
        else
            p->at++;
    }
}

/* Takes a sign or a whole word if it stands here. */
static bool accept(parser *p, const char *word)
{
    skip_blank(p);
    size_t length = strlen(word);
    if (strncmp(p->at, word, length))
        return false;
    char next = p->at[length];
    if (isalpha((unsigned char)word[0]) && (isalnum((unsigned char)next) || next == '_'))
        return false;
    p->at += length;
    return true;
}

static void expect(parser *p, const char *word)
{
    char expected[80];
    if (accept(p, word))
        return;
    snprintf(expected, sizeof expected, "'%s'", word);
    fail(p, expected);
}

static int64_t read_digits(parser *p, int64_t most, const char *expected)
{
    skip_blank(p);
    if (!isdigit((unsigned char)*p->at))
        fail(p, expected);
    errno = 0;
    char *end;
    long long value = strtoll(p->at, &end, 10);
    if (errno || value > most)
        fail(p, "a smaller number");
    p->at = end;
    return value;
}

static int64_t read_int(parser *p, int64_t most)
{
    int64_t sign = accept(p, "-") ? -1 : 1;
    return sign * read_digits(p, most, "a whole number");
}

static double read_double(parser *p)
{
    skip_blank(p);
    char *end;
    double value = strtod(p->at, &end);
    if (end == p->at)
        fail(p, "a number");
    p->at = end;
    return value;
}

/* A letter followed by a number: r3, i2, a0, s1. */
static bool at_numbered(parser *p, char letter)
{
    skip_blank(p);
    return p->at[0] == letter && isdigit((unsigned char)p->at[1]);
}

static int read_numbered(parser *p, char letter, const char *expected)
{
    if (!at_numbered(p, letter))
        fail(p, expected);
    p->at++;
    return (int)read_digits(p, NUMBER_MAX, expected);
}

static int read_word_of(parser *p, const char *const *words, int count, const char *expected)
{
    for (int i = 0; i < count; i++)
        if (words[i] && accept(p, words[i]))
            return i;
    fail(p, expected);
}

static int read_dtype(parser *p)
{
    skip_blank(p);
    for (int t = 0; t < DT_COUNT; t++) {
        size_t length = strlen(dtype_info[t].name);
        if (!strncmp(p->at, dtype_info[t].name, length)) {
            p->at += length;
            return t;
        }
    }
    fail(p, "a type");
}

/* ---- operands --------------------------------------------------------------------------------------------------- */

static void need_variables(parser *p, int count)
{
    if (p->pen.k->ints < count)
        p->pen.k->ints = count;
}

static int read_variable(parser *p)
{
    int var = read_numbered(p, 'i', "a variable");
    need_variables(p, var + 1);
    return var;
}

static int read_register(parser *p)
{
    int reg = read_numbered(p, 'r', "a register");
    static const loop_reg unknown = {DT_F32, 0};
    while (p->pen.k->regs.count <= reg)
        VEC_PUSH(p->pen.arena, &p->pen.k->regs, unknown);
    return reg;
}

/* `f32x8 r3`: the type must be the one that the register has already. */
static int read_declared(parser *p)
{
    skip_blank(p);
    const char *start = p->at;
    loop_reg type = {read_dtype(p), 1};
    if (*p->at == 'x') {
        p->at++;
        type.lanes = (int)read_digits(p, LOOP_LANES_MAX, "a number of lanes");
    }
    int reg = read_register(p);
    loop_reg *have = &p->pen.k->regs.at[reg];
    if (have->lanes && (have->dtype != type.dtype || have->lanes != type.lanes)) {
        p->at = start;
        fail(p, "the type that the register has above");
    }
    *have = type;
    return reg;
}

/* One term: 8*i2, i2, n, 8. */
static loop_index read_term(parser *p, loop_index sum, int sign)
{
    int64_t number = 1;
    bool variable = at_numbered(p, 'i') || *p->at == 'n';
    if (!variable) {
        number = read_digits(p, INT64_MAX, "an index");
        variable = accept(p, "*");
    }
    if (!variable) {
        if (__builtin_add_overflow(sum.base, sign * number, &sum.base))
            fail(p, "a smaller number before this");
        return sum;
    }
    if (number > INT32_MAX)
        fail(p, "a smaller coefficient before this");
    int var = accept(p, "n") ? 0 : read_variable(p);
    for (int t = 0; t < sum.count; t++)
        if (sum.term[t].var == var)
            fail(p, "each variable once");
    if (sum.count == LOOP_TERMS_MAX)
        fail(p, "fewer terms");
    return loop_plus(sum, var, sign * number);
}

static loop_index read_index(parser *p)
{
    loop_index sum = read_term(p, loop_at(0), accept(p, "-") ? -1 : 1);
    for (;;) {
        if (accept(p, "+"))
            sum = read_term(p, sum, 1);
        else if (accept(p, "-"))
            sum = read_term(p, sum, -1);
        else
            return sum;
    }
}

static loop_place read_place(parser *p)
{
    loop_place place = {0};
    if (at_numbered(p, 's'))
        place.buffer = LOOP_SCRATCH + read_numbered(p, 's', "a scratch array");
    else
        place.buffer = LOOP_ARG + read_numbered(p, 'a', "a buffer");
    expect(p, "[");
    place.index = read_index(p);
    expect(p, "]");
    return place;
}

/* ---- instructions ----------------------------------------------------------------------------------------------- */

static void append(parser *p, loop_ins ins)
{
    VEC_PUSH(p->pen.arena, &p->pen.k->ins, ins);
}

static void open_block(parser *p, loop_ins ins)
{
    if (p->pen.depth == (int)COUNT(p->pen.open))
        fail(p, "fewer levels");
    p->pen.open[p->pen.depth++] = p->pen.k->ins.count;
    append(p, ins);
}

/* The `}` is read. */
static void read_close(parser *p)
{
    if (!accept(p, "else")) {
        loop_end(&p->pen);
        return;
    }
    if (p->pen.k->ins.at[p->pen.open[p->pen.depth - 1]].op != LOOP_IF)
        fail(p, "else to follow an if");
    expect(p, "{");
    loop_else(&p->pen);
}

static void read_for(parser *p)
{
    loop_ins ins = {.op = LOOP_FOR, .dst = read_variable(p)};
    expect(p, "=");
    ins.lo = read_index(p);
    expect(p, "to");
    ins.hi = read_index(p);
    expect(p, "step");
    ins.step = (int32_t)read_int(p, INT32_MAX);
    expect(p, "{");
    open_block(p, ins);
}

static void read_threads(parser *p)
{
    loop_ins ins = {.op = LOOP_THREADS, .dst = read_variable(p)};
    ins.step = (int32_t)read_int(p, INT32_MAX);
    expect(p, "{");
    open_block(p, ins);
}

static void read_if(parser *p)
{
    loop_ins ins = {.op = LOOP_IF, .lo = read_index(p)};
    expect(p, "<");
    ins.hi = read_index(p);
    expect(p, "{");
    open_block(p, ins);
}

static void read_store(parser *p, bool streamed)
{
    loop_ins ins = {.op = LOOP_STORE, .step = streamed, .place = read_place(p)};
    expect(p, "=");
    ins.src[0] = read_register(p);
    append(p, ins);
}

static void read_prefetch(parser *p)
{
    append(p, (loop_ins){.op = LOOP_PREFETCH, .place = read_place(p)});
}

static int read_op(parser *p, bool integer)
{
    skip_blank(p);
    for (int op = 0; op < LOOP_OP_COUNT; op++) {
        enum loop_kind kind = loop_op_info[op].kind;
        if (kind == LOOP_STRUCT || kind == LOOP_HINT || kind == LOOP_SYNC || op == LOOP_STORE ||
            (kind == LOOP_INT) != integer)
            continue;
        if (accept(p, loop_op_info[op].text))
            return op;
    }
    fail(p, integer ? "an operation on integers" : "an operation on registers");
}

static void read_int_instruction(parser *p)
{
    loop_ins ins = {.dst = read_variable(p)};
    expect(p, "=");
    ins.op = read_op(p, true);
    if (ins.op == LOOP_INT_LOAD) {
        ins.place = read_place(p);
        append(p, ins);
        return;
    }
    ins.lo = read_index(p);
    if (ins.op != LOOP_INT_SET)
        expect(p, ",");
    if (ins.op == LOOP_INT_MIN || ins.op == LOOP_INT_MAX)
        ins.hi = read_index(p);
    else if (ins.op != LOOP_INT_SET)
        ins.step = (int32_t)read_int(p, INT32_MAX);
    append(p, ins);
}

static void read_float_instruction(parser *p)
{
    loop_ins ins = {.dst = read_declared(p)};
    expect(p, "=");
    ins.op = read_op(p, false);
    if (loop_op_info[ins.op].kind == LOOP_MEM)
        ins.place = read_place(p);
    else if (ins.op == LOOP_CONST)
        ins.value = read_double(p);
    else if (ins.op == LOOP_FROM_INT)
        ins.lo = read_index(p);
    for (int i = 0; i < loop_op_info[ins.op].operands; i++) {
        if (i)
            expect(p, ",");
        ins.src[i] = read_register(p);
    }
    if (ins.op == LOOP_LANE || ins.op == LOOP_HALF || ins.op == LOOP_REQUANTISE) {
        expect(p, ",");
        ins.step = (int32_t)read_int(p, INT32_MAX);
    }
    append(p, ins);
}

/* `i32 r0`, `i32x4 r0`: the type, and not the variable of that name, as in `i32 = …`. */
static bool at_integer_type(parser *p)
{
    skip_blank(p);
    if (strncmp(p->at, "i32", 3) != 0)
        return false;
    const char *behind = p->at + 3 + (p->at[3] == 'x' ? 1 + strspn(p->at + 4, "0123456789") : 0);
    behind += strspn(behind, " \t");
    return *behind == 'r';
}

static void read_instruction(parser *p)
{
    if (accept(p, "for")) {
        read_for(p);
    } else if (accept(p, "if")) {
        read_if(p);
    } else if (accept(p, "store")) {
        read_store(p, false);
    } else if (accept(p, "stream")) {
        read_store(p, true);
    } else if (accept(p, "prefetch")) {
        read_prefetch(p);
    } else if (accept(p, "barrier")) {
        append(p, (loop_ins){.op = LOOP_BARRIER});
    } else if (accept(p, "threads")) {
        read_threads(p);
    } else if (accept(p, "parallel")) {
        loop_ins ins = {.op = LOOP_PARALLEL, .dst = read_variable(p)};
        expect(p, "{");
        open_block(p, ins);
    } else if (at_numbered(p, 'i') && !at_integer_type(p)) {
        read_int_instruction(p);
    } else {
        read_float_instruction(p);
    }
}

/* ---- the kernel ------------------------------------------------------------------------------------------------- */

static void read_name(parser *p)
{
    if (!accept(p, "\""))
        return;
    size_t length = strcspn(p->at, "\"\n");
    if (p->at[length] != '"' || length >= sizeof p->pen.k->name)
        fail(p, "a short name and a closing quote");
    memcpy(p->pen.k->name, p->at, length);
    p->at += length + 1;
}

static void expect_number(parser *p, int number)
{
    if (read_digits(p, NUMBER_MAX, "its number") != number)
        fail(p, "buffers numbered from 0 before this");
}

static bool read_declaration(parser *p)
{
    static const char *const access[] = {NULL, "in", "out", "inout"};
    kernel *k = p->pen.k;
    if (accept(p, "arg")) {
        expect_number(p, k->args.count);
        loop_buffer b = {.access = read_word_of(p, access, COUNT(access), "in, out or inout")};
        b.dtype = read_dtype(p);
        VEC_PUSH(p->pen.arena, &k->args, b);
    } else if (accept(p, "scratch")) {
        expect_number(p, k->scratch.count);
        loop_buffer b = {.dtype = read_dtype(p)};
        b.elements = read_int(p, INT32_MAX);
        VEC_PUSH(p->pen.arena, &k->scratch, b);
    } else if (accept(p, "reg")) {
        read_declared(p);
    } else if (accept(p, "ints")) {
        need_variables(p, (int)read_digits(p, NUMBER_MAX, "a number of variables"));
    } else {
        return false;
    }
    return true;
}

static void read_kernel(parser *p)
{
    expect(p, "kernel");
    read_name(p);
    expect(p, "{");
    while (read_declaration(p))
        continue;
    for (;;) {
        if (!accept(p, "}"))
            read_instruction(p);
        else if (p->pen.depth)
            read_close(p);
        else
            break;
    }
    skip_blank(p);
    if (*p->at)
        fail(p, "the end of the file");
    for (int r = 0; r < p->pen.k->regs.count; r++)
        if (!p->pen.k->regs.at[r].lanes)
            fail(p, "every register to be defined or declared");
}

kernel *loop_parse(arena *a, const char *source, const char *file, nasc_diag *d)
{
    jmp_buf failed;
    parser *p = NEW(a, parser);
    *p = (parser){.source = source, .file = file, .at = source, .d = d, .failed = &failed};
    p->pen.arena = a;
    p->pen.k = NEW(a, kernel);
    p->pen.k->ints = 1;
    if (setjmp(failed))
        return NULL;
    read_kernel(p);
    return p->pen.k;
}
