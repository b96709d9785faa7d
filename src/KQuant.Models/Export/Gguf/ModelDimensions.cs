using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Models.Export;

/// <summary>
/// The numbers of a <c>config.json</c> that make up a decoder, with the defaults of the Hugging Face classes where a key is missing: a
/// configuration that was saved by them leaves defaults out.
/// </summary>
internal sealed class ModelDimensions
{
    private const long MaxLayers = 512;

    private readonly CheckpointConfig _config;
    private readonly string _path;

    private ModelDimensions(CheckpointConfig config, string path, string modelType)
    {
        (_config, _path, ModelType) = (config, path, modelType);
        HiddenSize = Read("hidden_size", 0);
        Layers = Read("num_hidden_layers", 0);
        Vocabulary = Read("vocab_size", modelType == "gemma3_text" ? 262208 : 0);
        IntermediateSize = Read("intermediate_size", 0);
        bool isGemma = modelType is "gemma2" or "gemma3_text";
        Heads = Read("num_attention_heads", isGemma ? 8 : 0);
        KeyValueHeads = Read("num_key_value_heads", modelType switch
        {
            "gemma2" or "gemma3_text" or "qwen3_moe" => 4,
            "mistral" or "mixtral" => 8,
            "qwen2" or "qwen3" => _config.Contains("num_key_value_heads") ? Heads : 32,
            _ => Heads,
        });
        StoredHeadDimension = _config.GetInteger("head_dim") ?? modelType switch
        {
            "qwen3" => 128,
            "gemma2" or "gemma3_text" => 256,
            _ => null,
        };

        // Qwen2 and Phi-3 have no such key; a number that is there all the same means nothing.
        if (modelType is "qwen2" or "phi3")
        {
            StoredHeadDimension = null;
        }

        HeadDimension = StoredHeadDimension ?? (Heads == 0 ? 0 : HiddenSize / Heads);
        ContextLength = Read("max_position_embeddings", modelType switch
        {
            "llama" => 2048,
            "phi3" => 4096,
            "gemma2" => 8192,
            "qwen2" or "qwen3" or "qwen3_moe" => 32768,
            _ => 131072,
        });
        RmsNormEpsilon = _config.GetNumber("rms_norm_eps") ?? (modelType is "mixtral" or "phi3" ? 1e-5 : 1e-6);
        Rope = new RopeParameters(config, path, modelType switch { "mixtral" or "gemma3_text" => 1e6, _ => 1e4 });
        Experts = modelType switch
        {
            "mixtral" => Read("num_local_experts", 8),
            "qwen3_moe" => Read("num_experts", 128),
            _ => 0,
        };
        ExpertsUsed = Experts == 0 ? 0 : Read("num_experts_per_tok", modelType == "mixtral" ? 2 : 8);
        ExpertSize = modelType == "qwen3_moe" ? Read("moe_intermediate_size", 768) : IntermediateSize;
        Check();
    }

    /// <summary>The model type whose defaults hold.</summary>
    public string ModelType { get; }

    public long HiddenSize { get; }

    public long Layers { get; }

    public long Vocabulary { get; }

    public long IntermediateSize { get; }

    public long Heads { get; }

    public long KeyValueHeads { get; }

    public long HeadDimension { get; }

    /// <summary>The head dimension as far as the configuration or its class names one; otherwise it is hidden size by heads.</summary>
    public long? StoredHeadDimension { get; }

    public long ContextLength { get; }

    public double RmsNormEpsilon { get; }

    public RopeParameters Rope { get; }

    /// <summary>Experts that a router chooses from; 0 for a dense model.</summary>
    public long Experts { get; }

    public long ExpertsUsed { get; }

    /// <summary>Rows of the gate of one expert.</summary>
    public long ExpertSize { get; }

    public long SlidingWindow => _config.GetInteger("sliding_window") ?? 0;

    /// <summary>Reads a configuration.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="modelType">The model type whose defaults hold.</param>
    /// <exception cref="ModelFormatException">A number is missing, not positive, or impossible.</exception>
    public static ModelDimensions Read(ModelFolder folder, string modelType) =>
        new(new CheckpointConfig(folder.Config), Path.Combine(folder.Path, ConfigFile.Name), modelType);

    private long Read(string key, long fallback) => _config.GetInteger(key) ?? fallback;

    private void Check()
    {
        foreach ((string key, long value) in ((string, long)[])
            [
                ("hidden_size", HiddenSize), ("num_hidden_layers", Layers), ("vocab_size", Vocabulary), ("intermediate_size", IntermediateSize),
                ("num_attention_heads", Heads), ("num_key_value_heads", KeyValueHeads), ("head_dim", HeadDimension),
                ("max_position_embeddings", ContextLength),
            ])
        {
            if (value is <= 0 or > int.MaxValue)
            {
                throw new ModelFormatException(_path, _config.GetInteger(key) is null
                    ? $"the number '{key}' is missing"
                    : $"'{key}' is {value}; a number from 1 to {int.MaxValue} is needed");
            }
        }

        if (Layers > MaxLayers)
        {
            throw new ModelFormatException(_path, $"'num_hidden_layers' is {Layers}; llama.cpp reads at most {MaxLayers}");
        }

        if (Heads % KeyValueHeads != 0)
        {
            throw new ModelFormatException(_path, $"{Heads} attention heads cannot share {KeyValueHeads} key and value heads");
        }

        if (HeadDimension % 2 != 0)
        {
            throw new ModelFormatException(_path, $"'head_dim' is {HeadDimension}; heads are rotated in pairs");
        }

        if (Experts < 0 || ExpertsUsed < 0 || ExpertsUsed > Experts || Experts > 1024 || ExpertSize is <= 0 or > int.MaxValue)
        {
            throw new ModelFormatException(
                _path, $"{ExpertsUsed} of {Experts} experts of size {ExpertSize} is no mixture that llama.cpp reads (at most 1024 experts)");
        }
    }
}
