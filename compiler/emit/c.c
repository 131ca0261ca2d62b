/* Loop IR to C that people can read.
 *
 * One C statement an instruction would be correct and unreadable, so c_scope.c first finds dead values, the block each
 * register belongs to, and values that may move into their only use; here those become expressions. The arithmetic is
 * the prelude's (templates/c/): operators where C has them, `op_8f(…)` for eight float lanes, `op_d(…)` for one double.
 * What kernels of one file have in common becomes functions (c_share.c). */
#include "emit/c_writer.h"
#include "templates.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_WIDTH = 120, FOLD_WIDTH = 56 }; /* columns; longest expression that still moves into its use */

/* How tightly an expression binds. */
enum { LEVEL_SUM = 1, LEVEL_PRODUCT, LEVEL_UNARY, LEVEL_ATOM };

typedef struct expression {
    const char *text;
    int level;
} expression;

/* ---- names and types ---- */

const char *const c_type[DT_COUNT] = {"float", "double", "uint16_t", "int8_t", "int32_t", "uint8_t", "uint32_t"};

/* What follows an operation's name: f, d, 8f, 4d; i and q of whole numbers and quads. */
static const char *suffix(c_writer *w, int dtype, int lanes)
{
    const char *letter = dtype == DT_F64 ? "d" : dtype == DT_I32 ? "i" : dtype == DT_QUAD ? "q" : "f";
    return lanes == 1 ? letter : arena_printf(w->arena, "%d%s", lanes, letter);
}

static const char *reg_suffix(c_writer *w, int r)
{
    return suffix(w, w->k->regs.at[r].dtype, w->k->regs.at[r].lanes);
}

static const char *reg_type(c_writer *w, int r)
{
    const loop_reg *reg = &w->k->regs.at[r];
    return reg->lanes == 1 ? c_type[reg->dtype] : arena_printf(w->arena, "v%s", reg_suffix(w, r));
}

const char *c_int_name(c_writer *w, int var)
{
    return var == 0 ? "n" : arena_printf(w->arena, "i%d", var);
}

const loop_buffer *c_buffer(const c_writer *w, int buffer)
{
    return buffer >= LOOP_SCRATCH ? &w->k->scratch.at[buffer - LOOP_SCRATCH] : &w->k->args.at[buffer];
}

const char *c_buffer_name(c_writer *w, int buffer)
{
    bool scratch = buffer >= LOOP_SCRATCH;
    return arena_printf(w->arena, "%c%d", scratch ? 's' : 'a', scratch ? buffer - LOOP_SCRATCH : buffer);
}

/* ---- integers ---- */

static bool index_is_zero(const loop_index *index)
{
    return index->count == 0 && index->base == 0;
}

static expression index_text(c_writer *w, const loop_index *index)
{
    text t = {.arena = w->arena};
    for (int i = 0; i < index->count; i++) {
        int64_t coef = index->term[i].coef, size = coef < 0 ? -coef : coef;
        text_add(&t, i == 0 ? (coef < 0 ? "-" : "") : coef < 0 ? " - " : " + ");
        if (size != 1)
            text_add(&t, "%" PRId64 " * ", size);
        text_add(&t, "%s", c_int_name(w, index->term[i].var));
    }
    if (index->count == 0)
        text_add(&t, "%" PRId64, index->base);
    else if (index->base != 0)
        text_add(&t, " %c %" PRId64, index->base < 0 ? '-' : '+', index->base < 0 ? -index->base : index->base);
    CHECK(t.at);
    bool single = index->count == 0 || (index->count == 1 && index->base == 0 && index->term[0].coef == 1);
    return (expression){t.at, single ? LEVEL_ATOM : LEVEL_SUM};
}

static const char *parenthesized(c_writer *w, expression e, int level)
{
    return e.level < level ? arena_printf(w->arena, "(%s)", e.text) : e.text;
}

/* ---- places ---- */

