using KQuant.Codecs;

namespace KQuant.Metal;

/// <summary>A kernel that every codec has, and the shape in which it runs.</summary>
/// <param name="Name">What follows the codec's name.</param>
/// <param name="MaxRows">The most rows of x it is chosen for.</param>
/// <param name="Outputs">Outputs that a threadgroup makes.</param>
/// <param name="Rows">Rows that a threadgroup makes.</param>
/// <param name="Threads">Threads of a threadgroup.</param>
/// <param name="ThreadgroupBytes">Threadgroup memory.</param>
/// <param name="NeedsMatrixUnits">Whether it adds by matrix units, and so needs those that add in order.</param>
internal sealed record MetalKernel(
    string Name, int MaxRows, int Outputs, int Rows, int Threads, int ThreadgroupBytes = 0, bool NeedsMatrixUnits = false)
{
    private const int TileBytes = 16 * 256 * sizeof(float);

    /// <summary>Products with one matrix, for few rows first. The kernels for up to 8 rows read the weights once for all of them.</summary>
    public static IReadOnlyList<MetalKernel> Multiply { get; } =
    [
        new("multiply_1", MaxRows: 1, Outputs: 8, Rows: 1, Threads: 64),
        new("multiply_4", MaxRows: 4, Outputs: 8, Rows: 4, Threads: 64),
        new("multiply_8", MaxRows: 8, Outputs: 8, Rows: 8, Threads: 64),
        new("multiply_matrix", MaxRows: int.MaxValue, Outputs: 16, Rows: 16, Threads: 128, 2 * TileBytes, NeedsMatrixUnits: true),
        new("multiply_tiles", MaxRows: int.MaxValue, Outputs: 16, Rows: 16, Threads: 128, TileBytes),
    ];

    /// <summary>Gathers, by the average number of rows that meet the same expert.</summary>
    public static IReadOnlyList<MetalKernel> Gather { get; } =
    [
        new("gather", MaxRows: 3, Outputs: 8, Rows: 1, Threads: 64),
        new("gather_matrix", MaxRows: int.MaxValue, Outputs: 16, Rows: 16, Threads: 128, 2 * TileBytes, NeedsMatrixUnits: true),
        new("gather_tiles", MaxRows: int.MaxValue, Outputs: 16, Rows: 16, Threads: 128, TileBytes),
    ];

    /// <summary>Decoding, by blocks: sixteen threads for each.</summary>
    public static MetalKernel Dequantize(string type) => new($"dequantize_{type}", int.MaxValue, Outputs: 16, Rows: 1, Threads: 256);

    /// <summary>Encoding, by blocks: a thread for each.</summary>
    public static MetalKernel Encode { get; } = new("encode", int.MaxValue, Outputs: 64, Rows: 1, Threads: 64);

    /// <summary>The first kernel of a table that takes so many rows on a device with such matrix units.</summary>
    public static MetalKernel Choose(IReadOnlyList<MetalKernel> table, long rows, bool matrixUnits)
    {
        int i = 0;
        while (table[i].MaxRows < rows || (table[i].NeedsMatrixUnits && !matrixUnits))
        {
            i++;
        }

        return table[i];
    }

    /// <summary>Its name in the shader library.</summary>
    public string NameFor(QuantCodec codec) => $"{codec.Name}_{Name}";
}
