using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;

namespace KQuant.Matmul.Panels.Avx512;

/// <summary>q4_0 panels: four columns of codes, low nibbles before high ones, and sixteen d.</summary>
internal readonly unsafe struct PanelQ4_0 : IPanelFormat, IFlatPanelShape
{
    private const int Vector = Avx512Columns.Bytes;

    public static QuantFormat Format => QuantFormat.Q4_0;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier);

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 6;

    public static int PanelBytes => 8 * Avx512FlatTile<PanelQ4_0>.BlockBytes;

    public static ActivationRecord Record => new() { IsFlat = true, Term = BlockTerm.Offset, Offset = 8 };

    public static int Steps => 8;

    public static bool HasMin => false;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        for (int b = 0; b < count; b++, blocks += 18, columns += 9 * Vector / 2)
        {
            Avx512Columns.Interleave(blocks + 2, stride, 1, columns);
            Avx512Columns.LoadHalves(blocks, stride).Store((ushort*)(columns + (4 * Vector)));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* panel)
    {
        Vector512<byte> low = Vector512.Create((byte)15);
        for (int b = 0; b < blocks; b++)
        {
            for (int t = 0; t < 4; t++, columns += Vector, panel += Vector)
            {
                Vector512<byte> packed = Vector512.Load(columns);
                (packed & low).Store(panel);
                ((packed.AsUInt16() >>> 4).AsByte() & low).Store(panel + (4 * Vector));
            }

            Avx512Scales.StoreHalves(columns, panel + (4 * Vector));
            columns += Vector / 2;
            panel += 5 * Vector;
        }

        Unsafe.InitBlockUnaligned(panel, 0, (uint)((8 - blocks) * Avx512FlatTile<PanelQ4_0>.BlockBytes));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(byte* panels, byte* x, int units, float** outputs, nint first, int rows) =>
        Avx512FlatTile<PanelQ4_0>.Multiply(panels, x, units, outputs, first, rows);
}
