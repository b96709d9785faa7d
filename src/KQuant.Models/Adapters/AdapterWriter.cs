using System.Globalization;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Adapters;

/// <summary>What the writers of all formats share: the weights as the format wants them, and their bytes.</summary>
internal static class AdapterWriter
{
    /// <summary>The weights with the rows of a format.</summary>
    public static LoraWeight[] WithRows(LoraAdapter adapter, bool asInGguf, ModelConfig? model) =>
        [.. adapter.Weights.Select(weight => AdapterShaping.Reorder(weight, asInGguf, model?.HeadSize ?? 2))];

    /// <summary>The value that most weights have; of equally frequent ones the first.</summary>
    public static T MostFrequent<T>(IEnumerable<T> values) => values.GroupBy(value => value).MaxBy(group => group.Count())!.Key;

    /// <summary>A float as the shortest decimal number that is it, for numbers of JSON.</summary>
    public static double Decimal(float value) => double.Parse(value.ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    /// <summary>The alpha for which <c>alpha / rank</c> is a scale, in float32.</summary>
    public static double GetAlpha(float scale, int rank)
    {
        double alpha = Decimal(scale) * rank;
        double rounded = Math.Round(alpha);
        return (float)(rounded / rank) == scale ? rounded : (float)(alpha / rank) == scale ? alpha : (double)scale * rank;
    }

    /// <summary>Whether a codec is one of plain floats, which every format keeps.</summary>
    public static QuantCodec FloatCodec(LoraWeight weight) => weight.Codec.IsQuantized ? QuantCodec.Get(QuantFormat.F32) : weight.Codec;

    /// <summary>Values in a codec of plain floats.</summary>
    public static byte[] Encode(QuantCodec codec, ReadOnlySpan<float> values)
    {
        var bytes = new byte[codec.GetByteCount(values.Length)];
        codec.Encode(values, bytes);
        return bytes;
    }

    /// <summary>Declares a tensor of a safetensors file.</summary>
    public static void Add(SafetensorsWriter writer, string name, QuantCodec codec, long[] shape, ReadOnlySpan<float> values) =>
        writer.Add(name, codec.GetElementType(), shape, Encode(codec, values));

    /// <summary>A matrix with rows and columns exchanged.</summary>
    public static float[] Turn(ReadOnlySpan<float> values, int rows)
    {
        int columns = values.Length / rows;
        var turned = new float[values.Length];
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                turned[(column * rows) + row] = values[(row * columns) + column];
            }
        }

        return turned;
    }
}
