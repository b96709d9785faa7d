// The wire formats. Sixteen neighbouring threads decode a block together: thread `lane` gets the weights lane, lane + 16, lane + 32, ...
// in this order. All arithmetic is that of the managed decoders, operation by operation. See src/KQuant.Codecs/Blocks.

constant constexpr uint lanes = 16;

// Where a thread stands. The two teams of a simdgroup decode at the same time, because they exchange scales: what a simdgroup does is the
// same for all its threads.
struct place {
    uint lane;   // 0 to 15
    uint team;   // which sixteen threads of the threadgroup
    uint first;  // lane 0 of the team, as a lane of the simdgroup
};

static inline place find_place(uint simd_lane, uint simdgroup) {
    return place{simd_lane % lanes, 2 * simdgroup + simd_lane / lanes, simd_lane & 16u};
}

struct block_f32 { enum : uint { weights = 16 }; uint w[16]; };
struct block_f16 { enum : uint { weights = 16 }; ushort w[16]; };
struct block_bf16 { enum : uint { weights = 16 }; ushort w[16]; };
struct block_q4_0 { enum : uint { weights = 32 }; ushort d; uchar qs[16]; };
struct block_q4_1 { enum : uint { weights = 32 }; ushort d; ushort m; uchar qs[16]; };
struct block_q5_0 { enum : uint { weights = 32 }; ushort d; ushort qh[2]; uchar qs[16]; };
struct block_q5_1 { enum : uint { weights = 32 }; ushort d; ushort m; ushort qh[2]; uchar qs[16]; };
struct block_q8_0 { enum : uint { weights = 32 }; ushort d; uchar qs[32]; };
struct block_q2_k { enum : uint { weights = 256 }; uchar scales[16]; uchar qs[64]; ushort d; ushort dmin; };
struct block_q3_k { enum : uint { weights = 256 }; uchar hmask[32]; uchar qs[64]; uchar scales[12]; ushort d; };
struct block_q4_k { enum : uint { weights = 256 }; ushort d; ushort dmin; uchar scales[12]; uchar qs[128]; };
struct block_q5_k { enum : uint { weights = 256 }; ushort d; ushort dmin; uchar scales[12]; uchar qh[32]; uchar qs[128]; };
struct block_q6_k { enum : uint { weights = 256 }; uchar ql[128]; uchar qh[64]; uchar scales[16]; ushort d; };

static_assert(sizeof(block_q4_0) == 18, "q4_0");
static_assert(sizeof(block_q4_1) == 20, "q4_1");
static_assert(sizeof(block_q5_0) == 22, "q5_0");
static_assert(sizeof(block_q5_1) == 24, "q5_1");
static_assert(sizeof(block_q8_0) == 34, "q8_0");
static_assert(sizeof(block_q2_k) == 84, "q2_k");
static_assert(sizeof(block_q3_k) == 110, "q3_k");
static_assert(sizeof(block_q4_k) == 144, "q4_k");
static_assert(sizeof(block_q5_k) == 176, "q5_k");
static_assert(sizeof(block_q6_k) == 210, "q6_k");

// The codes of a high nibble stay where they are, sixteen times too large, and meet a sixteenth of the scale: both are exact.
constant constexpr float sixteenth = 0.0625f;

static inline void decode(device const block_f32& b, place p, thread float* w) { w[0] = as_type<float>(b.w[p.lane]); }

static inline void decode(device const block_f16& b, place p, thread float* w) { w[0] = widen_half(b.w[p.lane]); }

static inline void decode(device const block_bf16& b, place p, thread float* w) { w[0] = widen_bfloat(b.w[p.lane]); }

static inline void decode(device const block_q4_0& b, place p, thread float* w) {
    const float d = widen_half(b.d);
    const uint q = b.qs[p.lane];
    w[0] = d * number(q & 0x0Fu, 8.0f);
    w[1] = d * sixteenth * number(q & 0xF0u, 128.0f);
}

static inline void decode(device const block_q4_1& b, place p, thread float* w) {
    const float d = widen_half(b.d), m = widen_half(b.m);
    const uint q = b.qs[p.lane];
    w[0] = fma(d, number(q & 0x0Fu, 0.0f), m);
    w[1] = fma(d * sixteenth, number(q & 0xF0u, 0.0f), m);
}

// Bit i of the fifth bits belongs to weight i.
static inline uint fifth_bit(ushort bits, uint lane) { return (bits >> lane & 1u) << 4; }

static inline void decode(device const block_q5_0& b, place p, thread float* w) {
    const float d = widen_half(b.d);
    const uint q = b.qs[p.lane];
    w[0] = d * number((q & 15u) | fifth_bit(b.qh[0], p.lane), 16.0f);
    w[1] = d * number(q >> 4 | fifth_bit(b.qh[1], p.lane), 16.0f);
}

static inline void decode(device const block_q5_1& b, place p, thread float* w) {
    const float d = widen_half(b.d), m = widen_half(b.m);
    const uint q = b.qs[p.lane];
    w[0] = fma(d, number((q & 15u) | fifth_bit(b.qh[0], p.lane), 0.0f), m);
    w[1] = fma(d, number(q >> 4 | fifth_bit(b.qh[1], p.lane), 0.0f), m);
}

static inline void decode(device const block_q8_0& b, place p, thread float* w) {
    const float d = widen_half(b.d);
    w[0] = d * number((uint)b.qs[p.lane] ^ 0x80u, 128.0f);
    w[1] = d * number((uint)b.qs[p.lane + 16] ^ 0x80u, 128.0f);
}

