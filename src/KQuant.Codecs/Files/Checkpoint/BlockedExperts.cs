namespace KQuant.Codecs.Files;

/// <summary>
/// Experts as gpt-oss publishes them: mxfp4 in tensors <c>_blocks</c>, [experts, out, groups, 16] bytes, and <c>_scales</c>, [experts, out,
/// groups], with the rows of gate and up in turns. They are GGML's mxfp4 with the codes in another order.
/// </summary>
internal sealed class BlockedExperts
{
    public const string Scheme = "mxfp4";
    public const string Suffix = "_blocks";

    private const string Scales = "_scales", GateUp = ".gate_up_proj", Down = ".down_proj";

    private readonly SafetensorsFile _weights;

    private BlockedExperts(SafetensorsFile weights) => _weights = weights;

    /// <summary>The reader of a checkpoint's experts; null when they are not of this kind.</summary>
    public static BlockedExperts? Find(CheckpointConfig config, SafetensorsFile weights) =>
        config.ModelType == "gpt_oss" && weights.Tensors.Any(tensor => tensor.Name.EndsWith(Suffix, StringComparison.Ordinal) && tensor.ElementType == ElementType.U8)
            ? new BlockedExperts(weights)
            : null;

    /// <summary>Whether a tensor holds the scales of another one.</summary>
    public bool IsPart(string name) =>
        name.EndsWith(Scales, StringComparison.Ordinal) && _weights.TryGet(name[..^Scales.Length] + Suffix, out _);

    /// <summary>The weights that a stored tensor holds.</summary>
    /// <param name="name">Its name in the model.</param>
    /// <param name="stored">The tensor.</param>
    /// <returns>Null when it is none of these.</returns>
    /// <exception cref="ModelFormatException">The scales are missing, or do not fit.</exception>
    public ModelTensor[]? Split(string name, SafetensorsTensor stored)
    {
        if (!name.EndsWith(Suffix, StringComparison.Ordinal))
        {
            return null;
        }

        string module = name[..^Suffix.Length];
        bool isGateUp = module.EndsWith(GateUp, StringComparison.Ordinal);
        if (!isGateUp && !module.EndsWith(Down, StringComparison.Ordinal))
        {
            return null;
        }

        if (!_weights.TryGet(stored.Name[..^Suffix.Length] + Scales, out SafetensorsTensor? scales))
        {
            throw new ModelFormatException(stored.FilePath, "there are no scales (" + Scales + ") for these blocks", stored.Name);
        }

        if (stored.ElementType != ElementType.U8 || scales.ElementType != ElementType.U8
            || stored.Shape is not [long experts, long rows, long groups, BlockedTensor.CodeBytes]
            || !scales.Shape.AsSpan().SequenceEqual([experts, rows, groups]) || (isGateUp && rows % 2 != 0) || groups > int.MaxValue / BlockedTensor.Weights)
        {
            throw new ModelFormatException(
                stored.FilePath,
                $"mxfp4 experts are U8 [experts, out, groups, {BlockedTensor.CodeBytes}] with scales U8 [experts, out, groups], not {stored.ElementType} "
                + $"[{string.Join(", ", stored.Shape)}] with {scales.ElementType} [{string.Join(", ", scales.Shape)}]",
                stored.Name,
                stored.Offset);
        }

        return isGateUp
            ? [
                new BlockedTensor(module[..^GateUp.Length] + ".gate_proj.weight", stored, scales, 0, 2),
                new BlockedTensor(module[..^GateUp.Length] + ".up_proj.weight", stored, scales, 1, 2),
            ]
            : [new BlockedTensor(module + ".weight", stored, scales, 0, 1)];
    }
}
