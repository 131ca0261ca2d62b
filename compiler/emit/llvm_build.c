/* Loop IR to LLVM IR, one instruction after the other.
 *
 * A register or integer that is assigned once, and used only inside the block that assigns it, is an SSA value at once.
 * The others live in an alloca that mem2reg turns into phis. An address is a chain of additions, outermost loop's term
 * first and the constant last: what is invariant in a loop is then a prefix that LICM lifts, and what unrolled copies
 * differ in is a displacement that the instruction encodes. Nothing here has a fast-math flag, and no two arguments are
 * assumed distinct (a kernel may work in place); scratch is. */
#ifdef NASC_LLVM
#include "emit/llvm.h"

#include <stdio.h>
#include <string.h>

/* A register or an integer variable. */
typedef struct slot {
    int defs;       /* instructions that assign it */
    int from, to;   /* the instructions that the first assignment reaches within its block */
    int depth;      /* loops and branches around the first assignment */
    bool in_memory; /* `value` is an alloca, not the value */
    LLVMTypeRef type;
    LLVMValueRef value;
} slot;

typedef struct block_end {
    int to;                  /* analysis: the block's last instruction */
    LLVMBasicBlockRef latch; /* FOR: where the body begins; NULL for an IF */
    LLVMBasicBlockRef after; /* where control goes on */
    LLVMBasicBlockRef other; /* IF: the else branch */
} block_end;

enum { DEPTH_MAX = 64, LINE_BYTES = 64 /* a cache line */ };

typedef struct builder {
    const kernel *k;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef at;
    LLVMValueRef function;
    LLVMTypeRef i8, i16, i32, i64, f32, f64;
    LLVMValueRef *args, *scratch; /* pointers */
    slot *regs, *ints;
    block_end open[DEPTH_MAX];
    int depth;
} builder;

/* ---- what is assigned where ---------------------------------------------------------------------------------- */

static void slot_define(const builder *b, slot *s, int ins)
{
    if (s->defs++ == 0) {
        s->from = ins;
        s->to = b->depth ? b->open[b->depth - 1].to : b->k->ins.count;
        s->depth = b->depth;
    }
    s->in_memory |= s->defs > 1;
}

static void slot_use(slot *s, int ins)
{
    s->in_memory |= s->defs == 0 || ins <= s->from || ins >= s->to;
}

static void index_use(const builder *b, const loop_index *index, int ins)
{
    for (int i = 0; i < index->count; i++)
        if (index->term[i].var != 0)
            slot_use(&b->ints[index->term[i].var], ins);
}

/* Fills the slots: which values need memory, and how deep each one is defined. */
static void find_slots(builder *b)
{
    for (int i = 0; i < b->k->ins.count; i++) {
        const loop_ins *ins = &b->k->ins.at[i];
        const struct loop_op_info *info = &loop_op_info[ins->op];
        index_use(b, &ins->lo, i);
        index_use(b, &ins->hi, i);
        index_use(b, &ins->place.index, i);
        for (int s = 0; s < info->operands; s++)
            slot_use(&b->regs[ins->src[s]], i);
        switch (ins->op) {
        case LOOP_END:
            b->depth--;
            break;
        case LOOP_ELSE:
            b->open[b->depth - 1].to = ins->match;
            break;
        case LOOP_PARALLEL:
        case LOOP_FOR:
        case LOOP_IF:
            CHECK(b->depth < DEPTH_MAX);
            b->open[b->depth++].to = ins->match;
            if (ins->op != LOOP_IF)
                slot_define(b, &b->ints[ins->dst], i);
            break;
        case LOOP_STORE:
        case LOOP_PREFETCH:
            break;
        default:
            slot_define(b, info->kind == LOOP_INT ? &b->ints[ins->dst] : &b->regs[ins->dst], i);
        }
    }
}

static LLVMTypeRef vector_of(LLVMTypeRef element, int lanes)
{
    return lanes == 1 ? element : LLVMVectorType(element, (unsigned)lanes);
}

static LLVMTypeRef float_type(const builder *b, int dtype)
{
    return dtype == DT_F64 ? b->f64 : b->f32;
}

static LLVMTypeRef memory_type(const builder *b, int dtype)
{
    switch (dtype) {
    case DT_BF16:
        return b->i16;
    case DT_I8:
        return b->i8;
    case DT_I32:
        return b->i32;
    default:
        return float_type(b, dtype);
    }
}

