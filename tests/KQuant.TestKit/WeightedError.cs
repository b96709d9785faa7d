using KQuant.Codecs;

namespace KQuant.TestKit;

/// <summary>Squared errors of encoded rows, in double precision.</summary>
public static class WeightedError
{
    /// <summary>Encodes, decodes and adds up <c>importance * (x - y)^2</c>; importance 1 when none is given.</summary>
    /// <param name="codec">The codec.</param>
    /// <param name="weights">One row.</param>
    /// <param name="options">How to encode.</param>
    /// <param name="importance">Importance of the errors; what the encoder is told may differ.</param>
    public static double Of(QuantCodec codec, ReadOnlySpan<float> weights, in EncodeOptions options, ReadOnlySpan<float> importance)
    {
        var wire = new byte[codec.GetByteCount(weights.Length)];
        codec.Encode(weights, wire, options);
        var decoded = new float[weights.Length];
        codec.Decode(wire, decoded);
        double sum = 0;
        for (int i = 0; i < decoded.Length; i++)
        {
            double error = (double)weights[i] - decoded[i];
            sum += (importance.IsEmpty ? 1.0 : importance[i]) * error * error;
        }

        return sum;
    }
}
