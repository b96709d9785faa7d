using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Cli.Benchmarks.Limits;

/// <summary>Chains of 512-bit instructions, in tiles of six rows of activations and two vectors of weights.</summary>
internal static unsafe class Avx512Chains
{
    /// <summary>Operations of a pass over bytes.</summary>
    public const int Operations = 2 * 2 * Rows * Vectors * Vector;

    /// <summary>Operations of a pass over floats.</summary>
    public const int FloatOperations = Operations / sizeof(float);

    private const int Vector = 64;
    private const int Rows = 6;
    private const int Vectors = 32;
    private const int WeightBytes = 2 * Vectors * Vector;

    /// <summary>Products of bytes, added up in 16 bits and then, times a scale, in 32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Bytes<TSteps>(byte* operands, int passes)
        where TSteps : struct, ISteps
    {
        Vector512<byte> a, b;
        Vector512<sbyte> quad;
        Vector512<short> s0a, s0b, s1a, s1b, s2a, s2b, s3a, s3b, s4a, s4b, s5a, s5b;
        Vector512<int> i0a, i0b, i1a, i1b, i2a, i2b, i3a, i3b, i4a, i4b, i5a, i5b;
        i0a = i0b = i1a = i1b = i2a = i2b = i3a = i3b = i4a = i4b = i5a = i5b = default;
        Vector512<short> scale = Vector512.Load((short*)operands);
        for (; passes > 0; passes--)
        {
            byte* w = operands, x = operands + WeightBytes;
            for (int chain = 0; chain < Vectors / TSteps.Count; chain++)
            {
                a = Vector512.Load(w);
                b = Vector512.Load(w + Vector);
                quad = Quad(x); s0a = Dot(a, quad); s0b = Dot(b, quad);
                quad = Quad(x + 4); s1a = Dot(a, quad); s1b = Dot(b, quad);
                quad = Quad(x + 8); s2a = Dot(a, quad); s2b = Dot(b, quad);
                quad = Quad(x + 12); s3a = Dot(a, quad); s3b = Dot(b, quad);
                quad = Quad(x + 16); s4a = Dot(a, quad); s4b = Dot(b, quad);
                quad = Quad(x + 20); s5a = Dot(a, quad); s5b = Dot(b, quad);
                w += 2 * Vector;
                x += 24;
                for (int step = 1; step < TSteps.Count; step++)
                {
                    a = Vector512.Load(w);
                    b = Vector512.Load(w + Vector);
                    quad = Quad(x); s0a += Dot(a, quad); s0b += Dot(b, quad);
                    quad = Quad(x + 4); s1a += Dot(a, quad); s1b += Dot(b, quad);
                    quad = Quad(x + 8); s2a += Dot(a, quad); s2b += Dot(b, quad);
                    quad = Quad(x + 12); s3a += Dot(a, quad); s3b += Dot(b, quad);
                    quad = Quad(x + 16); s4a += Dot(a, quad); s4b += Dot(b, quad);
                    quad = Quad(x + 20); s5a += Dot(a, quad); s5b += Dot(b, quad);
                    w += 2 * Vector;
                    x += 24;
                }

                i0a += Dot(s0a, scale); i0b += Dot(s0b, scale);
                i1a += Dot(s1a, scale); i1b += Dot(s1b, scale);
                i2a += Dot(s2a, scale); i2b += Dot(s2b, scale);
                i3a += Dot(s3a, scale); i3b += Dot(s3b, scale);
                i4a += Dot(s4a, scale); i4b += Dot(s4b, scale);
                i5a += Dot(s5a, scale); i5b += Dot(s5b, scale);
            }
        }

        Keep(i0a + i0b + i1a + i1b + i2a + i2b + i3a + i3b + i4a + i4b + i5a + i5b, operands);
    }

    /// <summary>Fused multiply-adds of float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Floats(byte* operands, int passes)
    {
        Vector512<float> a, b, one;
        Vector512<float> f0a, f0b, f1a, f1b, f2a, f2b, f3a, f3b, f4a, f4b, f5a, f5b;
        f0a = f0b = f1a = f1b = f2a = f2b = f3a = f3b = f4a = f4b = f5a = f5b = default;
        for (; passes > 0; passes--)
        {
            byte* w = operands, x = operands + WeightBytes;
            for (int i = 0; i < Vectors; i++)
            {
                a = Vector512.Load((float*)w);
                b = Vector512.Load((float*)(w + Vector));
                one = Vector512.Create(*(float*)x); f0a = Avx512F.FusedMultiplyAdd(a, one, f0a); f0b = Avx512F.FusedMultiplyAdd(b, one, f0b);
                one = Vector512.Create(*(float*)(x + 4)); f1a = Avx512F.FusedMultiplyAdd(a, one, f1a); f1b = Avx512F.FusedMultiplyAdd(b, one, f1b);
                one = Vector512.Create(*(float*)(x + 8)); f2a = Avx512F.FusedMultiplyAdd(a, one, f2a); f2b = Avx512F.FusedMultiplyAdd(b, one, f2b);
                one = Vector512.Create(*(float*)(x + 12)); f3a = Avx512F.FusedMultiplyAdd(a, one, f3a); f3b = Avx512F.FusedMultiplyAdd(b, one, f3b);
                one = Vector512.Create(*(float*)(x + 16)); f4a = Avx512F.FusedMultiplyAdd(a, one, f4a); f4b = Avx512F.FusedMultiplyAdd(b, one, f4b);
                one = Vector512.Create(*(float*)(x + 20)); f5a = Avx512F.FusedMultiplyAdd(a, one, f5a); f5b = Avx512F.FusedMultiplyAdd(b, one, f5b);
                w += 2 * Vector;
                x += 24;
            }
        }

        Keep((f0a + f0b + f1a + f1b + f2a + f2b + f3a + f3b + f4a + f4b + f5a + f5b).AsInt32(), operands);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<sbyte> Quad(byte* x) => Vector512.Create(*(int*)x).AsSByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Dot(Vector512<byte> a, Vector512<sbyte> b) => Avx512BW.MultiplyAddAdjacent(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Dot(Vector512<short> a, Vector512<short> b) => Avx512BW.MultiplyAddAdjacent(a, b);

    /// <summary>Makes the result matter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep(Vector512<int> result, byte* operands) => result.Store((int*)(operands + InstructionChain.OperandBytes - Vector));
}
