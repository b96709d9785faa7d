using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace KQuant.Models.Configuration;

/// <summary>
/// The one table of architectures: what a family leaves unsaid in its configs (Hugging Face's class defaults and fixed choices of the
/// architecture), and what is done with it here.
/// </summary>
/// <param name="Architecture">The name in GGUF files.</param>
/// <param name="ModelType">The <c>model_type</c> in checkpoints.</param>
/// <param name="Tensors">The names of its tensors.</param>
internal sealed record ModelFamily(string Architecture, string ModelType, FamilyTensors Tensors)
{
    /// <summary>What is done with it.</summary>
    public FamilySupport Support { get; init; } = FamilySupport.Run | FamilySupport.Export;

    /// <summary>Query heads when the config does not say; 0 where it must.</summary>
    public int HeadCount { get; init; }

    /// <summary>Tokens when the config does not say; 0 where it must.</summary>
    public int VocabularySize { get; init; }

    /// <summary>Tokens before stretching when the config does not say; 0 for the context length.</summary>
    public int OriginalContext { get; init; }

    /// <summary>Key and value heads when the config does not say; 0 for as many as there are query heads.</summary>
    public int KeyValueHeads { get; init; }

    /// <summary>Size of heads when the config does not say; 0 for hidden size divided by heads.</summary>
    public int HeadSize { get; init; }

    /// <summary>Whether a <c>head_dim</c> of the config counts.</summary>
    public bool ReadsHeadSize { get; init; } = true;

    public float NormEpsilon { get; init; } = 1e-6f;

    public float Theta { get; init; } = 10_000;

    /// <summary>The part of a head that is rotated when the config does not say.</summary>
    public float PartialRotary { get; init; } = 1;

    public int ContextLength { get; init; } = 32768;

    public bool TiesEmbedding { get; init; }

    /// <summary>Queries, keys and values always have biases.</summary>
    public bool AlwaysBiased { get; init; }

    /// <summary><c>attention_bias</c> and <c>mlp_bias</c> count.</summary>
    public bool ReadsBias { get; init; }

    /// <summary><c>attention_bias</c> when the config does not say.</summary>
    public bool DefaultBias { get; init; }

    /// <summary>The output of attention has a bias where queries have one by <c>attention_bias</c>.</summary>
    public bool BiasesOutput { get; init; } = true;

    /// <summary>llama.cpp looks for a bias of attention's output, and for those of dense feed-forward layers.</summary>
    public bool BiasesInGguf { get; init; }

    public bool HasHeadNorms { get; init; }

    /// <summary>Gemma: norms of 1 + w, four of them per layer, scaled embeddings, GELU.</summary>
    public bool IsGemma { get; init; }

    /// <summary>Outputs of both parts of a layer are normalized before they are added.</summary>
    public bool HasPostNorms { get; init; }

    /// <summary>Granite: multipliers of embeddings, attention scores and residuals, a divisor of logits.</summary>
    public bool IsGranite { get; init; }

    /// <summary>One layer of so many ignores positions, unless the config has a list; 0 for none.</summary>
    public int UnrotatedPeriod { get; init; }

    /// <summary>Neighbours are rotated together in every kind of file.</summary>
    public bool IsInterleaved { get; init; }

    /// <summary>The window when <c>sliding_window</c> is absent; 0 for none.</summary>
    public int Window { get; init; }

    /// <summary><c>use_sliding_window</c> and <c>max_window_layers</c> count.</summary>
    public bool HasOptionalWindow { get; init; }

    /// <summary>One layer of so many sees everything, the others have a window; 0 where all layers are alike.</summary>
    public int WindowPeriod { get; init; }

    public ExpertStyle Experts { get; init; }

    /// <summary>The bound of attention scores when <c>attn_logit_softcapping</c> is absent; 0 for none. A null is none.</summary>
    public float AttentionSoftCap { get; init; }

    /// <summary>The bound of logits when <c>final_logit_softcapping</c> is absent; 0 for none. A null is none.</summary>
    public float LogitSoftCap { get; init; }

