using System.Runtime.CompilerServices;
using KQuant.Codecs;
using KQuant.Matmul.Activations;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>
/// Unpacks some weight rows once and multiplies them with every activation row, in canonical order. A tile of activation rows stays in the
/// first-level cache while the panels pass it, and panels stay in the second while tiles do.
/// </summary>
internal readonly unsafe struct NeonPanelProduct<TPanel> : INeonProduct
    where TPanel : struct, INeonPanel
{
    private const int PanelRows = 4;
    private const int MaxPanels = 8;
    private const int MaxUnits = 4;
    private const int TileRows = 8;

    public static QuantFormat Format => TPanel.Format;

    public static KernelTier Tier => TPanel.Tier;

    public static string Name => "panel";

    public static bool IsCanonical => true;

    public static int MaxRows => int.MaxValue;

    public static int Granule => PanelRows;

    public static nint GetActivationBytes(int rows, int units) => TileOffset(rows, (rows + TileRows - 1) / TileRows, units);

    public static nint GetScratchBytes(int units) =>
        (TileRows * PanelRows * sizeof(float)) + ((nint)MaxPanels * MaxUnits * TPanel.BlocksPerUnit * TPanel.PanelBytes);

    public static void Arrange(in ActivationView source, int* rowIndices, int rows, byte* destination)
    {
        int blocks = source.Units * TPanel.BlocksPerUnit, width = 256 / TPanel.BlocksPerUnit;
        int sumsPerBlock = source.SumsPerUnit / TPanel.BlocksPerUnit;
        int tiles = (rows + TileRows - 1) / TileRows;
        for (int t = 0; t < tiles; t++)
        {
            int first = TileStart(rows, t), count = TileStart(rows, t + 1) - first;
            byte* tile = destination + TileOffset(rows, t, source.Units);
            for (int r = 0; r < count; r++)
            {
                nint from = rowIndices == null ? first + r : rowIndices[first + r];
                sbyte* codes = source.RowCodes(from);
                short* sums = source.RowSums(from);
                float* scales = source.RowScales(from);
                for (int b = 0; b < blocks; b++, codes += width, sums += sumsPerBlock)
                {
                    TPanel.Arrange(codes, sums, scales[b], tile + ((nint)b * TPanel.GetTileBytes(count)), r, count);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(in ProductTask task, byte* scratch)
    {
        for (int m = 0; m < task.Rows; m++)
        {
            float* y = task.Outputs[m];
            for (int n = 0; n < task.WeightRows; n++)
            {
                y[n] = 0;
            }
        }

        int tiles = (task.Rows + TileRows - 1) / TileRows;
        for (int row = 0; row < task.WeightRows; row += MaxPanels * PanelRows)
        {
            int endRow = Math.Min(task.WeightRows, row + (MaxPanels * PanelRows));
            for (int unit = 0; unit < task.Units; unit += MaxUnits)
            {
                int endUnit = Math.Min(task.Units, unit + MaxUnits);
                int blocks = (endUnit - unit) * TPanel.BlocksPerUnit;
                if (endUnit == task.Units)
                {
                    blocks += task.TailBlocks - TPanel.BlocksPerUnit;
                }

                byte* panels = scratch + (TileRows * PanelRows * sizeof(float));
                nint panelStride = (nint)MaxUnits * TPanel.BlocksPerUnit * TPanel.PanelBytes;
                byte* panel = panels;
                for (int n = row; n < endRow; n += PanelRows, panel += panelStride)
                {
                    Expand(task, n, unit, blocks, panel);
                }

                for (int t = 0; t < tiles; t++)
                {
                    int first = TileStart(task.Rows, t), rows = TileStart(task.Rows, t + 1) - first;
                    byte* tile = task.Activations + TileOffset(task.Rows, t, task.Units)
                        + ((nint)unit * TPanel.BlocksPerUnit * TPanel.GetTileBytes(rows));
                    panel = panels;
                    for (int n = row; n < endRow; n += PanelRows, panel += panelStride)
                    {
                        Multiply(task, panel, tile, blocks, first, rows, n, scratch);
                    }
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Expand(in ProductTask task, int row, int unit, int blocks, byte* panel)
    {
        // Rows that are missing are the last one once more; their outputs are not kept.
        nint last = task.WeightRows - 1 - row, stride = task.WeightRowBytes;
        byte* r0 = task.Weights + (row * stride) + ((nint)unit * TPanel.BlocksPerUnit * TPanel.BlockBytes);
        byte* r1 = r0 + (last > 1 ? stride : last * stride);
        byte* r2 = r0 + (last > 2 ? 2 * stride : last * stride);
        byte* r3 = r0 + (last > 3 ? 3 * stride : last * stride);
        for (int b = 0; b < blocks; b++, panel += TPanel.PanelBytes)
        {
            TPanel.Expand(r0, r1, r2, r3, panel);
            r0 += TPanel.BlockBytes;
            r1 += TPanel.BlockBytes;
            r2 += TPanel.BlockBytes;
            r3 += TPanel.BlockBytes;
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply(
        in ProductTask task, byte* panel, byte* tile, int blocks, int first, int rows, int weightRow, byte* scratch)
    {
        float** outputs = task.Outputs + first;
        int width = task.WeightRows - weightRow;
        if (width >= PanelRows)
        {
            TPanel.Multiply(panel, tile, blocks, outputs, weightRow, rows);
            return;
        }

        // Fewer outputs than a vector has: they take a turn through memory that has room for all.
        float** whole = stackalloc float*[TileRows];
        for (int r = 0; r < rows; r++)
        {
            whole[r] = (float*)scratch + (r * PanelRows);
            for (int n = 0; n < PanelRows; n++)
            {
                whole[r][n] = n < width ? outputs[r][weightRow + n] : 0;
            }
        }

        TPanel.Multiply(panel, tile, blocks, whole, 0, rows);
        for (int r = 0; r < rows; r++)
        {
            for (int n = 0; n < width; n++)
            {
                outputs[r][weightRow + n] = whole[r][n];
            }
        }
    }

    // Tiles of nearly the same size.
    private static int TileStart(int rows, int tile)
    {
        int tiles = (rows + TileRows - 1) / TileRows;
        return (tile * (rows / tiles)) + Math.Min(tile, rows % tiles);
    }

    private static nint TileOffset(int rows, int tile, int units)
    {
        int tiles = (rows + TileRows - 1) / TileRows, longTiles = Math.Min(tile, rows % tiles);
        nint longBytes = (nint)longTiles * TPanel.GetTileBytes((rows / tiles) + 1);
        nint shortBytes = (nint)(tile - longTiles) * TPanel.GetTileBytes(rows / tiles);
        return (longBytes + shortBytes) * units * TPanel.BlocksPerUnit;
    }
}
