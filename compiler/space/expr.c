/* Expressions: the numbers and conditions of a space. A recursive-descent parser makes a small tree once, when the file
 * is read; values come later, when the scope is known. Truth is 1 and 0, // rounds down, and nothing overflows unseen.
 */
#include "space/model.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

typedef struct parser {
    arena *arena;
    const char *source, *at;
    int depth;
    char *problem;
    size_t size;
    bool failed;
} parser;

static const expr *parse_or(parser *p);

static const expr *fail(parser *p, const char *expected)
{
    if (p->failed)
        return NULL;
    p->failed = true;
    int column = (int)(p->at - p->source) + 1;
    if (*p->at)
        snprintf(p->problem, p->size, "found '%.16s' at column %d of \"%s\", expected %s", p->at, column, p->source,
                 expected);
    else
        snprintf(p->problem, p->size, "found the end of \"%s\", expected %s", p->source, expected);
    return NULL;
}

static void skip(parser *p)
{
    while (*p->at == ' ')
        p->at++;
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool take(parser *p, const char *symbol)
{
    skip(p);
    size_t n = strlen(symbol);
    if (strncmp(p->at, symbol, n) != 0 || (isalpha((unsigned char)symbol[0]) && is_name(p->at[n])))
        return false;
    p->at += n;
    return true;
}

static const expr *node(parser *p, enum expr_kind kind, const expr *left, const expr *right)
{
    if (p->failed)
        return NULL;
    expr *e = NEW(p->arena, expr);
    *e = (expr){.kind = kind, .left = left, .right = right};
    return e;
}

static const expr *parse_number(parser *p)
{
    expr *e = NEW(p->arena, expr);
    for (; isdigit((unsigned char)*p->at); p->at++) {
        if (e->number > INT32_MAX)
            return fail(p, "a number below 2^31");
        e->number = e->number * 10 + (*p->at - '0');
    }
    return e;
}

static const expr *parse_primary(parser *p)
{
    skip(p);
    if (take(p, "(")) {
        const expr *e = parse_or(p);
        if (!p->failed && !take(p, ")"))
            return fail(p, "')'");
        return e;
    }
    if (isdigit((unsigned char)*p->at))
        return parse_number(p);
    if (!isalpha((unsigned char)*p->at) && *p->at != '_')
        return fail(p, "a number, a variable or '('");
    const char *begin = p->at;
    while (is_name(*p->at))
        p->at++;
    expr *e = NEW(p->arena, expr);
    *e = (expr){.kind = EXPR_NAME, .name = arena_printf(p->arena, "%.*s", (int)(p->at - begin), begin)};
    return e;
}

static const expr *parse_unary(parser *p)
{
    if (++p->depth > EXPR_DEPTH_MAX)
        return fail(p, "fewer levels of nesting");
    const expr *e;
    if (take(p, "-"))
        e = node(p, EXPR_SUB, NEW(p->arena, expr), parse_unary(p)); /* 0 - x */
    else
        e = parse_primary(p);
    p->depth--;
    return e;
}

static const expr *parse_product(parser *p)
{
    const expr *e = parse_unary(p);
    while (!p->failed) {
        if (take(p, "//"))
            e = node(p, EXPR_DIV, e, parse_unary(p));
        else if (take(p, "*"))
            e = node(p, EXPR_MUL, e, parse_unary(p));
        else
            break;
    }
    return e;
}

static const expr *parse_sum(parser *p)
{
    const expr *e = parse_product(p);
    while (!p->failed) {
        if (take(p, "+"))
            e = node(p, EXPR_ADD, e, parse_product(p));
        else if (take(p, "-"))
            e = node(p, EXPR_SUB, e, parse_product(p));
        else
            break;
    }
    return e;
}

static const expr *parse_comparison(parser *p)
{
    static const struct {
        const char *symbol;
        enum expr_kind kind;
    } comparisons[] = {{"==", EXPR_EQ}, {"!=", EXPR_NE}, {"<=", EXPR_LE},
                       {">=", EXPR_GE}, {"<", EXPR_LT},  {">", EXPR_GT}};
    const expr *e = parse_sum(p);
    for (size_t i = 0; i < COUNT(comparisons) && !p->failed; i++)
        if (take(p, comparisons[i].symbol))
            return node(p, comparisons[i].kind, e, parse_sum(p));
    return e;
}

static const expr *parse_not(parser *p)
{
    if (!take(p, "not"))
        return parse_comparison(p);
    if (++p->depth > EXPR_DEPTH_MAX)
        return fail(p, "fewer levels of nesting");
    const expr *e = node(p, EXPR_NOT, parse_not(p), NULL);
    p->depth--;
    return e;
}

static const expr *parse_and(parser *p)
{
    const expr *e = parse_not(p);
    while (!p->failed && take(p, "and"))
        e = node(p, EXPR_AND, e, parse_not(p));
    return e;
}

static const expr *parse_or(parser *p)
{
    const expr *e = parse_and(p);
    while (!p->failed && take(p, "or"))
        e = node(p, EXPR_OR, e, parse_and(p));
    return e;
}

const expr *expr_parse(arena *a, const char *source, char *problem, size_t size)
{
    if (strlen(source) > EXPR_LENGTH_MAX) {
        snprintf(problem, size, "found an expression of %zu characters, expected at most %d", strlen(source),
                 EXPR_LENGTH_MAX);
        return NULL;
    }
    parser p = {.arena = a, .source = source, .at = source, .problem = problem, .size = size};
    const expr *e = parse_or(&p);
    skip(&p);
    if (!p.failed && *p.at)
        return fail(&p, "an operator (+ - * // == != < <= > >= and or) or the end");
    return e;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

enum { NAMES_MAX = 128 };

static bool find(const char *name, const scope *s, int64_t *value, char *problem, size_t size)
{
    const char *known[NAMES_MAX];
    int count = 0;
    for (; s; s = s->outer)
        for (int i = 0; i < s->count; i++) {
            if (strcmp(s->at[i].name, name) == 0) {
                *value = s->at[i].value;
                return true;
            }
            if (count < NAMES_MAX)
                known[count++] = s->at[i].name;
        }
    const char *guess = text_suggest(name, known, count);
    if (guess)
        snprintf(problem, size, "found the variable \"%.64s\", which has no value here; did you mean \"%.64s\"?", name,
                 guess);
    else
        snprintf(problem, size, "found the variable \"%.64s\", which has no value here", name);
    return false;
}

static bool arithmetic(enum expr_kind kind, int64_t a, int64_t b, int64_t *value)
{
    switch (kind) {
    case EXPR_ADD:
        return !__builtin_add_overflow(a, b, value);
    case EXPR_SUB:
        return !__builtin_sub_overflow(a, b, value);
    case EXPR_MUL:
        return !__builtin_mul_overflow(a, b, value);
    case EXPR_DIV:
        if (b == 0 || (a == INT64_MIN && b == -1))
            return false;
        *value = a / b - (a % b != 0 && (a < 0) != (b < 0));
        return true;
    case EXPR_EQ:
        *value = a == b;
        return true;
    case EXPR_NE:
        *value = a != b;
        return true;
    case EXPR_LT:
        *value = a < b;
        return true;
    case EXPR_LE:
        *value = a <= b;
        return true;
    case EXPR_GT:
        *value = a > b;
        return true;
    case EXPR_GE:
        *value = a >= b;
        return true;
    default:
        BUG("no arithmetic has kind %d", (int)kind);
    }
}

bool expr_value(const expr *e, const scope *s, int64_t *value, char *problem, size_t size)
{
    int64_t a = 0, b = 0;
    switch (e->kind) {
    case EXPR_NUMBER:
        *value = e->number;
        return true;
    case EXPR_NAME:
        return find(e->name, s, value, problem, size);
    case EXPR_NOT:
        if (!expr_value(e->left, s, &a, problem, size))
            return false;
        *value = !a;
        return true;
    case EXPR_AND:
    case EXPR_OR: /* the right side is not looked at when the left decides: "c != 0 and 8 // c > 1" */
        if (!expr_value(e->left, s, &a, problem, size))
            return false;
        *value = a != 0;
        if ((a != 0) == (e->kind == EXPR_OR))
            return true;
        if (!expr_value(e->right, s, &b, problem, size))
            return false;
        *value = b != 0;
        return true;
    default:
        if (!expr_value(e->left, s, &a, problem, size) || !expr_value(e->right, s, &b, problem, size))
            return false;
        if (arithmetic(e->kind, a, b, value))
            return true;
        if (e->kind == EXPR_DIV)
            snprintf(problem, size, "found %lld // %lld, a division without a value", (long long)a, (long long)b);
        else
            snprintf(problem, size, "found a number beyond 64 bits");
        return false;
    }
}

const char *expr_unknown(const expr *e, bool (*known)(const void *context, const char *name), const void *context)
{
    if (!e)
        return NULL;
    if (e->kind == EXPR_NAME)
        return known(context, e->name) ? NULL : e->name;
    const char *left = expr_unknown(e->left, known, context);
    return left ? left : expr_unknown(e->right, known, context);
}
