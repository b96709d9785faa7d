// What a compiled shader, the scheduler and the software device say to each other.
#pragma once

#include <stdint.h>

enum { KQ_SLOTS = 31 };  // buffers, and threadgroup buffers, that Metal has

typedef struct {
    void* buffers[KQ_SLOTS];
    void* threadgroup_memory[KQ_SLOTS];
    uint64_t threadgroup_bytes[KQ_SLOTS];
    uint64_t buffer_bytes[KQ_SLOTS];
} KqArguments;

// Named after the attributes of the Metal Shading Language.
typedef struct {
    uint32_t thread_position_in_grid[3], thread_position_in_threadgroup[3], threadgroup_position_in_grid[3];
    uint32_t threads_per_threadgroup[3], threads_per_grid[3], threadgroups_per_grid[3];
    uint32_t thread_index_in_threadgroup[1], thread_index_in_simdgroup[1], simdgroup_index_in_threadgroup[1];
    uint32_t simdgroups_per_threadgroup[1], threads_per_simdgroup[1];
} KqPosition;

typedef void (*KqThread)(const KqArguments*, const KqPosition*);

typedef struct {
    const char* name;
    KqThread run;
    uint32_t buffers, threadgroup_buffers;  // one bit for each slot that has to be bound
    uint32_t written;                       // one bit for each buffer that is not const
} KqKernel;

// kq_dispatch runs a grid; 0, or 1 with a sentence in `error`. The flags are below; from bit KQ_SEED_SHIFT on, the seed of the order in
// which threads and threadgroups run.
typedef int (*KqDispatch)(
    const KqKernel* kernel, const KqArguments* arguments, const uint32_t grid[3], const uint32_t group[3], uint32_t flags, char* error,
    int error_bytes);

// Apple's GPUs flush subnormal numbers. The others are faults: rounding toward zero, lanes 16 apart that see only themselves, and matrix
// units that add in another order.
enum { KQ_FLUSH_SUBNORMALS = 1, KQ_TOWARD_ZERO = 2, KQ_NARROW_SHUFFLE = 4, KQ_MATRIX_BACKWARD = 8, KQ_SEED_SHIFT = 8 };
