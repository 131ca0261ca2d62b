/* A kernel as text. Every field can be read back from it: loop_parse(loop_print(k)) has k's key. */
#include "loop.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void print_type(text *t, loop_reg reg)
{
    text_add(t, "%s", dtype_info[reg.dtype].name);
    if (reg.lanes > 1)
        text_add(t, "x%d", reg.lanes);
}

static void print_var(text *t, int var)
{
    if (var)
        text_add(t, "i%d", var);
    else
        text_add(t, "n");
}

static void print_index(text *t, const loop_index *i)
{
    for (int term = 0; term < i->count; term++) {
        int64_t coef = i->term[term].coef;
        if (term)
            text_add(t, coef < 0 ? " - " : " + ");
        else if (coef < 0)
            text_add(t, "-");
        if (coef != 1 && coef != -1)
            text_add(t, "%lld*", (long long)llabs(coef));
        print_var(t, i->term[term].var);
    }
    if (!i->count)
        text_add(t, "%lld", (long long)i->base);
    else if (i->base)
        text_add(t, i->base < 0 ? " - %llu" : " + %llu",
                 i->base < 0 ? -(unsigned long long)i->base : (unsigned long long)i->base);
}

static void print_place(text *t, const loop_place *p)
{
    if (p->buffer >= LOOP_SCRATCH)
        text_add(t, "s%d[", p->buffer - LOOP_SCRATCH);
    else
        text_add(t, "a%d[", p->buffer - LOOP_ARG);
    print_index(t, &p->index);
    text_add(t, "]");
}

/* The shortest of the decimal forms that reads back as the same double. */
static void print_number(text *t, double value)
{
    char number[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, value);
        if (isnan(value) || strtod(number, NULL) == value)
            break;
    }
    text_add(t, "%s", isnan(value) ? "nan" : number);
}

static void print_def(text *t, const kernel *k, const loop_ins *ins)
{
    print_type(t, k->regs.at[ins->dst]);
    text_add(t, " r%d = %s ", ins->dst, loop_op_info[ins->op].text);
}

static void print_struct(text *t, const loop_ins *ins)
{
    switch (ins->op) {
    case LOOP_PARALLEL:
        text_add(t, "parallel i%d {", ins->dst);
        break;
    case LOOP_THREADS:
        text_add(t, "threads i%d %d {", ins->dst, ins->step);
        break;
    case LOOP_FOR:
        text_add(t, "for i%d = ", ins->dst);
        print_index(t, &ins->lo);
        text_add(t, " to ");
        print_index(t, &ins->hi);
        text_add(t, " step %d {", ins->step);
        break;
    case LOOP_IF:
        text_add(t, "if ");
        print_index(t, &ins->lo);
        text_add(t, " < ");
        print_index(t, &ins->hi);
        text_add(t, " {");
        break;
    case LOOP_ELSE:
        text_add(t, "} else {");
        break;
    default:
        text_add(t, "}");
    }
}

static void print_int(text *t, const loop_ins *ins)
{
    text_add(t, "i%d = %s ", ins->dst, loop_op_info[ins->op].text);
    if (ins->op == LOOP_INT_LOAD) {
        print_place(t, &ins->place);
        return;
    }
    print_index(t, &ins->lo);
    if (ins->op == LOOP_INT_MIN || ins->op == LOOP_INT_MAX) {
        text_add(t, ", ");
        print_index(t, &ins->hi);
    } else if (ins->op == LOOP_INT_DIV || ins->op == LOOP_INT_MOD) {
        text_add(t, ", %d", ins->step);
    }
}

static void print_float(text *t, const kernel *k, const loop_ins *ins)
{
    if (ins->op == LOOP_STORE) {
        text_add(t, ins->step ? "stream " : "store ");
        print_place(t, &ins->place);
        text_add(t, " = r%d", ins->src[0]);
        return;
    }
    print_def(t, k, ins);
    if (loop_op_info[ins->op].kind == LOOP_MEM)
        print_place(t, &ins->place);
    else if (ins->op == LOOP_CONST)
        print_number(t, ins->value);
    else if (ins->op == LOOP_FROM_INT)
        print_index(t, &ins->lo);
    for (int i = 0; i < loop_op_info[ins->op].operands; i++)
        text_add(t, i ? ", r%d" : "r%d", ins->src[i]);
    if (ins->op == LOOP_LANE || ins->op == LOOP_HALF || ins->op == LOOP_REQUANTISE)
        text_add(t, ", %d", ins->step);
}

static void print_hint(text *t, const loop_ins *ins)
{
    text_add(t, "%s ", loop_op_info[ins->op].text);
    print_place(t, &ins->place);
}

static bool defines_register(const loop_ins *ins)
{
    enum loop_kind kind = loop_op_info[ins->op].kind;
    return kind == LOOP_MISC || kind == LOOP_MATH || (kind == LOOP_MEM && ins->op != LOOP_STORE);
}

/* Registers and variables that no instruction defines have no line to stand on; they are declared. */
static void print_unused(text *t, const kernel *k)
{
    bool *defined = NEW_ARRAY(t->arena, bool, k->regs.count + 1);
    int ints = 1;
    for (int i = 0; i < k->ins.count; i++) {
        const loop_ins *ins = &k->ins.at[i];
        if (defines_register(ins))
            defined[ins->dst] = true;
        else if (ins->dst >= ints)
            ints = ins->dst + 1;
    }
    for (int r = 0; r < k->regs.count; r++)
        if (!defined[r]) {
            text_add(t, "  reg ");
            print_type(t, k->regs.at[r]);
            text_add(t, " r%d\n", r);
        }
    if (k->ints != ints)
        text_add(t, "  ints %d\n", k->ints);
}

static void print_head(text *t, const kernel *k)
{
    static const char *const access[] = {"none", "in", "out", "inout"};
    text_add(t, "kernel ");
    if (k->name[0]) {
        text_add(t, "\"");
        for (const char *c = k->name; *c; c++)
            text_add(t, "%c", *c == '"' || !isprint((unsigned char)*c) ? '_' : *c);
        text_add(t, "\" ");
    }
    text_add(t, "{\n");
    for (int i = 0; i < k->args.count; i++)
        text_add(t, "  arg %d %s %s\n", i, access[k->args.at[i].access & LOOP_INOUT],
                 dtype_info[k->args.at[i].dtype].name);
    for (int i = 0; i < k->scratch.count; i++)
        text_add(t, "  scratch %d %s %lld\n", i, dtype_info[k->scratch.at[i].dtype].name,
                 (long long)k->scratch.at[i].elements);
    print_unused(t, k);
}

void loop_print(text *t, const kernel *k)
{
    print_head(t, k);
    int depth = 1;
    for (int i = 0; i < k->ins.count; i++) {
        const loop_ins *ins = &k->ins.at[i];
        if (ins->op == LOOP_END || ins->op == LOOP_ELSE)
            depth--;
        text_add(t, "%*s", 2 * depth, "");
        if (loop_op_info[ins->op].kind == LOOP_STRUCT)
            print_struct(t, ins);
        else if (loop_op_info[ins->op].kind == LOOP_INT)
            print_int(t, ins);
        else if (loop_op_info[ins->op].kind == LOOP_HINT)
            print_hint(t, ins);
        else if (loop_op_info[ins->op].kind == LOOP_SYNC)
            text_add(t, "%s", loop_op_info[ins->op].text);
        else
            print_float(t, k, ins);
        text_add(t, "\n");
        if (ins->op != LOOP_END && loop_op_info[ins->op].kind == LOOP_STRUCT)
            depth++;
    }
    text_add(t, "}\n");
}
