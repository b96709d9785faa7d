// Sixteen threads for each block; the grid has one dimension.

struct dequantize_args {
    ulong source;  // byte offset of the first block
    ulong first;   // blocks before those of this grid
    uint blocks;   // blocks of this grid
};

struct to_f32 {
    typedef float element;
    static inline float round(float w) { return w; }
};

struct to_f16 {
    typedef ushort element;
    static inline ushort round(float w) { return round_half(w); }
};

struct to_bf16 {
    typedef ushort element;
    static inline ushort round(float w) { return round_bfloat(w); }
};

// Teams beyond the last block repeat it: a simdgroup decodes together.
template <typename Block, typename To>
static inline void dequantize(
    device const uchar* source, device typename To::element* destination, constant dequantize_args& a, uint thread_number, uint simd_lane) {
    const uint block = thread_number / lanes;
    const place p = find_place(simd_lane, 0);
    const ulong number = a.first + min(block, a.blocks - 1);
    float w[Block::weights / lanes];
    decode(((device const Block*)(source + a.source))[number], p, w);
    if (block >= a.blocks) return;
    KQ_UNROLL for (uint t = 0; t < Block::weights / lanes; t++) {
        destination[number * Block::weights + lanes * t + p.lane] = To::round(w[t]);
    }
}

#define KQ_DEQUANTIZE_KERNEL(codec, to, type) \
    kernel void codec##_dequantize_##to( \
        device const uchar* source [[buffer(0)]], device type* destination [[buffer(1)]], constant dequantize_args& a [[buffer(2)]], \
        uint thread_number [[thread_position_in_grid]], uint simd_lane [[thread_index_in_simdgroup]]) { \
        dequantize<block_##codec, to_##to>(source, destination, a, thread_number, simd_lane); \
    }

#define KQ_DEQUANTIZE_KERNELS(codec) \
    KQ_DEQUANTIZE_KERNEL(codec, f32, float) KQ_DEQUANTIZE_KERNEL(codec, f16, ushort) KQ_DEQUANTIZE_KERNEL(codec, bf16, ushort)
