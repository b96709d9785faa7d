// Products of many rows. A threadgroup of 128 threads makes a tile of 16 outputs x 16 rows: it decodes 256 columns of 16 rows of weights
// into threadgroup memory, then each of the eight teams (sixteen lanes, as in multiply.metal) makes 4 outputs x 8 rows of them. The
// order of additions is the same, so rows do not notice how many of them there are.

constant constexpr uint tile_outputs = 16, tile_rows = 16, tile_columns = 256, tile_teams = 8, own_outputs = 4, own_rows = 8;

// Rows of x and y that follow each other.
struct following_rows {
    uint first, count;
    inline uint x(uint m) const { return first + m; }
    inline uint y(uint m) const { return first + m; }
};

// Rows of x and y that meet the same expert.
struct listed_rows {
    device const uint* x_rows;
    device const uint* y_rows;
    uint first, count;
    inline uint x(uint m) const { return x_rows[first + m]; }
    inline uint y(uint m) const { return y_rows[first + m]; }
};

// At most tile_rows entries of the lists of rows, all of one expert.
struct segment {
    uint expert, first, count;
};

template <typename Block>
static inline void decode_tile(
    device const uchar* weights, constant multiply_args& a, uint first_output, uint start, uint columns, place p, threadgroup float* tile) {
    for (uint n = p.team; n < tile_outputs; n += tile_teams) {
        device const Block* row = (device const Block*)(weights + min(first_output + n, a.outputs - 1) * a.row_bytes) + start / Block::weights;
        for (uint b = 0; b < columns / Block::weights; b++) {
            float w[Block::weights / lanes];
            decode(row[b], p, w);
            KQ_UNROLL for (uint t = 0; t < Block::weights / lanes; t++) {
                tile[n * tile_columns + b * Block::weights + lanes * t + p.lane] = w[t];
            }
        }
    }
}

template <typename Block, typename Rows>
static inline void multiply_tile(
    device const uchar* weights, device const float* x, device float* y, constant multiply_args& a, Rows rows, uint first_output, place p,
    threadgroup float* tile) {
    const uint own_output = p.team % (tile_outputs / own_outputs) * own_outputs, own_row = p.team / (tile_outputs / own_outputs) * own_rows;
    device const float* x_row[own_rows];
    KQ_UNROLL for (uint m = 0; m < own_rows; m++) {
        x_row[m] = x + (ulong)rows.x(min(own_row + m, rows.count - 1)) * a.columns + p.lane;
    }

    // Of the 32 sums that every lane gets, it keeps two.
    float total[own_outputs * own_rows / lanes];
    KQ_UNROLL for (uint i = 0; i < own_outputs * own_rows / lanes; i++) {
        total[i] = 0.0f;
    }
    for (uint run = 0; run < a.columns; run += run_columns) {
        float sum[own_outputs * own_rows];
        KQ_UNROLL for (uint i = 0; i < own_outputs * own_rows; i++) {
            sum[i] = 0.0f;
        }
        const uint end = min(a.columns, run + run_columns);
        for (uint start = run; start < end; start += tile_columns) {
            const uint columns = min((uint)tile_columns, end - start);
            threadgroup_barrier(mem_flags::mem_threadgroup);
            decode_tile<Block>(weights, a, first_output, start, columns, p, tile);
            threadgroup_barrier(mem_flags::mem_threadgroup);
            for (uint k = 0; k < columns; k += lanes) {
                float w[own_outputs];
                KQ_UNROLL for (uint n = 0; n < own_outputs; n++) {
                    w[n] = tile[(own_output + n) * tile_columns + k + p.lane];
                }
                KQ_UNROLL for (uint m = 0; m < own_rows; m++) {
                    const float value = x_row[m][start + k];
                    KQ_UNROLL for (uint n = 0; n < own_outputs; n++) {
                        sum[m * own_outputs + n] = fma(w[n], value, sum[m * own_outputs + n]);
                    }
                }
            }
        }
        KQ_UNROLL for (uint i = 0; i < own_outputs * own_rows; i++) {
            const float all = sum_lanes(sum[i]);
            if (i % lanes == p.lane) {
                total[i / lanes] = total[i / lanes] + all;
            }
        }
    }
    KQ_UNROLL for (uint i = 0; i < own_outputs * own_rows / lanes; i++) {
        const uint m = own_row + (i * lanes + p.lane) / own_outputs, output = first_output + own_output + p.lane % own_outputs;
        if (m < rows.count && output < a.outputs) {
            y[(ulong)rows.y(m) * a.outputs + output] = total[i];
        }
    }
}

#define KQ_TILE_KERNELS(codec) \
    kernel void codec##_multiply_tiles( \
        device const uchar* weights [[buffer(0)]], device const float* x [[buffer(1)]], device float* y [[buffer(2)]], \
        constant multiply_args& a [[buffer(3)]], threadgroup float* tile [[threadgroup(0)]], uint3 group [[threadgroup_position_in_grid]], \
        uint simd_lane [[thread_index_in_simdgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]]) { \
        const uint first = group.y * tile_rows; \
        multiply_tile<block_##codec>( \
            weights + a.weights, x, y, a, following_rows{first, min((uint)tile_rows, a.rows - first)}, group.x * tile_outputs, \
            find_place(simd_lane, simdgroup), tile); \
    } \
    kernel void codec##_gather_tiles( \
        device const uchar* weights [[buffer(0)]], device const float* x [[buffer(1)]], device float* y [[buffer(2)]], \
        constant multiply_args& a [[buffer(3)]], device const uint* x_rows [[buffer(4)]], device const uint* y_rows [[buffer(5)]], \
        device const segment* segments [[buffer(6)]], threadgroup float* tile [[threadgroup(0)]], \
        uint3 group [[threadgroup_position_in_grid]], uint simd_lane [[thread_index_in_simdgroup]], \
        uint simdgroup [[simdgroup_index_in_threadgroup]]) { \
        device const segment& s = segments[group.y]; \
        multiply_tile<block_##codec>( \
            weights + a.weights + s.expert * a.expert_bytes, x, y, a, listed_rows{x_rows, y_rows, s.first, s.count}, \
            group.x * tile_outputs, find_place(simd_lane, simdgroup), tile); \
    }
