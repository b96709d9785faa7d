using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace KQuant.Codecs.Files;

/// <summary>
/// Experts as mlx-lm stacks them: <c>mlp.experts.J.gate_proj.weight</c> of all J become <c>mlp.switch_mlp.gate_proj.weight</c> [experts,
/// out, in], and so do the halves of a fused <c>mlp.experts.gate_up_proj</c>. Nothing is copied: the stack refers to its parts.
/// </summary>
internal sealed class ExpertStacks(CheckpointConfig config, Fp8Scales scales)
{
    private const string Marker = ".experts.";

    /// <summary>More experts than any model has; a bound for what a file can make us allocate.</summary>
    private const int MaxExperts = 1 << 16;

    private readonly Dictionary<string, Stack> _stacks = [];
    private readonly long? _experts = config.GetInteger("num_experts", "num_local_experts", "n_routed_experts");
    private readonly long? _hiddenSize = config.GetInteger("hidden_size");

    private readonly string _type = config.ModelType ?? "";
    private readonly FusedExperts _fused = new(config);

    /// <summary>Takes a tensor that is one expert of a stack.</summary>
    /// <param name="name">The name, already without foreign prefixes.</param>
    /// <param name="stored">The tensor.</param>
    /// <param name="started">The stack, when this is the first of its parts: here is its place in the list of tensors.</param>
    /// <returns>False when the tensor is no single expert.</returns>
    public bool TryTake(string name, SafetensorsTensor stored, out Stack? started)
    {
        started = null;
        if (!TryParse(name, _type, out string? stackName, out int expert))
        {
            return false;
        }

        if (!_stacks.TryGetValue(stackName, out Stack? stack))
        {
            stack = new Stack(stackName, _experts, scales);
            _stacks.Add(stackName, stack);
            started = stack;
        }

        stack.Add(expert, stored);
        return true;
    }

    /// <summary>
    /// Splits a tensor that fuses all experts: <c>gate_up_proj</c> [experts, 2 * out, in] into its halves, <c>down_proj</c> is only
    /// renamed. Model types that store them the other way round ([experts, in, out]) have theirs transposed while rows are read.
    /// </summary>
    /// <returns>False when the tensor is none of these.</returns>
    public bool TrySplit(string name, SafetensorsTensor stored, [NotNullWhen(true)] out CheckpointTensor[]? parts)
    {
        parts = null;
        if (stored.ByteCount == 0 || !stored.ElementType.TryGetCodec(out _))
        {
            return false;
        }

        if (_fused.IsTransposed)
        {
            parts = _fused.Split(name, stored);
            return parts is not null;
        }

        bool isGranite = _type is "granitemoe" or "granitemoehybrid" or "granitemoeshared" && name.Contains(".block_sparse_moe.", StringComparison.Ordinal);
        bool isGateUp = name.EndsWith(isGranite ? ".input_linear.weight" : ".experts.gate_up_proj", StringComparison.Ordinal);
        bool isDown = name.EndsWith(isGranite ? ".output_linear.weight" : ".experts.down_proj", StringComparison.Ordinal);
        if (!(isGateUp || isDown) || stored.Shape.Length != 3 || stored.Shape[0] > MaxExperts)
        {
            return false;
        }

        string block = name[..name.LastIndexOf(isGranite ? ".block_sparse_moe." : Marker, StringComparison.Ordinal)] + (isGranite ? ".block_sparse_moe" : "");
        string prefix = block + ".switch_mlp.";
        (long rows, long columns) = (stored.Shape[1], stored.Shape[2]);
        if (isDown && rows == _hiddenSize)
        {
            parts = [CheckpointTensor.Plain(prefix + "down_proj.weight", stored)];
        }
        else if (isGateUp && columns == _hiddenSize && rows % 2 == 0)
        {
            parts = [Half(stored, prefix + "gate_proj.weight", isUp: false), Half(stored, prefix + "up_proj.weight", isUp: true)];
        }

        return parts is not null;
    }

