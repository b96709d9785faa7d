using KQuant.Codecs;

namespace KQuant.Matmul.Kernels.Neon;

/// <summary>
/// A format's part in the NEON panel kernels: four weight rows, unpacked once, multiplied with tiles of up to eight activation rows.
/// </summary>
internal unsafe interface INeonPanel
{
    /// <summary>The codec.</summary>
    static abstract QuantFormat Format { get; }

    /// <summary>The tier.</summary>
    static abstract KernelTier Tier { get; }

    /// <summary>Blocks in a unit: 1 or 8.</summary>
    static abstract int BlocksPerUnit { get; }

    /// <summary>Bytes of a block on the wire.</summary>
    static abstract int BlockBytes { get; }

    /// <summary>Bytes of a block of a panel.</summary>
    static abstract int PanelBytes { get; }

    /// <summary>Bytes of a block of a tile of activation rows.</summary>
    static abstract int GetTileBytes(int rows);

    /// <summary>Arranges a block of an activation row.</summary>
    /// <param name="codes">Its codes.</param>
    /// <param name="sums">Its sums.</param>
    /// <param name="scale">Its scale.</param>
    /// <param name="tile">The block in the tile.</param>
    /// <param name="row">Which row of the tile it is.</param>
    /// <param name="rows">How many there are.</param>
    static abstract void Arrange(sbyte* codes, short* sums, float scale, byte* tile, int row, int rows);

    /// <summary>Unpacks a block of four weight rows.</summary>
    /// <param name="r0">The first row's block.</param>
    /// <param name="r1">The second's.</param>
    /// <param name="r2">The third's.</param>
    /// <param name="r3">The last's.</param>
    /// <param name="panel"><see cref="PanelBytes"/> bytes.</param>
    static abstract void Expand(byte* r0, byte* r1, byte* r2, byte* r3, byte* panel);

    /// <summary>Multiplies in canonical order.</summary>
    /// <param name="panel">Blocks of a panel.</param>
    /// <param name="tile">Blocks of a tile.</param>
    /// <param name="blocks">How many.</param>
    /// <param name="outputs">For each activation row, where its outputs are.</param>
    /// <param name="first">Which of them belongs to the first weight row; products are added to it and the next three.</param>
    /// <param name="rows">Activation rows, 1 to 8.</param>
    static abstract void Multiply(byte* panel, byte* tile, int blocks, float** outputs, nint first, int rows);
}
