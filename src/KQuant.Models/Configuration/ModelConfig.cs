using System.Collections.Immutable;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Models.Configuration;

namespace KQuant.Models;

/// <summary>
/// What a model computes: sizes and the choices that distinguish families. One transformer reads this; no family has code of its own.
/// </summary>
public sealed record ModelConfig
{
    /// <summary>The family as GGUF files name it: <c>llama</c>, <c>qwen3moe</c>, <c>gemma2</c>.</summary>
    public required string Architecture { get; init; }

    /// <summary>Values of the stream between layers.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Layers.</summary>
    public required int LayerCount { get; init; }

    /// <summary>Query heads.</summary>
    public required int HeadCount { get; init; }

    /// <summary>Key and value heads; each serves <see cref="HeadCount"/> divided by this query heads.</summary>
    public required int KeyValueHeadCount { get; init; }

    /// <summary>Values of a head.</summary>
    public required int HeadSize { get; init; }

    /// <summary>Inner width of dense feed-forward layers.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Tokens in the vocabulary: rows of the embedding.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Tokens that the model was made for.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Added to the mean square in norms.</summary>
    public required float NormEpsilon { get; init; }

    /// <summary>Rotary embeddings of layers that see everything, and of all layers where <see cref="LocalRope"/> is null.</summary>
    public required RopeConfig Rope { get; init; }

    /// <summary>Rotary embeddings of layers with a sliding window, where they differ.</summary>
    public RopeConfig? LocalRope { get; init; }

    /// <summary>Whether neighbouring values are rotated together (GGUF's order for Llama) rather than those half a head apart.</summary>
    public bool InterleavedRope { get; init; }

    /// <summary>The gate of feed-forward layers.</summary>
    public GateActivation Activation { get; init; }

    /// <summary>What embeddings are multiplied with.</summary>
    public float EmbeddingScale { get; init; } = 1;

    /// <summary>What products of queries and keys are multiplied with.</summary>
    public required float AttentionScale { get; init; }

    /// <summary>What outputs of attention and feed-forward layers are multiplied with before they are added (Granite).</summary>
    public float ResidualScale { get; init; } = 1;

    /// <summary>What logits are divided by (Granite).</summary>
    public float LogitDivisor { get; init; } = 1;

    /// <summary>Bound c of attention scores, <c>c tanh(s / c)</c>; 0 for none.</summary>
    public float AttentionSoftCap { get; init; }

    /// <summary>Bound c of logits, <c>c tanh(l / c)</c>; 0 for none.</summary>
    public float LogitSoftCap { get; init; }

    /// <summary>For every layer how many positions it sees, the own one included; 0 for all. Empty when every layer sees all.</summary>
    public ImmutableArray<int> Windows { get; init; } = [];

    /// <summary>For every layer whether queries and keys are rotated by their positions. Empty when all are.</summary>
    public ImmutableArray<bool> RotatedLayers { get; init; } = [];

    /// <summary>Whether every head has a sink: a score among those of the keys that has no value (gpt-oss).</summary>
    public bool HasSinks { get; init; }

    /// <summary>Whether queries and keys have a bias, and values.</summary>
    public bool HasProjectionBias { get; init; }

    /// <summary>Whether the output of attention has a bias.</summary>
    public bool HasOutputBias { get; init; }

    /// <summary>Whether the matrices of feed-forward layers have a bias.</summary>
    public bool HasFeedForwardBias { get; init; }

    /// <summary>Whether every head of queries and keys is normalized.</summary>
    public bool HasHeadNorms { get; init; }

    /// <summary>Whether outputs of attention and feed-forward layers are normalized before they are added (Gemma, GLM-4).</summary>
    public bool HasPostNorms { get; init; }

    /// <summary>Whether 1 is added to the stored weights of norms (Gemma outside GGUF).</summary>
    public bool NormsAddOne { get; init; }

    /// <summary>Whether the embedding also makes the logits.</summary>
    public bool TiesEmbedding { get; init; }

    /// <summary>The mixture of experts, or null.</summary>
    public ExpertConfig? Experts { get; init; }

    /// <summary>The token that begins a text, or null.</summary>
    public int? BosId { get; init; }

    /// <summary>The tokens that end one.</summary>
    public ImmutableArray<int> EosIds { get; init; } = [];

    /// <summary>Weights that a token meets, without the embedding it looks up.</summary>
    public long ActiveWeights
    {
        get
        {
            long attention = (long)HiddenSize * HeadSize * 2 * (HeadCount + KeyValueHeadCount);
            long sum = (long)HiddenSize * VocabularySize;
            for (int layer = 0; layer < LayerCount; layer++)
            {
                long inner = HasExperts(layer)
                    ? ((long)Experts!.PerToken * Experts.IntermediateSize) + Experts.SharedIntermediateSize
                    : IntermediateSize;
                sum += attention + (3 * HiddenSize * inner);
            }

            return sum;
        }
    }

    /// <summary>The config of a checkpoint folder, or of a GGUF file or what will become one.</summary>
    /// <param name="source">The opened model.</param>
    /// <param name="conventions">Whose behaviour to follow where implementations disagree.</param>
    /// <returns>The config.</returns>
    /// <exception cref="ModelFormatException">A value is missing, impossible or not supported; the message names it.</exception>
    /// <exception cref="NotSupportedException">The source is neither of these.</exception>
    public static ModelConfig Read(ModelSource source, ModelConventions conventions = ModelConventions.FromFile)
    {
        ArgumentNullException.ThrowIfNull(source);
        return source switch
        {
            ModelFolder folder => CheckpointConfigReader.Open(folder, FamilySupport.Run).Read(conventions),
            GgufSource => GgufConfigReader.Read(source, conventions),
            _ => throw new NotSupportedException($"{source.Path} is neither a checkpoint folder with a config.json nor a GGUF file."),
        };
    }

    /// <summary>Positions that a layer sees, the own one included; 0 for all.</summary>
    /// <param name="layer">The layer.</param>
    /// <returns>The window.</returns>
    public int GetWindow(int layer) => Windows.IsEmpty ? 0 : Windows[layer];

    /// <summary>Whether queries and keys of a layer are rotated.</summary>
    /// <param name="layer">The layer.</param>
    /// <returns>False when positions mean nothing to it.</returns>
    public bool IsRotated(int layer) => RotatedLayers.IsEmpty || RotatedLayers[layer];

    /// <summary>Whether a layer has experts.</summary>
    /// <param name="layer">The layer.</param>
    /// <returns>False when it is dense.</returns>
    public bool HasExperts(int layer) => Experts is not null && (Experts.Layers.IsEmpty || Experts.Layers[layer]);
}
