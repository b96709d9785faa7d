namespace KQuant.Codecs.Files;

/// <summary>
/// Experts that a model type stores as one tensor and the other way round, [experts, in, out]: split and transposed as mlx-lm's class of
/// the type does, while rows are read. The type says how they lie; shapes only have to agree.
/// </summary>
internal sealed class FusedExperts(CheckpointConfig config)
{
    /// <summary>What dbrx calls all experts, one below the other in one matrix.</summary>
    public const string DbrxExperts = ".ffn.experts.mlp.";

    private const string GateUp = ".experts.gate_up_proj", Down = ".experts.down_proj", Bias = "_bias";

    /// <summary>More experts than any model has; a bound for what a file can make us allocate.</summary>
    private const int MaxExperts = 1 << 16;

    private readonly string _type = config.ModelType ?? "";
    private readonly long? _hiddenSize = config.GetInteger("hidden_size");
    private readonly long? _experts =
        config.GetObject("ffn_config")?["moe_num_experts"].AsInteger() ?? config.GetInteger("num_experts", "num_local_experts", "moe_num_experts");

    /// <summary>Whether the model type is one of these.</summary>
    public bool IsTransposed => _type is "gpt_oss" or "llama4" or "llama4_text" or "qwen3_vl_moe" or "qwen3_vl_moe_text" or "dbrx";

    // gpt_oss alternates between gate and up; the others have one half behind the other.
    private bool IsInterleaved => _type == "gpt_oss";

    /// <summary>The tensors that a stored one stands for.</summary>
    /// <param name="name">Its name, already without foreign prefixes.</param>
    /// <param name="stored">The tensor, of a float type.</param>
    /// <returns>Null when it is none of these.</returns>
    public CheckpointTensor[]? Split(string name, SafetensorsTensor stored)
    {
        if (_type == "dbrx")
        {
            return SplitDbrx(name, stored);
        }

        bool isGateUp = name.EndsWith(GateUp, StringComparison.Ordinal), isDown = name.EndsWith(Down, StringComparison.Ordinal);
        if (stored.Shape.Length == 3 && (isGateUp || isDown) && stored.Shape[0] <= MaxExperts)
        {
            string block = name[..^(isGateUp ? GateUp : Down).Length] + (_type.StartsWith("qwen3_vl", StringComparison.Ordinal) ? ".switch_mlp." : ".experts.");
            (long inputs, long outputs) = (stored.Shape[1], stored.Shape[2]);
            return isDown && outputs == (_hiddenSize ?? outputs) ? [Transpose(block + "down_proj.weight", stored, outputs, 0, 1)]
                : isGateUp && inputs == (_hiddenSize ?? inputs) && outputs % 2 == 0 ? SplitGateUp(block, stored, outputs / 2)
                : null;
        }

        if (IsInterleaved && stored.Shape.Length == 2 && name.EndsWith(GateUp + Bias, StringComparison.Ordinal) && stored.Shape[1] % 2 == 0)
        {
            string block = name[..^(GateUp + Bias).Length] + ".experts.";
            return [Alternate(block + "gate_proj.bias", stored, 0), Alternate(block + "up_proj.bias", stored, 1)];
        }

        return IsInterleaved && name.EndsWith(Down + Bias, StringComparison.Ordinal)
            ? [CheckpointTensor.Plain(name[..^Bias.Length] + ".bias", stored)]
            : null;
    }

    private CheckpointTensor[] SplitGateUp(string block, SafetensorsTensor stored, long half) => IsInterleaved
        ? [Transpose(block + "gate_proj.weight", stored, half, 0, 2), Transpose(block + "up_proj.weight", stored, half, 1, 2)]
        : [Transpose(block + "gate_proj.weight", stored, half, 0, 1), Transpose(block + "up_proj.weight", stored, half, half, 1)];

    /// <summary>Columns of all experts as rows.</summary>
    private static CheckpointTensor Transpose(string name, SafetensorsTensor stored, long rows, long firstColumn, long step)
    {
        (long experts, long inputs, long outputs) = (stored.Shape[0], stored.Shape[1], stored.Shape[2]);
        long bytesPerExpert = stored.ByteCount / experts, elementBytes = bytesPerExpert / inputs / outputs;
        var parts = new TensorPart[experts];
        for (int expert = 0; expert < parts.Length; expert++)
        {
            parts[expert] = new TensorPart(
                stored, (expert * bytesPerExpert) + (firstColumn * elementBytes), Strides: new Strides(step, outputs));
        }

        return CheckpointTensor.Stack(name, [experts, rows, inputs], parts, rows * inputs * elementBytes);
    }

    /// <summary>Every other value of rows.</summary>
    private static CheckpointTensor Alternate(string name, SafetensorsTensor stored, int first)
    {
        long half = stored.Shape[1] / 2, elementBytes = stored.ByteCount / stored.Shape[0] / stored.Shape[1];
        var part = new TensorPart(stored, first * elementBytes, Strides: new Strides(stored.Shape[1], 2));
        return CheckpointTensor.Stack(name, [stored.Shape[0], half], [part], stored.ByteCount / 2);
    }

    /// <summary>All experts one below the other, [experts * inner, hidden]; <c>w2</c> is used the other way round.</summary>
    private CheckpointTensor[]? SplitDbrx(string name, SafetensorsTensor stored)
    {
        int at = name.IndexOf(DbrxExperts, StringComparison.Ordinal);
        if (at < 0 || stored.Shape.Length != 2 || _experts is not (> 0 and <= MaxExperts) || stored.Shape[0] % _experts != 0)
        {
            return null;
        }

        string block = name[..at] + ".ffn.experts.", leaf = name[(at + DbrxExperts.Length)..];
        long rows = stored.Shape[0] / _experts.Value, columns = stored.Shape[1], bytes = stored.ByteCount / _experts.Value;
        return
        [
            .. Enumerable.Range(0, (int)_experts.Value).Select(expert => leaf == "w2"
                ? CheckpointTensor.Stack($"{block}{expert}.{leaf}.weight", [columns, rows], [new TensorPart(stored, expert * bytes, Strides: new Strides(1, columns))], bytes)
                : CheckpointTensor.Stack($"{block}{expert}.{leaf}.weight", [rows, columns], [new TensorPart(stored, expert * bytes)], bytes)),
        ];
    }
}
