using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace KQuant.Codecs.Files;

/// <summary>
/// From names of a Hugging Face checkpoint to those that mlx-lm's model classes use ("sanitize"): what is computed or belongs to another
/// part of the model is dropped, prefixes are unified. Names that are already mlx-lm's stay.
/// </summary>
internal sealed class MlxNames
{
    private const string LanguageModel = "language_model.";
    private const string Adapter = "base_model.model.";
    private const string Model = "model.";
    private const string Embedding = "embed_tokens.weight";

    private static readonly string[] Towers =
    [
        "vision_tower.", "vision_model.", "visual.", "audio_tower.", "audio_model.", "multi_modal_projector.", "vl_connector.", "merger.",
        "connector.", "embed_vision.", "embed_audio.",
    ];

    /// <summary>Model types whose checkpoints append layers for multi-token prediction behind the last one.</summary>
    private static readonly string[] TrailingLayerTypes = ["glm4_moe", "glm4_moe_lite", "deepseek_v3", "deepseek_v32"];

    private readonly bool _isComposite;
    private readonly bool _dropsHead;
    private readonly long? _layers;
    private readonly bool _hasAdapterPrefix;
    private readonly bool _lacksModel;

    /// <param name="config">The config of the checkpoint.</param>
    /// <param name="path">The folder, for messages.</param>
    /// <param name="stored">The names of all stored tensors, which share what programs put in front of them.</param>
    /// <exception cref="ModelFormatException">There are two embeddings.</exception>
    public MlxNames(CheckpointConfig config, string path, IReadOnlyCollection<string> stored)
    {
        // A model that was saved with an adapter around it, or without the head around it.
        _hasAdapterPrefix = stored.Count > 0 && stored.All(name => name.StartsWith(Adapter, StringComparison.Ordinal));
        string front = _hasAdapterPrefix ? Adapter : "";
        bool hasModel = stored.Any(name => name.AsSpan(front.Length).StartsWith(Model, StringComparison.Ordinal));
        if (stored.Contains(front + Embedding))
        {
            if (stored.Contains(front + Model + Embedding))
            {
                throw new ModelFormatException(path, $"this is a second embedding beside {front}{Model}{Embedding}", front + Embedding);
            }

            _lacksModel = !hasModel;
        }

        _isComposite = config.IsComposite;
        string type = config.ModelType ?? "";

        // Gemma and Gemma 2 tie unless told otherwise, others only when told. Gemma 3 keeps a head that is present, and then does not tie.
        bool tied = config.GetBoolean("tie_word_embeddings") ?? type is "gemma" or "gemma2";
        _dropsHead = tied && !type.StartsWith("gemma3", StringComparison.Ordinal);
        _layers = TrailingLayerTypes.Contains(type) ? config.GetInteger("num_hidden_layers") : null;
    }

    /// <summary>The mlx-lm name of a stored tensor.</summary>
    /// <param name="stored">The stored name.</param>
    /// <param name="name">The name, or null when the tensor is dropped.</param>
    /// <param name="reason">Why it is dropped, or null.</param>
    /// <returns>False when it is dropped.</returns>
    public bool TryMap(string stored, [NotNullWhen(true)] out string? name, [NotNullWhen(false)] out string? reason)
    {
        stored = _hasAdapterPrefix ? stored[Adapter.Length..] : stored;
        stored = _lacksModel && !stored.StartsWith("lm_head.", StringComparison.Ordinal) ? Model + stored : stored;
        name = stored.StartsWith("model." + LanguageModel, StringComparison.Ordinal)
            ? "model." + stored[("model.".Length + LanguageModel.Length)..]
            : stored.StartsWith(LanguageModel, StringComparison.Ordinal) ? stored[LanguageModel.Length..] : stored;
        reason = FindReason(name);
        if (reason is not null)
        {
            name = null;
            return false;
        }

        if (_isComposite
            && (name.StartsWith("model.", StringComparison.Ordinal) || name.StartsWith("lm_head.", StringComparison.Ordinal)))
        {
            name = LanguageModel + name;
        }

        return true;
    }

    private string? FindReason(string name)
    {
        if (name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal) || name.EndsWith(".attention.bias", StringComparison.Ordinal)
            || name.EndsWith(".attention.masked_bias", StringComparison.Ordinal))
        {
            return "computed when the model is loaded";
        }

        if (_dropsHead && name.StartsWith("lm_head.", StringComparison.Ordinal))
        {
            return "tied to the embedding";
        }

        if (name.StartsWith("mtp.", StringComparison.Ordinal) || IsTrailingLayer(name))
        {
            return "multi-token prediction";
        }

        string inner = name.StartsWith("model.", StringComparison.Ordinal) ? name["model.".Length..] : name;
        return _isComposite && Towers.Any(tower => inner.StartsWith(tower, StringComparison.Ordinal))
            ? "not part of the language model"
            : null;
    }

    private bool IsTrailingLayer(string name)
    {
        const string Prefix = "model.layers.";
        if (_layers is null || !name.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return false;
        }

        ReadOnlySpan<char> rest = name.AsSpan(Prefix.Length);
        int end = rest.IndexOf('.');
        return end > 0 && long.TryParse(rest[..end], NumberStyles.None, CultureInfo.InvariantCulture, out long layer) && layer >= _layers;
    }
}
