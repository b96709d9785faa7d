// Every shader of KQuant, in one translation unit. Valid Metal Shading Language 3.1, and valid C++ for the tests on Linux. The rules:
// entry points are plain functions, made by macros; every parameter has an attribute; threadgroup memory is a parameter; products are
// explicit fma; nothing depends on an order that Metal leaves open; binary16 is handled as bits, because its subnormals are not promised.
#include "numbers.metal"
#include "selftest.metal"
#include "blocks.metal"
#include "dequantize.metal"
#include "multiply.metal"
#include "tiles.metal"
#include "matrices.metal"
#include "layers.metal"
#include "encode.metal"

#define KQ_EVERY_CODEC(KERNELS) \
    KERNELS(q4_0) KERNELS(q4_1) KERNELS(q5_0) KERNELS(q5_1) KERNELS(q8_0) \
    KERNELS(q2_k) KERNELS(q3_k) KERNELS(q4_k) KERNELS(q5_k) KERNELS(q6_k) \
    KERNELS(f32) KERNELS(f16) KERNELS(bf16)

KQ_EVERY_CODEC(KQ_DEQUANTIZE_KERNELS)
KQ_EVERY_CODEC(KQ_MULTIPLY_KERNELS)
KQ_EVERY_CODEC(KQ_TILE_KERNELS)
KQ_EVERY_CODEC(KQ_MATRIX_KERNELS)

KQ_ENCODE_KERNEL(q4_0)
KQ_ENCODE_KERNEL(q4_1)
KQ_ENCODE_KERNEL(q5_0)
KQ_ENCODE_KERNEL(q5_1)
KQ_ENCODE_KERNEL(q8_0)
