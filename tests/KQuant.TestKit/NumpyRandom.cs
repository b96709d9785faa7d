using System.Numerics;

namespace KQuant.TestKit;

/// <summary>
/// The numbers of <c>numpy.random.default_rng(seed)</c>: a SeedSequence fills a PCG64 (XSL-RR), and a ziggurat of 256 layers makes normals
/// of it. Reference data that was minted in Python can so be made again here. The layer table is computed in double precision, so a
/// normal may differ from numpy's in its last few bits; as float32 they are equal.
/// </summary>
public sealed class NumpyRandom
{
    // The right end of the base layer, from which everything else follows.
    private const double BaseRight = 3.6541528853610088;

    private static readonly UInt128 Multiplier = new(0x2360ed051fc65da4, 0x4385df649fccf645);

    private static readonly double[] Right = LayerEnds();

    private readonly UInt128 _increment;
    private UInt128 _state;

    public NumpyRandom(uint seed)
    {
        ulong[] words = SeedWords(seed);
        _increment = new UInt128(words[2], words[3]) << 1 | 1;
        Step();
        _state += new UInt128(words[0], words[1]);
        Step();
    }

    /// <summary>The next 64 random bits.</summary>
    public ulong NextUInt64()
    {
        Step();
        ulong high = (ulong)(_state >> 64);
        return BitOperations.RotateRight(high ^ (ulong)_state, (int)(high >> 58));
    }

    /// <summary>Uniform in [0, 1).</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>A standard normal number (<c>standard_normal</c>).</summary>
    public double NextNormal()
    {
        while (true)
        {
            ulong bits = NextUInt64();
            int layer = (int)(bits & 0xFF);
            double sign = (bits & 0x100) != 0 ? -1 : 1;
            ulong magnitude = bits >> 9 & 0xF_FFFF_FFFF_FFFF;
            double x = magnitude * (Right[layer] / (1UL << 52));
            ulong inside = layer == 1 ? 0 : (ulong)(Right[layer == 0 ? 256 : layer - 1] / Right[layer] * (1UL << 52));
            if (magnitude < inside)
            {
                return sign * x;
            }

            if (layer == 0)
            {
                return (magnitude >> 8 & 1) != 0 ? -NextTail() : NextTail();
            }

            double top = layer == 1 ? 1 : Density(Right[layer - 1]);
            double bottom = Density(Right[layer]);
            if (((top - bottom) * NextDouble()) + bottom < Density(x))
            {
                return sign * x;
            }
        }
    }

    /// <summary>Normals times a factor, both rounded to float32 as <c>rng.standard_normal(n).astype(float32) * factor</c>.</summary>
    public float[] NextNormals(int count, float factor = 1)
    {
        var values = new float[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = (float)NextNormal() * factor;
        }

        return values;
    }

    private double NextTail()
    {
        while (true)
        {
            double x = -Math.Log(1 - NextDouble()) / BaseRight;
            double y = -Math.Log(1 - NextDouble());
            if (y + y > x * x)
            {
                return BaseRight + x;
            }
        }
    }

    private static double Density(double x) => Math.Exp(-0.5 * x * x);

    /// <summary>
    /// Right ends of the layers, all of equal area: index 255 is the widest proper layer and 1 the topmost. Index 0 is the base layer as
    /// if it were a rectangle; index 256 repeats <see cref="BaseRight"/>.
    /// </summary>
    private static double[] LayerEnds()
    {
        // The mass of the tail by its continued fraction 1 / (r + 1 / (r + 2 / (r + ...))).
        double fraction = BaseRight;
        for (int i = 200; i >= 1; i--)
        {
            fraction = BaseRight + (i / fraction);
        }

        double area = Density(BaseRight) * (BaseRight + (1 / fraction));
        var ends = new double[257];
        ends[255] = ends[256] = BaseRight;
        for (int layer = 254; layer >= 1; layer--)
        {
            ends[layer] = Math.Sqrt(-2 * Math.Log((area / ends[layer + 1]) + Density(ends[layer + 1])));
        }

        ends[0] = area / Density(BaseRight);
        return ends;
    }

    private static ulong[] SeedWords(uint seed)
    {
        uint constant = 0x43b0d7e5;
        uint Hash(uint value)
        {
            value ^= constant;
            constant *= 0x931e8875;
            value *= constant;
            return value ^ value >> 16;
        }

        uint[] pool = [Hash(seed), Hash(0), Hash(0), Hash(0)];
        for (int source = 0; source < 4; source++)
        {
            for (int target = 0; target < 4; target++)
            {
                if (source != target)
                {
                    uint mixed = (0xca01f9dd * pool[target]) - (0x4973f715 * Hash(pool[source]));
                    pool[target] = mixed ^ mixed >> 16;
                }
            }
        }

        uint key = 0x8b51f9dd;
        var words = new ulong[4];
        for (int i = 0; i < 8; i++)
        {
            uint value = pool[i % 4] ^ key;
            key *= 0x58f38ded;
            value *= key;
            value ^= value >> 16;
            words[i / 2] |= (ulong)value << (32 * (i % 2));
        }

        return words;
    }

    private void Step() => _state = (_state * Multiplier) + _increment;
}
