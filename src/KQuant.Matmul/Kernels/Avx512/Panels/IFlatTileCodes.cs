using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>Where a tile takes the codes of a 32-wide codec from: a panel, or the columns a panel would be made of.</summary>
internal unsafe interface IFlatTileCodes
{
    /// <summary>Bytes from block to block.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Reads a vector of codes of a block: codes 4 q to 4 q + 3 of every row.</summary>
    static abstract Vector512<byte> Load(byte* block, int q);
}

/// <summary>Codes that have bytes of their own.</summary>
internal readonly unsafe struct ExpandedFlatCodes : IFlatTileCodes
{
    public static int BlockBytes => 8 * Avx512Columns.Bytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Load(byte* block, int q) => Vector512.Load(block + (q * Avx512Columns.Bytes));
}

/// <summary>Codes in columns, low nibbles before high ones, with a column of fifth bits behind them if they have five.</summary>
internal readonly unsafe struct PackedFlatCodes<TFormat> : IFlatTileCodes
    where TFormat : struct, IPackedFlatCodes
{
    public static int BlockBytes => TFormat.ColumnBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Load(byte* block, int q)
    {
        Vector512<ushort> packed = Vector512.Load((ushort*)(block + (q % 4 * Avx512Columns.Bytes)));
        Vector512<byte> codes = Avx512BW.ShiftRightLogicalVariable(packed, Vector512.Create((ushort)(q & 4))).AsByte() & Vector512.Create((byte)15);
        if (!TFormat.HasFifthBits)
        {
            return codes;
        }

        // Byte j of a lane takes eight bits of the lane from bit 4 q + j - 4 on, so that bit 4 q + j is its bit 4.
        Vector512<byte> place = Vector512.Create(0x1F1E1D1C_3F3E3D3Cu).AsByte() + Vector512.Create((byte)(4 * q));
        Vector512<ulong> fifths = Vector512.Load((ulong*)(block + (4 * Avx512Columns.Bytes)));
        return codes | (Avx512Vbmi.MultiShift(place, fifths) & Vector512.Create((byte)16));
    }
}

/// <summary>How the columns of a 32-wide codec hold its codes.</summary>
internal interface IPackedFlatCodes
{
    /// <summary>Bytes of the columns of a block.</summary>
    static abstract int ColumnBytes { get; }

    /// <summary>Whether a code has a fifth bit.</summary>
    static abstract bool HasFifthBits { get; }
}
