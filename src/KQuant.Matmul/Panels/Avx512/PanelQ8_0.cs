using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;

namespace KQuant.Matmul.Panels.Avx512;

/// <summary>q8_0 panels, 128 added to every code: eight columns of codes and sixteen d.</summary>
internal readonly unsafe struct PanelQ8_0 : IPanelFormat
{
    private const int Vector = Avx512Columns.Bytes;

    public static QuantFormat Format => QuantFormat.Q8_0;

    public static KernelTier Tier => KernelTier.Avx512;

    public static bool IsSupported => KernelTiers.IsSupported(Tier) && AvxVnni.IsSupported;

    public static int PanelRows => 16;

    public static int Panels => 2;

    public static int TileRows => 6;

    public static int PanelBytes => 8 * Avx512VnniTile.BlockBytes;

    public static ActivationRecord Record => new() { IsFlat = true, Term = BlockTerm.Offset, Offset = 128 };

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Interleave(byte* blocks, nint stride, int count, byte* columns)
    {
        for (int b = 0; b < count; b++, blocks += 34, columns += 17 * Vector / 2)
        {
            Avx512Columns.Interleave(blocks + 2, stride, 2, columns);
            Avx512Columns.LoadHalves(blocks, stride).Store((ushort*)(columns + (8 * Vector)));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(byte* columns, int blocks, byte* panel)
    {
        Vector512<byte> sign = Vector512.Create((byte)0x80);
        for (int b = 0; b < blocks; b++)
        {
            for (int t = 0; t < 8; t++, columns += Vector, panel += Vector)
            {
                (Vector512.Load(columns) ^ sign).Store(panel);
            }

            Avx512Scales.StoreHalves(columns, panel);
            columns += Vector / 2;
            panel += Vector;
        }

        Unsafe.InitBlockUnaligned(panel, 0, (uint)((8 - blocks) * Avx512VnniTile.BlockBytes));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(byte* panels, byte* x, int units, float** outputs, nint first, int rows) =>
        Avx512VnniTile.Multiply(panels, x, units, outputs, first, rows);
}
