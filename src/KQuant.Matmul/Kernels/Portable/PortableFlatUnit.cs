using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Portable;

/// <summary>Blocks of a 32-wide codec.</summary>
internal readonly unsafe struct PortableFlatUnit<TLayout> : IPortableUnit
    where TLayout : struct, IFlatLayout
{
    public static QuantFormat Format => TLayout.Format;

    public static int Blocks => 8;

    public static int ActivationBytes => sizeof(Activations);

    public static int UnpackedBytes => sizeof(Unpacked);

    public static void Arrange(sbyte* codes, float* scales, short* sums, byte* x)
    {
        var to = (Activations*)x;
        PortableWeights.Widen(codes, to->Codes);
        for (int b = 0; b < 8; b++)
        {
            to->Scales[b] = scales[b];
            to->ScaledSums[b] = scales[b] * sums[b];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(byte* blocks, int count, int row, byte* unpacked)
    {
        var to = (Unpacked*)unpacked;
        short* codes = to->Codes + (256 * row);
        for (int b = 0; b < count; b++, blocks += TLayout.BlockBytes)
        {
            PortableWeights.UnpackFlat<TLayout>(blocks, codes + (32 * b));
            to->D[(4 * b) + row] = Binary16.ToSingle(*(ushort*)blocks);
            to->M[(4 * b) + row] = TLayout.HasMin ? Binary16.ToSingle(*(ushort*)(blocks + 2)) : 0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Multiply(byte* unpacked, int count, byte* x, Vector128<float> y)
    {
        var weights = (Unpacked*)unpacked;
        var activations = (Activations*)x;
        for (int b = 0; b < count; b++)
        {
            short* codes = weights->Codes + (32 * b), row = activations->Codes + (32 * b);
            Vector128<int> dot = PortableWeights.Sums(Dot(codes, row), Dot(codes + 256, row), Dot(codes + 512, row), Dot(codes + 768, row));
            Vector128<float> d = Vector128.Load(weights->D + (4 * b)) * Vector128.Create(activations->Scales[b]);
            y = Vector128.FusedMultiplyAdd(Vector128.ConvertToSingle(dot), d, y);
            if (TLayout.HasMin)
            {
                y = Vector128.FusedMultiplyAdd(Vector128.Load(weights->M + (4 * b)), Vector128.Create(activations->ScaledSums[b]), y);
            }
        }

        return y;
    }

    // Two products of bytes fit 16 bits, four do not.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Dot(short* codes, short* x) => TLayout.Bits == 8
        ? PortableWeights.Dot16(codes, x) + PortableWeights.Dot16(codes + 16, x + 16)
        : PortableWeights.Dot32(codes, x);

    private struct Activations
    {
        public fixed short Codes[256];
        public fixed float Scales[8];
        public fixed float ScaledSums[8];
    }

    private struct Unpacked
    {
        public fixed short Codes[4 * 256];

        /// <summary>The d of a block, side by side for the four rows.</summary>
        public fixed float D[4 * 8];

        /// <summary>The m likewise.</summary>
        public fixed float M[4 * 8];
    }
}
