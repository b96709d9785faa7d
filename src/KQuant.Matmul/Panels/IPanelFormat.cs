using KQuant.Codecs;

namespace KQuant.Matmul.Panels;

/// <summary>
/// One codec's part in the panel kernels of one instruction set. Weights pass through three forms: wire blocks of single rows; columns, in
/// which the blocks of <see cref="PanelRows"/> rows are interleaved by 32-bit words and nothing else changes (what prepacked
/// weights are stored as); and panels, in which every code has a byte and every scale is ready to multiply with.
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

    /// <summary>Panels that <see cref="Multiply"/> takes side by side.</summary>
    static abstract int Panels { get; }

    /// <summary>The most activation rows that <see cref="Multiply"/> takes.</summary>
    static abstract int TileRows { get; }

    /// <summary>Bytes of a unit of a panel.</summary>
    static abstract int PanelBytes { get; }

    /// <summary>What goes with the codes of an activation row.</summary>
    static abstract ActivationRecord Record { get; }

    /// <summary>Interleaves blocks of every row of a panel.</summary>
    /// <param name="blocks">The first row's blocks.</param>
    /// <param name="stride">Bytes from row to row.</param>
    /// <param name="count">How many: 1 for K-quants, 1 to 8 for 32-wide codecs.</param>
    /// <param name="columns">As many bytes as the blocks have together.</param>
    static abstract void Interleave(byte* blocks, nint stride, int count, byte* columns);

    /// <summary>Makes a unit of a panel from columns.</summary>
    /// <param name="columns">Interleaved blocks.</param>
    /// <param name="blocks">How many: 1 for K-quants, 1 to 8 for 32-wide codecs.</param>
    /// <param name="panel"><see cref="PanelBytes"/> bytes, aligned to a vector.</param>
    static abstract void Expand(byte* columns, int blocks, byte* panel);

    /// <summary>Multiplies panels side by side with a tile of activation rows, in canonical order.</summary>
    /// <param name="panels">Units, each of <see cref="Panels"/> panels.</param>
    /// <param name="x">Arranged activations.</param>
    /// <param name="units">How many units.</param>
    /// <param name="outputs">For each activation row, where its outputs are.</param>
    /// <param name="first">Which of them belongs to the first weight row; products are added to it and those behind it.</param>
    /// <param name="rows">Activation rows, 1 to <see cref="TileRows"/>.</param>
    static abstract void Multiply(byte* panels, byte* x, int units, float** outputs, nint first, int rows);
}
