using KQuant.Codecs;

namespace KQuant.Matmul.Kernels;

/// <summary>
/// One codec's part in the panel kernels of one instruction set. Weights pass through three forms: wire blocks of single rows; columns, in
/// which the blocks of <see cref="PanelRows"/> rows are interleaved by 32-bit words and hardly anything else changes (what prepacked
/// weights are stored as); and panels, in which every code has a byte and every factor is ready to multiply with. One 32-bit lane of a column
/// or panel belongs to one row.
/// </summary>
internal unsafe interface IPanelFormat
{
    /// <summary>The codec.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>The instruction set.</summary>
    static abstract KernelTier Tier { get; }

    /// <summary>Whether this machine has all the instructions.</summary>
    static abstract bool IsSupported { get; }

    /// <summary>Weight rows in a panel: 32-bit lanes in a vector.</summary>
    static abstract int PanelRows { get; }

    /// <summary>Panels that are multiplied side by side.</summary>
    static abstract int Panels { get; }

    /// <summary>The most activation rows in a tile.</summary>
    static abstract int TileRows { get; }

    /// <summary>Bytes of the codes of a unit of a panel.</summary>
    static abstract int CodeBytes { get; }

    /// <summary>Bytes of the factors of a unit of a panel.</summary>
    static abstract int FactorBytes { get; }

    /// <summary>What <see cref="Multiply"/> takes of an activation row.</summary>
    static abstract ActivationRecord Record { get; }

    /// <summary>Up to how many tiles it is faster to put codes together from columns in every tile than to make panels.</summary>
    static abstract int ColumnTiles { get; }

    /// <summary>Bytes of the factors that go with columns.</summary>
    static abstract int ColumnFactorBytes { get; }

    /// <summary>What <see cref="MultiplyColumns"/> takes of an activation row.</summary>
    static abstract ActivationRecord ColumnRecord { get; }

    /// <summary>Interleaves blocks of every row of a panel.</summary>
    /// <param name="blocks">The first row's blocks.</param>
    /// <param name="stride">Bytes from row to row.</param>
    /// <param name="count">How many: 1 for K-quants, 1 to 8 for 32-wide codecs.</param>
    /// <param name="columns">As many bytes as the blocks have together.</param>
    static abstract void Interleave(byte* blocks, nint stride, int count, byte* columns);

    /// <summary>Makes a unit of a panel from columns.</summary>
    /// <param name="columns">Interleaved blocks.</param>
    /// <param name="blocks">How many: 1 for K-quants, 1 to 8 for 32-wide codecs.</param>
    /// <param name="codes"><see cref="CodeBytes"/> bytes, aligned to a vector.</param>
    /// <param name="factors"><see cref="FactorBytes"/> bytes, aligned to a vector.</param>
    static abstract void Expand(byte* columns, int blocks, byte* codes, byte* factors);

    /// <summary>Makes only the factors, for <see cref="MultiplyColumns"/>.</summary>
    /// <param name="columns">Interleaved blocks.</param>
    /// <param name="blocks">How many.</param>
    /// <param name="factors"><see cref="ColumnFactorBytes"/> bytes, aligned to a vector.</param>
    static abstract void ExpandFactors(byte* columns, int blocks, byte* factors);

    /// <summary>Multiplies panels with a tile of activation rows, in canonical order.</summary>
    static abstract void Multiply(in TileTask task);

    /// <summary>The same with columns instead of the codes of panels.</summary>
    static abstract void MultiplyColumns(in TileTask task);
}
