// Products of many rows by matrix units, where these add as the backend's self-test found: one fma after the other, ascending, beginning with
// what was there. Then the matrix of lane j, fed with the columns j, j + 16, j + 32, ..., holds the sums of lane j, sixteen matrices hold those
// of all lanes, and results have the bits of every other kernel.
//
// A threadgroup of 128 threads makes 16 outputs x 16 rows, each of its simdgroups 8 x 8 of them. Columns lie in threadgroup memory 256 at a
// time, those of a lane side by side: x as [row][lane][step], weights as [lane][step][output].

constant constexpr uint matrix_steps = tile_columns / lanes;

template <typename Block>
static inline void decode_steps(
    device const uchar* weights, constant multiply_args& a, uint first_output, uint start, uint columns, place p, threadgroup float* tile) {
    for (uint n = p.team; n < tile_outputs; n += tile_teams) {
        device const Block* row = (device const Block*)(weights + min(first_output + n, a.outputs - 1) * a.row_bytes) + start / Block::weights;
        for (uint b = 0; b < columns / Block::weights; b++) {
            float w[Block::weights / lanes];
            decode(row[b], p, w);
            KQ_UNROLL for (uint t = 0; t < Block::weights / lanes; t++) {
                tile[(p.lane * matrix_steps + b * (Block::weights / lanes) + t) * tile_outputs + n] = w[t];
            }
        }
        for (uint step = columns / lanes; step < matrix_steps; step++) {
            tile[(p.lane * matrix_steps + step) * tile_outputs + n] = 0.0f;
        }
    }
}

template <typename Rows>
static inline void load_steps(
    device const float* x, constant multiply_args& a, Rows rows, uint start, uint columns, place p, threadgroup float* tile) {
    for (uint m = p.team; m < tile_rows; m += tile_teams) {
        device const float* row = x + (ulong)rows.x(min(m, rows.count - 1)) * a.columns + start + p.lane;
        for (uint step = 0; step < matrix_steps; step++) {
            tile[(m * lanes + p.lane) * matrix_steps + step] = step < columns / lanes ? row[step * lanes] : 0.0f;
        }
    }
}

template <typename Block, typename Rows>
static inline void multiply_matrix(
    device const uchar* weights, device const float* x, device float* y, constant multiply_args& a, Rows rows, uint first_output,
    uint simdgroup, uint thread_number, place p, threadgroup float* memory) {
    threadgroup float* x_tile = memory;
    threadgroup float* w_tile = memory + tile_rows * tile_columns;
    const uint own_row = simdgroup / 2 * 8, own_output = simdgroup % 2 * 8;
    simdgroup_float8x8 total = make_filled_simdgroup_matrix<float, 8, 8>(0.0f), left, right;
    for (uint run = 0; run < a.columns; run += run_columns) {
        simdgroup_float8x8 sum[lanes];
        KQ_UNROLL for (uint j = 0; j < lanes; j++) {
            sum[j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
        }
        const uint end = min(a.columns, run + run_columns);
        for (uint start = run; start < end; start += tile_columns) {
            const uint columns = min((uint)tile_columns, end - start);
            threadgroup_barrier(mem_flags::mem_threadgroup);
            load_steps(x, a, rows, start, columns, p, x_tile);
            decode_steps<Block>(weights, a, first_output, start, columns, p, w_tile);
            threadgroup_barrier(mem_flags::mem_threadgroup);
            KQ_UNROLL for (uint j = 0; j < lanes; j++) {
                KQ_UNROLL for (uint step = 0; step < matrix_steps; step += 8) {
                    simdgroup_load(left, x_tile + (own_row * lanes + j) * matrix_steps + step, lanes * matrix_steps);
                    simdgroup_load(right, w_tile + (j * matrix_steps + step) * tile_outputs + own_output, tile_outputs);
                    simdgroup_multiply_accumulate(sum[j], left, right, sum[j]);
                }
            }
        }

        // The tree over lanes, on the two elements of a matrix that a thread holds, whichever they are.
        KQ_UNROLL for (uint i = 0; i < 2; i++) {
            KQ_UNROLL for (uint other = lanes / 2; other > 0; other = other / 2) {
                KQ_UNROLL for (uint j = 0; j < lanes / 2; j++) {
                    if (j < other) {
                        sum[j].thread_elements()[i] = sum[j].thread_elements()[i] + sum[j + other].thread_elements()[i];
                    }
                }
            }
            total.thread_elements()[i] = total.thread_elements()[i] + sum[0].thread_elements()[i];
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_store(total, memory + own_row * tile_outputs + own_output, tile_outputs);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = thread_number; i < tile_rows * tile_outputs; i += tile_teams * lanes) {
        const uint m = i / tile_outputs, output = first_output + i % tile_outputs;
        if (m < rows.count && output < a.outputs) {
            y[(ulong)rows.y(m) * a.outputs + output] = memory[i];
        }
    }
}

#define KQ_MATRIX_KERNELS(codec) \
    kernel void codec##_multiply_matrix( \
        device const uchar* weights [[buffer(0)]], device const float* x [[buffer(1)]], device float* y [[buffer(2)]], \
        constant multiply_args& a [[buffer(3)]], threadgroup float* memory [[threadgroup(0)]], \
        uint3 group [[threadgroup_position_in_grid]], uint simd_lane [[thread_index_in_simdgroup]], \
        uint simdgroup [[simdgroup_index_in_threadgroup]]) { \
        const uint first = group.y * tile_rows; \
        multiply_matrix<block_##codec>( \
            weights + a.weights, x, y, a, following_rows{first, min((uint)tile_rows, a.rows - first)}, group.x * tile_outputs, simdgroup, \
            32 * simdgroup + simd_lane, find_place(simd_lane, simdgroup), memory); \
    } \
    kernel void codec##_gather_matrix( \
        device const uchar* weights [[buffer(0)]], device const float* x [[buffer(1)]], device float* y [[buffer(2)]], \
        constant multiply_args& a [[buffer(3)]], device const uint* x_rows [[buffer(4)]], device const uint* y_rows [[buffer(5)]], \
        device const segment* segments [[buffer(6)]], threadgroup float* memory [[threadgroup(0)]], \
        uint3 group [[threadgroup_position_in_grid]], uint simd_lane [[thread_index_in_simdgroup]], \
        uint simdgroup [[simdgroup_index_in_threadgroup]]) { \
        device const segment& s = segments[group.y]; \
        multiply_matrix<block_##codec>( \
            weights + a.weights + s.expert * a.expert_bytes, x, y, a, listed_rows{x_rows, y_rows, s.first, s.count}, \
            group.x * tile_outputs, simdgroup, 32 * simdgroup + simd_lane, find_place(simd_lane, simdgroup), memory); \
    }