/* Declares the pointer that instruction `i` has its place from, where this is its first use; how far beyond it the place
 * lies. -1: it has none. */
static int64_t beyond_base(c_writer *w, const loop_ins *i)
{
    int b = w->base_of[i - w->k->ins.at];
    if (b < 0)
        return -1;
    c_base *base = &w->bases.at[b];
    if (!base->declared) {
        const char *constant = base->stores ? "" : "const ", *type = c_type[c_buffer(w, base->buffer)->dtype];
        c_line(w, arena_printf(w->arena, "%s%s *p%d = &%s[%s];", constant, type, b, c_buffer_name(w, base->buffer),
                               index_text(w, &base->index).text));
        base->declared = true;
    }
    return i->place.index.base - base->index.base;
}

static expression element_text(c_writer *w, const loop_ins *i)
{
    int64_t beyond = beyond_base(w, i);
    const char *text = beyond < 0 ? arena_printf(w->arena, "%s[%s]", c_buffer_name(w, i->place.buffer),
                                                 index_text(w, &i->place.index).text)
                                  : arena_printf(w->arena, "p%d[%" PRId64 "]", w->base_of[i - w->k->ins.at], beyond);
    return (expression){text, LEVEL_ATOM};
}

static const char *pointer_text(c_writer *w, const loop_ins *i)
{
    int64_t beyond = beyond_base(w, i);
    if (beyond >= 0) {
        const char *plus = beyond ? arena_printf(w->arena, " + %" PRId64, beyond) : "";
        return arena_printf(w->arena, "p%d%s", w->base_of[i - w->k->ins.at], plus);
    }
    const char *name = c_buffer_name(w, i->place.buffer);
    return index_is_zero(&i->place.index)
               ? name
               : arena_printf(w->arena, "&%s[%s]", name, index_text(w, &i->place.index).text);
}

/* One element, as the type of a register. */
static expression load_scalar(c_writer *w, const loop_ins *i, int dtype)
{
    int stored = c_buffer(w, i->place.buffer)->dtype;
    expression element = element_text(w, i);
    if (dtype == DT_QUAD) {
        const char *from = pointer_text(w, i);
        return (expression){arena_printf(w->arena, "load_q_%s(%s)", dtype_info[stored].name, from), LEVEL_ATOM};
    }
    if (stored == DT_BF16)
        element.text = arena_printf(w->arena, "from_bf16(%s)", element.text);
    if (stored == dtype || (stored == DT_BF16 && dtype == DT_F32))
        return element;
    return (expression){arena_printf(w->arena, "(%s)%s", c_type[dtype], element.text), LEVEL_UNARY};
}

static expression load_vector(c_writer *w, const loop_ins *i, int dtype, int lanes)
{
    int stored = c_buffer(w, i->place.buffer)->dtype;
    const char *from = pointer_text(w, i), *to = suffix(w, dtype, lanes);
    const char *call;
    if (stored == dtype)
        call = arena_printf(w->arena, "load_%s(%s)", to, from);
    else if (stored == DT_F32 || stored == DT_F64)
        call = arena_printf(w->arena, "to_%s(load_%s(%s))", to, suffix(w, stored, lanes), from);
    else
        call = arena_printf(w->arena, "load_%s_%s(%s)", to, dtype_info[stored].name, from);
    return (expression){call, LEVEL_ATOM};
}

/* ---- values ---- */

static expression operand(c_writer *w, int r)
{
    const c_name *name = &w->regs[r];
    if (name->folded)
        return (expression){name->folded, name->level};
    return (expression){arena_printf(w->arena, "r%d", r), LEVEL_ATOM};
}

