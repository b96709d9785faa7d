// What the emulator has to notice.
#include <metal_stdlib>
using namespace metal;

kernel void divergent_barrier(device float* y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
    if (i < 16) threadgroup_barrier(mem_flags::mem_threadgroup);
    y[i] = 1.0f;
}

kernel void divergent_shuffle(device float* y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
    if (i % 2 == 0) y[i] = simd_shuffle_xor(y[i], (ushort)1);
}

kernel void different_shuffles(device float* y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
    if (i % 2 == 0) y[i] = simd_shuffle_xor(y[i], (ushort)2);
    else y[i] = simd_shuffle_xor(y[i], (ushort)4);
}

kernel void write_beyond_threadgroup_memory(
    device float* y [[buffer(0)]], threadgroup float* shared [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
    shared[i + 4] = y[i];
}

kernel void read_beyond_buffer(device float* y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) { y[i] = y[i + 64]; }

// Shared memory read before anything wrote it, or before the barrier: poison, or the value of a thread that happened to run first.
kernel void read_unwritten(device float* y [[buffer(0)]], threadgroup float* shared [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
    y[i] = shared[i % 4];
}

kernel void read_without_barrier(
    device float* y [[buffer(0)]], threadgroup float* shared [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]]) {
    if (i < 4) shared[i] = 1.0f;
    y[i] = shared[i % 4];
}

kernel void scale_subnormals(device float* y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) { y[i] = y[i] * 0.5f; }

kernel void give_thread_numbers(device float* y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) { y[i] = (float)i; }

kernel void write_neighbours(device float* y [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
    y[i] = 1.0f;
    y[i < 63 ? i + 1 : i] = 2.0f;
}

kernel void read_what_others_write(device float* y [[buffer(0)]], uint i [[thread_index_in_threadgroup]], uint3 group [[threadgroup_position_in_grid]]) {
    if (group.x == 0) y[i] = 1.0f;
    else if (y[63 - i] < -5.0f) y[0] = 1.0f;
}

// The right question to a compiler that fuses: this library is compiled so.
#include "selftest.metal"