/* Allocas stand in the entry block, where mem2reg looks for them. */
static void make_slots(builder *b)
{
    find_slots(b);
    for (int i = 0; i < b->k->regs.count; i++) {
        slot *s = &b->regs[i];
        s->type = vector_of(float_type(b, b->k->regs.at[i].dtype), b->k->regs.at[i].lanes);
        if (s->in_memory)
            s->value = LLVMBuildAlloca(b->at, s->type, "");
    }
    b->ints[0] = (slot){.defs = 1, .type = b->i64, .value = LLVMGetParam(b->function, 1)};
    for (int i = 1; i < b->k->ints; i++) {
        slot *s = &b->ints[i];
        s->type = b->i64;
        if (s->in_memory)
            s->value = LLVMBuildAlloca(b->at, s->type, "");
    }
}

static LLVMValueRef slot_get(const builder *b, const slot *s)
{
    return s->in_memory ? LLVMBuildLoad2(b->at, s->type, s->value, "") : s->value;
}

static void slot_set(builder *b, slot *s, LLVMValueRef value)
{
    if (s->in_memory)
        LLVMBuildStore(b->at, value, s->value);
    else
        s->value = value;
}

static void int_set(builder *b, int var, LLVMValueRef value)
{
    char name[16];
    snprintf(name, sizeof name, "i%d", var);
    if (!LLVMIsConstant(value) && !LLVMIsAArgument(value))
        LLVMSetValueName2(value, name, strlen(name));
    slot_set(b, &b->ints[var], value);
}

/* ---- indices and places -------------------------------------------------------------------------------------- */

static LLVMValueRef const_int(const builder *b, int64_t value)
{
    return LLVMConstInt(b->i64, (unsigned long long)value, true);
}

/* The terms of an index, those of outer loops first. */
static loop_index by_depth(const builder *b, const loop_index *index)
{
    loop_index sorted = *index;
    for (int i = 1; i < sorted.count; i++) {
        loop_term term = sorted.term[i];
        int j = i;
        for (; j > 0 && b->ints[sorted.term[j - 1].var].depth > b->ints[term.var].depth; j--)
            sorted.term[j] = sorted.term[j - 1];
        sorted.term[j] = term;
    }
    return sorted;
}

static LLVMValueRef term_value(const builder *b, loop_term term, int64_t scale)
{
    LLVMValueRef var = slot_get(b, &b->ints[term.var]);
    int64_t factor = term.coef * scale;
    return factor == 1 ? var : LLVMBuildNSWMul(b->at, var, const_int(b, factor), "");
}

static LLVMValueRef index_value(const builder *b, const loop_index *index)
{
    loop_index sorted = by_depth(b, index);
    LLVMValueRef sum = NULL;
    for (int i = 0; i < sorted.count; i++) {
        LLVMValueRef term = term_value(b, sorted.term[i], 1);
        sum = sum ? LLVMBuildNSWAdd(b->at, sum, term, "") : term;
    }
    if (!sum)
        return const_int(b, sorted.base);
    return sorted.base ? LLVMBuildNSWAdd(b->at, sum, const_int(b, sorted.base), "") : sum;
}

static const loop_buffer *place_buffer(const builder *b, const loop_place *place)
{
    return place->buffer < LOOP_SCRATCH ? &b->k->args.at[place->buffer]
                                        : &b->k->scratch.at[place->buffer - LOOP_SCRATCH];
}

/* Additions are not `inbounds`: on the way to a valid element a partial sum may leave the buffer (padding). */
static LLVMValueRef place_address(const builder *b, const loop_place *place)
{
    int64_t bytes = dtype_info[place_buffer(b, place)->dtype].bytes;
    loop_index sorted = by_depth(b, &place->index);
    LLVMValueRef address =
        place->buffer < LOOP_SCRATCH ? b->args[place->buffer] : b->scratch[place->buffer - LOOP_SCRATCH];
    for (int i = 0; i < sorted.count; i++) {
        LLVMValueRef more = term_value(b, sorted.term[i], bytes);
        address = LLVMBuildGEP2(b->at, b->i8, address, &more, 1, "");
    }
    if (sorted.base) {
        LLVMValueRef more = const_int(b, sorted.base * bytes);
        address = LLVMBuildGEP2(b->at, b->i8, address, &more, 1, "");
    }
    return address;
}

