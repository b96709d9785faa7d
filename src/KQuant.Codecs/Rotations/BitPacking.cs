using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Codecs.Rotations;

/// <summary>
/// Codes of one to eight bits in bytes, without gaps: a stream of bits, the lowest first, as MLX packs three bits and everybody packs one, two
/// and four. Bits behind the last code are zero.
/// </summary>
public static class BitPacking
{
    /// <summary>The most bits of a code.</summary>
    public const int MaxBits = 8;

    /// <summary>Codes that begin and end with a byte, whatever their bits.</summary>
    private const int Group = 8;

    /// <summary>Bytes of packed codes.</summary>
    /// <param name="count">Codes.</param>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <returns>Whole bytes.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static long GetByteCount(long count, int bits)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        CheckBits(bits);
        return ((count / Group) * bits) + (((count % Group * bits) + 7) / 8);
    }

    /// <summary>Packs codes.</summary>
    /// <param name="codes">The codes, less than 2^<paramref name="bits"/>.</param>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <param name="packed">Receives <see cref="GetByteCount"/> bytes.</param>
    /// <exception cref="ArgumentException">A code has more bits, or there is not enough room.</exception>
    public static void Pack(ReadOnlySpan<byte> codes, int bits, Span<byte> packed)
    {
        int bytes = (int)GetByteCount(codes.Length, bits);
        if (packed.Length < bytes)
        {
            Throw.WrongLength("the room for packed codes", packed.Length, bytes, nameof(packed));
        }

        if (bits < MaxBits && codes.ContainsAnyInRange((byte)(1 << bits), byte.MaxValue))
        {
            int at = codes.IndexOfAnyInRange((byte)(1 << bits), byte.MaxValue);
            throw new ArgumentException($"Code {at} is {codes[at]}, which {bits} bits do not hold.", nameof(codes));
        }

        int whole = Bmi2.X64.IsSupported ? codes.Length / Group : 0;
        if (whole > 0)
        {
            ulong mask = Spread(bits);
            Span<byte> eight = stackalloc byte[sizeof(ulong)];
            for (int group = 0; group < whole; group++)
            {
                ulong word = Bmi2.X64.ParallelBitExtract(BinaryPrimitives.ReadUInt64LittleEndian(codes[(group * Group)..]), mask);
                BinaryPrimitives.WriteUInt64LittleEndian(eight, word);
                eight[..bits].CopyTo(packed[(group * bits)..]);
            }
        }

        PackBits(codes[(whole * Group)..], bits, packed[(whole * bits)..bytes]);
    }

    /// <summary>Unpacks codes.</summary>
    /// <param name="packed">What <see cref="Pack"/> wrote.</param>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <param name="codes">Receives as many codes as it has room for.</param>
    /// <exception cref="ArgumentException">There are not so many.</exception>
    public static void Unpack(ReadOnlySpan<byte> packed, int bits, Span<byte> codes)
    {
        int bytes = (int)GetByteCount(codes.Length, bits);
        if (packed.Length < bytes)
        {
            Throw.WrongLength("what is packed", packed.Length, bytes, nameof(packed));
        }

        int done = 0;
        if (Bmi2.X64.IsSupported)
        {
            // Eight bytes are read where there are so many, of which less than all may belong to a group.
            ulong mask = Spread(bits);
            Span<byte> last = stackalloc byte[sizeof(ulong)];
            for (int at = 0; done + Group <= codes.Length; done += Group, at += bits)
            {
                scoped ReadOnlySpan<byte> eight = packed[at..];
                if (eight.Length < sizeof(ulong))
                {
                    eight.CopyTo(last);
                    eight = last;
                }

                ulong word = Bmi2.X64.ParallelBitDeposit(BinaryPrimitives.ReadUInt64LittleEndian(eight), mask);
                BinaryPrimitives.WriteUInt64LittleEndian(codes[done..], word);
            }
        }

        UnpackBits(packed[(done / Group * bits)..], bits, codes[done..]);
    }

    /// <summary>The specification of <see cref="Pack"/>.</summary>
    internal static void PackBits(ReadOnlySpan<byte> codes, int bits, Span<byte> packed)
    {
        packed.Clear();
        for (int i = 0; i < codes.Length * bits; i++)
        {
            packed[i / 8] |= (byte)(((codes[i / bits] >> (i % bits)) & 1) << (i % 8));
        }
    }

    /// <summary>The specification of <see cref="Unpack"/>.</summary>
    internal static void UnpackBits(ReadOnlySpan<byte> packed, int bits, Span<byte> codes)
    {
        codes.Clear();
        for (int i = 0; i < codes.Length * bits; i++)
        {
            codes[i / bits] |= (byte)(((packed[i / 8] >> (i % 8)) & 1) << (i % bits));
        }
    }

    // The lowest bits of each byte.
    private static ulong Spread(int bits) => ((1UL << bits) - 1) * 0x0101010101010101;

    private static void CheckBits(int bits)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, MaxBits);
    }
}
