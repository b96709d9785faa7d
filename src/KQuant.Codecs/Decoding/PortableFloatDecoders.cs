using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Decoding;

/// <summary>f16 and bf16 rows to float with portable 128-bit vectors.</summary>
internal static unsafe class PortableFloatDecoders
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void F16(byte* source, float* destination, nint blocks)
    {
        ushort* halves = (ushort*)source;
        nint i = 0;
        for (; i <= blocks - 8; i += 8)
        {
            (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(Vector128.Load(halves + i));
            Binary16.ToSingle(low).Store(destination + i);
            Binary16.ToSingle(high).Store(destination + i + 4);
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
            (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(Vector128.Load(upper + i));
            (low << 16).AsSingle().Store(destination + i);
            (high << 16).AsSingle().Store(destination + i + 4);
        }

        for (; i < blocks; i++)
        {
            destination[i] = BitConverter.UInt32BitsToSingle((uint)upper[i] << 16);
        }
    }
}
