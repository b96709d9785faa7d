using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace KQuant.Cli.Benchmarks.Limits;

/// <summary>Chains of NEON instructions, in tiles of six rows of activations and two vectors of weights.</summary>
internal static unsafe class NeonChains
{
    /// <summary>Operations of a pass over bytes.</summary>
    public const int Operations = 2 * 2 * Rows * Vectors * Vector;

    /// <summary>Operations of a pass over bytes with dot products.</summary>
    public const int DotProductOperations = Operations;

    /// <summary>Operations of a pass over floats.</summary>
    public const int FloatOperations = Operations / sizeof(float);

    private const int Vector = 16;
    private const int Rows = 6;
    private const int Vectors = 64;
    private const int WeightBytes = 2 * Vectors * Vector;

    /// <summary>Dot products of bytes, added up in 32 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void DotProducts(byte* operands, int passes)
    {
        Vector128<sbyte> a, b;
        Vector128<sbyte> quad;
        Vector128<int> i0a, i0b, i1a, i1b, i2a, i2b, i3a, i3b, i4a, i4b, i5a, i5b;
        i0a = i0b = i1a = i1b = i2a = i2b = i3a = i3b = i4a = i4b = i5a = i5b = default;
        for (; passes > 0; passes--)
        {
            byte* w = operands, x = operands + WeightBytes;
            for (int i = 0; i < Vectors; i++)
            {
                a = Vector128.Load((sbyte*)w);
                b = Vector128.Load((sbyte*)(w + Vector));
                quad = Quad(x); i0a = Dp.DotProduct(i0a, a, quad); i0b = Dp.DotProduct(i0b, b, quad);
                quad = Quad(x + 4); i1a = Dp.DotProduct(i1a, a, quad); i1b = Dp.DotProduct(i1b, b, quad);
                quad = Quad(x + 8); i2a = Dp.DotProduct(i2a, a, quad); i2b = Dp.DotProduct(i2b, b, quad);
                quad = Quad(x + 12); i3a = Dp.DotProduct(i3a, a, quad); i3b = Dp.DotProduct(i3b, b, quad);
                quad = Quad(x + 16); i4a = Dp.DotProduct(i4a, a, quad); i4b = Dp.DotProduct(i4b, b, quad);
                quad = Quad(x + 20); i5a = Dp.DotProduct(i5a, a, quad); i5b = Dp.DotProduct(i5b, b, quad);
                w += 2 * Vector;
                x += 24;
            }
        }

        Keep(i0a + i0b + i1a + i1b + i2a + i2b + i3a + i3b + i4a + i4b + i5a + i5b, operands);
    }

    /// <summary>Products of bytes in 16 bits, added up in 32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Bytes(byte* operands, int passes)
    {
        Vector128<sbyte> a, b;
        Vector128<sbyte> quad;
        Vector128<int> i0a, i0b, i1a, i1b, i2a, i2b, i3a, i3b, i4a, i4b, i5a, i5b;
        i0a = i0b = i1a = i1b = i2a = i2b = i3a = i3b = i4a = i4b = i5a = i5b = default;
        for (; passes > 0; passes--)
        {
            byte* w = operands, x = operands + WeightBytes;
            for (int i = 0; i < Vectors; i++)
            {
                a = Vector128.Load((sbyte*)w);
                b = Vector128.Load((sbyte*)(w + Vector));
                quad = Quad(x); i0a = Dot(i0a, a, quad); i0b = Dot(i0b, b, quad);
                quad = Quad(x + 4); i1a = Dot(i1a, a, quad); i1b = Dot(i1b, b, quad);
                quad = Quad(x + 8); i2a = Dot(i2a, a, quad); i2b = Dot(i2b, b, quad);
                quad = Quad(x + 12); i3a = Dot(i3a, a, quad); i3b = Dot(i3b, b, quad);
                quad = Quad(x + 16); i4a = Dot(i4a, a, quad); i4b = Dot(i4b, b, quad);
                quad = Quad(x + 20); i5a = Dot(i5a, a, quad); i5b = Dot(i5b, b, quad);
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
        Vector128<float> a, b, one;
        Vector128<float> f0a, f0b, f1a, f1b, f2a, f2b, f3a, f3b, f4a, f4b, f5a, f5b;
        f0a = f0b = f1a = f1b = f2a = f2b = f3a = f3b = f4a = f4b = f5a = f5b = default;
        for (; passes > 0; passes--)
        {
            byte* w = operands, x = operands + WeightBytes;
            for (int i = 0; i < Vectors; i++)
            {
                a = Vector128.Load((float*)w);
                b = Vector128.Load((float*)(w + Vector));
                one = Vector128.Create(*(float*)x); f0a = AdvSimd.FusedMultiplyAdd(f0a, a, one); f0b = AdvSimd.FusedMultiplyAdd(f0b, b, one);
                one = Vector128.Create(*(float*)(x + 4)); f1a = AdvSimd.FusedMultiplyAdd(f1a, a, one); f1b = AdvSimd.FusedMultiplyAdd(f1b, b, one);
                one = Vector128.Create(*(float*)(x + 8)); f2a = AdvSimd.FusedMultiplyAdd(f2a, a, one); f2b = AdvSimd.FusedMultiplyAdd(f2b, b, one);
                one = Vector128.Create(*(float*)(x + 12)); f3a = AdvSimd.FusedMultiplyAdd(f3a, a, one); f3b = AdvSimd.FusedMultiplyAdd(f3b, b, one);
                one = Vector128.Create(*(float*)(x + 16)); f4a = AdvSimd.FusedMultiplyAdd(f4a, a, one); f4b = AdvSimd.FusedMultiplyAdd(f4b, b, one);
                one = Vector128.Create(*(float*)(x + 20)); f5a = AdvSimd.FusedMultiplyAdd(f5a, a, one); f5b = AdvSimd.FusedMultiplyAdd(f5b, b, one);
                w += 2 * Vector;
                x += 24;
            }
        }

        Keep((f0a + f0b + f1a + f1b + f2a + f2b + f3a + f3b + f4a + f4b + f5a + f5b).AsInt32(), operands);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Quad(byte* x) => Vector128.Create(*(int*)x).AsSByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Dot(Vector128<int> sum, Vector128<sbyte> a, Vector128<sbyte> b)
    {
        Vector128<short> products = AdvSimd.MultiplyWideningLower(a.GetLower(), b.GetLower());
        return AdvSimd.AddPairwiseWideningAndAdd(sum, AdvSimd.MultiplyWideningUpperAndAdd(products, a, b));
    }

    /// <summary>Makes the result matter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep(Vector128<int> result, byte* operands) => result.Store((int*)(operands + InstructionChain.OperandBytes - Vector));
}
