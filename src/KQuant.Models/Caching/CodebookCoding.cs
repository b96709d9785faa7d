using KQuant.Codecs.Rotations;

namespace KQuant.Models.Caching;

/// <summary>
/// Values of a rotated head as codes of the codebook for Gaussian numbers, behind their root mean square in binary16: TurboQuant for the
/// least squared error.
/// </summary>
internal sealed unsafe class CodebookCoding(int headSize, int bits) : RowCoding(headSize)
{
    private readonly CodeRow _codes = new(headSize, LloydMaxCodebook.Gaussian(bits));

    public override int RowBytes => sizeof(ushort) + _codes.ByteCount;

    public override void Encode(float* values, byte* row)
    {
        var span = new Span<float>(values, HeadSize);
        *(Half*)row = RowScale.Normalize(span);
        _codes.Encode(span, row + sizeof(ushort));
    }

    public override void Decode(byte* rows, int count, float* values, int stride)
    {
        for (int i = 0; i < count; i++, rows += RowBytes, values += stride)
        {
            _codes.Decode(rows + sizeof(ushort), (float)*(Half*)rows, new Span<float>(values, HeadSize));
        }
    }
}