static expression call(c_writer *w, const loop_ins *i)
{
    text t = {.arena = w->arena};
    const char *name = i->op == LOOP_SELECT_LT   ? "select_lt"
                       : i->op == LOOP_SELECT_EQ ? "select_eq"
                                                 : loop_op_info[i->op].text;
    text_add(&t, "%s_%s(", name, reg_suffix(w, i->dst));
    for (int s = 0; s < loop_op_info[i->op].operands; s++)
        text_add(&t, "%s%s", s ? ", " : "", operand(w, i->src[s]).text);
    if (i->op == LOOP_REQUANTISE)
        text_add(&t, ", %d", i->step);
    text_add(&t, ")");
    return (expression){t.at, LEVEL_ATOM};
}

static expression infix(c_writer *w, const loop_ins *i, char sign, int level)
{
    /* Sums do not reassociate: the right operand keeps its parentheses. */
    const char *a = parenthesized(w, operand(w, i->src[0]), level);
    const char *b = parenthesized(w, operand(w, i->src[1]), level + 1);
    return (expression){arena_printf(w->arena, "%s %c %s", a, sign, b), level};
}

/* The fewest digits that read back as the same number. */
static const char *shortest(arena *a, double value, bool wide)
{
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, wide ? value : (float)value);
        if (wide ? strtod(digits, NULL) == value : strtof(digits, NULL) == (float)value)
            break;
    }
    return arena_strdup(a, digits);
}

const char *c_literal(arena *a, double value, int dtype)
{
    if (isnan(value) || isinf(value)) {
        const char *word = isnan(value) ? "NAN" : value < 0 ? "-INFINITY" : "INFINITY";
        bool wide = dtype == DT_F64;
        return arena_printf(a, wide ? "(double)%s" : "%s", word);
    }
    const char *digits = shortest(a, value, dtype == DT_F64);
    const char *point = strpbrk(digits, ".e") ? "" : ".0";
    const char *sign = dtype == DT_F64 ? "" : "f";
    return arena_printf(a, "%s%s%s", digits, point, sign);
}

static expression literal(c_writer *w, double value, int dtype)
{
    if (dtype == DT_I32)
        return (expression){arena_printf(w->arena, "%d", (int)value), value < 0 ? LEVEL_UNARY : LEVEL_ATOM};
    if (dtype == DT_QUAD)
        return (expression){arena_printf(w->arena, "0x%08xu", (unsigned)value), LEVEL_ATOM};
    bool plain = isfinite(value) && !signbit(value);
    return (expression){c_literal(w->arena, value, dtype), plain ? LEVEL_ATOM : LEVEL_UNARY};
}

static expression splat(c_writer *w, int r, expression scalar)
{
    if (w->k->regs.at[r].lanes == 1)
        return scalar;
    return (expression){arena_printf(w->arena, "splat_%s(%s)", reg_suffix(w, r), scalar.text), LEVEL_ATOM};
}

static expression convert(c_writer *w, const loop_ins *i)
{
    const loop_reg *to = &w->k->regs.at[i->dst];
    expression from = operand(w, i->src[0]);
    if (to->lanes > 1)
        return (expression){arena_printf(w->arena, "to_%s(%s)", reg_suffix(w, i->dst), from.text), LEVEL_ATOM};
    const char *value = parenthesized(w, from, LEVEL_UNARY);
    return (expression){arena_printf(w->arena, "(%s)%s", c_type[to->dtype], value), LEVEL_UNARY};
}

/* A half of two lanes is one lane. */
static expression half(c_writer *w, const loop_ins *i)
{
    const char *from = operand(w, i->src[0]).text, *which = i->step ? "upper" : "lower";
    return (expression){arena_printf(w->arena, "%s_%s(%s)", which, reg_suffix(w, i->dst), from), LEVEL_ATOM};
}

static expression join(c_writer *w, const loop_ins *i)
{
    const char *lower = operand(w, i->src[0]).text, *upper = operand(w, i->src[1]).text;
    return (expression){arena_printf(w->arena, "join_%s(%s, %s)", reg_suffix(w, i->dst), lower, upper), LEVEL_ATOM};
}

