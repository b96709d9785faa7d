using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace KQuant.Codecs.Files;

/// <summary>
/// What the tensors of one model architecture are called in a GGUF file and in a checkpoint: <c>blk.0.ffn_down.weight</c> is
/// <c>model.layers.0.mlp.down_proj.weight</c>. Checkpoint names are those of Hugging Face, with experts stacked as mlx-lm stores them
/// (<c>mlp.switch_mlp.down_proj</c>); names of single experts are understood too.
/// </summary>
/// <remarks>
/// Names only; some values change as well: the rows of q and k are permuted for <c>llama</c>, and one is added to Gemma's norms. GGUF
/// tensors that are computed from the configuration (<c>rope_freqs</c>, <c>rope_factors_long</c>, <c>rope_factors_short</c>) have no name
/// in a checkpoint. Experts fused with their gate (<c>mlp.experts.gate_up_proj</c>) are two GGUF tensors, so they have no name here.
/// </remarks>
public sealed class TensorNames
{
    private static readonly string[] Parameters = [".weight", ".bias"];

    private readonly Dictionary<string, string> _toGguf = [];
    private readonly Dictionary<string, string> _toCheckpoint = [];
    private readonly Dictionary<string, string> _toExpert = [];

    /// <summary>Makes the names of an architecture from a table.</summary>
    /// <param name="architecture">The architecture, as GGUF files name it.</param>
    /// <param name="names">All tensors, experts stacked.</param>
    /// <param name="singleExperts">GGUF stacks and what one expert of them is called in a checkpoint that does not stack.</param>
    public TensorNames(string architecture, IEnumerable<TensorNamePair> names, IEnumerable<TensorNamePair> singleExperts)
    {
        ArgumentNullException.ThrowIfNull(architecture);
        ArgumentNullException.ThrowIfNull(names);
        ArgumentNullException.ThrowIfNull(singleExperts);
        Architecture = architecture;
        foreach ((string gguf, string checkpoint) in names)
        {
            _toGguf.Add(checkpoint, gguf);
            _toCheckpoint.Add(gguf, checkpoint);
        }

        foreach ((string gguf, string expert) in singleExperts)
        {
            _toGguf.Add(expert, gguf);
            _toExpert.Add(gguf, expert);
        }
    }

    /// <summary>The architecture, as GGUF files name it.</summary>
    public string Architecture { get; }

    /// <summary>The GGUF name of a tensor of a checkpoint.</summary>
    /// <param name="checkpointName">
    /// <c>model.layers.0.mlp.down_proj.weight</c>; also with <c>language_model.</c> before it or behind <c>model.</c>, as multimodal models
    /// have it, without <c>.weight</c>, and of a single expert.
    /// </param>
    /// <param name="ggufName">The name, or null. For a single expert it is that of the stack.</param>
    /// <param name="expert">The number of a single expert, else null.</param>
    /// <returns>Whether the name is known.</returns>
    public bool TryToGguf(string checkpointName, [NotNullWhen(true)] out string? ggufName, out int? expert)
    {
        ArgumentNullException.ThrowIfNull(checkpointName);
        ggufName = Map(WithoutLanguageModel(checkpointName), _toGguf, out List<string> numbers);
        expert = ggufName is not null && numbers.Count > 1 ? int.Parse(numbers[1], CultureInfo.InvariantCulture) : null;
        return ggufName is not null;
    }

    /// <summary>The GGUF name of a tensor of a checkpoint.</summary>
    /// <inheritdoc cref="TryToGguf(string, out string?, out int?)"/>
    public bool TryToGguf(string checkpointName, [NotNullWhen(true)] out string? ggufName) =>
        TryToGguf(checkpointName, out ggufName, out _);

    /// <summary>The name in a checkpoint of a GGUF tensor, experts stacked.</summary>
    /// <param name="ggufName"><c>blk.0.ffn_down.weight</c>; also without <c>.weight</c>.</param>
    /// <param name="checkpointName">The name, or null.</param>
    /// <returns>Whether the name is known.</returns>
    public bool TryToCheckpoint(string ggufName, [NotNullWhen(true)] out string? checkpointName)
    {
        ArgumentNullException.ThrowIfNull(ggufName);
        checkpointName = Map(ggufName, _toCheckpoint, out _);
        return checkpointName is not null;
    }

    /// <summary>
    /// The name in a checkpoint of one expert of a stacked GGUF tensor: <c>model.layers.0.mlp.experts.3.down_proj.weight</c>.
    /// </summary>
    /// <param name="ggufName">The name of a stack, <c>blk.0.ffn_down_exps.weight</c>.</param>
    /// <param name="expert">The number of the expert.</param>
    /// <param name="checkpointName">The name, or null.</param>
    /// <returns>Whether this is a stack whose experts have names of their own.</returns>
    public bool TryToExpert(string ggufName, int expert, [NotNullWhen(true)] out string? checkpointName)
    {
        ArgumentNullException.ThrowIfNull(ggufName);
        ArgumentOutOfRangeException.ThrowIfNegative(expert);
        checkpointName = Map(ggufName, _toExpert, out _, expert);
        return checkpointName is not null;
    }

    /// <summary>A name without what multimodal models put before those of their language model.</summary>
    internal static string WithoutLanguageModel(string name)
    {
        const string prefix = "language_model.";
        if (name.StartsWith(prefix, StringComparison.Ordinal))
        {
            return name[prefix.Length..];
        }

        return name.StartsWith("model." + prefix, StringComparison.Ordinal) ? "model." + name[("model.".Length + prefix.Length)..] : name;
    }

    /// <summary>
    /// Looks up a name with its numbers taken out, as a whole or without <c>.weight</c> or <c>.bias</c>, and puts the numbers into what it
    /// finds.
    /// </summary>
    private static string? Map(string name, Dictionary<string, string> table, out List<string> numbers, int? expert = null)
    {
        numbers = [];
        if (name.Contains('#'))
        {
            return null;
        }

        string[] parts = name.Split('.');
        for (int i = 0; i < parts.Length; i++)
        {
            if (int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out _))
            {
                numbers.Add(parts[i]);
                parts[i] = "#";
            }
        }

        string pattern = string.Join('.', parts);
        string parameter = "";
        if (!table.TryGetValue(pattern, out string? found))
        {
            parameter = Parameters.FirstOrDefault(suffix => pattern.EndsWith(suffix, StringComparison.Ordinal), "");
            if (!table.TryGetValue(pattern[..^parameter.Length], out found))
            {
                return null;
            }
        }

        if (expert is int number)
        {
            numbers.Add(number.ToString(CultureInfo.InvariantCulture));
        }

        string[] between = (found + parameter).Split('#');
        string result = between[0];
        for (int i = 1; i < between.Length; i++)
        {
            result += numbers[i - 1] + between[i];
        }

        return result;
    }
}
