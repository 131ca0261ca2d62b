/* The LLVM emitter's inside: what llvm.c (machines, passes, objects), llvm_build.c (loop IR to LLVM IR) and jit.c
 * share. Only for builds with NASC_LLVM. */
#ifndef NASC_EMIT_LLVM_H
#define NASC_EMIT_LLVM_H

#include "emit/emit.h"

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

/* Goes up whenever llvm.c or llvm_build.c emits other code for the same kernel: cached objects of older ones are not
 * met. */
enum { LLVM_EMITTER_VERSION = 2 };

enum { LLVM_SYMBOL_BYTES = 2 + 32 + 1 };
/* "k_" and the key in hexadecimal: the name of a kernel's function in its object. */
void llvm_symbol(char name[LLVM_SYMBOL_BYTES], const unsigned char key[16]);

/* Registers LLVM's targets; may be called any number of times, by one thread at a time. */
void llvm_start(void);
/* The code generator of a target's row, host features left aside. NULL with a diagnostic. */
LLVMTargetMachineRef llvm_machine(const target *t, nasc_diag *d);

/* A module with the kernel as its one function. Memory that runs out unwinds through `a`. */
LLVMModuleRef llvm_build(arena *a, LLVMContextRef context, LLVMTargetMachineRef machine, const kernel *k,
                         const char *symbol);

/* The kernel's object file. NULL with a diagnostic. Threads may call it at once, each with a machine of its own. */
LLVMMemoryBufferRef llvm_object(LLVMTargetMachineRef machine, const kernel *k, const char *symbol, nasc_diag *d);

#endif