static expression lane(c_writer *w, const loop_ins *i)
{
    expression from = operand(w, i->src[0]);
    if (w->k->regs.at[i->src[0]].lanes == 1)
        return from;
    return (expression){arena_printf(w->arena, "%s[%d]", from.text, i->step), LEVEL_ATOM};
}

static expression value_text(c_writer *w, const loop_ins *i)
{
    const loop_reg *reg = &w->k->regs.at[i->dst];
    switch (i->op) {
    case LOOP_LOAD:
        return reg->lanes == 1 ? load_scalar(w, i, reg->dtype) : load_vector(w, i, reg->dtype, reg->lanes);
    case LOOP_BCAST:
        return splat(w, i->dst, load_scalar(w, i, reg->dtype));
    case LOOP_CONST:
        return splat(w, i->dst, literal(w, i->value, reg->dtype));
    case LOOP_FROM_INT: {
        const char *value = parenthesized(w, index_text(w, &i->lo), LEVEL_ATOM);
        return splat(w, i->dst, (expression){arena_printf(w->arena, "(%s)%s", c_type[reg->dtype], value), LEVEL_UNARY});
    }
    case LOOP_CONVERT:
        return convert(w, i);
    case LOOP_LANE:
        return lane(w, i);
    case LOOP_HALF:
        return half(w, i);
    case LOOP_JOIN:
        return join(w, i);
    case LOOP_MOVE:
        return operand(w, i->src[0]);
    case LOOP_ADD:
        return infix(w, i, '+', LEVEL_SUM);
    case LOOP_SUB:
        return infix(w, i, '-', LEVEL_SUM);
    case LOOP_MUL:
        return infix(w, i, '*', LEVEL_PRODUCT);
    case LOOP_DIV:
        return infix(w, i, '/', LEVEL_PRODUCT);
    default:
        return call(w, i);
    }
}

static const char *int_value_text(c_writer *w, const loop_ins *i)
{
    const char *lo = index_text(w, &i->lo).text, *hi = index_text(w, &i->hi).text;
    switch (i->op) {
    case LOOP_INT_SET:
        return lo;
    case LOOP_INT_MIN:
        return arena_printf(w->arena, "int_min(%s, %s)", lo, hi);
    case LOOP_INT_MAX:
        return arena_printf(w->arena, "int_max(%s, %s)", lo, hi);
    case LOOP_INT_DIV:
        return arena_printf(w->arena, "int_div(%s, %d)", lo, i->step);
    case LOOP_INT_MOD:
        return arena_printf(w->arena, "int_mod(%s, %d)", lo, i->step);
    case LOOP_INT_LOAD:
        return element_text(w, i).text;
    default:
        BUG("no integer operation: %d", i->op);
    }
}

/* ---- statements ---- */

void c_line(c_writer *w, const char *statement)
{
    int indent = 4 * w->indent;
    text_add(w->out, "%*s", indent, "");
    while (indent + strlen(statement) > LINE_WIDTH) {
        int cut = LINE_WIDTH - indent;
        while (cut > 0 &&
               !(statement[cut] == ' ' && (statement[cut - 1] == ',' || strchr("+-*/=", statement[cut + 1]))))
            cut--;
        if (cut == 0)
            break;
        text_bytes(w->out, statement, (size_t)cut);
        statement += cut + 1;
        indent = 4 * w->indent + 8;
        text_add(w->out, "\n%*s", indent, "");
    }
    text_add(w->out, "%s\n", statement);
}

/* `type name = value;`, on the line before where that declares names of the same type and has room. */
static void declare(c_writer *w, const char *type, const char *name, const char *value)
{
    text *out = w->out;
    const char *more = arena_printf(w->arena, ", %s = %s;\n", name, value);
    bool joins = w->declaration.type && w->declaration.end == out->length && strcmp(w->declaration.type, type) == 0 &&
                 out->length - w->declaration.begin + strlen(more) <= LINE_WIDTH + 3;
    if (joins) {
        out->length -= strlen(";\n");
        text_add(out, "%s", more);
    } else {
        w->declaration.begin = out->length;
        c_line(w, arena_printf(w->arena, "%s %s = %s;", type, name, value));
    }
    w->declaration.type = type;
    w->declaration.end = out->length;
}

