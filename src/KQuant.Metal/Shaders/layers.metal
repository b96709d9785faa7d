// What a decoder does between its products, with the bits of RowMath and ManagedBackend in KQuant.Matmul: sums in sixteen lanes as in
// multiply.metal, everything else rounded where it is written. Division, square root, and that nothing is contracted, the self-test asks.

// FloatExp: steps of which each rounds once.
static inline float exp_of(float x) {
    const float limited = x > 87.0f ? 87.0f : x;
    const float shifted = fma(limited, 1.44269502f, 12582912.0f), n = shifted - 12582912.0f;
    const float b = fma(n, -1.42860677e-06f, fma(n, -0.693145752f, limited));
    const float power = as_type<float>((as_type<uint>(shifted) << 23) + 0x3F800000u), u = b * b;
    const float high = fma(fma(0.00824739039f, b, 0.0418997668f), u, fma(0.166683957f, b, 0.499991268f));
    const float result = fma(fma(high, u, 0.999999404f * b), power, power);
    return x != x ? x : x < -87.0f ? 0.0f : result;
}

struct row_args {
    uint count, width;
};

kernel void add_row(
    device float* y [[buffer(0)]], device const float* addend [[buffer(1)]], constant row_args& a [[buffer(2)]], uint i [[thread_position_in_grid]]) {
    if (i < a.count) y[i] = y[i] + addend[i % a.width];
}

kernel void gate_silu(
    device float* gate [[buffer(0)]], device const float* up [[buffer(1)]], constant row_args& a [[buffer(2)]], uint i [[thread_position_in_grid]]) {
    if (i >= a.count) return;
    const float g = gate[i];
    gate[i] = g * (1.0f / (1.0f + exp_of(-g))) * up[i];
}

struct norm_args {
    uint width;
    float epsilon;
    uint flags;  // 1: something is added; 2: it is normalized first
};

constant constexpr uint norm_threads = 256, norm_teams = norm_threads / lanes;