/* ---- vectors ------------------------------------------------------------------------------------------------- */

static LLVMValueRef splat(const builder *b, LLVMValueRef scalar, int lanes)
{
    if (lanes == 1)
        return scalar;
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(scalar), (unsigned)lanes);
    LLVMValueRef one = LLVMBuildInsertElement(b->at, LLVMGetPoison(type), scalar, LLVMConstInt(b->i32, 0, false), "");
    LLVMValueRef zeros = LLVMConstNull(LLVMVectorType(b->i32, (unsigned)lanes));
    return LLVMBuildShuffleVector(b->at, one, LLVMGetPoison(type), zeros, "");
}

static LLVMValueRef const_splat(LLVMValueRef scalar, int lanes)
{
    LLVMValueRef each[LOOP_LANES_MAX];
    if (lanes == 1)
        return scalar;
    for (int l = 0; l < lanes; l++)
        each[l] = scalar;
    return LLVMConstVector(each, (unsigned)lanes);
}

static LLVMValueRef half(const builder *b, LLVMValueRef vector, int lanes, int upper)
{
    LLVMValueRef mask[LOOP_LANES_MAX];
    if (lanes == 1)
        return LLVMBuildExtractElement(b->at, vector, LLVMConstInt(b->i32, (unsigned)upper, false), "");
    for (int l = 0; l < lanes; l++)
        mask[l] = LLVMConstInt(b->i32, (unsigned)(l + upper * lanes), false);
    return LLVMBuildShuffleVector(b->at, vector, LLVMGetPoison(LLVMTypeOf(vector)),
                                  LLVMConstVector(mask, (unsigned)lanes), "");
}

static LLVMValueRef join(const builder *b, LLVMValueRef lower, LLVMValueRef upper, int lanes)
{
    LLVMValueRef mask[LOOP_LANES_MAX];
    if (lanes == 2) {
        LLVMValueRef pair = LLVMGetPoison(LLVMVectorType(LLVMTypeOf(lower), 2));
        pair = LLVMBuildInsertElement(b->at, pair, lower, LLVMConstInt(b->i32, 0, false), "");
        return LLVMBuildInsertElement(b->at, pair, upper, LLVMConstInt(b->i32, 1, false), "");
    }
    for (int l = 0; l < lanes; l++)
        mask[l] = LLVMConstInt(b->i32, (unsigned)l, false);
    return LLVMBuildShuffleVector(b->at, lower, upper, LLVMConstVector(mask, (unsigned)lanes), "");
}

static LLVMValueRef intrinsic(const builder *b, const char *name, LLVMTypeRef type, LLVMValueRef *operands, int count)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef callee = LLVMGetIntrinsicDeclaration(b->module, id, &type, 1);
    return LLVMBuildCall2(b->at, LLVMIntrinsicGetType(b->context, id, &type, 1), callee, operands, (unsigned)count, "");
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* Bits of a float32 rounded to bfloat16, to nearest even; a NaN stays one. */
static LLVMValueRef bf16_round(const builder *b, LLVMValueRef value, int lanes)
{
    LLVMTypeRef wide = vector_of(b->i32, lanes);
    LLVMValueRef sixteen = const_splat(LLVMConstInt(b->i32, 16, false), lanes);
    LLVMValueRef bits = LLVMBuildBitCast(b->at, value, wide, "");
    LLVMValueRef odd = LLVMBuildAnd(b->at, LLVMBuildLShr(b->at, bits, sixteen, ""),
                                    const_splat(LLVMConstInt(b->i32, 1, false), lanes), "");
    LLVMValueRef bias = LLVMBuildAdd(b->at, odd, const_splat(LLVMConstInt(b->i32, 0x7fff, false), lanes), "");
    LLVMValueRef nan = LLVMBuildOr(b->at, bits, const_splat(LLVMConstInt(b->i32, 0x400000, false), lanes), "");
    LLVMValueRef is_nan = LLVMBuildFCmp(b->at, LLVMRealUNO, value, value, "");
    LLVMValueRef rounded = LLVMBuildSelect(b->at, is_nan, nan, LLVMBuildAdd(b->at, bits, bias, ""), "");
    return LLVMBuildTrunc(b->at, LLVMBuildLShr(b->at, rounded, sixteen, ""), vector_of(b->i16, lanes), "");
}