static void define_reg(c_writer *w, int at)
{
    const loop_ins *i = &w->k->ins.at[at];
    c_name *name = &w->regs[i->dst];
    expression value = value_text(w, i);
    if (strlen(value.text) <= FOLD_WIDTH && c_may_fold(w, at)) {
        name->folded = value.text;
        name->level = value.level;
    } else if (name->declare == at) {
        declare(w, reg_type(w, i->dst), arena_printf(w->arena, "r%d", i->dst), value.text);
    } else {
        c_line(w, arena_printf(w->arena, "r%d = %s;", i->dst, value.text));
    }
}

static void define_int(c_writer *w, int at)
{
    const loop_ins *i = &w->k->ins.at[at];
    const char *name = c_int_name(w, i->dst), *value = int_value_text(w, i);
    if (w->ints[i->dst].declare == at)
        declare(w, w->dialect->integer, name, value);
    else
        c_line(w, arena_printf(w->arena, "%s = %s;", name, value));
}

/* A value as an element of a buffer's type. Integers are cut towards zero, as C has it. */
static const char *stored_scalar(c_writer *w, expression value, int dtype, int stored)
{
    if (stored == dtype)
        return value.text;
    const char *cast = parenthesized(w, value, LEVEL_UNARY);
    if (stored != DT_BF16)
        return arena_printf(w->arena, "(%s)%s", c_type[stored], cast);
    return arena_printf(w->arena, dtype == DT_F64 ? "to_bf16((float)%s)" : "to_bf16(%s)",
                        dtype == DT_F64 ? cast : value.text);
}

static void store(c_writer *w, const loop_ins *i)
{
    const loop_reg *reg = &w->k->regs.at[i->src[0]];
    int stored = c_buffer(w, i->place.buffer)->dtype;
    expression value = operand(w, i->src[0]);
    if (reg->dtype == DT_QUAD && reg->lanes == 1) {
        c_line(w,
               arena_printf(w->arena, "store_q_%s(%s, %s);", dtype_info[stored].name, pointer_text(w, i), value.text));
        return;
    }
    if (reg->lanes == 1) {
        const char *element = element_text(w, i).text;
        c_line(w, arena_printf(w->arena, "%s = %s;", element, stored_scalar(w, value, reg->dtype, stored)));
        return;
    }
    const char *to = suffix(w, stored, reg->lanes), *converted = value.text;
    if (stored != DT_F32 && stored != DT_F64)
        to = arena_printf(w->arena, "%s_%s", reg_suffix(w, i->src[0]), dtype_info[stored].name);
    else if (stored != reg->dtype)
        converted = arena_printf(w->arena, "to_%s(%s)", to, value.text);
    c_line(w, arena_printf(w->arena, "store_%s(%s, %s);", to, pointer_text(w, i), converted));
}

static void open_loop(c_writer *w, const char *var, const char *lo, const char *hi, int step)
{
    const char *next = step == 1 ? arena_printf(w->arena, "%s++", var) : arena_printf(w->arena, "%s += %d", var, step);
    c_line(w, arena_printf(w->arena, "for (%s %s = %s; %s < %s; %s) {", w->dialect->integer, var, lo, var, hi, next));
    w->indent++;
}

static bool is_outer(const loop_ins *i)
{
    return i->op == LOOP_PARALLEL || i->op == LOOP_THREADS;
}

static void close_block(c_writer *w, const loop_ins *opener)
{
    if (is_outer(opener)) {
        w->dialect->close(w, opener);
        return;
    }
    w->indent--;
    c_line(w, "}");
}

