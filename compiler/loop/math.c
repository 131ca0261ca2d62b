/* exp, log, tanh and sigmoid of f32 as arithmetic that every engine has, so that all of them agree bit for bit.
 *
 * The polynomials are those of S. Moshier's Cephes library (single precision). Constants stand once a width at the top
 * of the parallel loop. Clamps are written so that a NaN passes through: max(a, b) is a > b ? a : b, so the variable is
 * b. */
#include "loop.h"

#include <float.h>
#include <string.h>

enum { CONSTANTS_MAX = 64, WIDTHS = 5 };

typedef struct expander {
    loop_pen pen;
    bool fma;
    int lanes; /* of the operation being expanded */
    /* Constants: the register of each value, by log2 of the lanes. */
    double value[WIDTHS][CONSTANTS_MAX];
    int reg[WIDTHS][CONSTANTS_MAX];
    int count[WIDTHS];
    VEC(loop_ins) constants; /* their instructions, to be put in front */
} expander;

static int constant(expander *e, double value)
{
    int w = __builtin_ctz((unsigned)e->lanes);
    for (int i = 0; i < e->count[w]; i++)
        if (e->value[w][i] == value)
            return e->reg[w][i];
    CHECK(e->count[w] < CONSTANTS_MAX);
    kernel *k = e->pen.k;
    loop_reg type = {DT_F32, e->lanes};
    VEC_PUSH(e->pen.arena, &k->regs, type);
    loop_ins ins = {.op = LOOP_CONST, .dst = k->regs.count - 1, .value = value};
    VEC_PUSH(e->pen.arena, &e->constants, ins);
    e->value[w][e->count[w]] = value;
    return e->reg[w][e->count[w]++] = ins.dst;
}

static int unary(expander *e, enum loop_op op, int a)
{
    return loop_math(&e->pen, op, a, -1, -1, -1);
}

static int binary(expander *e, enum loop_op op, int a, int b)
{
    return loop_math(&e->pen, op, a, b, -1, -1);
}

/* a·b + c */
static int multiply_add(expander *e, int a, int b, int c)
{
    if (e->fma)
        return loop_math(&e->pen, LOOP_FMA, a, b, c, -1);
    return binary(e, LOOP_ADD, binary(e, LOOP_MUL, a, b), c);
}

/* Horner's rule, the highest power first. */
static int polynomial(expander *e, int x, const double *coef, int count)
{
    int sum = constant(e, coef[0]);
    for (int i = 1; i < count; i++)
        sum = multiply_add(e, sum, x, constant(e, coef[i]));
    return sum;
}

/* ln 2 in two parts; the first has few bits, so that its product with a small whole number is exact. */
static const double LN2_HIGH = 0.693359375, LN2_LOW = -2.12194440e-4;

/* e^x = 2^k · e^r with k = round(x / ln 2), |r| ≤ ln 2 / 2. 2^k is applied in two halves, because k reaches 128 at the
 * top and -150 at the bottom, where results are subnormal. */
