using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KQuant.Matmul.Kernels.Avx512;

/// <summary>Where a tile takes the codes of a K-quant from: a panel, or the columns a panel would be made of.</summary>
internal unsafe interface ITileCodes
{
    /// <summary>Where the codes of a sub-block begin, or their low bits.</summary>
    static abstract int Low(int subBlock);

    /// <summary>How far those are to the left in their bytes.</summary>
    static abstract int LowShift(int subBlock);

    /// <summary>Where their high bits begin.</summary>
    static abstract int High(int subBlock);

    /// <summary>How far those have to be turned to the left within 32 bits to be where they belong.</summary>
    static abstract int HighTurn(int subBlock);

    /// <summary>Reads a vector of codes.</summary>
    static abstract Vector512<byte> Load(byte* low, Vector512<ushort> lowShift, byte* high, Vector512<uint> highTurn);
}

/// <summary>Codes that have bytes of their own.</summary>
internal readonly unsafe struct ExpandedCodes<TShape> : ITileCodes
    where TShape : struct, IPanelShape
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Low(int subBlock) => subBlock * TShape.Steps * TShape.ChainsPerScale * Avx512Columns.Bytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowShift(int subBlock) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int High(int subBlock) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighTurn(int subBlock) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Load(byte* low, Vector512<ushort> lowShift, byte* high, Vector512<uint> highTurn) => Vector512.Load(low);
}

/// <summary>Codes in columns, which are put together every time they are read.</summary>
internal readonly unsafe struct PackedCodes<TFormat> : ITileCodes
    where TFormat : struct, IPackedCodes
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Low(int subBlock) => TFormat.LowColumn(subBlock) * Avx512Columns.Bytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LowShift(int subBlock) => TFormat.LowBit(subBlock);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int High(int subBlock) => TFormat.HighColumn(subBlock) * Avx512Columns.Bytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int HighTurn(int subBlock) => (TFormat.HighPlace - TFormat.HighBit(subBlock)) & 31;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Load(byte* low, Vector512<ushort> lowShift, byte* high, Vector512<uint> highTurn)
    {
        Vector512<byte> codes = Avx512BW.ShiftRightLogicalVariable(Vector512.Load((ushort*)low), lowShift).AsByte()
            & Vector512.Create((byte)((1 << TFormat.LowBits) - 1));
        return TFormat.HighBits == 0
            ? codes
            : codes | (Avx512F.RotateLeftVariable(Vector512.Load((uint*)high), highTurn).AsByte()
                & Vector512.Create((byte)(((1 << TFormat.HighBits) - 1) << TFormat.HighPlace)));
    }
}

/// <summary>How the columns of a K-quant hold its codes.</summary>
internal interface IPackedCodes
{
    /// <summary>Bits of a code that are in the low columns: 2 or 4.</summary>
    static abstract int LowBits { get; }

    /// <summary>Bits of a code that are in other columns.</summary>
    static abstract int HighBits { get; }

    /// <summary>Which bit of a code the lowest of those is.</summary>
    static abstract int HighPlace { get; }

    /// <summary>The first of the columns with low bits of a sub-block.</summary>
    static abstract int LowColumn(int subBlock);

    /// <summary>Where in their bytes those are.</summary>
    static abstract int LowBit(int subBlock);

    /// <summary>The first of the columns with high bits of a sub-block.</summary>
    static abstract int HighColumn(int subBlock);

    /// <summary>Where in their bytes those are.</summary>
    static abstract int HighBit(int subBlock);
}