static LLVMValueRef bf16_widen(const builder *b, LLVMValueRef value, int lanes)
{
    LLVMTypeRef wide = vector_of(b->i32, lanes);
    LLVMValueRef sixteen = const_splat(LLVMConstInt(b->i32, 16, false), lanes);
    LLVMValueRef bits = LLVMBuildShl(b->at, LLVMBuildZExt(b->at, value, wide, ""), sixteen, "");
    return LLVMBuildBitCast(b->at, bits, vector_of(b->f32, lanes), "");
}

static LLVMValueRef load(const builder *b, const loop_place *place, int dtype, int lanes)
{
    int from = place_buffer(b, place)->dtype;
    LLVMTypeRef to = vector_of(float_type(b, dtype), lanes);
    LLVMValueRef value = LLVMBuildLoad2(b->at, vector_of(memory_type(b, from), lanes), place_address(b, place), "");
    LLVMSetAlignment(value, (unsigned)dtype_info[from].bytes);
    if (from == DT_I8 || from == DT_I32)
        return LLVMBuildSIToFP(b->at, value, to, "");
    if (from == DT_BF16)
        value = bf16_widen(b, value, lanes);
    return LLVMBuildFPCast(b->at, value, to, "");
}

/* Past the caches: the place begins on a cache line, or is a part of one. */
static void stream(const builder *b, LLVMValueRef stored, int bytes)
{
    LLVMValueRef one = LLVMConstInt(b->i32, 1, 0);
    unsigned kind = LLVMGetMDKindIDInContext(b->context, "nontemporal", (unsigned)strlen("nontemporal"));
    LLVMSetAlignment(stored, (unsigned)(bytes < LINE_BYTES ? bytes : LINE_BYTES));
    LLVMSetMetadata(stored, kind, LLVMMDNodeInContext(b->context, &one, 1));
}

static void store(const builder *b, const loop_ins *ins)
{
    const loop_reg *reg = &b->k->regs.at[ins->src[0]];
    int to = place_buffer(b, &ins->place)->dtype;
    LLVMTypeRef type = vector_of(memory_type(b, to), reg->lanes);
    LLVMValueRef value = slot_get(b, &b->regs[ins->src[0]]);
    if (to == DT_BF16)
        value = bf16_round(b, LLVMBuildFPCast(b->at, value, vector_of(b->f32, reg->lanes), ""), reg->lanes);
    else if (to == DT_I8 || to == DT_I32)
        value = LLVMBuildFPToSI(b->at, value, type, "");
    else
        value = LLVMBuildFPCast(b->at, value, type, "");
    LLVMValueRef stored = LLVMBuildStore(b->at, value, place_address(b, &ins->place));
    LLVMSetAlignment(stored, (unsigned)dtype_info[to].bytes);
    if (ins->step)
        stream(b, stored, dtype_info[to].bytes * reg->lanes);
}

/* ---- arithmetic ---------------------------------------------------------------------------------------------- */

/* POW2, EXPONENT, MANTISSA by bits. A whole number a, small against 2^m (m mantissa bits), is the low bits of the float
 * 1.5·2^m + a, and the same the other way round: no conversion between vectors of floats and integers is needed, which
 * AVX2 lacks for float64. */