    /// <summary>One of the kinds that share GGUF architecture <c>llama</c>.</summary>
    public bool IsLlama => Architecture == "llama";

    /// <summary>GGUF files of the family have other rows of q and k than checkpoints: ordered for rotating neighbours.</summary>
    public bool PermutesInGguf { get; init; }

    /// <summary>Neighbours are rotated together in GGUF files.</summary>
    public bool InterleavedInGguf => PermutesInGguf || IsInterleaved;

    /// <summary>Whether gate and up are one matrix in GGUF files.</summary>
    public bool FusesGateInGguf => Architecture is "phi3" or "glm4";

    /// <summary>llama.cpp applies windows to the family.</summary>
    public bool WindowedInGguf { get; init; }

    public static ModelFamily[] All { get; } =
    [
        new("llama", "llama", FamilyTensors.Llama) { PermutesInGguf = true, BiasesInGguf = true, ContextLength = 2048, ReadsBias = true },
        new("llama", "mistral", FamilyTensors.Llama) { PermutesInGguf = true, BiasesInGguf = true, KeyValueHeads = 8, Window = 4096, ContextLength = 131072 },
        new("llama", "mixtral", FamilyTensors.Llama)
        {
            PermutesInGguf = true, BiasesInGguf = true, KeyValueHeads = 8, NormEpsilon = 1e-5f, Theta = 1e6f, ContextLength = 131072,
            Experts = ExpertStyle.Mixtral,
        },
        new("qwen2", "qwen2", FamilyTensors.Plain) { KeyValueHeads = 32, ReadsHeadSize = false, AlwaysBiased = true, HasOptionalWindow = true },
        new("qwen2moe", "qwen2_moe", FamilyTensors.Qwen2Moe)
        {
            KeyValueHeads = 16, ReadsHeadSize = false, AlwaysBiased = true, HasOptionalWindow = true, Experts = ExpertStyle.Qwen2,
        },
        new("qwen3", "qwen3", FamilyTensors.Qwen3) { KeyValueHeads = 32, HeadSize = 128, ReadsBias = true, HasHeadNorms = true, HasOptionalWindow = true },
        new("qwen3moe", "qwen3_moe", FamilyTensors.Qwen3Moe)
        {
            KeyValueHeads = 4, ReadsBias = true, HasHeadNorms = true, HasOptionalWindow = true, Experts = ExpertStyle.Qwen3,
        },
        new("gemma2", "gemma2", FamilyTensors.Gemma2)
        {
            HeadCount = 8, KeyValueHeads = 4, HeadSize = 256, VocabularySize = 256000, TiesEmbedding = true, ReadsBias = true, IsGemma = true, HasPostNorms = true,
            Window = 4096, WindowPeriod = 2, WindowedInGguf = true, ContextLength = 8192, AttentionSoftCap = 50, LogitSoftCap = 30,
        },
        new("gemma3", "gemma3_text", FamilyTensors.Gemma3)
        {
            HeadCount = 8, KeyValueHeads = 4, HeadSize = 256, VocabularySize = 262208, TiesEmbedding = true, ReadsBias = true, IsGemma = true, HasPostNorms = true,
            HasHeadNorms = true, Window = 4096, WindowPeriod = 6, Theta = 1e6f, WindowedInGguf = true, ContextLength = 131072,
        },
        new("phi3", "phi3", FamilyTensors.Phi3) { ReadsHeadSize = false, NormEpsilon = 1e-5f, ContextLength = 4096, OriginalContext = 4096 },
        new("mistral3", "ministral3", FamilyTensors.Plain) { Support = FamilySupport.Names },
        new("phimoe", "phimoe", FamilyTensors.PhiMoe) { Support = FamilySupport.Names },
        new("gpt-oss", "gpt_oss", FamilyTensors.GptOss)
        {
            HeadCount = 64, KeyValueHeads = 8, HeadSize = 64, VocabularySize = 201088, NormEpsilon = 1e-5f, Theta = 150_000, ContextLength = 131072,
            OriginalContext = 4096, ReadsBias = true, DefaultBias = true, BiasesInGguf = true, Window = 128, WindowPeriod = 2,
            WindowedInGguf = true, Experts = ExpertStyle.GptOss,
        },
        new("glm4", "glm4", FamilyTensors.Glm4)
        {
            KeyValueHeads = 2, HeadSize = 128, VocabularySize = 151552, NormEpsilon = 1.5625e-7f, ContextLength = 131072, ReadsBias = true,
            BiasesOutput = false, PartialRotary = 0.5f, HasPostNorms = true, IsInterleaved = true,
        },
        new("glm4moe", "glm4_moe", FamilyTensors.Glm4Moe)
        {
            HeadCount = 96, KeyValueHeads = 8, HeadSize = 128, VocabularySize = 151552, NormEpsilon = 1e-5f, ContextLength = 131072, ReadsBias = true,
            BiasesOutput = false, PartialRotary = 0.5f, Experts = ExpertStyle.Glm4,
        },
        new("granite", "granite", FamilyTensors.Plain)
        {
            ReadsHeadSize = false, VocabularySize = 32000, ContextLength = 2048, ReadsBias = true, BiasesInGguf = true, PermutesInGguf = true, IsGranite = true,
        },
        new("granitemoe", "granitemoe", FamilyTensors.GraniteMoe)
        {
            ReadsHeadSize = false, VocabularySize = 32000, ContextLength = 2048, ReadsBias = true, BiasesInGguf = true, PermutesInGguf = true, IsGranite = true,
            Experts = ExpertStyle.Granite,
        },
        new("granitemoe", "granitemoeshared", FamilyTensors.GraniteMoe)
        {
            ReadsHeadSize = false, VocabularySize = 32000, ContextLength = 2048, ReadsBias = true, BiasesInGguf = true, PermutesInGguf = true, IsGranite = true,
            Experts = ExpertStyle.Granite,
        },
        new("smollm3", "smollm3", FamilyTensors.Plain)
        {
            HeadCount = 16, KeyValueHeads = 4, VocabularySize = 128256, Theta = 2e6f, ContextLength = 32768, TiesEmbedding = true, ReadsBias = true,
            PermutesInGguf = true, UnrotatedPeriod = 4,
        },
    ];

