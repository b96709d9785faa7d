using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;
using KQuant.Codecs.Decoding;

namespace KQuant.Matmul.Kernels.Portable;

/// <summary>Blocks of a K-quant. Products of a sub-block are added up in 16 bits, and those times scales in 32, exactly.</summary>
internal readonly unsafe struct PortableKUnit<TLayout> : IPortableUnit
    where TLayout : struct, IKLayout
{
    public static QuantFormat Format => TLayout.Format;

    public static int Blocks => 1;

    public static int ActivationBytes => sizeof(Activations);

    public static int UnpackedBytes => sizeof(Unpacked);

    private static int SubBlocks
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 256 / TLayout.SubBlock;
    }

    public static void Arrange(sbyte* codes, float* scales, short* sums, byte* x)
    {
        var to = (Activations*)x;
        PortableWeights.Widen(codes, to->Codes);
        for (int s = 0; s < SubBlocks; s++)
        {
            to->Sums[s] = TLayout.SubBlock == 16 ? sums[s] : sums[2 * s] + sums[(2 * s) + 1];
        }

        to->Scale = scales[0];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(byte* blocks, int count, int row, byte* unpacked)
    {
        var to = (Unpacked*)unpacked;
        PortableWeights.UnpackK<TLayout>(blocks, to->Codes + (256 * row));
        TLayout.Unpack(blocks, out Vector128<sbyte> scales, out Vector128<sbyte> mins);
        sbyte* scale = (sbyte*)&scales, min = (sbyte*)&mins;
        for (int s = 0; s < SubBlocks; s++)
        {
            Vector128.Create((int)scale[s]).Store(to->Scales + (4 * ((SubBlocks * row) + s)));
            if (TLayout.HasMin)
            {
                to->Mins[(4 * s) + row] = min[s];
            }
        }

        to->D[row] = Binary16.ToSingle(*(ushort*)(blocks + TLayout.FactorByte));
        to->DMin[row] = TLayout.HasMin ? Binary16.ToSingle(*(ushort*)(blocks + TLayout.FactorByte + 2)) : 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Multiply(byte* unpacked, int count, byte* x, Vector128<float> y)
    {
        var weights = (Unpacked*)unpacked;
        var activations = (Activations*)x;
        int* scales = weights->Scales;
        Vector128<int> dot0 = default, dot1 = default, dot2 = default, dot3 = default;
        for (int i = 0; i < 256; i += TLayout.SubBlock, scales += 4)
        {
            short* codes = weights->Codes + i;
            dot0 += Dot(codes, activations->Codes + i) * Vector128.Load(scales);
            dot1 += Dot(codes + 256, activations->Codes + i) * Vector128.Load(scales + (4 * SubBlocks));
            dot2 += Dot(codes + 512, activations->Codes + i) * Vector128.Load(scales + (8 * SubBlocks));
            dot3 += Dot(codes + 768, activations->Codes + i) * Vector128.Load(scales + (12 * SubBlocks));
        }

        Vector128<int> dot = PortableWeights.Sums(dot0, dot1, dot2, dot3);
        Vector128<float> scale = Vector128.Create(activations->Scale);
        y = Vector128.FusedMultiplyAdd(Vector128.ConvertToSingle(dot), Vector128.Load(weights->D) * scale, y);
        if (TLayout.HasMin)
        {
            Vector128<int> min = default;
            for (int s = 0; s < SubBlocks; s++)
            {
                min += Vector128.Load(weights->Mins + (4 * s)) * Vector128.Create(activations->Sums[s]);
            }

            y = Vector128.FusedMultiplyAdd(Vector128.ConvertToSingle(-min), Vector128.Load(weights->DMin) * scale, y);
        }

        return y;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Dot(short* codes, short* x) =>
        TLayout.SubBlock == 16 ? PortableWeights.Dot16(codes, x) : PortableWeights.Dot32(codes, x);

    private struct Activations
    {
        public fixed short Codes[256];
        public fixed int Sums[16];
        public float Scale;
    }

    private struct Unpacked
    {
        public fixed short Codes[4 * 256];

        /// <summary>The scales of each row, four times each.</summary>
        public fixed int Scales[4 * 4 * 16];

        /// <summary>The minima, side by side for the four rows.</summary>
        public fixed int Mins[4 * 16];
        public fixed float D[4];
        public fixed float DMin[4];
    }
}
