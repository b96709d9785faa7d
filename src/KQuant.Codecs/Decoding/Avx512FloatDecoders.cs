using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Decoding;

/// <summary>f16 and bf16 rows to float with AVX-512.</summary>
internal static unsafe class Avx512FloatDecoders
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void F16(byte* source, float* destination, nint blocks)
    {
        ushort* halves = (ushort*)source;
        nint i = 0;
        for (; i <= blocks - 16; i += 16)
        {
            Binary16.ToSingle(Avx512F.ConvertToVector512UInt32(Vector256.Load(halves + i))).Store(destination + i);
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
        for (; i <= blocks - 16; i += 16)
        {
            (Avx512F.ConvertToVector512UInt32(Vector256.Load(upper + i)) << 16).AsSingle().Store(destination + i);
        }

        for (; i < blocks; i++)
        {
            destination[i] = BitConverter.UInt32BitsToSingle((uint)upper[i] << 16);
        }
    }
}
