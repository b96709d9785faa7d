// Products of few rows, y = x W^T, on wire bytes. A team of sixteen threads makes one output of each row; two teams are a simdgroup, and
// two simdgroups a threadgroup: four outputs, threadgroup x of the grid.
//
// The order of additions is that of the managed products with float32 activations, whatever the kernel: columns come in runs of 1024;
// within a run lane j sums the columns j, j + 16, j + 32, ... with one fma each; the lanes are added as a tree, j with j ^ 8, then ^ 4,
// ^ 2, ^ 1; the sums of the runs are added from left to right. So all of them, and the CPU, give the same bits.

constant constexpr uint run_columns = 1024, outputs_per_group = 4;

struct multiply_args {
    ulong weights;       // byte offset of the first block
    ulong row_bytes;     // from one row of weights to the next
    ulong expert_bytes;  // from one expert to the next
    uint columns;        // values of a row
    uint outputs;        // rows of an expert
    uint rows;           // rows of x
};

struct place {
    uint lane;  // 0 to 15
    uint team;  // which sixteen threads of the threadgroup
};

static inline place find_place(uint simd_lane, uint simdgroup) { return place{simd_lane % lanes, 2 * simdgroup + simd_lane / lanes}; }

// The sum over the sixteen lanes of a team, in all of them.
static inline float sum_lanes(float value) {
    for (ushort mask = 8; mask > 0; mask = mask >> 1) {
        value = value + simd_shuffle_xor(value, mask);
    }
    return value;
}

// Up to Rows rows of x times one row of weights, which is read once.
template <typename Block, uint Rows>
static inline void multiply_row(
    device const uchar* weights, device const float* x, uint rows, uint columns, uint lane, thread float* total) {
    for (uint r = 0; r < Rows; r++) {
        total[r] = 0.0f;
    }
    device const Block* block = (device const Block*)weights;
    for (uint start = 0; start < columns; start += run_columns) {
        float sum[Rows];
        for (uint r = 0; r < Rows; r++) {
            sum[r] = 0.0f;
        }
        const uint end = min(columns, start + run_columns);
        for (uint k = start; k < end; k += Block::weights, block++) {
            float w[Block::weights / lanes];
            decode(*block, lane, w);
            for (uint r = 0; r < Rows; r++) {
                if (r < rows) {
                    for (uint t = 0; t < Block::weights / lanes; t++) {
                        sum[r] = fma(w[t], x[(ulong)r * columns + k + lanes * t + lane], sum[r]);
                    }
                }
            }
        }
        for (uint r = 0; r < Rows; r++) {
            total[r] = total[r] + sum_lanes(sum[r]);
        }
    }
}

// Rows Rows * group.y and on. Teams beyond the last output repeat it, because all threads of a simdgroup have to exchange their sums.
template <typename Block, uint Rows>
static inline void multiply(
    device const uchar* weights, device const float* x, device float* y, constant multiply_args& a, uint3 group, place p) {
    const uint output = group.x * outputs_per_group + p.team, first = group.y * Rows, rows = min((uint)Rows, a.rows - first);
    float total[Rows];
    multiply_row<Block, Rows>(
        weights + a.weights + min(output, a.outputs - 1) * a.row_bytes, x + (ulong)first * a.columns, rows, a.columns, p.lane, total);
    for (uint r = 0; r < Rows; r++) {
        if (output < a.outputs && r < rows && p.lane == r) {
            y[(ulong)(first + r) * a.outputs + output] = total[r];
        }
    }
}

// Row group.y of y is row x_rows[group.y] of x times expert experts[group.y].
template <typename Block>
static inline void gather(
    device const uchar* weights, device const float* x, device float* y, constant multiply_args& a, device const uint* x_rows,
    device const uint* experts, uint3 group, place p) {
    const uint output = group.x * outputs_per_group + p.team;
    float total[1];
    multiply_row<Block, 1>(
        weights + a.weights + experts[group.y] * a.expert_bytes + min(output, a.outputs - 1) * a.row_bytes,
        x + (ulong)x_rows[group.y] * a.columns, 1, a.columns, p.lane, total);
    if (output < a.outputs && p.lane == 0) {
        y[(ulong)group.y * a.outputs + output] = total[0];
    }
}

#define KQ_MULTIPLY_KERNEL(codec, count) \
    kernel void codec##_multiply_##count( \
        device const uchar* weights [[buffer(0)]], device const float* x [[buffer(1)]], device float* y [[buffer(2)]], \
        constant multiply_args& a [[buffer(3)]], uint3 group [[threadgroup_position_in_grid]], \
        uint simd_lane [[thread_index_in_simdgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]]) { \
        multiply<block_##codec, count>(weights, x, y, a, group, find_place(simd_lane, simdgroup)); \
    }

#define KQ_MULTIPLY_KERNELS(codec) \
    KQ_MULTIPLY_KERNEL(codec, 1) KQ_MULTIPLY_KERNEL(codec, 4) KQ_MULTIPLY_KERNEL(codec, 8) \
    kernel void codec##_gather( \
        device const uchar* weights [[buffer(0)]], device const float* x [[buffer(1)]], device float* y [[buffer(2)]], \
        constant multiply_args& a [[buffer(3)]], device const uint* x_rows [[buffer(4)]], device const uint* experts [[buffer(5)]], \
        uint3 group [[threadgroup_position_in_grid]], uint simd_lane [[thread_index_in_simdgroup]], \
        uint simdgroup [[simdgroup_index_in_threadgroup]]) { \
        gather<block_##codec>(weights, x, y, a, x_rows, experts, group, find_place(simd_lane, simdgroup)); \
    }