static int expand_exp(expander *e, int x)
{
    static const double coef[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                                  4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
    const double least = -104, most = 0x1.62e42ep+6; /* e^least rounds to 0; e^most is below FLT_MAX */
    int in = binary(e, LOOP_MAX, constant(e, least), x);
    in = binary(e, LOOP_MIN, constant(e, most), in);
    int log2_e = constant(e, 1.44269504088896341), one_half = constant(e, 0.5);
    int k = unary(e, LOOP_FLOOR, multiply_add(e, in, log2_e, one_half));
    int r = multiply_add(e, k, constant(e, -LN2_HIGH), in);
    r = multiply_add(e, k, constant(e, -LN2_LOW), r);
    int square = binary(e, LOOP_MUL, r, r);
    int p = multiply_add(e, polynomial(e, r, coef, COUNT(coef)), square, r);
    p = binary(e, LOOP_ADD, p, constant(e, 1));
    int half = unary(e, LOOP_FLOOR, binary(e, LOOP_MUL, k, one_half));
    p = binary(e, LOOP_MUL, p, unary(e, LOOP_POW2, half));
    return binary(e, LOOP_MUL, p, unary(e, LOOP_POW2, binary(e, LOOP_SUB, k, half)));
}

/* ln x = k · ln 2 + ln(1 + f), 1 + f in [√½, √2). What is not a positive normal number counts as the least of them. */
static int expand_log(expander *e, int x)
{
    static const double coef[] = {7.0376836292e-2,  -1.1514610310e-1, 1.1676998740e-1,
                                  -1.2420140846e-1, 1.4249322787e-1,  -1.6668057665e-1,
                                  2.0000714765e-1,  -2.4999993993e-1, 3.3333331174e-1};
    int in = binary(e, LOOP_MAX, constant(e, FLT_MIN), x);
    int k = unary(e, LOOP_EXPONENT, in), m = unary(e, LOOP_MANTISSA, in);
    int one = constant(e, 1), root = constant(e, 0x1.6a09e6p+0);
    int half = binary(e, LOOP_MUL, m, constant(e, 0.5)), next = binary(e, LOOP_ADD, k, one);
    k = loop_math(&e->pen, LOOP_SELECT_LT, m, root, k, next);
    m = loop_math(&e->pen, LOOP_SELECT_LT, m, root, m, half);
    int f = binary(e, LOOP_SUB, m, one), square = binary(e, LOOP_MUL, f, f);
    int y = binary(e, LOOP_MUL, binary(e, LOOP_MUL, polynomial(e, f, coef, COUNT(coef)), f), square);
    y = multiply_add(e, k, constant(e, LN2_LOW), y);
    y = multiply_add(e, square, constant(e, -0.5), y);
    y = binary(e, LOOP_ADD, f, y);
    y = multiply_add(e, k, constant(e, LN2_HIGH), y);
    return loop_math(&e->pen, LOOP_SELECT_EQ, in, in, y, in); /* a NaN stays one */
}

/* A polynomial in x² near 0; elsewhere 1 - 2 / (e^2|x| + 1) with the sign of x. */
static int expand_tanh(expander *e, int x)
{
    static const double coef[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1,
                                  -3.33332819422e-1};
    int zero = constant(e, 0), one = constant(e, 1);
    int positive = binary(e, LOOP_MAX, x, binary(e, LOOP_SUB, zero, x));
    int square = binary(e, LOOP_MUL, x, x);
    int cube = binary(e, LOOP_MUL, square, x);
    int near = multiply_add(e, polynomial(e, square, coef, COUNT(coef)), cube, x);
    int power = expand_exp(e, binary(e, LOOP_ADD, positive, positive));
    int far = binary(e, LOOP_ADD, power, one);
    far = binary(e, LOOP_DIV, constant(e, 2), far);
    far = binary(e, LOOP_SUB, one, far);
    far = loop_math(&e->pen, LOOP_SELECT_LT, x, zero, binary(e, LOOP_SUB, zero, far), far);
    return loop_math(&e->pen, LOOP_SELECT_LT, positive, constant(e, 0.625), near, far);
}

static int expand_sigmoid(expander *e, int x)
{
    int one = constant(e, 1);
    int power = expand_exp(e, binary(e, LOOP_SUB, constant(e, 0), x));
    return binary(e, LOOP_DIV, one, binary(e, LOOP_ADD, one, power));
}

static bool is_expanded(const loop_ins *ins)
{
    return ins->op == LOOP_EXP || ins->op == LOOP_LOG || ins->op == LOOP_TANH || ins->op == LOOP_SIGMOID;
}

static void expand(expander *e, const loop_ins *ins)
{
    e->lanes = e->pen.k->regs.at[ins->dst].lanes;
    int x = ins->src[0], y;
    if (ins->op == LOOP_EXP)
        y = expand_exp(e, x);
    else if (ins->op == LOOP_LOG)
        y = expand_log(e, x);
    else if (ins->op == LOOP_TANH)
        y = expand_tanh(e, x);
    else
        y = expand_sigmoid(e, x);
    loop_math_to(&e->pen, ins->dst, LOOP_MOVE, y, -1, -1, -1);
}

/* The instructions with the constants behind PARALLEL, and behind THREADS where there are any: they are each thread's
 * own. Matches are set anew by the pen. */
static kernel *assemble(expander *e)
{
    kernel *k = e->pen.k;
    kernel *whole = arena_copy(e->pen.arena, k, sizeof *k);
    memset(&whole->ins, 0, sizeof whole->ins);
    loop_pen pen = {.arena = e->pen.arena, .k = whole};
    int front = loop_threads_of(k) ? 1 : 0;
    for (int i = 0; i < k->ins.count; i++) {
        loop_ins ins = k->ins.at[i];
        if (ins.op == LOOP_END) {
            loop_end(&pen);
            continue;
        }
        if (ins.op == LOOP_ELSE) {
            loop_else(&pen);
            continue;
        }
        if (loop_op_info[ins.op].kind == LOOP_STRUCT)
            pen.open[pen.depth++] = whole->ins.count;
        VEC_PUSH(pen.arena, &whole->ins, ins);
        for (int c = 0; i == front && c < e->constants.count; c++)
            VEC_PUSH(pen.arena, &whole->ins, e->constants.at[c]);
    }
    return whole;
}

static bool has_math(const kernel *k)
{
    for (int i = 0; i < k->ins.count; i++)
        if (is_expanded(&k->ins.at[i]))
            return true;
    return false;
}

kernel *loop_expand_math(arena *a, const kernel *k, bool fma)
{
    if (!has_math(k))
        return arena_copy(a, k, sizeof *k);
    expander *e = NEW(a, expander);
    e->pen.arena = a;
    e->pen.k = arena_copy(a, k, sizeof *k);
    e->fma = fma;
    kernel *copy = e->pen.k;
    memset(&copy->ins, 0, sizeof copy->ins);
    copy->regs.at = arena_copy(a, k->regs.at, (size_t)k->regs.count * sizeof(loop_reg));
    copy->regs.capacity = k->regs.count;
    for (int i = 0; i < k->ins.count; i++) {
        if (is_expanded(&k->ins.at[i]))
            expand(e, &k->ins.at[i]);
        else
            VEC_PUSH(a, &copy->ins, k->ins.at[i]);
    }
    return assemble(e);
}