    /// <summary>The family of a checkpoint; <c>gemma3</c> is the multimodal wrapping of <c>gemma3_text</c>.</summary>
    public static bool TryGet(string? modelType, FamilySupport support, [NotNullWhen(true)] out ModelFamily? family)
    {
        string? name = modelType == "gemma3" ? "gemma3_text" : modelType;
        family = With(support).FirstOrDefault(candidate => candidate.ModelType == name);
        return family is not null;
    }

    /// <summary>The family of a GGUF file.</summary>
    public static bool TryGetGguf(string? architecture, [NotNullWhen(true)] out ModelFamily? family)
    {
        family = With(FamilySupport.Run).FirstOrDefault(candidate => candidate.Architecture == architecture);
        return family is not null;
    }

    /// <summary>The families with which something is done.</summary>
    public static IEnumerable<ModelFamily> With(FamilySupport support) => All.Where(family => family.Support.HasFlag(support));

    /// <summary>
    /// What llama.cpp scales attention scores by the root of. <c>query_pre_attn_scalar</c> is not stored: it knows the two models where that
    /// is not the size of a head by the number of their layers.
    /// </summary>
    public int ScaleSizeInGguf(int hiddenSize, int layers, int heads, int headSize) =>
        (Architecture, layers) is ("gemma2", 46) or ("gemma3", 62) ? hiddenSize / heads : headSize;

    /// <summary>For each layer whether it knows positions, where one of so many does not.</summary>
    public static ImmutableArray<bool> SpreadRotation(int layers, int period) =>
        [.. Enumerable.Range(0, layers).Select(layer => (layer + 1) % period != 0)];

    /// <summary>The window of each layer where one layer of so many sees everything, or none.</summary>
    public static ImmutableArray<int> SpreadWindow(int window, int layers, int period) =>
        [.. Enumerable.Range(0, layers).Select(layer => period > 0 && (layer + 1) % period == 0 ? 0 : window)];
}