/* Some steps of the loop around it, taken together. */
static bool is_unrolled(const loop_ins *i)
{
    return i->lo.count > 0 && i->lo.count == i->hi.count &&
           memcmp(i->lo.term, i->hi.term, (size_t)i->lo.count * sizeof i->lo.term[0]) == 0;
}

static void control(c_writer *w, const loop_ins *i)
{
    switch (i->op) {
    case LOOP_PARALLEL:
    case LOOP_THREADS:
        w->dialect->open(w, i);
        return;
    case LOOP_FOR:
        if (is_unrolled(i))
            c_line(w, "UNROLL");
        open_loop(w, c_int_name(w, i->dst), index_text(w, &i->lo).text, index_text(w, &i->hi).text, i->step);
        return;
    case LOOP_IF: {
        const char *lo = index_text(w, &i->lo).text, *hi = index_text(w, &i->hi).text;
        bool never = strcmp(lo, hi) == 0; /* compilers warn of comparing a thing with itself */
        c_line(w, never ? "if (0) {" : arena_printf(w->arena, "if (%s < %s) {", lo, hi));
        w->indent++;
        return;
    }
    case LOOP_ELSE:
        w->indent--;
        c_line(w, "} else {");
        w->indent++;
        return;
    default:
        close_block(w, &w->k->ins.at[i->match]);
    }
}

static void declare_before(c_writer *w, int at)
{
    for (const c_name *name = w->before[at]; name; name = name->next) {
        bool is_reg = name >= w->regs && name < w->regs + w->k->regs.count;
        int number = (int)(name - (is_reg ? w->regs : w->ints));
        if (is_reg)
            c_line(w, arena_printf(w->arena, "%s r%d;", reg_type(w, number), number));
        else if (number > 0) /* n is a parameter */
            c_line(w, arena_printf(w->arena, "%s i%d;", w->dialect->integer, number));
    }
}

void c_statements(c_writer *w, int from, int to)
{
    for (int at = from; at < to; at++) {
        const loop_ins *i = &w->k->ins.at[at];
        if (w->dead[at])
            continue;
        declare_before(w, at);
        if (w->part_of[at]) {
            c_call_part(w, at);
            at = i->match;
        } else if (loop_op_info[i->op].kind == LOOP_STRUCT)
            control(w, i);
        else if (c_is_int_def(i))
            define_int(w, at);
        else if (c_is_reg_def(i))
            define_reg(w, at);
        else if (i->op == LOOP_PREFETCH)
            c_line(w, arena_printf(w->arena, "PREFETCH(%s);", pointer_text(w, i)));
        else if (i->op == LOOP_BARRIER)
            c_line(w, "__syncthreads();");
        else
            store(w, i);
    }
}

/* Typed names for the buffers that are used, and a mention of every parameter that is not. Arguments may alias. */
static void declare_buffers(c_writer *w)
{
    bool any_arg = false, any_scratch = false;
    for (int i = 0; i < w->k->args.count; i++) {
        const loop_buffer *arg = &w->k->args.at[i];
        if (!w->uses_arg[i])
            continue;
        const char *constant = arg->access == LOOP_IN ? "const " : "";
        c_line(w, arena_printf(w->arena, "%s%s *a%d = buffer[%d];", constant, c_type[arg->dtype], i, i));
        any_arg = true;
    }
    for (int i = 0; i < w->k->scratch.count; i++) {
        if (!w->uses_scratch[i])
            continue;
        int64_t offset = loop_scratch_offset(w->k, i);
        const char *at =
            offset == 0 ? "scratch" : arena_printf(w->arena, "(void *)((char *)scratch + %" PRId64 ")", offset);
        c_line(w, arena_printf(w->arena, "%s *restrict s%d = %s;", c_type[w->k->scratch.at[i].dtype], i, at));
        any_scratch = true;
    }
    if (!any_arg)
        c_line(w, "(void)buffer;");
    if (w->ints[0].uses == 0)
        c_line(w, "(void)n;");
    if (!any_scratch)
        c_line(w, "(void)scratch;");
}