static LLVMValueRef bits_math(const builder *b, int op, LLVMValueRef x, const loop_reg *reg)
{
    bool wide = reg->dtype == DT_F64;
    unsigned mantissa = wide ? 52 : 23;
    int bias = wide ? 1023 : 127;
    double two_m = (double)(1ULL << mantissa);
    uint64_t one = (uint64_t)bias << mantissa, two_m_bits = (uint64_t)(bias + (int)mantissa) << mantissa;
    LLVMTypeRef element = wide ? b->i64 : b->i32, type = LLVMTypeOf(x), word = vector_of(element, reg->lanes);
    LLVMTypeRef real = float_type(b, reg->dtype);
    LLVMValueRef shift = const_splat(LLVMConstInt(element, mantissa, false), reg->lanes);
    if (op == LOOP_POW2) {
        LLVMValueRef magic = const_splat(LLVMConstReal(real, 1.5 * two_m + bias), reg->lanes);
        LLVMValueRef sum = LLVMBuildBitCast(b->at, LLVMBuildFAdd(b->at, x, magic, ""), word, "");
        return LLVMBuildBitCast(b->at, LLVMBuildShl(b->at, sum, shift, ""), type, "");
    }
    LLVMValueRef bits = LLVMBuildBitCast(b->at, x, word, "");
    if (op == LOOP_EXPONENT) {
        LLVMValueRef magic = const_splat(LLVMConstInt(element, two_m_bits, false), reg->lanes);
        LLVMValueRef mask = const_splat(LLVMConstInt(element, 2 * (unsigned)bias + 1, false), reg->lanes);
        LLVMValueRef biased = LLVMBuildAnd(b->at, LLVMBuildLShr(b->at, bits, shift, ""), mask, "");
        LLVMValueRef whole = LLVMBuildOr(b->at, biased, magic, "");
        LLVMValueRef less = const_splat(LLVMConstReal(real, two_m + bias), reg->lanes);
        return LLVMBuildFSub(b->at, LLVMBuildBitCast(b->at, whole, type, ""), less, "");
    }
    LLVMValueRef mask = const_splat(LLVMConstInt(element, (1ULL << mantissa) - 1, false), reg->lanes);
    LLVMValueRef exponent = const_splat(LLVMConstInt(element, one, false), reg->lanes);
    return LLVMBuildBitCast(b->at, LLVMBuildOr(b->at, LLVMBuildAnd(b->at, bits, mask, ""), exponent, ""), type, "");
}

static LLVMValueRef choose(const builder *b, LLVMRealPredicate p, LLVMValueRef x, LLVMValueRef y, LLVMValueRef then,
                           LLVMValueRef other)
{
    return LLVMBuildSelect(b->at, LLVMBuildFCmp(b->at, p, x, y, ""), then, other, "");
}

static LLVMValueRef math(const builder *b, const loop_ins *ins)
{
    LLVMValueRef v[4] = {0};
    LLVMTypeRef type = b->regs[ins->dst].type;
    for (int i = 0; i < loop_op_info[ins->op].operands; i++)
        v[i] = slot_get(b, &b->regs[ins->src[i]]);
    switch (ins->op) {
    case LOOP_MOVE:
        return v[0];
    case LOOP_ADD:
        return LLVMBuildFAdd(b->at, v[0], v[1], "");
    case LOOP_SUB:
        return LLVMBuildFSub(b->at, v[0], v[1], "");
    case LOOP_MUL:
        return LLVMBuildFMul(b->at, v[0], v[1], "");
    case LOOP_DIV:
        return LLVMBuildFDiv(b->at, v[0], v[1], "");
    case LOOP_MAX: /* the operands' order makes it one vmaxps */
        return choose(b, LLVMRealOGT, v[0], v[1], v[0], v[1]);
    case LOOP_MIN:
        return choose(b, LLVMRealOLT, v[0], v[1], v[0], v[1]);
    case LOOP_SELECT_LT:
        return choose(b, LLVMRealOLT, v[0], v[1], v[2], v[3]);
    case LOOP_SELECT_EQ:
        return choose(b, LLVMRealOEQ, v[0], v[1], v[2], v[3]);
    case LOOP_FMA:
        return intrinsic(b, "llvm.fma", type, v, 3);
    case LOOP_SQRT:
        return intrinsic(b, "llvm.sqrt", type, v, 1);
    case LOOP_FLOOR:
        return intrinsic(b, "llvm.floor", type, v, 1);
    case LOOP_POW2:
    case LOOP_EXPONENT:
    case LOOP_MANTISSA:
        return bits_math(b, ins->op, v[0], &b->k->regs.at[ins->dst]);
    default:
        BUG("%s: run loop_expand_math first", loop_op_info[ins->op].text);
    }
}

