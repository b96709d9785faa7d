using System.Diagnostics.CodeAnalysis;

namespace KQuant.Codecs.Files;

/// <summary>
/// The scales of weights in eight-bit floats, as DeepSeek and Qwen publish them: beside <c>X.weight</c> lies <c>X.weight_scale_inv</c>, one
/// factor for each block of 128 by 128, or <c>X.weight_scale</c>, one for each row or one for all. The weight is the product.
/// </summary>
internal sealed class Fp8Scales
{
    private const int StandardBlock = 128;

    private static readonly string[] Suffixes = ["_scale_inv", "_scale"];

    private readonly Dictionary<string, Fp8Scale> _scales = [];
    private readonly HashSet<string> _used = [];

    /// <summary>Finds the scales of a checkpoint.</summary>
    /// <exception cref="ModelFormatException">Scales are of a type or shape that fits no weight.</exception>
    public Fp8Scales(SafetensorsFile weights, CheckpointConfig config)
    {
        int[] block = ReadBlock(config);
        foreach (SafetensorsTensor tensor in weights.Tensors)
        {
            if (tensor.ElementType is not (ElementType.F8_E4M3 or ElementType.F8_E5M2) || tensor.Shape.Length != 2)
            {
                continue;
            }

            foreach (string suffix in Suffixes)
            {
                if (weights.TryGet(tensor.Name + suffix, out SafetensorsTensor? scale))
                {
                    _scales.Add(tensor.Name, new Fp8Scale(tensor, scale, block[0], block[1]));
                    _used.Add(scale.Name);
                    break;
                }
            }
        }
    }

    /// <summary>The scale of a weight.</summary>
    public bool TryGet(SafetensorsTensor weight, [NotNullWhen(true)] out Fp8Scale? scale) => _scales.TryGetValue(weight.Name, out scale);

    /// <summary>Whether a tensor is part of a weight, or of activations that are quantized while the model runs.</summary>
    public bool IsPart(string name) => _used.Contains(name)
        || (_used.Count > 0 && (name.EndsWith(".input_scale", StringComparison.Ordinal) || name.EndsWith(".activation_scale", StringComparison.Ordinal)));

    private static int[] ReadBlock(CheckpointConfig config)
    {
        if (config.GetObject("quantization_config")?["weight_block_size"] is System.Text.Json.Nodes.JsonArray { Count: 2 } sizes
            && sizes[0].AsInteger() is long rows and > 0 and <= int.MaxValue && sizes[1].AsInteger() is long columns and > 0 and <= int.MaxValue)
        {
            return [(int)rows, (int)columns];
        }

        return [StandardBlock, StandardBlock];
    }
}
