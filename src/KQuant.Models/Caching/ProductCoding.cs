using System.Numerics.Tensors;
using KQuant.Codecs.Rotations;

namespace KQuant.Models.Caching;

/// <summary>
/// Keys of a rotated head as codes of a codebook, and of what these leave a sketch of one bit for each value, which makes products with
/// queries right in the mean (TurboQuant for inner products). Decoded are both behind each other, and so are the parts of a prepared query.
/// </summary>
/// <param name="headSize">Values of a head.</param>
/// <param name="bits">Bits of a value altogether, 2 at least.</param>
internal sealed unsafe class ProductCoding(int headSize, int bits) : RowCoding(headSize)
{
    /// <summary>Makes the directions of the sketch.</summary>
    private const long Seed = 44;

    private const int HeaderBytes = 2 * sizeof(ushort);

    private readonly CodeRow _codes = new(headSize, LloydMaxCodebook.Gaussian(bits - 1));
    private readonly SignSketch _sketch = new(headSize, headSize, Seed);

    public override int RowBytes => HeaderBytes + _codes.ByteCount + _sketch.ByteCount;

    public override int DecodedSize => 2 * HeadSize;

    public override bool PreparesQueries => true;

    public override void Encode(float* values, byte* row)
    {
        var span = new Span<float>(values, HeadSize);
        Span<float> coded = stackalloc float[HeadSize];
        Half scale = RowScale.Normalize(span);
        byte* codes = row + HeaderBytes;
        _codes.Encode(span, codes);
        _codes.Decode(codes, 1, coded);
        TensorPrimitives.Subtract(span, coded, span);
        float rest = _sketch.Encode(span, new Span<byte>(codes + _codes.ByteCount, _sketch.ByteCount));
        ((Half*)row)[0] = scale;
        ((Half*)row)[1] = (Half)rest;
    }

    public override void Decode(byte* rows, int count, float* values, int stride)
    {
        for (int i = 0; i < count; i++, rows += RowBytes, values += stride)
        {
            byte* codes = rows + HeaderBytes;
            _codes.Decode(codes, GetScale(rows), new Span<float>(values, HeadSize));
            SignRow.Decode(codes + _codes.ByteCount, GetScale(rows) * GetRest(rows) * _sketch.Factor, new Span<float>(values + HeadSize, HeadSize));
        }
    }

    public override void PrepareQuery(ReadOnlySpan<float> query, Span<float> prepared)
    {
        query.CopyTo(prepared);
        _sketch.Project(query, prepared[HeadSize..]);
    }

    public override void Reconstruct(byte* row, float* values)
    {
        var span = new Span<float>(values, HeadSize);
        Span<float> rest = stackalloc float[HeadSize];
        byte* codes = row + HeaderBytes;
        _codes.Decode(codes, GetScale(row), span);
        _sketch.Decode(new ReadOnlySpan<byte>(codes + _codes.ByteCount, _sketch.ByteCount), GetScale(row) * GetRest(row), rest);
        TensorPrimitives.Add(span, rest, span);
    }

    private static float GetScale(byte* row) => (float)((Half*)row)[0];

    /// <summary>The length of what the codes leave of a row with a root mean square of 1.</summary>
    private static float GetRest(byte* row) => (float)((Half*)row)[1];
}
