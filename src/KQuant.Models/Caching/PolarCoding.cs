using KQuant.Codecs.Rotations;

namespace KQuant.Models.Caching;

/// <summary>
/// Values of a rotated head in polar coordinates, four times over (PolarQuant): neighbours become an angle and a radius, radii that are
/// neighbours likewise, and what is left is a radius in binary16 for every sixteen values. Angles of the first level have four bits, the
/// others two.
/// </summary>
internal sealed unsafe class PolarCoding : RowCoding
{
    /// <summary>Values of a radius that is left.</summary>
    public const int Group = 1 << Levels;

    private const int Levels = 4;

    private readonly Level[] _levels = new Level[Levels];
    private readonly int _angleBytes;

    /// <param name="headSize">Values of a head, a multiple of sixteen.</param>
    public PolarCoding(int headSize)
        : base(headSize)
    {
        for (int i = 0; i < Levels; i++)
        {
            _levels[i] = new Level(LloydMaxCodebook.Polar(i == 0 ? 4 : 2, i + 1), headSize >> (i + 1));
            _angleBytes += _levels[i].ByteCount;
        }
    }

    public override int RowBytes => _angleBytes + (HeadSize / Group * sizeof(ushort));

    public override void Encode(float* values, byte* row)
    {
        RowScale.Clamp(new Span<float>(values, HeadSize));
        byte* at = row;
        foreach (Level level in _levels)
        {
            level.Encode(values, at);
            at += level.ByteCount;
        }

        for (int i = 0; i < HeadSize / Group; i++)
        {
            ((Half*)at)[i] = (Half)MathF.Min(values[i], 65504);
        }
    }

    public override void Decode(byte* rows, int count, float* values, int stride)
    {
        float* radii = stackalloc float[HeadSize];
        for (int i = 0; i < count; i++, rows += RowBytes, values += stride)
        {
            byte* at = rows + _angleBytes;
            for (int radius = 0; radius < HeadSize / Group; radius++)
            {
                radii[radius] = (float)((Half*)at)[radius];
            }

            for (int level = Levels - 1; level >= 0; level--)
            {
                at -= _levels[level].ByteCount;
                _levels[level].Decode(at, radii, level == 0 ? values : radii);
            }
        }
    }

    /// <summary>Pairs that become an angle and a radius.</summary>
    private sealed class Level
    {
        private readonly float[] _cosines;
        private readonly float[] _sines;
        private readonly int _bits;
        private readonly int _pairs;

        public Level(LloydMaxCodebook angles, int pairs)
        {
            (_bits, _pairs) = (angles.Bits, pairs);
            _cosines = Array.ConvertAll(angles.Centroids.ToArray(), angle => (float)Math.Cos(angle));
            _sines = Array.ConvertAll(angles.Centroids.ToArray(), angle => (float)Math.Sin(angle));
        }

        public int ByteCount => (int)BitPacking.GetByteCount(_pairs, _bits);

        /// <summary>Replaces the values, in place, by half as many radii. The nearest angle is that with the largest product.</summary>
        public void Encode(float* values, byte* packed)
        {
            Span<byte> codes = stackalloc byte[_pairs];
            for (int pair = 0; pair < _pairs; pair++)
            {
                float x = values[2 * pair], y = values[(2 * pair) + 1], most = float.NegativeInfinity;
                for (int code = 0; code < _cosines.Length; code++)
                {
                    float product = (x * _cosines[code]) + (y * _sines[code]);
                    (most, codes[pair]) = product > most ? (product, (byte)code) : (most, codes[pair]);
                }

                values[pair] = MathF.Sqrt((x * x) + (y * y));
            }

            BitPacking.Pack(codes, _bits, new Span<byte>(packed, ByteCount));
        }

        /// <summary>Twice as many values as there are radii, which may lie in the same place.</summary>
        public void Decode(byte* packed, float* radii, float* values)
        {
            Span<byte> codes = stackalloc byte[_pairs];
            BitPacking.Unpack(new ReadOnlySpan<byte>(packed, ByteCount), _bits, codes);
            for (int pair = _pairs - 1; pair >= 0; pair--)
            {
                float radius = radii[pair];
                values[2 * pair] = radius * _cosines[codes[pair]];
                values[(2 * pair) + 1] = radius * _sines[codes[pair]];
            }
        }
    }
}
