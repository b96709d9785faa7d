using System.Numerics.Tensors;
using KQuant.Codecs.Rotations;

namespace KQuant.Models.Caching;

/// <summary>
/// Values of a rotated head as codes of two codebooks, the second for what the first leaves, behind their root mean square in binary16.
/// </summary>
internal sealed unsafe class ResidualCoding : RowCoding
{
    private readonly CodeRow _first;
    private readonly CodeRow _second;

    public ResidualCoding(int headSize, int bits)
        : base(headSize)
    {
        LloydMaxCodebook first = LloydMaxCodebook.Gaussian(bits);
        _first = new CodeRow(headSize, first);
        _second = new CodeRow(headSize, LloydMaxCodebook.GaussianResidual(bits, first));
    }

    public override int RowBytes => sizeof(ushort) + _first.ByteCount + _second.ByteCount;

    public override void Encode(float* values, byte* row)
    {
        var span = new Span<float>(values, HeadSize);
        Span<float> coded = stackalloc float[HeadSize];
        *(Half*)row = RowScale.Normalize(span);
        byte* codes = row + sizeof(ushort);
        _first.Encode(span, codes);
        _first.Decode(codes, 1, coded);
        TensorPrimitives.Subtract(span, coded, span);
        _second.Encode(span, codes + _first.ByteCount);
    }

    public override void Decode(byte* rows, int count, float* values, int stride)
    {
        Span<float> rest = stackalloc float[HeadSize];
        for (int i = 0; i < count; i++, rows += RowBytes, values += stride)
        {
            var span = new Span<float>(values, HeadSize);
            float scale = (float)*(Half*)rows;
            _first.Decode(rows + sizeof(ushort), scale, span);
            _second.Decode(rows + sizeof(ushort) + _first.ByteCount, scale, rest);
            TensorPrimitives.Add(span, rest, span);
        }
    }
}
