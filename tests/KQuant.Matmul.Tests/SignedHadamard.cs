using KQuant.Codecs;

namespace KQuant.Matmul.Tests;

/// <summary>A randomised Hadamard rotation: signs, then butterflies over runs of a power of two that divides the row.</summary>
internal sealed class SignedHadamard(int columns, int seed) : ActivationTransform
{
    private readonly bool[] _negative = MakeSigns(columns, seed);
    private readonly int _run = columns & -columns;

    public override void Apply(Span<float> row)
    {
        Negate(row);
        Rotate(row);
    }

    public override void ApplyTransposed(Span<float> row)
    {
        Rotate(row);
        Negate(row);
    }

    private static bool[] MakeSigns(int columns, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, columns).Select(_ => random.Next(2) == 0)];
    }

    private void Negate(Span<float> row)
    {
        for (int i = 0; i < row.Length; i++)
        {
            row[i] = _negative[i] ? -row[i] : row[i];
        }
    }

    private void Rotate(Span<float> row)
    {
        float scale = 1 / MathF.Sqrt(_run);
        for (int start = 0; start < row.Length; start += _run)
        {
            Span<float> x = row.Slice(start, _run);
            for (int half = 1; half < _run; half *= 2)
            {
                for (int i = 0; i < _run; i++)
                {
                    if ((i & half) == 0)
                    {
                        (x[i], x[i + half]) = (x[i] + x[i + half], x[i] - x[i + half]);
                    }
                }
            }

            for (int i = 0; i < _run; i++)
            {
                x[i] *= scale;
            }
        }
    }
}