static LLVMValueRef misc(const builder *b, const loop_ins *ins)
{
    const loop_reg *to = &b->k->regs.at[ins->dst];
    LLVMTypeRef element = float_type(b, to->dtype);
    LLVMValueRef value = loop_op_info[ins->op].operands ? slot_get(b, &b->regs[ins->src[0]]) : NULL;
    switch (ins->op) {
    case LOOP_CONST:
        return const_splat(LLVMConstReal(element, ins->value), to->lanes);
    case LOOP_FROM_INT:
        return splat(b, LLVMBuildSIToFP(b->at, index_value(b, &ins->lo), element, ""), to->lanes);
    case LOOP_CONVERT:
        return LLVMBuildFPCast(b->at, value, b->regs[ins->dst].type, "");
    case LOOP_LANE:
        if (b->k->regs.at[ins->src[0]].lanes == 1)
            return value;
        return LLVMBuildExtractElement(b->at, value, LLVMConstInt(b->i32, (unsigned)ins->step, false), "");
    case LOOP_HALF:
        return half(b, value, to->lanes, ins->step);
    case LOOP_JOIN:
        return join(b, value, slot_get(b, &b->regs[ins->src[1]]), to->lanes);
    default:
        BUG("unknown operation %d", ins->op);
    }
}

/* ---- integers ------------------------------------------------------------------------------------------------ */

/* floor(x / step), step > 0. */
static LLVMValueRef floor_div(const builder *b, LLVMValueRef x, int64_t step)
{
    LLVMValueRef by = const_int(b, step);
    LLVMValueRef quotient = LLVMBuildSDiv(b->at, x, by, "");
    LLVMValueRef rest = LLVMBuildSub(b->at, x, LLVMBuildNSWMul(b->at, quotient, by, ""), "");
    return LLVMBuildNSWAdd(b->at, quotient, LLVMBuildAShr(b->at, rest, const_int(b, 63), ""), "");
}

static LLVMValueRef int_value(const builder *b, const loop_ins *ins)
{
    LLVMValueRef lo = index_value(b, &ins->lo), x;
    bool power = (ins->step & (ins->step - 1)) == 0;
    switch (ins->op) {
    case LOOP_INT_SET:
        return lo;
    case LOOP_INT_MIN:
    case LOOP_INT_MAX:
        x = index_value(b, &ins->hi);
        return LLVMBuildSelect(
            b->at, LLVMBuildICmp(b->at, ins->op == LOOP_INT_MIN ? LLVMIntSLT : LLVMIntSGT, lo, x, ""), lo, x, "");
    case LOOP_INT_DIV:
        if (power)
            return LLVMBuildAShr(b->at, lo, const_int(b, __builtin_ctz((unsigned)ins->step)), "");
        return floor_div(b, lo, ins->step);
    case LOOP_INT_MOD:
        if (power)
            return LLVMBuildAnd(b->at, lo, const_int(b, ins->step - 1), "");
        return LLVMBuildNSWSub(b->at, lo,
                               LLVMBuildNSWMul(b->at, floor_div(b, lo, ins->step), const_int(b, ins->step), ""), "");
    case LOOP_INT_LOAD:
        x = LLVMBuildLoad2(b->at, memory_type(b, place_buffer(b, &ins->place)->dtype), place_address(b, &ins->place),
                           "");
        return LLVMBuildSExt(b->at, x, b->i64, "");
    default:
        BUG("unknown operation %d", ins->op);
    }
}

/* ---- control ------------------------------------------------------------------------------------------------- */

static LLVMBasicBlockRef block(const builder *b)
{
    return LLVMAppendBasicBlockInContext(b->context, b->function, "");
}

/* A loop is rotated: tested before it, unless constants show that it runs, and at its end. */
static void loop_begin(builder *b, int var, LLVMValueRef lo, LLVMValueRef hi)
{
    block_end *open = &b->open[b->depth++];
    slot *s = &b->ints[var];
    LLVMBasicBlockRef before = LLVMGetInsertBlock(b->at);
    *open = (block_end){.latch = block(b), .after = block(b)};
    if (s->in_memory)
        slot_set(b, s, lo);
    LLVMValueRef enter = LLVMBuildICmp(b->at, LLVMIntSLT, lo, hi, "");
    if (LLVMIsConstant(enter) && LLVMConstIntGetZExtValue(enter)) /* else LICM would not know that the body runs */
        LLVMBuildBr(b->at, open->latch);
    else
        LLVMBuildCondBr(b->at, enter, open->latch, open->after);
    LLVMPositionBuilderAtEnd(b->at, open->latch);
    if (s->in_memory)
        return;
    int_set(b, var, LLVMBuildPhi(b->at, b->i64, ""));
    LLVMAddIncoming(s->value, &lo, &before, 1);
}

