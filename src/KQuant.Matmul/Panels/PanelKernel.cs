using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using KQuant.Codecs;
using KQuant.Matmul.Activations;
using KQuant.Matmul.Kernels;

namespace KQuant.Matmul.Panels;

/// <summary>
/// Unpacks some weight rows once and multiplies them with every activation row: for many rows, for prepacked weights, and for whoever wants
/// the canonical order. The product is cut into pieces that stay in the second-level cache: some units of all activation rows,
/// some units of a few weight rows.
/// </summary>
/// <param name="isPacked">Whether weights come as columns, made by <see cref="Pack"/>, instead of wire bytes.</param>
internal sealed unsafe class PanelKernel<TFormat>(bool isPacked)
    : ProductKernel(TFormat.Format, TFormat.Tier, isPacked ? "packed" : "panel")
    where TFormat : struct, IPanelFormat
{
    /// <summary>Units that are unpacked before they are multiplied.</summary>
    private const int MaxUnits = 16;

    /// <summary>What arranged activations of one piece may take, so that they stay in cache while weights pass.</summary>
    private const int PieceBytes = 600 << 10;

    private const int MaxPieceRows = 512;

    private const int CacheLine = 64;

    private readonly int _bytesPerBlock = QuantCodec.Get(TFormat.Format).BytesPerBlock;

    public override bool IsSupported => TFormat.IsSupported;

    public override bool IsCanonical => true;

    public override bool IsPacked => isPacked;

    public override int MaxRows => int.MaxValue;

    public override int Granule => TFormat.PanelRows * TFormat.Panels;

    private static int BlocksPerUnit => TFormat.Record.IsFlat ? 8 : 1;

    private int UnitBytes => BlocksPerUnit * _bytesPerBlock;

    private static nint SumBytes => TFormat.TileRows * TFormat.PanelRows * TFormat.Panels * sizeof(float);

    public override nint GetActivationBytes(int rows, int units) => (nint)rows * units * TFormat.Record.UnitBytes;

    // Outputs of a tile, wire bytes of a unit of a panel twice (rows gathered, columns), panels.
    public override nint GetScratchBytes(int units) => SumBytes + (2 * ColumnBytes) + ((nint)MaxUnits * TFormat.Panels * TFormat.PanelBytes);

    private nint ColumnBytes => ((TFormat.PanelRows * UnitBytes) + CacheLine - 1) / CacheLine * CacheLine;

    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        ActivationRecord record = TFormat.Record;
        var tiles = new Tiles(rows, TFormat.TileRows);
        for (int t = 0; t < tiles.Count; t++)
        {
            int first = tiles.Start(t);
            record.Arrange(source, rowIndices, first, tiles.Start(t + 1) - first, destination + ((nint)first * source.Units * record.UnitBytes));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(in ProductTask task, byte* scratch)
    {
        var tiles = new Tiles(task.Rows, TFormat.TileRows);
        int tilesPerPiece = MaxPieceRows / TFormat.TileRows;
        byte* panels = scratch + SumBytes + (2 * ColumnBytes);
        for (int tile = 0; tile < tiles.Count; tile += tilesPerPiece)
        {
            int endTile = Math.Min(tiles.Count, tile + tilesPerPiece);
            int rows = tiles.Start(endTile) - tiles.Start(tile);
            int step = Math.Clamp(PieceBytes / (rows * TFormat.Record.UnitBytes), 1, MaxUnits);
            for (int unit = 0; unit < task.Units; unit += step)
            {
                int units = Math.Min(step, task.Units - unit);
                for (int row = 0; row < task.WeightRows; row += Granule)
                {
                    for (int p = 0; p < TFormat.Panels; p++)
                    {
                        Unpack(task, row + (p * TFormat.PanelRows), unit, units, scratch + SumBytes, panels + (p * TFormat.PanelBytes));
                    }

                    for (int t = tile; t < endTile; t++)
                    {
                        Multiply(task, tiles.Start(t), tiles.Start(t + 1), row, unit, units, panels, (float*)scratch);
                    }
                }
            }
        }
    }

    public override void Pack(byte* weights, nint rowBytes, int rows, int units, int tailBlocks, byte* packed)
    {
        byte* gathered = stackalloc byte[TFormat.PanelRows * UnitBytes];
        for (int row = 0; row < rows; row += TFormat.PanelRows)
        {
            for (int u = 0; u < units; u++)
            {
                int blocks = u == units - 1 ? tailBlocks : BlocksPerUnit;
                byte* from = weights + (row * rowBytes) + ((nint)u * UnitBytes);
                byte* to = packed + (row * rowBytes) + ((nint)u * UnitBytes * TFormat.PanelRows);
                Interleave(from, rowBytes, Math.Min(rows - row, TFormat.PanelRows), blocks, gathered, to);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Unpack(in ProductTask task, int row, int unit, int units, byte* columns, byte* panel)
    {
        int rows = Math.Min(task.WeightRows - row, TFormat.PanelRows);
        byte* weights = task.Weights + (row * task.WeightRowBytes) + ((nint)unit * UnitBytes * (isPacked ? TFormat.PanelRows : 1));
        for (int u = 0; u < units; u++, panel += TFormat.Panels * TFormat.PanelBytes)
        {
            if (rows <= 0)
            {
                Unsafe.InitBlockUnaligned(panel, 0, (uint)TFormat.PanelBytes);
                continue;
            }

            int blocks = unit + u == task.Units - 1 ? (TFormat.Record.IsFlat ? task.TailBlocks : 1) : BlocksPerUnit;
            if (isPacked)
            {
                Prefetch(weights + (TFormat.PanelRows * task.WeightRowBytes), TFormat.PanelRows * UnitBytes);
                TFormat.Expand(weights, blocks, panel);
                weights += TFormat.PanelRows * UnitBytes;
            }
            else
            {
                byte* ahead = weights + (TFormat.PanelRows * task.WeightRowBytes);
                for (int r = 0; r < TFormat.PanelRows; r++, ahead += task.WeightRowBytes)
                {
                    Prefetch(ahead, UnitBytes);
                }

                Interleave(weights, task.WeightRowBytes, rows, blocks, columns + ColumnBytes, columns);
                TFormat.Expand(columns, blocks, panel);
                weights += UnitBytes;
            }
        }
    }

    private void Interleave(byte* weights, nint rowBytes, int rows, int blocks, byte* gathered, byte* columns)
    {
        if (rows < TFormat.PanelRows)
        {
            // The rows that are missing are zeros; nothing behind the last one may be read.
            int unitBytes = blocks * _bytesPerBlock;
            Unsafe.InitBlockUnaligned(gathered, 0, (uint)(TFormat.PanelRows * unitBytes));
            for (int r = 0; r < rows; r++)
            {
                Unsafe.CopyBlockUnaligned(gathered + (r * unitBytes), weights + (r * rowBytes), (uint)unitBytes);
            }

            weights = gathered;
            rowBytes = unitBytes;
        }

        for (int b = 0; b < blocks; b++)
        {
            TFormat.Interleave(weights + (b * _bytesPerBlock), rowBytes, columns + (b * TFormat.PanelRows * _bytesPerBlock));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Multiply(in ProductTask task, int first, int end, int weightRow, int unit, int units, byte* panels, float* sums)
    {
        int rows = end - first, record = TFormat.Record.UnitBytes;
        int width = Math.Min(Granule, task.WeightRows - weightRow);
        for (int r = 0; r < rows; r++)
        {
            if (unit == 0)
            {
                new Span<float>(sums + (r * Granule), Granule).Clear();
            }
            else
            {
                new Span<float>(task.Outputs[first + r] + weightRow, width).CopyTo(new Span<float>(sums + (r * Granule), Granule));
            }
        }

        byte* x = task.Activations + ((nint)first * task.Units * record) + ((nint)unit * rows * record);
        TFormat.Multiply(panels, x, units, sums, rows);
        for (int r = 0; r < rows; r++)
        {
            new Span<float>(sums + (r * Granule), width).CopyTo(new Span<float>(task.Outputs[first + r] + weightRow, width));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* start, int bytes)
    {
        if (Sse.IsSupported)
        {
            for (int i = 0; i < bytes; i += CacheLine)
            {
                Sse.Prefetch1(start + i);
            }
        }
    }

    /// <summary>Activation rows cut into tiles of nearly the same size.</summary>
    private readonly struct Tiles(int rows, int tileRows)
    {
        private readonly int _short = rows / ((rows + tileRows - 1) / tileRows);
        private readonly int _long = rows % ((rows + tileRows - 1) / tileRows);

        public int Count { get; } = (rows + tileRows - 1) / tileRows;

        public int Start(int tile) => (tile * _short) + Math.Min(tile, _long);
    }
}
