using KQuant.Codecs.Rotations;

namespace KQuant.Models.Caching;

/// <summary>
/// Keys as the signs of their products with random directions, and their length in binary16 (QJL). What is decoded are these signs times
/// the length, which queries meet as products with the same directions: scores are right in the mean.
/// </summary>
internal sealed unsafe class SketchCoding(int headSize) : RowCoding(headSize)
{
    /// <summary>Makes the directions.</summary>
    private const long Seed = 44;

    private readonly SignSketch _sketch = new(headSize, headSize, Seed);

    public override int RowBytes => sizeof(ushort) + _sketch.ByteCount;

    public override bool PreparesQueries => true;

    public override void Encode(float* values, byte* row)
    {
        var span = new Span<float>(values, HeadSize);
        Half size = RowScale.Normalize(span);
        _sketch.Encode(span, new Span<byte>(row + sizeof(ushort), _sketch.ByteCount));
        *(Half*)row = size;
    }

    public override void Decode(byte* rows, int count, float* values, int stride)
    {
        for (int i = 0; i < count; i++, rows += RowBytes, values += stride)
        {
            SignRow.Decode(rows + sizeof(ushort), GetFactor(rows), new Span<float>(values, HeadSize));
        }
    }

    public override void PrepareQuery(ReadOnlySpan<float> query, Span<float> prepared) => _sketch.Project(query, prepared);

    public override void Reconstruct(byte* row, float* values) => _sketch.Decode(
        new ReadOnlySpan<byte>(row + sizeof(ushort), _sketch.ByteCount), GetFactor(row) / _sketch.Factor, new Span<float>(values, HeadSize));

    // A row is stored with its root mean square; its length is that times the root of its size.
    private float GetFactor(byte* row) => (float)*(Half*)row * MathF.Sqrt(HeadSize) * _sketch.Factor;
}