static void loop_close(builder *b, const block_end *open, const loop_ins *opener)
{
    bool parallel = opener->op == LOOP_PARALLEL;
    slot *s = &b->ints[opener->dst];
    LLVMBasicBlockRef last = LLVMGetInsertBlock(b->at);
    LLVMValueRef next = LLVMBuildNSWAdd(b->at, slot_get(b, s), const_int(b, parallel ? 1 : opener->step), "");
    LLVMValueRef hi = parallel ? LLVMGetParam(b->function, 3) : index_value(b, &opener->hi);
    if (s->in_memory)
        slot_set(b, s, next);
    else
        LLVMAddIncoming(s->value, &next, &last, 1);
    LLVMBuildCondBr(b->at, LLVMBuildICmp(b->at, LLVMIntSLT, next, hi, ""), open->latch, open->after);
}

static void if_begin(builder *b, const loop_ins *ins)
{
    block_end *open = &b->open[b->depth++];
    LLVMBasicBlockRef then = block(b);
    LLVMValueRef lo = index_value(b, &ins->lo), hi = index_value(b, &ins->hi);
    *open = (block_end){.other = block(b), .after = block(b)};
    LLVMBuildCondBr(b->at, LLVMBuildICmp(b->at, LLVMIntSLT, lo, hi, ""), then, open->other);
    LLVMPositionBuilderAtEnd(b->at, then);
}

static void else_begin(builder *b)
{
    block_end *open = &b->open[b->depth - 1];
    LLVMBuildBr(b->at, open->after);
    LLVMPositionBuilderAtEnd(b->at, open->other);
    open->other = NULL;
}

static void block_close(builder *b, const loop_ins *opener)
{
    const block_end *open = &b->open[--b->depth];
    if (open->latch)
        loop_close(b, open, opener);
    else
        LLVMBuildBr(b->at, open->after);
    if (open->other) { /* an IF without ELSE */
        LLVMPositionBuilderAtEnd(b->at, open->other);
        LLVMBuildBr(b->at, open->after);
    }
    LLVMPositionBuilderAtEnd(b->at, open->after);
}

static void control(builder *b, const loop_ins *ins)
{
    switch (ins->op) {
    case LOOP_PARALLEL:
        loop_begin(b, ins->dst, LLVMGetParam(b->function, 2), LLVMGetParam(b->function, 3));
        break;
    case LOOP_FOR:
        loop_begin(b, ins->dst, index_value(b, &ins->lo), index_value(b, &ins->hi));
        break;
    case LOOP_IF:
        if_begin(b, ins);
        break;
    case LOOP_ELSE:
        else_begin(b);
        break;
    case LOOP_END:
        block_close(b, &b->k->ins.at[ins->match]);
        break;
    default:
        BUG("unknown operation %d", ins->op);
    }
}

/* For reading, into the second cache level. */
static void prefetch(const builder *b, const loop_place *place)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context), pointer = LLVMPointerTypeInContext(b->context, 0);
    LLVMValueRef operand[] = {place_address(b, place), LLVMConstInt(i32, 0, 0), LLVMConstInt(i32, 2, 0),
                              LLVMConstInt(i32, 1, 0)};
    intrinsic(b, "llvm.prefetch", pointer, operand, 4);
}

static void instruction(builder *b, const loop_ins *ins)
{
    const loop_reg *reg;
    switch (loop_op_info[ins->op].kind) {
    case LOOP_STRUCT:
        control(b, ins);
        break;
    case LOOP_INT:
        int_set(b, ins->dst, int_value(b, ins));
        break;
    case LOOP_MEM:
        reg = &b->k->regs.at[ins->dst];
        if (ins->op == LOOP_STORE)
            store(b, ins);
        else if (ins->op == LOOP_LOAD)
            slot_set(b, &b->regs[ins->dst], load(b, &ins->place, reg->dtype, reg->lanes));
        else
            slot_set(b, &b->regs[ins->dst], splat(b, load(b, &ins->place, reg->dtype, 1), reg->lanes));
        break;
    case LOOP_HINT:
        prefetch(b, &ins->place);
        break;
    case LOOP_SYNC:
        BUG("kernel %s has threads", b->k->name); /* llvm.c refuses them */
    case LOOP_MISC:
        slot_set(b, &b->regs[ins->dst], misc(b, ins));
        break;
    case LOOP_MATH:
        slot_set(b, &b->regs[ins->dst], math(b, ins));
        break;
    }
}