static void open_units(c_writer *w, const loop_ins *i)
{
    open_loop(w, c_int_name(w, i->dst), "begin", "end", 1);
}

static void close_units(c_writer *w, const loop_ins *i)
{
    (void)i;
    w->indent--;
    c_line(w, "}");
}

static const c_dialect plain_c = {.integer = "ptrdiff_t", .open = open_units, .close = close_units};

/* Can the target say all that the kernel says? */
static bool expressible(const kernel *k, const target *t, nasc_diag *d)
{
    if (t->capability)
        return diag_fail(d, DIAG_INPUT, k->name, "target %s is a GPU, which C is not written for", t->name);
    if (loop_threads_of(k))
        return diag_fail(d, DIAG_INPUT, k->name, "target %s has no threads within a unit", t->name);
    for (int at = 0; at < k->ins.count; at++) {
        const loop_ins *i = &k->ins.at[at];
        CHECK(i->op < LOOP_EXP || i->op > LOOP_SIGMOID); /* loop_expand_math comes first */
        if (i->op == LOOP_FMA && !t->fma)
            return diag_fail(d, DIAG_INPUT, k->name, "instruction %d: target %s has no fused multiply-add", at,
                             t->name);
        if (c_is_reg_def(i) && t->lanes == 1 && k->regs.at[i->dst].lanes > 1)
            return diag_fail(d, DIAG_INPUT, k->name, "instruction %d: target %s has no vectors", at, t->name);
    }
    return true;
}

static void write_kernel(c_writer *w)
{
    text *out = w->out;
    c_write_parts(w);
    if (w->k->name[0])
        text_add(out, "/* %s */\n", w->k->name);
    text_add(out,
             "KERNEL void %s(void *const *buffer, ptrdiff_t n, ptrdiff_t begin, ptrdiff_t end, void *scratch)\n{\n",
             w->name);
    w->indent = 1;
    declare_buffers(w);
    c_statements(w, 0, w->k->ins.count);
    text_add(out, "}\n");
}

bool emit_c_kernel(text *out, const kernel *k, const target *t, const char *name, nasc_diag *d)
{
    if (!expressible(k, t, d))
        return false;
    c_writer w = {.dialect = &plain_c, .arena = out->arena, .out = out, .k = k, .name = name};
    c_scope(&w);
    c_find_bases(&w);
    write_kernel(&w);
    return true;
}

bool emit_c_kernels(text *out, const kernel *const *kernels, int count, const target *t, const char *const *names,
                    int64_t *instructions, nasc_diag *d)
{
    c_writer *w = NEW_ARRAY(out->arena, c_writer, count + 1);
    for (int k = 0; k < count; k++) {
        if (!expressible(kernels[k], t, d))
            return false;
        w[k] = (c_writer){.dialect = &plain_c, .arena = out->arena, .out = out, .k = kernels[k], .name = names[k]};
        c_scope(&w[k]);
        c_find_bases(&w[k]);
    }
    c_share(out->arena, w, count);
    *instructions = 0;
    for (int k = 0; k < count; k++) {
        *instructions += c_instructions(&w[k]);
        write_kernel(&w[k]);
        text_add(out, "\n");
    }
    return true;
}

void emit_c_prelude(text *out, const target *t)
{
    text_add(out, "/* Target: %s. */\n", t->name);
    if (t->prelude)
        text_add(out, "#define %s\n", t->prelude);
    if (t->dot)
        text_add(out, "#define %s\n", t->dot);
    text_add(out, "%s\n%s\n%s\n", template_c_prelude_scalar_h, template_c_arithmetic_h,
             t->lanes > 1 ? template_c_prelude_simd_h : template_c_prelude_generic_h);
}

void emit_c_integers(text *out, const target *t)
{
    text_add(out, "%s\n%s\n", template_c_integers_scalar_h, t->lanes > 1 ? template_c_integers_simd_h : "");
}
