using System.Collections.Immutable;

namespace KQuant.Models.Configuration;

/// <summary>
/// What llama.cpp divides the angles of Llama 3's scaling by, one factor for each pair (<c>rope_freqs</c>), in the float32 steps of its
/// converter.
/// </summary>
internal static class Llama3Divisors
{
    /// <summary>Computes the factors.</summary>
    /// <param name="rope">A rope of kind <see cref="RopeKind.Llama3"/>.</param>
    public static ImmutableArray<float> Compute(RopeConfig rope)
    {
        float lowWavelength = rope.OriginalContext / rope.LowFrequencyFactor, highWavelength = rope.OriginalContext / rope.HighFrequencyFactor;
        var factors = new float[rope.Dimensions / 2];
        for (int i = 0; i < factors.Length; i++)
        {
            float frequency = 1 / MathF.Pow(rope.Theta, 2 * i / (float)rope.Dimensions);
            float wavelength = 2 * MathF.PI / frequency;
            if (wavelength < highWavelength)
            {
                factors[i] = 1;
            }
            else if (wavelength > lowWavelength)
            {
                factors[i] = rope.Factor;
            }
            else
            {
                float smooth = ((rope.OriginalContext / wavelength) - rope.LowFrequencyFactor)
                    / (rope.HighFrequencyFactor - rope.LowFrequencyFactor);
                factors[i] = 1 / (((1 - smooth) / rope.Factor) + smooth);
            }
        }

        return ImmutableArray.Create(factors);
    }
}
