// The wire formats. Sixteen neighbouring threads decode a block together: thread `lane` gets the weights lane, lane + 16, lane + 32, ...
// in this order. All arithmetic is that of the managed decoders, operation by operation. See src/KQuant.Codecs/Blocks.

constant constexpr uint lanes = 16;

struct block_f32 { enum : uint { weights = 16 }; uint w[16]; };
struct block_f16 { enum : uint { weights = 16 }; ushort w[16]; };
struct block_bf16 { enum : uint { weights = 16 }; ushort w[16]; };
struct block_q4_0 { enum : uint { weights = 32 }; ushort d; uchar qs[16]; };
struct block_q4_1 { enum : uint { weights = 32 }; ushort d; ushort m; uchar qs[16]; };
struct block_q5_0 { enum : uint { weights = 32 }; ushort d; ushort qh[2]; uchar qs[16]; };
struct block_q5_1 { enum : uint { weights = 32 }; ushort d; ushort m; ushort qh[2]; uchar qs[16]; };
struct block_q8_0 { enum : uint { weights = 32 }; ushort d; int8_t qs[32]; };
struct block_q2_k { enum : uint { weights = 256 }; uchar scales[16]; uchar qs[64]; ushort d; ushort dmin; };
struct block_q3_k { enum : uint { weights = 256 }; uchar hmask[32]; uchar qs[64]; uchar scales[12]; ushort d; };
struct block_q4_k { enum : uint { weights = 256 }; ushort d; ushort dmin; uchar scales[12]; uchar qs[128]; };
struct block_q5_k { enum : uint { weights = 256 }; ushort d; ushort dmin; uchar scales[12]; uchar qh[32]; uchar qs[128]; };
struct block_q6_k { enum : uint { weights = 256 }; uchar ql[128]; uchar qh[64]; int8_t scales[16]; ushort d; };

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

static inline void decode(device const block_f32& b, uint lane, thread float* w) { w[0] = as_type<float>(b.w[lane]); }

static inline void decode(device const block_f16& b, uint lane, thread float* w) { w[0] = widen_half(b.w[lane]); }

static inline void decode(device const block_bf16& b, uint lane, thread float* w) { w[0] = widen_bfloat(b.w[lane]); }

static inline void decode(device const block_q4_0& b, uint lane, thread float* w) {
    const float d = widen_half(b.d);
    const int q = b.qs[lane];
    w[0] = d * (float)((q & 15) - 8);
    w[1] = d * (float)((q >> 4) - 8);
}

static inline void decode(device const block_q4_1& b, uint lane, thread float* w) {
    const float d = widen_half(b.d), m = widen_half(b.m);
    const int q = b.qs[lane];
    w[0] = d * (float)(q & 15) + m;
    w[1] = d * (float)(q >> 4) + m;
}

// Bit i of the fifth bits belongs to weight i.
static inline int fifth_bit(ushort bits, uint lane) { return (bits >> lane & 1) << 4; }

static inline void decode(device const block_q5_0& b, uint lane, thread float* w) {
    const float d = widen_half(b.d);
    const int q = b.qs[lane];
    w[0] = d * (float)(((q & 15) | fifth_bit(b.qh[0], lane)) - 16);
    w[1] = d * (float)((q >> 4 | fifth_bit(b.qh[1], lane)) - 16);
}

static inline void decode(device const block_q5_1& b, uint lane, thread float* w) {
    const float d = widen_half(b.d), m = widen_half(b.m);
    const int q = b.qs[lane];
    w[0] = d * (float)((q & 15) | fifth_bit(b.qh[0], lane)) + m;
    w[1] = d * (float)(q >> 4 | fifth_bit(b.qh[1], lane)) + m;
}

static inline void decode(device const block_q8_0& b, uint lane, thread float* w) {
    const float d = widen_half(b.d);
    w[0] = d * (float)b.qs[lane];
    w[1] = d * (float)b.qs[lane + 16];
}

static inline void decode(device const block_q2_k& b, uint lane, thread float* w) {
    const float d = widen_half(b.d), dmin = widen_half(b.dmin);
    for (uint t = 0; t < 16; t++) {
        const int q = b.qs[32 * (t / 8) + 16 * (t % 2) + lane] >> 2 * (t % 8 / 2) & 3;
        const int scale = b.scales[t];
        w[t] = d * (float)(scale & 15) * (float)q - dmin * (float)(scale >> 4);
    }
}

// Scale of sub-block `sub`, -32 to 31.
static inline int scale_q3(device const uchar* packed, uint sub) {
    const int low = sub < 8 ? packed[sub] & 15 : packed[sub - 8] >> 4;
    const int high = packed[8 + sub % 4] >> 2 * (sub / 4) & 3;
    return (low | high << 4) - 32;
}

static inline void decode(device const block_q3_k& b, uint lane, thread float* w) {
    const float d = widen_half(b.d);
    for (uint t = 0; t < 16; t++) {
        const uint l = 16 * (t % 2) + lane;
        const int q = b.qs[32 * (t / 8) + l] >> 2 * (t % 8 / 2) & 3;
        const int third = b.hmask[l] >> t / 2 & 1;
        w[t] = d * (float)scale_q3(b.scales, t) * (float)(q - (third == 0 ? 4 : 0));
    }
}

struct scale_min { float scale, min; };

// Scale and minimum of sub-block `sub`, 0 to 63 each.
static inline scale_min scale_q4(device const uchar* packed, uint sub) {
    const int scale = sub < 4 ? packed[sub] & 63 : (packed[sub + 4] & 15) | packed[sub - 4] >> 6 << 4;
    const int min = sub < 4 ? packed[sub + 4] & 63 : packed[sub + 4] >> 4 | packed[sub] >> 6 << 4;
    return scale_min{(float)scale, (float)min};
}

static inline void decode(device const block_q4_k& b, uint lane, thread float* w) {
    const float d = widen_half(b.d), dmin = widen_half(b.dmin);
    for (uint sub = 0; sub < 8; sub++) {
        const scale_min s = scale_q4(b.scales, sub);
        for (uint t = 0; t < 2; t++) {
            const int q = b.qs[32 * (sub / 2) + 16 * t + lane] >> 4 * (sub % 2) & 15;
            w[2 * sub + t] = d * s.scale * (float)q - dmin * s.min;
        }
    }
}

static inline void decode(device const block_q5_k& b, uint lane, thread float* w) {
    const float d = widen_half(b.d), dmin = widen_half(b.dmin);
    for (uint sub = 0; sub < 8; sub++) {
        const scale_min s = scale_q4(b.scales, sub);
        for (uint t = 0; t < 2; t++) {
            const int low = b.qs[32 * (sub / 2) + 16 * t + lane] >> 4 * (sub % 2) & 15;
            const int fifth = b.qh[16 * t + lane] >> sub & 1;
            w[2 * sub + t] = d * s.scale * (float)(low | fifth << 4) - dmin * s.min;
        }
    }
}

static inline void decode(device const block_q6_k& b, uint lane, thread float* w) {
    const float d = widen_half(b.d);
    for (uint t = 0; t < 16; t++) {
        const uint plane = t % 8 / 2, l = 16 * (t % 2) + lane;
        const int low = b.ql[64 * (t / 8) + 32 * (plane % 2) + l] >> 4 * (plane / 2) & 15;
        const int high = b.qh[32 * (t / 8) + l] >> 2 * plane & 3;
        w[t] = d * (float)b.scales[t] * (float)((low | high << 4) - 32);
    }
}
