using System.Globalization;
using KQuant.Codecs.Files;

namespace KQuant.Codecs.Recipes;

/// <summary>Plans for checkpoints in MLX's own modes. Scales of affine weights have the float type of the weights.</summary>
public static class MlxPlans
{
    /// <summary>One format for every weight whose rows are whole groups; the others stay as they are, as mlx-lm leaves them.</summary>
    /// <param name="source">A model.</param>
    /// <param name="format">The format.</param>
    /// <param name="requantize">Whether weights that are quantized already are decoded and encoded again.</param>
    /// <returns>The plan.</returns>
    public static QuantizationPlan Uniform(ModelSource source, MlxFormat format, bool requantize = false)
    {
        ArgumentNullException.ThrowIfNull(format);
        return Create(source, _ => format, format, requantize);
    }

    /// <summary>
    /// mlx-lm's mixed recipes: more bits for the output head, and for values and down projections of the first and last eighth of the layers and of
    /// every third between.
    /// </summary>
    /// <param name="source">A model.</param>
    /// <param name="low">The format of most weights.</param>
    /// <param name="high">The format of those with more bits.</param>
    /// <param name="requantize">Whether weights that are quantized already are decoded and encoded again.</param>
    /// <returns>The plan.</returns>
    public static QuantizationPlan Mixed(ModelSource source, MlxFormat low, MlxFormat high, bool requantize = false)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(low);
        ArgumentNullException.ThrowIfNull(high);
        int layers = source.Tensors.Select(tensor => LayerOf(tensor.Name) + 1).Append(0).Max();
        return Create(source, name => HasMoreBits(name, layers) ? high : low, low, requantize);
    }

    private static QuantizationPlan Create(ModelSource source, Func<string, MlxFormat> formatOf, MlxFormat main, bool requantize) =>
        QuantizationPlan.Create(
            source,
            (tensor, _) => requantize || !tensor.Codec!.IsQuantized ? formatOf(tensor.Name).GetCodec(ScaleType(tensor.Codec!)) : null,
            main.GetCodec());

    private static ElementType ScaleType(QuantCodec stored) => stored.Format switch
    {
        QuantFormat.F32 => ElementType.F32,
        QuantFormat.BF16 => ElementType.BF16,
        _ => ElementType.F16,
    };

    private static bool HasMoreBits(string name, int layers)
    {
        if (name.Contains("lm_head", StringComparison.Ordinal))
        {
            return true;
        }

        bool isNamed = name.Contains("v_proj", StringComparison.Ordinal) || name.Contains("v_a_proj", StringComparison.Ordinal)
            || name.Contains("v_b_proj", StringComparison.Ordinal) || name.Contains("down_proj", StringComparison.Ordinal);
        int layer = LayerOf(name);
        return isNamed && layer >= 0 && (layer < layers / 8 || layer >= 7 * layers / 8 || (layer - (layers / 8)) % 3 == 2);
    }

    /// <summary>The number of a layer in a name; -1 if there is none.</summary>
    private static int LayerOf(string name)
    {
        const string Marker = "layers.";
        int at = name.IndexOf(Marker, StringComparison.Ordinal);
        string rest = at < 0 ? "" : name[(at + Marker.Length)..];
        int dot = rest.IndexOf('.', StringComparison.Ordinal);
        return dot > 0 && int.TryParse(rest[..dot], NumberStyles.None, CultureInfo.InvariantCulture, out int layer) && layer < int.MaxValue ? layer : -1;
    }
}
