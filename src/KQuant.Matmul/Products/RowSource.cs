using KQuant.Codecs;

namespace KQuant.Matmul.Products;

/// <summary>Pinned activations: rows that follow each other without gaps, in float32, binary16 or bfloat16.</summary>
internal readonly unsafe struct RowSource(void* data, QuantFormat format, int columns)
{
    /// <summary>F32, F16 or BF16.</summary>
    public readonly QuantFormat Format = format;

    /// <summary>Values per row.</summary>
    public readonly int Columns = columns;

    private readonly byte* _data = (byte*)data;

    /// <summary>The first value of a row.</summary>
    public byte* Row(nint row) => _data + (row * Columns * (Format == QuantFormat.F32 ? sizeof(float) : sizeof(ushort)));
}
