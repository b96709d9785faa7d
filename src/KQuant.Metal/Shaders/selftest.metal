// What the backend asks a device before it believes it: one threadgroup of 64 threads with known answers. Thread i computes with operands
// 3 i, 3 i + 1 and 3 i + 2, as bits, and gives `self_test_words` words.

constant constexpr uint self_test_words = 16;

kernel void self_test(
    device const uint* operands [[buffer(0)]], device const uint* mapped [[buffer(1)]], device uint* results [[buffer(2)]],
    uint i [[thread_index_in_threadgroup]], uint simd_lane [[thread_index_in_simdgroup]]) {
    const uint bits = operands[3 * i];
    const float a = as_type<float>(bits), b = as_type<float>(operands[3 * i + 1]), c = as_type<float>(operands[3 * i + 2]);
    device uint* result = results + self_test_words * i;
    result[0] = as_type<uint>(a * b);
    result[1] = as_type<uint>(a + b);
    result[2] = as_type<uint>(fma(a, b, c));
    result[3] = as_type<uint>(b * c + a);  // rounded twice: nothing may fuse it
    result[4] = as_type<uint>(a / b);
    result[5] = as_type<uint>(precise::sqrt(as_type<float>(bits & 0x7FFFFFFFu)));
    result[6] = as_type<uint>((float)(int)(bits & 0x00FFFFFFu));
    result[7] = bits;
    result[8] = simd_shuffle_xor(simd_lane, (ushort)1);
    result[9] = simd_shuffle_xor(simd_lane, (ushort)2);
    result[10] = simd_shuffle_xor(simd_lane, (ushort)4);
    result[11] = simd_shuffle_xor(simd_lane, (ushort)8);
    result[12] = simd_shuffle_xor(simd_lane, (ushort)16);
    result[13] = simd_shuffle(simd_lane, (ushort)(31 - simd_lane));
    result[14] = mapped[i];
    result[15] = 0u;
}

// The order in which matrix units add: 8 x 64 times 64 x 8, eight columns at a time, by one simdgroup.
kernel void self_test_matrix(
    device const float* a [[buffer(0)]], device const float* b [[buffer(1)]], device float* y [[buffer(2)]],
    uint i [[thread_index_in_threadgroup]]) {
    simdgroup_float8x8 sum = make_filled_simdgroup_matrix<float, 8, 8>(0.0f), left, right;
    for (uint k = 0; k < 64; k += 8) {
        simdgroup_load(left, a + k, 64);
        simdgroup_load(right, b + 8 * k, 8);
        simdgroup_multiply_accumulate(sum, left, right, sum);
    }
    simdgroup_store(sum, y, 8);
}
