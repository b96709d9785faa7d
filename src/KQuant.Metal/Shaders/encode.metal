// Reference encoders of the formats with one scale for each 32 weights: one thread for each block. Their bytes are those of the managed
// encoders, because every float operation is one that rounds once, and division is done on integers. A block outside the range in which
// that holds (a weight not finite, or not zero and below 2^-100; a range that small; a scale beyond binary16) is marked, and the caller
// encodes it on the CPU. The K-quants search scales by sums whose last bit decides, in a fixed order: no work for a GPU.

struct encode_args {
    ulong first;  // blocks before those of this grid
    uint blocks;  // blocks of this grid
};

constant constexpr uint magnitude_bits = 0x7FFFFFFF, infinity_bits = 0x7F800000, smallest_bits = 27u << 23;

static inline uint bits_of_magnitude(float value) { return as_type<uint>(value) & magnitude_bits; }

// a / b, rounded to nearest even, for finite numbers neither of which nor the quotient is subnormal; a may be zero.
static inline float quotient_of(float a, float b) {
    const uint sign = (as_type<uint>(a) ^ as_type<uint>(b)) & 0x80000000u, dividend = bits_of_magnitude(a), divisor = bits_of_magnitude(b);
    if (dividend == 0u) {
        return as_type<float>(sign);
    }
    const ulong numerator = (ulong)((dividend & 0x7FFFFFu) | 0x800000u) << 32, denominator = (divisor & 0x7FFFFFu) | 0x800000u;
    const ulong quotient = numerator / denominator;  // 2^31 to 2^33
    const ulong sticky = quotient * denominator != numerator ? 1u : 0u;
    const uint shift = quotient >> 32 != 0u ? 9u : 8u;
    const ulong rest = ((quotient & ((1u << shift) - 1u)) << 1) | sticky;
    const uint kept = (uint)(quotient >> shift), tie = 1u << shift;
    const uint mantissa = kept + (rest > tie || (rest == tie && (kept & 1u) != 0u) ? 1u : 0u);
    const uint exponent = (dividend >> 23) - (divisor >> 23) + 118u + shift;
    return as_type<float>(sign | ((exponent << 23) + mantissa - 0x800000u));
}

static inline float inverse_of(float d) { return bits_of_magnitude(d) == 0u ? 0.0f : quotient_of(1.0f, d); }

// A product that is rounded before anything is added to it, whatever the compiler is allowed to fuse.
static inline float product(float a, float b) { return fma(a, b, 0.0f); }

// Whether every weight is zero or at least 2^-100, and finite.
static inline bool is_ordinary(device const float* x) {
    bool ordinary = true;
    for (uint i = 0; i < 32; i++) {
        const uint bits = bits_of_magnitude(x[i]);
        ordinary = ordinary && bits < infinity_bits && (bits == 0u || bits >= smallest_bits);
    }
    return ordinary;
}

// The weight of the largest magnitude; the first of several.
static inline float find_extreme(device const float* x) {
    float extreme = 0.0f;
    for (uint i = 0; i < 32; i++) {
        extreme = bits_of_magnitude(x[i]) > bits_of_magnitude(extreme) ? x[i] : extreme;
    }
    return extreme;
}

static inline bool is_half(ushort bits) { return (bits & 0x7C00) != 0x7C00; }

struct scale_of_block {
    float low, inverse;
    ushort d;
    bool exact;
};

static inline scale_of_block find_symmetric(device const float* x, float largest_code) {
    const float d = quotient_of(find_extreme(x), largest_code);
    const ushort half_d = round_half(d);
    return scale_of_block{0.0f, inverse_of(d), half_d, is_ordinary(x) && is_half(half_d)};
}

static inline scale_of_block find_affine(device const float* x, float largest_code) {
    float low = x[0], high = x[0];
    for (uint i = 1; i < 32; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    const float range = high - low;
    const uint bits = bits_of_magnitude(range);
    const bool exact = is_ordinary(x) && bits < infinity_bits && (low == high || bits >= smallest_bits);
    const float d = exact ? quotient_of(range, largest_code) : 0.0f;
    const ushort half_d = round_half(d);
    return scale_of_block{low, inverse_of(d), half_d, exact && is_half(half_d) && is_half(round_half(low))};
}

// The code of a weight, from zero on.
static inline int find_code(float x, scale_of_block s, float offset, int largest) {
    return min(largest, (int)(product(x - s.low, s.inverse) + offset));
}

static inline bool encode(device const float* x, device block_q4_0& b) {
    const scale_of_block s = find_symmetric(x, -8.0f);
    b.d = s.d;
    for (uint j = 0; s.exact && j < 16; j++) {
        b.qs[j] = (uchar)(find_code(x[j], s, 8.5f, 15) | find_code(x[j + 16], s, 8.5f, 15) << 4);
    }
    return s.exact;
}

static inline bool encode(device const float* x, device block_q4_1& b) {
    const scale_of_block s = find_affine(x, 15.0f);
    b.d = s.d;
    b.m = round_half(s.low);
    for (uint j = 0; s.exact && j < 16; j++) {
        b.qs[j] = (uchar)(find_code(x[j], s, 0.5f, 15) | find_code(x[j + 16], s, 0.5f, 15) << 4);
    }
    return s.exact;
}

static inline void encode_fives(device const float* x, scale_of_block s, float offset, device uchar* qs, device ushort* qh) {
    uint low_bits = 0, high_bits = 0;
    for (uint j = 0; s.exact && j < 16; j++) {
        const int low = find_code(x[j], s, offset, 31), high = find_code(x[j + 16], s, offset, 31);
        qs[j] = (uchar)((low & 15) | (high & 15) << 4);
        low_bits |= (uint)(low >> 4) << j;
        high_bits |= (uint)(high >> 4) << j;
    }
    qh[0] = (ushort)low_bits;
    qh[1] = (ushort)high_bits;
}

static inline bool encode(device const float* x, device block_q5_0& b) {
    const scale_of_block s = find_symmetric(x, -16.0f);
    b.d = s.d;
    encode_fives(x, s, 16.5f, b.qs, b.qh);
    return s.exact;
}

static inline bool encode(device const float* x, device block_q5_1& b) {
    const scale_of_block s = find_affine(x, 31.0f);
    b.d = s.d;
    b.m = round_half(s.low);
    encode_fives(x, s, 0.5f, b.qs, b.qh);
    return s.exact;
}

static inline bool encode(device const float* x, device block_q8_0& b) {
    const float d = quotient_of(as_type<float>(bits_of_magnitude(find_extreme(x))), 127.0f);
    const float inverse = inverse_of(d);
    b.d = round_half(d);
    const bool exact = is_ordinary(x) && is_half(b.d);
    for (uint j = 0; exact && j < 32; j++) {
        const float value = product(x[j], inverse);
        const int whole = (int)value;
        const float rest = value - (float)whole;
        b.qs[j] = (uchar)(whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0));
    }
    return exact;
}

#define KQ_ENCODE_KERNEL(codec) \
    kernel void codec##_encode( \
        device const float* x [[buffer(0)]], device uchar* destination [[buffer(1)]], device uchar* on_cpu [[buffer(2)]], \
        constant encode_args& a [[buffer(3)]], uint block [[thread_position_in_grid]]) { \
        if (block >= a.blocks) return; \
        const ulong number = a.first + block; \
        on_cpu[number] = encode(x + 32 * number, ((device block_##codec*)destination)[number]) ? 0 : 1; \
    }
