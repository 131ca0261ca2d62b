/* What this library is and what it was built with. LLVM is asked at run time: the shared library that is loaded may be
 * a newer patch than the one compiled against. */
#include "nasc.h"

#ifdef NASC_LLVM
#include <llvm-c/Core.h>
#endif

const char *nasc_version(void)
{
    return NASC_VERSION;
}

int nasc_llvm_version(unsigned version[3])
{
#ifdef NASC_LLVM
    LLVMGetVersion(&version[0], &version[1], &version[2]);
    return 1;
#else
    (void)version;
    return 0;
#endif
}
