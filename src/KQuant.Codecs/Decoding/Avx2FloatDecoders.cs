using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Decoding;

/// <summary>f16 and bf16 rows to float with AVX2.</summary>
internal static unsafe class Avx2FloatDecoders
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void F16(byte* source, float* destination, nint blocks)
    {
        ushort* halves = (ushort*)source;
        nint i = 0;
        for (; i <= blocks - 8; i += 8)
        {
            Binary16.ToSingle(Avx2.ConvertToVector256Int32(halves + i).AsUInt32()).Store(destination + i);
        }

        for (; i < blocks; i++)
        {
            destination[i] = Binary16.ToSingle(halves[i]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void BF16(byte* source, float* destination, nint blocks)
    {
        ushort* upper = (ushort*)source;
        nint i = 0;
        for (; i <= blocks - 8; i += 8)
        {
            (Avx2.ConvertToVector256Int32(upper + i) << 16).AsSingle().Store(destination + i);
        }

        for (; i < blocks; i++)
        {
            destination[i] = BitConverter.UInt32BitsToSingle((uint)upper[i] << 16);
        }
    }
}
