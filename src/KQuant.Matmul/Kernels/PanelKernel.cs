using System.Runtime.CompilerServices;
using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels;

/// <summary>
/// Unpacks some weight rows once and multiplies them with every activation row: for many rows, for prepacked weights, and for whoever wants
/// the canonical order. The product is cut into pieces that stay in the second-level cache: some units of all activation rows,
/// some units of a few weight rows.
/// </summary>
/// <param name="isPacked">Whether weights come as columns, made by <see cref="Pack"/>, instead of wire bytes.</param>
/// <param name="packedRows">From how many activation rows on columns are faster than a row kernel on wire bytes.</param>
internal sealed unsafe class PanelKernel<TFormat>(bool isPacked, int packedRows = int.MaxValue)
    : ProductKernel(TFormat.Format, TFormat.Tier, isPacked ? "packed" : "panel")
    where TFormat : struct, IPanelFormat
{
    /// <summary>Units that are unpacked before they are multiplied.</summary>
    private const int MaxUnits = 4;

    /// <summary>What arranged activations of one piece may take, so that they stay in cache while weights pass.</summary>
    private const int PieceBytes = 600 << 10;

    private const int MaxPieceRows = 512;

    /// <summary>What is fetched of a packed panel at a time, more or less.</summary>
    private const int FetchBytes = 272;

    private const int CacheLine = 64;

    private readonly int _unitBytes = BlocksPerUnit * QuantCodec.Get(TFormat.Format).BytesPerBlock;

    public override bool IsSupported => TFormat.IsSupported;

    public override bool IsCanonical => true;

    public override bool IsPacked => isPacked;

    public override int MaxRows => int.MaxValue;

    public override int PackedRows => packedRows;

    public override int Granule => TFormat.PanelRows * TFormat.Panels;

    private static int BlocksPerUnit => TFormat.Record.IsFlat ? 8 : 1;

    /// <summary>Bytes of a unit of columns.</summary>
    private int ColumnBytes => TFormat.PanelRows * _unitBytes;

    private static int SumBytes => TFormat.TileRows * TFormat.PanelRows * TFormat.Panels * sizeof(float);

    /// <summary>Bytes of the codes of a panel, or of its columns, and a little more, so that panels do not meet in the cache.</summary>
    private int CodeBytes => Align(MaxUnits * Math.Max(TFormat.CodeBytes, ColumnBytes)) + CacheLine;

    private static int FactorBytes => Math.Max(TFormat.FactorBytes, TFormat.ColumnFactorBytes);

    public override nint GetActivationBytes(int rows, int units) => (nint)rows * units * Record(rows).UnitBytes;

    // Outputs of a tile, a unit of gathered rows and of columns, codes, factors.
    public override nint GetScratchBytes(int units) =>
        SumBytes + (2 * Align(ColumnBytes)) + (TFormat.Panels * (CodeBytes + (MaxUnits * FactorBytes)));

    public override void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        ActivationRecord record = Record(rows);
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
        for (int m = 0; m < task.Rows; m++)
        {
            new Span<float>(task.Outputs[m], task.WeightRows).Clear();
        }

        var tiles = new Tiles(task.Rows, TFormat.TileRows);
        int tilesPerPiece = MaxPieceRows / TFormat.TileRows;
        for (int tile = 0; tile < tiles.Count; tile += tilesPerPiece)
        {
            int endTile = Math.Min(tiles.Count, tile + tilesPerPiece);
            int rows = tiles.Start(endTile) - tiles.Start(tile);
            int pieceUnits = Math.Max(1, PieceBytes / (rows * Record(task.Rows).UnitBytes));
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
                        TileTask work = Prepare(task, row, unit, units, scratch);
                        work.Fetch = Fetch(task, nextRow, nextUnit, units);
                        for (int p = 0; p < TFormat.Panels; p++)
                        {
                            Unpack(task, ref work, row + (p * TFormat.PanelRows), unit, p, endTile - tile, scratch);
                        }

                        int left = FetchPieces(units) - work.FetchPieces;
                        for (int t = tile; t < endTile; t++)
                        {
                            work.FetchPieces = (left * (t + 1 - tile) / (endTile - tile)) - (left * (t - tile) / (endTile - tile));
                            Multiply(task, ref work, tiles.Start(t), tiles.Start(t + 1), row, unit, scratch);
                            work.Fetch.Next += work.FetchPieces * work.Fetch.Stride;
                        }
                    }
                }
            }
        }
    }

    public override void Pack(byte* weights, nint rowBytes, int rows, int units, int tailBlocks, byte* packed)
    {
        byte* gathered = stackalloc byte[ColumnBytes];
        int panels = (rows + Granule - 1) / Granule * TFormat.Panels;
        for (int p = 0; p < panels; p++)
        {
            int row = p * TFormat.PanelRows;
            byte* panel = packed + (row * rowBytes);
            if (row >= rows)
            {
                Unsafe.InitBlockUnaligned(panel, 0, checked((uint)(TFormat.PanelRows * rowBytes)));
                continue;
            }

            for (int u = 0; u < units; u++)
            {
                byte* from = weights + (row * rowBytes) + ((nint)u * _unitBytes);
                int blocks = u == units - 1 ? tailBlocks : BlocksPerUnit;
                Interleave(from, rowBytes, Math.Min(rows - row, TFormat.PanelRows), blocks, gathered, panel + ((nint)u * ColumnBytes));
            }
        }
    }

    // Products of one kind take the same way for as many activation rows.
    private static bool TakesColumns(int rows) => (rows + TFormat.TileRows - 1) / TFormat.TileRows <= TFormat.ColumnTiles;

    private static ActivationRecord Record(int rows) => TakesColumns(rows) ? TFormat.ColumnRecord : TFormat.Record;

    private static int Align(int bytes) => (bytes + CacheLine - 1) / CacheLine * CacheLine;

    private static int Blocks(in ProductTask task, int unit) => !TFormat.Record.IsFlat ? 1 : unit == task.Units - 1 ? task.TailBlocks : 8;

    /// <summary>Some units of wire rows, a row at a time; or of packed panels, which have no gaps, in smaller pieces.</summary>
    private WeightFetch Fetch(in ProductTask task, int row, int unit, int units)
    {
        int bytes = TFormat.PanelRows * units * _unitBytes / FetchPieces(units);
        return new WeightFetch
        {
            Next = task.Weights + Offset(task, row, unit),
            Bytes = bytes,
            Stride = isPacked ? bytes : task.WeightRowBytes,
            Panel = TFormat.PanelRows * task.WeightRowBytes,
        };
    }

    /// <summary>In how many pieces some units are fetched: as many as a single tile has time for.</summary>
    private int FetchPieces(int units) => TFormat.PanelRows * (isPacked ? Math.Clamp(units * _unitBytes / FetchBytes, 2, 4) : 1);

    /// <summary>Where the weights of a row, or of a packed panel, are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private nint Offset(in ProductTask task, int row, int unit) => (row * task.WeightRowBytes) + ((nint)unit * (isPacked ? ColumnBytes : _unitBytes));

    /// <summary>Says where codes and factors of some units are, or will be.</summary>
    private TileTask Prepare(in ProductTask task, int row, int unit, int units, byte* scratch)
    {
        byte* codes = scratch + SumBytes + (2 * Align(ColumnBytes));
        var work = new TileTask
        {
            Codes = codes,
            UnitStride = TFormat.CodeBytes,
            PanelStride = CodeBytes,
            Factors = codes + (TFormat.Panels * CodeBytes),
            Units = units,
            Blocks = Blocks(task, unit + units - 1) + ((units - 1) * BlocksPerUnit),
        };
        if (TakesColumns(task.Rows))
        {
            work.UnitStride = ColumnBytes;
            if (isPacked)
            {
                work.Codes = task.Weights + Offset(task, row, unit);
                work.PanelStride = TFormat.PanelRows * task.WeightRowBytes;
            }
        }

        return work;
    }

    /// <summary>Makes some units of a panel ready to be multiplied.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Unpack(in ProductTask task, ref TileTask work, int row, int unit, int panel, int tiles, byte* scratch)
    {
        // Unpacking takes about as long as multiplying a tile, and fetches its share; but next to nothing if there are only factors to unpack.
        bool takesColumns = TakesColumns(task.Rows);
        int share = takesColumns && isPacked ? 0 : FetchPieces(work.Units) * TFormat.Panels / (TFormat.Panels + tiles);
        int turn = panel * work.Units, turns = TFormat.Panels * work.Units;
        int factorBytes = takesColumns ? TFormat.ColumnFactorBytes : TFormat.FactorBytes;
        byte* gathered = scratch + SumBytes, columns = gathered + Align(ColumnBytes);
        byte* codes = work.Codes + (panel * work.PanelStride), factors = work.Factors + (panel * factorBytes);
        for (int u = unit; u < unit + work.Units; u++, codes += work.UnitStride, factors += TFormat.Panels * factorBytes)
        {
            for (turn++; work.FetchPieces < share * turn / turns; work.FetchPieces++)
            {
                work.Fetch.Fetch();
            }

            byte* weights = task.Weights + Offset(task, row, u);
            if (!isPacked)
            {
                byte* target = takesColumns ? codes : columns;
                Interleave(weights, task.WeightRowBytes, Math.Min(task.WeightRows - row, TFormat.PanelRows), Blocks(task, u), gathered, target);
                weights = target;
            }

            if (takesColumns)
            {
                TFormat.ExpandFactors(weights, Blocks(task, u), factors);
            }
            else
            {
                TFormat.Expand(weights, Blocks(task, u), codes, factors);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Interleave(byte* weights, nint rowBytes, int rows, int blocks, byte* gathered, byte* columns)
    {
        if (rows < TFormat.PanelRows)
        {
            // The rows that are missing are zeros; nothing behind the last one may be read.
            int bytes = _unitBytes / BlocksPerUnit * blocks;
            Unsafe.InitBlockUnaligned(gathered, 0, (uint)ColumnBytes);
            for (int r = 0; r < rows; r++)
            {
                Unsafe.CopyBlockUnaligned(gathered + (r * _unitBytes), weights + (r * rowBytes), (uint)bytes);
            }

            weights = gathered;
            rowBytes = _unitBytes;
        }

        TFormat.Interleave(weights, rowBytes, blocks, columns);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Multiply(in ProductTask task, ref TileTask work, int first, int end, int weightRow, int unit, byte* scratch)
    {
        int rows = end - first, width = task.WeightRows - weightRow, totalRows = task.Rows;
        work.Activations = task.Activations + ((((nint)first * task.Units) + ((nint)unit * rows)) * Record(task.Rows).UnitBytes);
        work.Rows = rows;
        work.Outputs = task.Outputs + first;
        work.FirstOutput = weightRow;
        if (width >= Granule)
        {
            Multiply(work);
            return;
        }

        // Fewer weight rows than a tile has: the outputs take a turn through memory that has room for all.
        float** outputs = stackalloc float*[rows];
        for (int r = 0; r < rows; r++)
        {
            outputs[r] = (float*)scratch + (r * Granule);
            Copy(task.Outputs[first + r] + weightRow, outputs[r], width);
        }

        work.Outputs = outputs;
        work.FirstOutput = 0;
        Multiply(work);
        for (int r = 0; r < rows; r++)
        {
            Copy(outputs[r], task.Outputs[first + r] + weightRow, width);
        }

        void Multiply(in TileTask tile)
        {
            if (TakesColumns(totalRows))
            {
                TFormat.MultiplyColumns(tile);
            }
            else
            {
                TFormat.Multiply(tile);
            }
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