// A K-quant has sixteen scales, or eight with eight minimums, that all lanes need: each lane computes one, and gives it to the others. Where
// the codes of a weight are not shifted down, its scale is smaller by the same power of two.
static inline float from_lane(float value, uint lane, place p) { return simd_shuffle(value, (ushort)(p.first + lane)); }

// 4^-plane, for codes of two bits that stay in their plane of a byte.
static inline float shrink_two_bits(uint plane) { return as_type<float>((127u - 2u * plane) << 23); }

static inline void decode(device const block_q2_k& b, place p, thread float* w) {
    const uint packed = b.scales[p.lane];
    const float scale = widen_half(b.d) * shrink_two_bits(p.lane % 8 / 2) * number(packed & 15u, 0.0f);
    const float low = -(widen_half(b.dmin) * number(packed >> 4, 0.0f));
    KQ_UNROLL for (uint t = 0; t < 16; t++) {
        const uint q = b.qs[32 * (t / 8) + 16 * (t % 2) + p.lane] & 3u << 2 * (t % 8 / 2);
        w[t] = fma(from_lane(scale, t, p), number(q, 0.0f), from_lane(low, t, p));
    }
}

static inline void decode(device const block_q3_k& b, place p, thread float* w) {
    // Scale of sub-block `lane`, -32 to 31.
    const uint low = (uint)b.scales[p.lane % 8] >> (p.lane < 8 ? 0u : 4u) & 15u;
    const uint high = (uint)b.scales[8 + p.lane % 4] >> 2 * (p.lane / 4) & 3u;
    const float scale = widen_half(b.d) * number(low | high << 4, 32.0f);
    KQ_UNROLL for (uint t = 0; t < 16; t++) {
        const uint l = 16 * (t % 2) + p.lane;
        const uint q = (uint)b.qs[32 * (t / 8) + l] >> 2 * (t % 8 / 2) & 3u;
        const uint third = ((uint)b.hmask[l] >> t / 2 & 1u) << 2;
        w[t] = from_lane(scale, t, p) * number(q | third, 4.0f);
    }
}

// Scales of the eight sub-blocks in lanes 0 to 7, those of odd ones sixteen times smaller, and minimums, negative, in lanes 8 to 15.
static inline float scale_or_minimum(device const uchar* packed, ushort d, ushort dmin, uint lane) {
    const uint sub = lane % 8;
    const bool is_min = lane >= 8, is_split = sub >= 4;
    const uint low = packed[sub + (is_min || is_split ? 4 : 0)], high = packed[is_split && !is_min ? sub - 4 : sub];
    const uint code = (low >> (is_min && is_split ? 4 : 0) & (is_split ? 15u : 63u)) | (high >> 2 & (is_split ? 48u : 0u));
    return widen_half(is_min ? dmin : d) * (is_min ? -1.0f : sub % 2 == 0 ? 1.0f : sixteenth) * number(code, 0.0f);
}

// Codes of an even sub-block lie below those of the odd one behind it.
static inline void decode(device const block_q4_k& b, place p, thread float* w) {
    const float shared = scale_or_minimum(b.scales, b.d, b.dmin, p.lane);
    KQ_UNROLL for (uint sub = 0; sub < 8; sub += 2) {
        const float even = from_lane(shared, sub, p), even_low = from_lane(shared, sub + 8, p);
        const float odd = from_lane(shared, sub + 1, p), odd_low = from_lane(shared, sub + 9, p);
        KQ_UNROLL for (uint t = 0; t < 2; t++) {
            const uint q = number_bits | (uint)b.qs[16 * (sub + t) + p.lane];
            w[2 * sub + t] = fma(even, number_of(q, 0x0Fu, 0.0f), even_low);
            w[2 * sub + 2 + t] = fma(odd, number_of(q, 0xF0u, 0.0f), odd_low);
        }
    }
}

static inline void decode(device const block_q5_k& b, place p, thread float* w) {
    const float shared = scale_or_minimum(b.scales, b.d, b.dmin, p.lane);
    uint fifths[2];
    KQ_UNROLL for (uint t = 0; t < 2; t++) {
        fifths[t] = (uint)b.qh[16 * t + p.lane] << 4;
    }
    KQ_UNROLL for (uint sub = 0; sub < 8; sub += 2) {
        const float even = from_lane(shared, sub, p), even_low = from_lane(shared, sub + 8, p);
        const float odd = from_lane(shared, sub + 1, p), odd_low = from_lane(shared, sub + 9, p);
        KQ_UNROLL for (uint t = 0; t < 2; t++) {
            const uint q = b.qs[16 * (sub + t) + p.lane];
            w[2 * sub + t] = fma(even, number((q & 0x0Fu) | (fifths[t] >> sub & 0x10u), 0.0f), even_low);
            w[2 * sub + 2 + t] = fma(odd, number((q & 0xF0u) | (fifths[t] << 3 >> sub & 0x100u), 0.0f), odd_low);
        }
    }
}

static inline void decode(device const block_q6_k& b, place p, thread float* w) {
    const float scale = widen_half(b.d) * number((uint)b.scales[p.lane] ^ 0x80u, 128.0f);
    KQ_UNROLL for (uint t = 0; t < 16; t++) {
        const uint plane = t % 8 / 2, l = 16 * (t % 2) + p.lane;
        const uint low = (uint)b.ql[64 * (t / 8) + 32 * (plane % 2) + l] >> 4 * (plane / 2) & 15u;
        const uint high = ((uint)b.qh[32 * (t / 8) + l] >> 2 * plane & 3u) << 4;
        w[t] = from_lane(scale, t, p) * number(low | high, 32.0f);
    }
}
