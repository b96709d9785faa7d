using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace KQuant.Codecs.Decoding;

/// <summary>Single bits as bytes.</summary>
internal static class NeonBits
{
    /// <summary>
    /// All ones in byte j of <paramref name="low"/> if bit j is set, and in byte j of <paramref name="high"/> if bit 16 + j is.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Spread(uint bits, out Vector128<byte> low, out Vector128<byte> high)
    {
        Vector128<byte> bitOfByte = Vector128.Create(0x8040_2010_0804_0201ul).AsByte();
        Vector128<byte> bytes = Vector128.CreateScalarUnsafe(bits).AsByte();
        Vector128<byte> firstTwo = Vector128.Create(0x0000_0000_0000_0000ul, 0x0101_0101_0101_0101).AsByte();
        Vector128<byte> lastTwo = Vector128.Create(0x0202_0202_0202_0202ul, 0x0303_0303_0303_0303).AsByte();
        low = AdvSimd.CompareTest(AdvSimd.Arm64.VectorTableLookup(bytes, firstTwo), bitOfByte);
        high = AdvSimd.CompareTest(AdvSimd.Arm64.VectorTableLookup(bytes, lastTwo), bitOfByte);
    }

    /// <summary>All ones where <paramref name="bit"/> of a byte is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Test(Vector128<byte> bytes, int bit) => AdvSimd.CompareTest(bytes, Vector128.Create((byte)(1 << bit)));
}
