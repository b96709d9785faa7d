namespace KQuant.Codecs.Files;

/// <summary>
/// Recognizes checkpoints of other quantization schemes by their tensors, because a <c>quantization_config</c> gets lost: such weights,
/// taken for floats and integers, would make a model of noise.
/// </summary>
internal static class ForeignScheme
{
    private static readonly (string Suffix, string Scheme)[] Suffixes =
    [
        (".g_idx", "gptq"), (".qzeros", "awq"), (".weight_packed", "compressed-tensors"), (".weight.absmax", "bitsandbytes"),
        (".weight.quant_map", "bitsandbytes"), (".SCB", "bitsandbytes"), (".weight._data", "quanto"), (".weight._scale", "quanto"),
        (".weight_scale_2", "nvfp4"), (BlockedExperts.Suffix, BlockedExperts.Scheme), (".lora_A.weight", "lora"), (".lora_A.default.weight", "lora"),
    ];

    /// <summary>The scheme, as configs call it; null for a checkpoint of floats.</summary>
    /// <param name="weights">The stored tensors.</param>
    /// <param name="scales">The scales that are understood.</param>
    /// <param name="understandsBlocks">Whether mxfp4 experts in blocks are understood.</param>
    public static string? Find(SafetensorsFile weights, Fp8Scales scales, bool understandsBlocks = false)
    {
        string? weak = null;
        foreach (SafetensorsTensor tensor in weights.Tensors)
        {
            foreach ((string suffix, string scheme) in Suffixes)
            {
                if (tensor.Name.EndsWith(suffix, StringComparison.Ordinal) && (suffix != BlockedExperts.Suffix || (!understandsBlocks && tensor.ElementType == ElementType.U8)))
                {
                    // AWQ is GPTQ without the order of the columns.
                    if (scheme != "awq")
                    {
                        return scheme;
                    }

                    weak = scheme;
                }
            }

            weak ??= OfWeight(tensor, weights, scales);
        }

        return weak;
    }

    private static string? OfWeight(SafetensorsTensor tensor, SafetensorsFile weights, Fp8Scales scales)
    {
        const string Suffix = ".weight";
        bool isFused = tensor.Shape.Length > 2 || tensor.Name.Contains(FusedExperts.DbrxExperts, StringComparison.Ordinal);
        if (isFused && tensor.ElementType is ElementType.F8_E4M3 or ElementType.F8_E5M2
            && !tensor.Name.EndsWith("_scale", StringComparison.Ordinal))
        {
            // The factors of single experts are understood, those of experts in one tensor are not.
            return "fp8 with fused experts";
        }

        if (!tensor.Name.EndsWith(Suffix, StringComparison.Ordinal) || tensor.Shape.Length < 2)
        {
            return null;
        }

        string module = tensor.Name[..^Suffix.Length];
        return tensor.ElementType switch
        {
            ElementType.U32 when weights.TryGet(module + ".scales", out _) => "affine",
            ElementType.U8 when weights.TryGet(module + ".scales", out _) => "kquant without its codecs",
            ElementType.U8 => "bytes",
            ElementType.I8 => "int8",
            ElementType.F8_E4M3 or ElementType.F8_E5M2 when !scales.TryGet(tensor, out _) => "fp8",
            _ => null,
        };
    }
}
