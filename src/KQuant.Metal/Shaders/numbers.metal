#include <metal_stdlib>
using namespace metal;

// Loops with a constant number of turns are unrolled by order: Apple's compiler does it seldom by itself, and arrays that a loop variable
// indexes would lie in memory instead of registers.
#define KQ_UNROLL _Pragma("clang loop unroll(full)")

// An integer from 0 to 2^23 - 1 as a float, less `offset`: exact, and cheaper than a conversion. The first step can be shared by several parts
// of a byte.
constant constexpr uint number_bits = 0x4B000000u;
static inline float number_of(uint number, uint mask, float offset) { return as_type<float>(number & (number_bits | mask)) - (8388608.0f + offset); }
static inline float number(uint code, float offset) { return as_type<float>(number_bits | code) - (8388608.0f + offset); }

// binary16 to binary32, exact. A subnormal gets an implicit bit it does not have, which the subtraction takes away again: no float on
// the way is subnormal, so a GPU that flushes those to zero gives the same.
static inline float widen_half(ushort half_bits) {
    const uint bits = (uint)half_bits << 13 & 0x0FFFE000u, sign = (uint)half_bits << 16 & 0x80000000u;
    const uint implicit = bits < 0x00800000u ? 113u << 23 : 0u;
    const uint bias = bits >= 0x0F800000u ? 224u << 23 : 112u << 23;
    const float magnitude = as_type<float>(bits + max(bias, implicit)) - as_type<float>(implicit);
    return as_type<float>(as_type<uint>(magnitude) | sign);
}

static inline float widen_bfloat(ushort bits) { return as_type<float>((uint)bits << 16); }

// binary32 to binary16: to nearest, ties to even.
static inline ushort round_half(float value) {
    const uint bits = as_type<uint>(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (ushort)(sign | 0x7E00u);
    if (magnitude >= 143u << 23) return (ushort)(sign | 0x7C00u);
    if (magnitude >= 113u << 23) {
        const uint rebiased = magnitude - (112u << 23);
        return (ushort)(sign | (rebiased + 0xFFFu + (rebiased >> 13 & 1u)) >> 13);
    }
    const uint shift = 126u - (magnitude >> 23);
    if (shift > 24u) return (ushort)sign;
    const uint mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
    const uint kept = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u), tie = 1u << (shift - 1u);
    return (ushort)(sign | (kept + (rest > tie || (rest == tie && (kept & 1u) != 0u) ? 1u : 0u)));
}

// binary32 to bfloat16: to nearest, ties to even.
static inline ushort round_bfloat(float value) {
    const uint bits = as_type<uint>(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (ushort)(bits >> 16 | 0x40u);
    return (ushort)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}
