using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KQuant.Codecs.Decoding;

/// <summary>The scales of a K-quant block, unpacked eight bytes at a time in general registers, which vector code leaves idle.</summary>
internal static unsafe class SuperBlockScales
{
    private const ulong Nibbles = 0x0F0F_0F0F_0F0F_0F0F;
    private const ulong BitPairs = 0x0303_0303_0303_0303;

    /// <summary>q4_K, q5_K: the eight 6-bit scales (bytes 0 to 7) and minimums (bytes 8 to 15) of twelve packed bytes.</summary>
    /// <remarks>
    /// The first eight bytes hold the low six bits of the first four of each, and above them the high two bits of the last four.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> UnpackQ4(byte* packed)
    {
        ulong first = *(ulong*)packed;
        uint last = *(uint*)(packed + 8);
        ulong firstLow = first & 0x3F3F_3F3F_3F3F_3F3F;
        ulong lastHigh = ((first >> 6) & BitPairs) << 4;
        uint lastScales = (last & 0x0F0F_0F0F) | (uint)lastHigh;
        uint lastMins = ((last >> 4) & 0x0F0F_0F0F) | (uint)(lastHigh >> 32);
        return Vector128.Create((uint)firstLow | ((ulong)lastScales << 32), (firstLow >> 32) | ((ulong)lastMins << 32)).AsByte();
    }

    /// <summary>q3_K: the sixteen signed 6-bit scales of twelve packed bytes.</summary>
    /// <remarks>
    /// Low nibbles of the first eight bytes, then their high nibbles; the last four bytes hold a pair of high bits for each, by pair.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<sbyte> UnpackQ3(byte* packed)
    {
        ulong low = *(ulong*)packed;
        ulong high = *(uint*)(packed + 8);
        high |= high << 30;
        ulong first = (low & Nibbles) | ((high & BitPairs) << 4);
        ulong second = ((low >> 4) & Nibbles) | (((high >> 4) & BitPairs) << 4);
        return Vector128.Create(first, second).AsSByte() - Vector128.Create((sbyte)32);
    }
}