/* ---- the function -------------------------------------------------------------------------------------------- */

static void attribute(const builder *b, unsigned place, const char *name, LLVMTypeRef type, uint64_t value)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAttributeRef a =
        type ? LLVMCreateTypeAttribute(b->context, kind, type) : LLVMCreateEnumAttribute(b->context, kind, value);
    LLVMAddAttributeAtIndex(b->function, place, a);
}

/* void symbol(ptr buffer, i64 n, i64 begin, i64 end, ptr scratch): declared, with the buffers' addresses at hand. */
static void function_open(builder *b, const char *symbol)
{
    static const char *const names[] = {"buffer", "n", "begin", "end", "scratch"};
    LLVMTypeRef pointer = LLVMPointerTypeInContext(b->context, 0);
    LLVMTypeRef params[] = {pointer, b->i64, b->i64, b->i64, pointer};
    b->function =
        LLVMAddFunction(b->module, symbol, LLVMFunctionType(LLVMVoidTypeInContext(b->context), params, 5, false));
    for (unsigned i = 0; i < COUNT(names); i++)
        LLVMSetValueName2(LLVMGetParam(b->function, i), names[i], strlen(names[i]));
    attribute(b, LLVMAttributeFunctionIndex, "nounwind", NULL, 0);
    attribute(b, 1, "readonly", NULL, 0);
    attribute(b, 5, "noalias", NULL, 0); /* the thread's own: no argument overlaps it */
    attribute(b, 5, "align", NULL, 64);
    LLVMPositionBuilderAtEnd(b->at, block(b));

    LLVMValueRef nothing = LLVMMetadataAsValue(b->context, LLVMMDNodeInContext2(b->context, NULL, 0));
    unsigned invariant = LLVMGetMDKindIDInContext(b->context, "invariant.load", 14);
    char name[16];
    for (int i = 0; i < b->k->args.count; i++) {
        LLVMValueRef at = const_int(b, i);
        at = LLVMBuildGEP2(b->at, pointer, LLVMGetParam(b->function, 0), &at, 1, "");
        snprintf(name, sizeof name, "a%d", i);
        b->args[i] = LLVMBuildLoad2(b->at, pointer, at, name);
        LLVMSetMetadata(b->args[i], invariant, nothing);
    }
    for (int i = 0; i < b->k->scratch.count; i++) {
        LLVMValueRef at = const_int(b, loop_scratch_offset(b->k, i));
        snprintf(name, sizeof name, "s%d", i);
        b->scratch[i] = LLVMBuildGEP2(b->at, b->i8, LLVMGetParam(b->function, 4), &at, 1, name);
    }
}

LLVMModuleRef llvm_build(arena *a, LLVMContextRef context, LLVMTargetMachineRef machine, const kernel *k,
                         const char *symbol)
{
    builder *b = NEW(a, builder);
    *b = (builder){.k = k,
                   .regs = NEW_ARRAY(a, slot, k->regs.count),
                   .ints = NEW_ARRAY(a, slot, k->ints),
                   .args = NEW_ARRAY(a, LLVMValueRef, k->args.count),
                   .scratch = NEW_ARRAY(a, LLVMValueRef, k->scratch.count),
                   .context = context,
                   .i8 = LLVMInt8TypeInContext(context),
                   .i16 = LLVMInt16TypeInContext(context),
                   .i32 = LLVMInt32TypeInContext(context),
                   .i64 = LLVMInt64TypeInContext(context),
                   .f32 = LLVMFloatTypeInContext(context),
                   .f64 = LLVMDoubleTypeInContext(context)};
    b->module = LLVMModuleCreateWithNameInContext(symbol, context);
    char *triple = LLVMGetTargetMachineTriple(machine);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetTarget(b->module, triple);
    LLVMSetModuleDataLayout(b->module, layout);
    LLVMDisposeTargetData(layout);
    LLVMDisposeMessage(triple);
    b->at = LLVMCreateBuilderInContext(context);
    function_open(b, symbol);
    make_slots(b);
    for (int i = 0; i < k->ins.count; i++)
        instruction(b, &k->ins.at[i]);
    LLVMBuildRetVoid(b->at);
    LLVMDisposeBuilder(b->at);
    return b->module;
}
#endif
