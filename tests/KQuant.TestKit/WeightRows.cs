using FsCheck;
using FsCheck.Fluent;

namespace KQuant.TestKit;

/// <summary>A row of 512 weights as a property test meets it, with its origin for the failure message.</summary>
public sealed record WeightRow(string Kind, float[] Weights)
{
    public override string ToString() => $"{Kind} [{string.Join(", ", Weights)}]";
}

/// <summary>Generators for FsCheck: name this class in <c>[Property(Arbitrary = [typeof(WeightRows)])]</c>.</summary>
public static class WeightRows
{
    /// <summary>Weights per generated row: two super-blocks, sixteen flat blocks.</summary>
    public const int Length = 512;

    /// <summary>Rows of every sort, scaled by a power of two between 2^-6 and 2^6.</summary>
    public static Arbitrary<WeightRow> Rows()
    {
        Gen<WeightRow> rows =
            from kind in Gen.Elements("normal", "uniform", "laplace", "sparse", "offset", "constant", "ramp", "blocks", "spike", "integers")
            from seed in Gen.Choose(0, int.MaxValue)
            from exponent in Gen.Choose(-6, 6)
            select new WeightRow(kind, Make(kind, (uint)seed, MathF.ScaleB(1, exponent)));
        return Arb.From(rows, Shrink);
    }

    private static float[] Make(string kind, uint seed, float scale)
    {
        var random = new NumpyRandom(seed);
        float shift = (float)random.NextNormal();
        var row = new float[Length];
        for (int i = 0; i < Length; i++)
        {
            float normal = (float)random.NextNormal();
            float uniform = (float)random.NextDouble();
            row[i] = scale * kind switch
            {
                "normal" => normal,
                "uniform" => (2 * uniform) - 1,
                "laplace" => MathF.CopySign(MathF.Log(1 - uniform), normal),
                "sparse" => uniform < 0.05f ? normal : 0,
                "offset" => (4 * shift) + (0.1f * normal),
                "constant" => shift,
                "ramp" => (i - (uniform < 0.5f ? 255 : 256)) / 256f,
                "blocks" => normal * MathF.ScaleB(1, (i / 16 * 7 % 11) - 8),
                "spike" => i % 256 == 77 ? 40 * shift : 0.1f * normal,
                _ => MathF.Round(8 * normal),
            };
        }

        return row;
    }

    /// <summary>A failing row with one half, quarter, ... of it zero.</summary>
    private static IEnumerable<WeightRow> Shrink(WeightRow row)
    {
        for (int part = Length / 2; part >= 16; part /= 2)
        {
            for (int start = 0; start < Length; start += part)
            {
                if (row.Weights.AsSpan(start, part).ContainsAnyExcept(0f))
                {
                    var fewer = (float[])row.Weights.Clone();
                    fewer.AsSpan(start, part).Clear();
                    yield return new WeightRow(row.Kind, fewer);
                }
            }
        }
    }
}