// 1 / sqrt(mean(x^2) + e), in every thread: a team for each run of 1024 values.
static inline float inverse_root_mean_square(device const float* x, uint width, float epsilon, place p, threadgroup float* runs) {
    const uint count = (width + run_columns - 1) / run_columns;
    for (uint first = 0; first < count; first += norm_teams) {
        const uint run = first + p.team;
        float sum = 0.0f;
        for (uint i = run * run_columns + p.lane; i < min(width, (run + 1) * run_columns); i += lanes) {
            sum = fma(x[i], x[i], sum);
        }
        sum = sum_lanes(sum);
        if (run < count && p.lane == 0) runs[run] = sum;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float total = 0.0f;
    for (uint run = 0; run < count; run++) {
        total = total + runs[run];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    return 1.0f / precise::sqrt(total / (float)width + epsilon);
}

// One threadgroup for each row.
kernel void norm(
    device float* stream [[buffer(0)]], device const float* added [[buffer(1)]], device const float* added_weights [[buffer(2)]],
    device const float* weights [[buffer(3)]], device float* target [[buffer(4)]], constant norm_args& a [[buffer(5)]],
    threadgroup float* runs [[threadgroup(0)]], uint3 group [[threadgroup_position_in_grid]], uint simd_lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
    const place p = find_place(simd_lane, simdgroup);
    const uint thread_number = 32 * simdgroup + simd_lane;
    device float* x = stream + (ulong)group.x * a.width;
    device const float* more = added + (ulong)group.x * a.width;
    if ((a.flags & 2u) != 0u) {
        const float inverse = inverse_root_mean_square(more, a.width, a.epsilon, p, runs);
        for (uint i = thread_number; i < a.width; i += norm_threads) {
            x[i] = x[i] + more[i] * inverse * added_weights[i];
        }
    } else if ((a.flags & 1u) != 0u) {
        for (uint i = thread_number; i < a.width; i += norm_threads) {
            x[i] = x[i] + more[i];
        }
    }
    threadgroup_barrier(mem_flags::mem_device);
    const float inverse = inverse_root_mean_square(x, a.width, a.epsilon, p, runs);
    device float* y = target + (ulong)group.x * a.width;
    for (uint i = thread_number; i < a.width; i += norm_threads) {
        y[i] = x[i] * inverse * weights[i];
    }
}

struct head_args {
    uint heads, key_heads, size, rotated, interleaved, capacity, value_stride, has_norms;
    float epsilon, scale;
};

// Of AttentionRow in KQuant.Matmul.
struct attention_row {
    uint row, slot, start, end, hidden_from, hidden_to, also_hidden_from, also_hidden_to;
};

// A simdgroup for each head (x) of each row (y): those of queries first, then keys, then values.
kernel void prepare_heads(
    device float* queries [[buffer(0)]], device const float* keys [[buffer(1)]], device const float* values [[buffer(2)]],
    device const float* norms [[buffer(3)]], device const float* angles [[buffer(4)]], device float* key_cache [[buffer(5)]],
    device float* value_cache [[buffer(6)]], constant head_args& a [[buffer(7)]], device const attention_row* rows [[buffer(8)]],
    uint3 group [[threadgroup_position_in_grid]], uint simd_lane [[thread_index_in_simdgroup]]) {
    const uint row = rows[group.y].row, slot = rows[group.y].slot;
    if (group.x >= a.heads + a.key_heads) {
        const uint head = group.x - a.heads - a.key_heads;
        device const float* value = values + ((ulong)row * a.key_heads + head) * a.size;
        device float* kept = value_cache + ((ulong)head * a.capacity + slot) * a.value_stride;
        for (uint i = simd_lane; i < a.size; i += 32) {
            kept[i] = value[i];
        }
        return;
    }
    const bool is_query = group.x < a.heads;
    const uint head = is_query ? group.x : group.x - a.heads;
    device float* query = queries + ((ulong)row * a.heads + head) * a.size;
    device const float* x = is_query ? query : keys + ((ulong)row * a.key_heads + head) * a.size;
    device const float* weights = norms + (is_query ? 0 : a.size);
    float inverse = 1.0f;
    if (a.has_norms != 0u) {
        // The two teams of the simdgroup do the same.
        float total = 0.0f;
        for (uint start = 0; start < a.size; start += run_columns) {
            float sum = 0.0f;
            for (uint i = start + simd_lane % lanes; i < min(a.size, start + run_columns); i += lanes) {
                sum = fma(x[i], x[i], sum);
            }
            total = total + sum_lanes(sum);
        }
        inverse = 1.0f / precise::sqrt(total / (float)a.size + a.epsilon);
    }
    threadgroup_barrier(mem_flags::mem_device);
    const uint turns = a.rotated / 2;
    device const float* cosines = angles + (ulong)row * a.rotated;
    device float* kept = key_cache + ((ulong)head * a.capacity + slot / 16 * 16) * a.size + slot % 16;

    // Pairs that are rotated, then single values that are not.
    for (uint i = simd_lane; i < turns + (a.size - a.rotated); i += 32) {
        const uint first = i >= turns ? a.rotated + i - turns : a.interleaved != 0u ? 2 * i : i;
        const uint second = i >= turns ? first : a.interleaved != 0u ? 2 * i + 1 : i + turns;
        float u = x[first], v = x[second];
        if (a.has_norms != 0u) {
            u = u * inverse * weights[first];
            v = v * inverse * weights[second];
        }
        float turned = u, other = v;
        if (i < turns) {
            turned = u * cosines[i] - v * cosines[turns + i];
            other = v * cosines[i] + u * cosines[turns + i];
        }
        if (is_query) {
            query[first] = turned;
            if (i < turns) query[second] = other;
        } else {
            kept[first * 16] = turned;
            if (i < turns) kept[second * 16] = other;
        }
    }
}

constant constexpr uint attention_threads = 128;

static inline bool sees(device const attention_row& row, uint slot) {
    return !(slot >= row.hidden_from && slot < row.hidden_to) && !(slot >= row.also_hidden_from && slot < row.also_hidden_to);
}

// Slots of a part of a softmax: each part has the exponentials of its own largest score, and parts are merged from the first to the last.
constant constexpr uint part_slots = 512;

// One threadgroup for each head (x) of each row (y). Scores of a row and head lie in device memory, `capacity` apart.
kernel void attend(
    device const float* queries [[buffer(0)]], device const float* key_cache [[buffer(1)]], device const float* value_cache [[buffer(2)]],
    device float* outputs [[buffer(3)]], device float* all_scores [[buffer(4)]], constant head_args& a [[buffer(5)]],
    device const attention_row* rows [[buffer(6)]], threadgroup float* memory [[threadgroup(0)]],
    uint3 group [[threadgroup_position_in_grid]], uint simd_lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
    device const attention_row& row = rows[group.y];
    const uint thread_number = 32 * simdgroup + simd_lane, key_head = group.x / (a.heads / a.key_heads);
    const ulong at = ((ulong)row.row * a.heads + group.x) * a.size;
    const float none = as_type<float>(0xFF800000u);
    threadgroup float* largest = memory;
    threadgroup float* part_sum = memory + attention_threads;
    threadgroup float* query = memory + attention_threads + 4;
    device float* scores = all_scores + ((ulong)group.y * a.heads + group.x) * a.capacity;
    for (uint i = thread_number; i < a.size; i += attention_threads) {
        query[i] = queries[at + i] * a.scale;
    }

    // Every thread knows the largest score and the sum of the parts so far; the values of an output are those of one thread.
    float most_of_all = none, sum_of_all = 0.0f;
    for (uint start = row.start; start < row.end;) {
        const uint end = min(row.end, (start / part_slots + 1) * part_slots);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        float most = none;
        for (uint slot = start + thread_number; slot < end; slot += attention_threads) {
            device const float* key = key_cache + ((ulong)key_head * a.capacity + slot / 16 * 16) * a.size + slot % 16;
            float even = 0.0f, odd = 0.0f;
            for (uint i = 0; i + 1 < a.size; i += 2) {
                even = fma(query[i], key[i * 16], even);
                odd = fma(query[i + 1], key[(i + 1) * 16], odd);
            }
            if (a.size % 2 != 0u) even = fma(query[a.size - 1], key[(a.size - 1) * 16], even);
            const float score = sees(row, slot) ? even + odd : none;
            scores[slot] = score;
            most = score > most ? score : most;
        }
        largest[thread_number] = most;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint i = 0; i < attention_threads; i++) {
            most = largest[i] > most ? largest[i] : most;
        }
        if (most != none) {
            for (uint slot = start + thread_number; slot < end; slot += attention_threads) {
                scores[slot] = exp_of(scores[slot] - most);
            }
        }
        threadgroup_barrier(mem_flags::mem_device);
        if (simdgroup == 0 && most != none) {
            float sum = 0.0f;
            for (uint slot = start + simd_lane % lanes; slot < end; slot += lanes) {
                sum = sum + scores[slot];
            }
            sum = sum_lanes(sum);
            if (simd_lane == 0) part_sum[0] = sum;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (most != none) {
            const bool is_first = most_of_all == none, is_larger = most > most_of_all;
            const float factor = is_first ? 0.0f : is_larger ? exp_of(most_of_all - most) : exp_of(most - most_of_all);
            for (uint i = thread_number; i < a.size; i += attention_threads) {
                device const float* value = value_cache + (ulong)key_head * a.capacity * a.value_stride + i;
                float sum = 0.0f;
                for (uint slot = start; slot < end; slot++) {
                    sum = fma(scores[slot], value[(ulong)slot * a.value_stride], sum);
                }
                outputs[at + i] = is_first ? sum : is_larger ? fma(outputs[at + i], factor, sum) : fma(sum, factor, outputs[at + i]);
            }
            sum_of_all = is_first ? part_sum[0] : is_larger ? fma(sum_of_all, factor, part_sum[0]) : fma(part_sum[0], factor, sum_of_all);
            most_of_all = is_first || is_larger ? most : most_of_all;
        }
        start = end;
    }
    for (uint i = thread_number; i < a.size; i += attention_threads) {
        outputs[at + i] = outputs[at + i] / sum_of_all;
    }
}

struct route_args {
    uint experts, per_row, normalizes;
    float least_sum;
};

// A simdgroup for each row.
kernel void route(
    device float* all_scores [[buffer(0)]], device uint* ids [[buffer(1)]], device float* weights [[buffer(2)]],
    constant route_args& a [[buffer(3)]], uint3 group [[threadgroup_position_in_grid]], uint simd_lane [[thread_index_in_simdgroup]]) {
    device float* scores = all_scores + (ulong)group.x * a.experts;
    float most = as_type<float>(0xFF800000u);
    for (uint i = 0; i < a.experts; i++) {
        most = scores[i] > most ? scores[i] : most;
    }
    threadgroup_barrier(mem_flags::mem_device);
    for (uint i = simd_lane; i < a.experts; i += 32) {
        scores[i] = exp_of(scores[i] - most);
    }
    threadgroup_barrier(mem_flags::mem_device);
    float all = 0.0f;
    for (uint i = simd_lane % lanes; i < a.experts; i += lanes) {
        all = all + scores[i];
    }
    all = sum_lanes(all);
    threadgroup_barrier(mem_flags::mem_device);
    if (simd_lane != 0) return;
    float sum = 0.0f;
    for (uint k = 0; k < a.per_row; k++) {
        uint best = 0;
        float most_likely = scores[0] < 0.0f ? -1.0f : scores[0] / all;
        for (uint i = 1; i < a.experts; i++) {
            // What was chosen already is -1.
            const float share = scores[i] < 0.0f ? -1.0f : scores[i] / all;
            best = share > most_likely ? i : best;
            most_likely = share > most_likely ? share : most_likely;
        }
        ids[group.x * a.per_row + k] = best;
        weights[group.x * a.per_row + k] = most_likely;
        sum = sum + most_likely;
        scores[best] = -1.0f;
    }
    const float divisor = sum > a.least_sum ? sum : a.least_sum;
    for (uint k = 0; k < a.per_row; k++) {
        if (a.normalizes != 0u) weights[group.x * a.per_row + k] = weights[group.x * a.per_row + k] / divisor;
    }
}

struct weighted_args {
    uint count, per_row, width;
};

kernel void add_weighted(
    device const float* x [[buffer(0)]], device const float* weights [[buffer(1)]], device float* target [[buffer(2)]],
    constant weighted_args& a [[buffer(3)]], uint i [[thread_position_in_grid]]) {
    if (i >= a.count) return;
    const uint row = i / a.width, column = i % a.width;
    float sum = 0.0f;
    for (uint k = 0; k < a.per_row; k++) {
        const float value = x[((ulong)row * a.per_row + k) * a.width + column], weight = weights[row * a.per_row + k];
        sum = k == 0 ? value * weight : fma(value, weight, sum);
    }
    target[i] = sum;
}
