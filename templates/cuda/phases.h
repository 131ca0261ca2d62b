/* Blocks of one grid that wait for others. They are numbered in the order in which they begin, so that none waits for one
 * that has not begun. turn[0]: how many have begun, turn[1]: how many have ended; both are 0 between grids. */
INLINE int block_turn(unsigned *turn)
{
    __shared__ unsigned number;
    if (threadIdx.x == 0)
        number = atomicAdd(turn, 1u);
    __syncthreads();
    return (int)number;
}

/* Until so many have ended; what they have written is seen from here on. */
INLINE void block_wait(const unsigned *turn, int blocks)
{
    if (threadIdx.x == 0) {
        while (*(const volatile unsigned *)(turn + 1) < (unsigned)blocks)
            __nanosleep(100);
        __threadfence();
    }
    __syncthreads();
}

/* `blocks`: of the grid. */
INLINE void block_end(unsigned *turn, unsigned blocks)
{
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    __threadfence();
    if (atomicAdd(turn + 1, 1u) + 1 == blocks) {
        turn[0] = 0;
        turn[1] = 0;
    }
}
