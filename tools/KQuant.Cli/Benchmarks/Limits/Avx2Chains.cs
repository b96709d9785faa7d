using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Cli.Benchmarks.Limits;

/// <summary>Chains of 256-bit instructions, in tiles that fit into sixteen registers.</summary>
internal static unsafe class Avx2Chains
{
    /// <summary>Operations of a pass over bytes, three rows of activations and two vectors of weights at a time.</summary>
    public const int Operations = 2 * 2 * 3 * Vectors * Vector;

    /// <summary>Operations of a pass over bytes with dot products, six rows at a time.</summary>
    public const int VnniOperations = 2 * Operations;

    /// <summary>Operations of a pass over floats, six rows at a time.</summary>
    public const int FloatOperations = VnniOperations / sizeof(float);

    private const int Vector = 32;
    private const int Vectors = 32;
    private const int WeightBytes = 2 * Vectors * Vector;

    /// <summary>Products of bytes, added up in 16 bits and then, times a scale, in 32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Bytes<TSteps>(byte* operands, int passes)
        where TSteps : struct, ISteps
    {
        Vector256<byte> a, b;
        Vector256<sbyte> quad;
        Vector256<short> s0a, s0b, s1a, s1b, s2a, s2b;
        Vector256<int> i0a, i0b, i1a, i1b, i2a, i2b;
        i0a = i0b = i1a = i1b = i2a = i2b = default;
        Vector256<short> scale = Vector256.Load((short*)operands);
        for (; passes > 0; passes--)
        {
            byte* w = operands, x = operands + WeightBytes;
            for (int chain = 0; chain < Vectors / TSteps.Count; chain++)
            {
                a = Vector256.Load(w);
                b = Vector256.Load(w + Vector);
                quad = Quad(x); s0a = Dot(a, quad); s0b = Dot(b, quad);
                quad = Quad(x + 4); s1a = Dot(a, quad); s1b = Dot(b, quad);
                quad = Quad(x + 8); s2a = Dot(a, quad); s2b = Dot(b, quad);
                w += 2 * Vector;
                x += 12;
                for (int step = 1; step < TSteps.Count; step++)
                {
                    a = Vector256.Load(w);
                    b = Vector256.Load(w + Vector);
                    quad = Quad(x); s0a += Dot(a, quad); s0b += Dot(b, quad);
                    quad = Quad(x + 4); s1a += Dot(a, quad); s1b += Dot(b, quad);
                    quad = Quad(x + 8); s2a += Dot(a, quad); s2b += Dot(b, quad);
                    w += 2 * Vector;
                    x += 12;
                }

                i0a += Dot(s0a, scale); i0b += Dot(s0b, scale);
                i1a += Dot(s1a, scale); i1b += Dot(s1b, scale);
                i2a += Dot(s2a, scale); i2b += Dot(s2b, scale);
            }
        }

        Keep(i0a + i0b + i1a + i1b + i2a + i2b, operands);
    }

    /// <summary>Dot products of bytes, added up in 32 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void DotProducts(byte* operands, int passes)
    {
        Vector256<byte> a, b;
        Vector256<sbyte> quad;
        Vector256<int> i0a, i0b, i1a, i1b, i2a, i2b, i3a, i3b, i4a, i4b, i5a, i5b;
        i0a = i0b = i1a = i1b = i2a = i2b = i3a = i3b = i4a = i4b = i5a = i5b = default;
        for (; passes > 0; passes--)
        {
            byte* w = operands, x = operands + WeightBytes;
            for (int i = 0; i < Vectors; i++)
            {
                a = Vector256.Load((byte*)w);
                b = Vector256.Load((byte*)(w + Vector));
                quad = Quad(x); i0a = AvxVnni.MultiplyWideningAndAdd(i0a, a, quad); i0b = AvxVnni.MultiplyWideningAndAdd(i0b, b, quad);
                quad = Quad(x + 4); i1a = AvxVnni.MultiplyWideningAndAdd(i1a, a, quad); i1b = AvxVnni.MultiplyWideningAndAdd(i1b, b, quad);
                quad = Quad(x + 8); i2a = AvxVnni.MultiplyWideningAndAdd(i2a, a, quad); i2b = AvxVnni.MultiplyWideningAndAdd(i2b, b, quad);
                quad = Quad(x + 12); i3a = AvxVnni.MultiplyWideningAndAdd(i3a, a, quad); i3b = AvxVnni.MultiplyWideningAndAdd(i3b, b, quad);
                quad = Quad(x + 16); i4a = AvxVnni.MultiplyWideningAndAdd(i4a, a, quad); i4b = AvxVnni.MultiplyWideningAndAdd(i4b, b, quad);
                quad = Quad(x + 20); i5a = AvxVnni.MultiplyWideningAndAdd(i5a, a, quad); i5b = AvxVnni.MultiplyWideningAndAdd(i5b, b, quad);
                w += 2 * Vector;
                x += 24;
            }
        }

        Keep(i0a + i0b + i1a + i1b + i2a + i2b + i3a + i3b + i4a + i4b + i5a + i5b, operands);
    }

    /// <summary>Fused multiply-adds of float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Floats(byte* operands, int passes)
    {
        Vector256<float> a, b, one;
        Vector256<float> f0a, f0b, f1a, f1b, f2a, f2b, f3a, f3b, f4a, f4b, f5a, f5b;
        f0a = f0b = f1a = f1b = f2a = f2b = f3a = f3b = f4a = f4b = f5a = f5b = default;
        for (; passes > 0; passes--)
        {
            byte* w = operands, x = operands + WeightBytes;
            for (int i = 0; i < Vectors; i++)
            {
                a = Vector256.Load((float*)w);
                b = Vector256.Load((float*)(w + Vector));
                one = Vector256.Create(*(float*)x); f0a = Fma.MultiplyAdd(a, one, f0a); f0b = Fma.MultiplyAdd(b, one, f0b);
                one = Vector256.Create(*(float*)(x + 4)); f1a = Fma.MultiplyAdd(a, one, f1a); f1b = Fma.MultiplyAdd(b, one, f1b);
                one = Vector256.Create(*(float*)(x + 8)); f2a = Fma.MultiplyAdd(a, one, f2a); f2b = Fma.MultiplyAdd(b, one, f2b);
                one = Vector256.Create(*(float*)(x + 12)); f3a = Fma.MultiplyAdd(a, one, f3a); f3b = Fma.MultiplyAdd(b, one, f3b);
                one = Vector256.Create(*(float*)(x + 16)); f4a = Fma.MultiplyAdd(a, one, f4a); f4b = Fma.MultiplyAdd(b, one, f4b);
                one = Vector256.Create(*(float*)(x + 20)); f5a = Fma.MultiplyAdd(a, one, f5a); f5b = Fma.MultiplyAdd(b, one, f5b);
                w += 2 * Vector;
                x += 24;
            }
        }

        Keep((f0a + f0b + f1a + f1b + f2a + f2b + f3a + f3b + f4a + f4b + f5a + f5b).AsInt32(), operands);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<sbyte> Quad(byte* x) => Vector256.Create(*(int*)x).AsSByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Dot(Vector256<byte> a, Vector256<sbyte> b) => Avx2.MultiplyAddAdjacent(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Dot(Vector256<short> a, Vector256<short> b) => Avx2.MultiplyAddAdjacent(a, b);

    /// <summary>Makes the result matter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep(Vector256<int> result, byte* operands) => result.Store((int*)(operands + InstructionChain.OperandBytes - Vector));
}
