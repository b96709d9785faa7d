using System.Runtime.CompilerServices;
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
    private const int MaxUnits = 4;

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
        Clear(task);
        var tiles = new Tiles(task.Rows, TFormat.TileRows);
        int tilesPerPiece = MaxPieceRows / TFormat.TileRows;
        for (int tile = 0; tile < tiles.Count; tile += tilesPerPiece)
        {
            int endTile = Math.Min(tiles.Count, tile + tilesPerPiece);
            int rows = tiles.Start(endTile) - tiles.Start(tile);
            int pieceUnits = Math.Max(1, PieceBytes / (rows * TFormat.Record.UnitBytes));
            int stepUnits = Math.Min(pieceUnits, MaxUnits);
            for (int piece = 0; piece < task.Units; piece += pieceUnits)
            {
                int endPiece = Math.Min(task.Units, piece + pieceUnits);
                for (int row = 0; row < task.WeightRows; row += Granule)
                {
                    for (int unit = piece; unit < endPiece; unit += stepUnits)
                    {
                        int units = Math.Min(stepUnits, endPiece - unit);
                        (int nextRow, int nextUnit) = unit + units < endPiece ? (row, unit + units) : (row + Granule, piece);
                        WeightFetcher fetcher = Fetch(task, nextRow, nextUnit, units);
                        int turn = 0, turns = TFormat.Panels + endTile - tile;
                        for (int p = 0; p < TFormat.Panels; p++)
                        {
                            fetcher.FetchTo(Granule * units * ++turn / turns);
                            Unpack(task, row + (p * TFormat.PanelRows), unit, units, scratch, p);
                        }

                        for (int t = tile; t < endTile; t++)
                        {
                            fetcher.FetchTo(Granule * units * ++turn / turns);
                            Multiply(task, tiles.Start(t), tiles.Start(t + 1), row, unit, units, scratch);
                        }
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

    private WeightFetcher Fetch(in ProductTask task, int row, int unit, int units) => new(
        task.Weights + Offset(task, row, unit),
        UnitBytes, isPacked ? UnitBytes : task.WeightRowBytes, TFormat.PanelRows,
        isPacked ? TFormat.PanelRows * UnitBytes : UnitBytes, units,
        TFormat.PanelRows * task.WeightRowBytes);

    /// <summary>Where the weights of a row, or of a packed panel, are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private nint Offset(in ProductTask task, int row, int unit) =>
        (row * task.WeightRowBytes) + ((nint)unit * UnitBytes * (isPacked ? TFormat.PanelRows : 1));

    /// <summary>Expands some units of a panel, beside the others that are multiplied together with it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Unpack(in ProductTask task, int row, int unit, int units, byte* scratch, int index)
    {
        byte* columns = scratch + SumBytes, gathered = columns + ColumnBytes, panel = gathered + ColumnBytes + (index * TFormat.PanelBytes);
        for (int u = unit; u < unit + units; u++, panel += TFormat.Panels * TFormat.PanelBytes)
        {
            int blocks = !TFormat.Record.IsFlat ? 1 : u == task.Units - 1 ? task.TailBlocks : 8;
            byte* weights = task.Weights + Offset(task, row, u);
            if (row >= task.WeightRows)
            {
                Unsafe.InitBlockUnaligned(panel, 0, (uint)TFormat.PanelBytes);
            }
            else if (isPacked)
            {
                TFormat.Expand(weights, blocks, panel);
            }
            else
            {
                Interleave(weights, task.WeightRowBytes, Math.Min(task.WeightRows - row, TFormat.PanelRows), blocks, gathered, columns);
                TFormat.Expand(columns, blocks, panel);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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

        TFormat.Interleave(weights, rowBytes, blocks, columns);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Multiply(in ProductTask task, int first, int end, int weightRow, int unit, int units, byte* scratch)
    {
        float* sums = (float*)scratch;
        byte* panels = scratch + SumBytes + (2 * ColumnBytes);
        int rows = end - first, width = task.WeightRows - weightRow;
        byte* x = task.Activations + ((((nint)first * task.Units) + ((nint)unit * rows)) * TFormat.Record.UnitBytes);
        if (width >= Granule)
        {
            TFormat.Multiply(panels, x, units, task.Outputs + first, weightRow, rows);
            return;
        }

        // Fewer weight rows than a tile has: the outputs take a turn through memory that has room for all.
        float** outputs = stackalloc float*[rows];
        for (int r = 0; r < rows; r++)
        {
            outputs[r] = sums + (r * Granule);
            Copy(task.Outputs[first + r] + weightRow, outputs[r], width);
        }

        TFormat.Multiply(panels, x, units, outputs, 0, rows);
        for (int r = 0; r < rows; r++)
        {
            Copy(outputs[r], task.Outputs[first + r] + weightRow, width);
        }
    }

    private static void Clear(in ProductTask task)
    {
        for (int m = 0; m < task.Rows; m++)
        {
            new Span<float>(task.Outputs[m], task.WeightRows).Clear();
        }
    }

    private static void Copy(float* source, float* destination, int count) => new Span<float>(source, count).CopyTo(new Span<float>(destination, count));

    /// <summary>Activation rows cut into tiles of nearly the same size.</summary>
    private readonly struct Tiles(int rows, int tileRows)
    {
        private readonly int _short = rows / ((rows + tileRows - 1) / tileRows);
        private readonly int _long = rows % ((rows + tileRows - 1) / tileRows);

        public int Count { get; } = (rows + tileRows - 1) / tileRows;

        public int Start(int tile) => (tile * _short) + Math.Min(tile, _long);
    }
}
