/* Starts @NAME@_test on a Cortex-M with nothing below it; of another program, replace what is here by the board's own.
 * The processor begins at `vectors`, with the floating-point unit off and variables' initial values still in flash. */
#include <stdint.h>

extern uint32_t data_from[], data_begin[], data_end[], stack_end[]; /* board.ld */
extern void _start(void);                                           /* the C library's: clears .bss, calls main */

static void fault(void)
{
    for (;;)
        ;
}

static void reset(void)
{
    volatile uint32_t *const access = (uint32_t *)0xe000ed88; /* CPACR: coprocessors 10 and 11 are the FPU */
    *access |= 0xfu << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    for (volatile uint32_t *to = data_begin, *from = data_from; to < (volatile uint32_t *)data_end;)
        *to++ = *from++;
    _start();
    fault();
}

/* Where the stack ends, then where to go: at reset, on a non-maskable interrupt, and on faults. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*entry[6])(void);
} vectors = {stack_end, {reset, fault, fault, fault, fault, fault}};