    /// <summary>What the class of mlx-lm for a model type calls the stack of a leaf.</summary>
    private static string NameStack(string block, string leaf, string type) => type switch
    {
        "dots1" or "afmoe" => $"{block}.experts.{leaf}",
        "nemotron_h" => $"{block}.switch_mlp.{(leaf == "up_proj" ? "fc1" : leaf == "down_proj" ? "fc2" : leaf)}",
        "kimi_linear" when block.EndsWith(".block_sparse_moe", StringComparison.Ordinal) => $"{block[..^".block_sparse_moe".Length]}.mlp.switch_mlp.{leaf}",
        _ => $"{block}.switch_mlp.{leaf}",
    };

    private static CheckpointTensor Half(SafetensorsTensor stored, string name, bool isUp)
    {
        long experts = stored.Shape[0];
        long half = stored.ByteCount / experts / 2;
        var parts = new TensorPart[experts];
        for (int i = 0; i < parts.Length; i++)
        {
            parts[i] = new TensorPart(stored, ((2 * i) + (isUp ? 1 : 0)) * half);
        }

        return CheckpointTensor.Stack(name, [experts, stored.Shape[1] / 2, stored.Shape[2]], parts, half);
    }

    /// <summary>Splits <c>PREFIX.experts.J.LEAF.KIND</c>; Mixtral's w1, w3 and w2 are gate, up and down.</summary>
    /// <param name="name">The name of a tensor.</param>
    /// <param name="type">The model type.</param>
    /// <param name="stackName">What the tensor of all experts is called.</param>
    /// <param name="expert">J.</param>
    public static bool TryParse(string name, string type, [NotNullWhen(true)] out string? stackName, out int expert)
    {
        stackName = null;
        expert = 0;
        int at = name.LastIndexOf(Marker, StringComparison.Ordinal);
        if (at < 0)
        {
            return false;
        }

        string[] rest = name[(at + Marker.Length)..].Split('.');
        if (rest.Length != 3 || !int.TryParse(rest[0], NumberStyles.None, CultureInfo.InvariantCulture, out expert)
            || rest[2] is not ("weight" or "bias" or "scales" or "biases"))
        {
            return false;
        }

        string? leaf = rest[1] switch
        {
            "w1" or "gate_proj" => "gate_proj",
            "w3" or "up_proj" => "up_proj",
            "w2" or "down_proj" => "down_proj",
            _ => null,
        };
        stackName = leaf is null ? null : $"{NameStack(name[..at], leaf, type)}.{rest[2]}";
        return leaf is not null;
    }

    /// <summary>One stack while its parts are collected.</summary>
    public sealed class Stack(string name, long? expected, Fp8Scales scales)
    {
        private readonly SortedDictionary<int, SafetensorsTensor> _parts = [];

        public void Add(int expert, SafetensorsTensor stored)
        {
            if (!_parts.TryAdd(expert, stored))
            {
                throw new ModelFormatException(
                    stored.FilePath, $"expert {expert} of {name} is also stored as '{_parts[expert].Name}'", stored.Name);
            }
        }

        /// <summary>The stack, once all tensors of the model were seen.</summary>
        /// <exception cref="ModelFormatException">An expert is missing, or one differs in type or shape.</exception>
        public CheckpointTensor Build()
        {
            SafetensorsTensor first = _parts.First().Value;
            long count = expected is > 0 ? expected.Value : _parts.Keys.Last() + 1L;
            int next = 0;
            foreach ((int expert, SafetensorsTensor part) in _parts)
            {
                if (expert != next)
                {
                    throw new ModelFormatException(first.FilePath, $"expert {next} of {count} is missing", name);
                }

                if (part.ElementType != first.ElementType || !part.Shape.AsSpan().SequenceEqual(first.Shape.AsSpan()))
                {
                    throw new ModelFormatException(
                        part.FilePath,
                        $"expert {expert} is {part.ElementType} [{string.Join(", ", part.Shape)}], unlike expert 0, "
                        + $"which is {first.ElementType} [{string.Join(", ", first.Shape)}]",
                        part.Name);
                }

                next++;
            }

            if (next != count)
            {
                throw new ModelFormatException(first.FilePath, $"{next} experts are stored, but the config has {count}", name);
            }

            return CheckpointTensor.Stack(
                name, [count, .. first.Shape], [.. _parts.Values.Select(part => new TensorPart(part, 0, scales.TryGet(part, out Fp8Scale? scale) ? scale : null))], first.ByteCount);
        }
    }
}
