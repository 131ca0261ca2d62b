/* Kernels through LLVM: the target's code generator, a few passes, an object file or text.
 *
 * The loop IR is unrolled and vectorised already, so the passes only tidy up: registers out of allocas, equal addresses
 * once, invariant ones out of loops. None of them reassociates or contracts floats; instcombine stays out because it
 * rewrites the address chains that llvm_build.c lays out with care, and costs more than the rest together. */
#ifdef NASC_LLVM
#include "emit/llvm.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include <stdio.h>
#include <string.h>

static const char PASSES[] = "function(mem2reg,early-cse,loop-mssa(licm),early-cse)";

void llvm_symbol(char name[LLVM_SYMBOL_BYTES], const unsigned char key[16])
{
    strcpy(name, "k_");
    for (int i = 0; i < 16; i++)
        snprintf(name + 2 + 2 * i, 3, "%02x", key[i]);
}

void llvm_start(void)
{
    LLVMInitializeAllTargetInfos();
    LLVMInitializeAllTargets();
    LLVMInitializeAllTargetMCs();
    LLVMInitializeAllAsmPrinters();
}

LLVMTargetMachineRef llvm_machine(const target *t, nasc_diag *d)
{
    LLVMTargetRef target;
    char *message = NULL;
    if (!t->triple) {
        diag_fail(d, DIAG_DEVICE, t->name, "is not a target for LLVM");
        return NULL;
    }
    if (LLVMGetTargetFromTriple(t->triple, &target, &message)) {
        diag_fail(d, DIAG_DEVICE, t->name, "this LLVM has no code generator: %s", message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    LLVMTargetMachineRef machine =
        LLVMCreateTargetMachine(target, t->triple, t->cpu ? t->cpu : "", t->features ? t->features : "",
                                LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelSmall);
    if (!machine)
        diag_fail(d, DIAG_DEVICE, t->name, "this LLVM has no code generator for %s", t->triple);
    return machine;
}

static bool run_passes(LLVMModuleRef module, LLVMTargetMachineRef machine, nasc_diag *d)
{
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(module, PASSES, machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (!error)
        return true;
    char *message = LLVMGetErrorMessage(error);
    diag_fail(d, DIAG_DEVICE, "LLVM", "%s", message);
    LLVMDisposeErrorMessage(message);
    return false;
}

typedef struct wanted {
    LLVMContextRef context;
    LLVMTargetMachineRef machine;
    const kernel *k;
    const char *symbol;
    LLVMModuleRef module;
} wanted;

/* Memory that runs out loses no module: llvm_build takes its tables of the arena before it makes one. */
static bool build(void *user, arena *a, nasc_diag *d)
{
    (void)d;
    wanted *w = user;
    w->module = llvm_build(a, w->context, w->machine, w->k, w->symbol);
    return true;
}

/* The optimised module in `context`. NULL with a diagnostic. */
static LLVMModuleRef module_make(LLVMContextRef context, LLVMTargetMachineRef machine, const kernel *k,
                                 const char *symbol, nasc_diag *d)
{
    wanted w = {context, machine, k, symbol, NULL};
    if (loop_threads_of(k)) {
        diag_fail(d, DIAG_INPUT, k->name, "LLVM's targets have no threads within a unit");
        return NULL;
    }
    if (!arena_within(build, &w, d))
        return NULL;
    LLVMModuleRef module = w.module;
    char *message = NULL;
    if (LLVMVerifyModule(module, LLVMReturnStatusAction, &message))
        BUG("kernel %s: %s", k->name, message);
    LLVMDisposeMessage(message);
    if (run_passes(module, machine, d))
        return module;
    LLVMDisposeModule(module);
    return NULL;
}

static LLVMMemoryBufferRef generate(LLVMTargetMachineRef machine, LLVMModuleRef module, LLVMCodeGenFileType type,
                                    nasc_diag *d)
{
    LLVMMemoryBufferRef code = NULL;
    char *message = NULL;
    if (!LLVMTargetMachineEmitToMemoryBuffer(machine, module, type, &message, &code))
        return code;
    diag_fail(d, DIAG_DEVICE, "LLVM", "%s", message);
    LLVMDisposeMessage(message);
    return NULL;
}

LLVMMemoryBufferRef llvm_object(LLVMTargetMachineRef machine, const kernel *k, const char *symbol, nasc_diag *d)
{
    LLVMMemoryBufferRef object = NULL;
    LLVMContextRef context = LLVMContextCreate();
    LLVMContextSetDiscardValueNames(context, true);
    LLVMModuleRef module = module_make(context, machine, k, symbol, d);
    if (module) {
        object = generate(machine, module, LLVMObjectFile, d);
        LLVMDisposeModule(module);
    }
    LLVMContextDispose(context);
    return object;
}

static bool module_print(text *out, LLVMModuleRef module, LLVMTargetMachineRef machine, bool assembly, nasc_diag *d)
{
    if (!assembly) {
        char *ir = LLVMPrintModuleToString(module);
        text_bytes(out, ir, strlen(ir));
        LLVMDisposeMessage(ir);
        return true;
    }
    LLVMMemoryBufferRef code = generate(machine, module, LLVMAssemblyFile, d);
    if (!code)
        return false;
    text_bytes(out, LLVMGetBufferStart(code), LLVMGetBufferSize(code));
    LLVMDisposeMemoryBuffer(code);
    return true;
}

bool emit_llvm_text(text *out, const kernel *k, const target *t, bool assembly, nasc_diag *d)
{
    llvm_start();
    LLVMTargetMachineRef machine = llvm_machine(t, d);
    if (!machine)
        return false;
    unsigned char key[16];
    char symbol[LLVM_SYMBOL_BYTES];
    loop_key(k, key);
    llvm_symbol(symbol, key);
    LLVMContextRef context = LLVMContextCreate();
    LLVMModuleRef module = module_make(context, machine, k, symbol, d);
    bool ok = module && module_print(out, module, machine, assembly, d);
    if (module)
        LLVMDisposeModule(module);
    LLVMContextDispose(context);
    LLVMDisposeTargetMachine(machine);
    return ok;
}
#endif
