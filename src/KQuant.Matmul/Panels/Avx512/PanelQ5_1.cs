using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;

namespace KQuant.Matmul.Panels.Avx512;

/// <summary>q5_1 panels: four columns of low bits, low nibbles before high ones, one of fifth bits, and one of d and m.</summary>
internal readonly unsafe struct PanelQ5_1 : IPanelFormat, IFlatPanelShape
{
    private const int Vector = Avx512Columns.Bytes;

    public static QuantFormat Format => QuantFormat.Q5_1;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier);

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 4;

    public static int PanelBytes => 8 * Avx512FlatTile<PanelQ5_1>.BlockBytes;

    public static ActivationRecord Record => new() { IsFlat = true, Term = BlockTerm.ScaledSum };

    public static int Steps => 4;

    public static bool HasMin => true;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        for (int b = 0; b < count; b++, blocks += 24, columns += 6 * Vector)
        {
            Avx512Columns.Interleave(blocks + 8, stride, 1, columns);
            Avx512Columns.Load(blocks, stride, out Vector512<uint> factors, out Vector512<uint> fifth, out _, out _);
            fifth.Store((uint*)(columns + (4 * Vector)));
            factors.Store((uint*)(columns + (5 * Vector)));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* panel)
    {
        Vector512<byte> low = Vector512.Create((byte)15), fifth = Vector512.Create((byte)16);
        for (int b = 0; b < blocks; b++)
        {
            // Word t has bits 4 t to 4 t + 3 of the block's fifth bits at bit 4 of its bytes.
            Vector512<ulong> bits = Vector512.Load((ulong*)(columns + (4 * Vector)));
            Vector512<byte> place = Vector512.Create(0x1F1E1D1C_3F3E3D3Cu).AsByte();
            for (int t = 0; t < 4; t++, columns += Vector, panel += Vector, place += Vector512.Create((byte)4))
            {
                Vector512<byte> packed = Vector512.Load(columns);
                Vector512<byte> first = Avx512Vbmi.MultiShift(place, bits);
                Vector512<byte> second = Avx512Vbmi.MultiShift(place + Vector512.Create((byte)16), bits);
                ((packed & low) | (first & fifth)).Store(panel);
                (((packed.AsUInt16() >>> 4).AsByte() & low) | (second & fifth)).Store(panel + (4 * Vector));
            }

            Avx512Scales.StorePair(columns + Vector, panel + (4 * Vector));
            columns += 2 * Vector;
            panel += 6 * Vector;
        }

        Unsafe.InitBlockUnaligned(panel, 0, (uint)((8 - blocks) * Avx512FlatTile<PanelQ5_1>.BlockBytes));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(byte* panels, byte* x, int units, float** outputs, nint first, int rows) =>
        Avx512FlatTile<PanelQ5_1>.Multiply(panels, x, units, outputs, first, rows);
}
