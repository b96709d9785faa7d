// Products of few rows, y = x W^T, on wire bytes. A team of sixteen threads makes two outputs of each row, so that x is loaded once for both;
// two teams are a simdgroup, and two simdgroups a threadgroup: eight outputs, threadgroup x of the grid.
//
// The order of additions is that of the managed products with float32 activations, whatever the kernel: columns come in runs of 1024;
// within a run lane j sums the columns j, j + 16, j + 32, ... with one fma each; the lanes are added as a tree, j with j ^ 8, then ^ 4,
// ^ 2, ^ 1; the sums of the runs are added from left to right. So all of them, and the CPU, give the same bits.

constant constexpr uint run_columns = 1024, outputs_per_team = 2, outputs_per_group = 4 * outputs_per_team;

struct multiply_args {
    ulong weights;       // byte offset of the first block
    ulong row_bytes;     // from one row of weights to the next
    ulong expert_bytes;  // from one expert to the next
    uint columns;        // values of a row
    uint outputs;        // rows of an expert
    uint rows;           // rows of x
};

// The sum over the sixteen lanes of a team, in all of them.
static inline float sum_lanes(float value) {
    KQ_UNROLL for (uint mask = 8; mask > 0; mask = mask >> 1) {
        value = value + simd_shuffle_xor(value, (ushort)mask);
    }
    return value;
}

// Up to Rows rows of x times two rows of weights, which are read once. Total [output][row].
template <typename Block, uint Rows>
static inline void multiply_rows(
    device const uchar* weights, ulong second, device const float* x, uint rows, uint columns, place p, thread float* total) {
    constexpr uint steps = Block::weights / lanes, count = Rows * outputs_per_team;
    KQ_UNROLL for (uint i = 0; i < count; i++) {
        total[i] = 0.0f;
    }
    x += p.lane;
    for (uint start = 0; start < columns; start += run_columns) {
        float sum[count];
        KQ_UNROLL for (uint i = 0; i < count; i++) {
            sum[i] = 0.0f;
        }
        const uint end = min(columns, start + run_columns);
        for (uint k = start; k < end; k += Block::weights, weights += sizeof(Block)) {
            float w[outputs_per_team * steps];
            decode(*(device const Block*)weights, p, w);
            decode(*(device const Block*)(weights + second), p, w + steps);
            KQ_UNROLL for (uint r = 0; r < Rows; r++) {
                if (r < rows) {
                    KQ_UNROLL for (uint t = 0; t < steps; t++) {
                        const float value = x[(ulong)r * columns + k + lanes * t];
                        KQ_UNROLL for (uint n = 0; n < outputs_per_team; n++) {
                            sum[n * Rows + r] = fma(w[n * steps + t], value, sum[n * Rows + r]);
                        }
                    }
                }
            }
        }
        KQ_UNROLL for (uint i = 0; i < count; i++) {
            total[i] = total[i] + sum_lanes(sum[i]);
        }
    }
}

// From the first row of weights of a team to its second; nothing if there is none.
static inline ulong second_row(uint output, constant multiply_args& a) { return output + 1 < a.outputs ? a.row_bytes : 0; }

// Rows Rows * group.y and on. Teams beyond the last output repeat it, because all threads of a simdgroup have to exchange what they have.
template <typename Block, uint Rows>
static inline void multiply(
    device const uchar* weights, device const float* x, device float* y, constant multiply_args& a, uint3 group, place p) {
    const uint output = group.x * outputs_per_group + p.team * outputs_per_team, first = group.y * Rows, rows = min((uint)Rows, a.rows - first);
    float total[Rows * outputs_per_team];
    multiply_rows<Block, Rows>(
        weights + a.weights + min(output, a.outputs - 1) * a.row_bytes, second_row(output, a), x + (ulong)first * a.columns, rows, a.columns, p,
        total);
    KQ_UNROLL for (uint i = 0; i < Rows * outputs_per_team; i++) {
        const uint n = output + i / Rows, r = i % Rows;
        if (n < a.outputs && r < rows && p.lane == i) {
            y[(ulong)(first + r) * a.outputs + n] = total[i];
        }
    }
}

// Row group.y of y is row x_rows[group.y] of x times expert experts[group.y].
template <typename Block>
static inline void gather(
    device const uchar* weights, device const float* x, device float* y, constant multiply_args& a, device const uint* x_rows,
    device const uint* experts, uint3 group, place p) {
    const uint output = group.x * outputs_per_group + p.team * outputs_per_team;
    float total[outputs_per_team];
    multiply_rows<Block, 1>(
        weights + a.weights + experts[group.y] * a.expert_bytes + min(output, a.outputs - 1) * a.row_bytes, second_row(output, a),
        x + (ulong)x_rows[group.y] * a.columns, 1, a.columns, p, total);
    KQ_UNROLL for (uint i = 0; i < outputs_per_team; i++) {
        if (output + i < a.outputs && p.lane == i) {
            y[(ulong)group.y * a.outputs + output + i] = total[i];
        }
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
