using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Models.Adapters;

namespace KQuant.Models;

/// <summary>How a model is loaded and computed.</summary>
public sealed record ModelOptions
{
    private readonly int _chunkSize = 512;

    /// <summary>Whose behaviour to follow where implementations disagree.</summary>
    public ModelConventions Conventions { get; init; }

    /// <summary>Tokens that a text may have; 0 for as many as the model was made for.</summary>
    public int ContextLength { get; init; }

    /// <summary>How caches store keys and values.</summary>
    public CacheOptions Cache { get; init; } = new();

    /// <summary>
    /// Threads and kernels. Only read when <see cref="Context"/> is null; the default uses every processor and int8 activations for
    /// quantized weights.
    /// </summary>
    public MatmulOptions? Matmul { get; init; }

    /// <summary>A context to share with other models; not disposed with this one. Null makes one.</summary>
    public MatmulContext? Context { get; init; }

    /// <summary>
    /// Where products with weights are computed, as far as it takes them; null for the processor, by <see cref="Context"/>. Everything
    /// between the products stays on the processor. Not disposed with the model; it must live longer.
    /// </summary>
    public MatmulBackend? Backend { get; init; }

    /// <summary>
    /// Whether the files of the model are mapped into memory, which reads nothing in advance. A process is killed when it touches a mapped
    /// page that someone else has cut off; false reads the whole model into memory, for files that others may truncate or replace in place.
    /// </summary>
    public bool Map { get; init; } = true;

    /// <summary>
    /// Adapters that act on the model, one after the other; none changes or copies its weights, and caches belong to the model with them.
    /// </summary>
    /// <example>
    /// <code>
    /// LoraAdapter adapter = LoraAdapter.Load("my-adapter");
    /// var options = new ModelOptions { Adapters = [new AppliedAdapter { Adapter = adapter, Scale = 0.5f }] };
    /// </code>
    /// </example>
    public IReadOnlyList<AppliedAdapter> Adapters { get; init; } = [];

    /// <summary>Tokens of a prompt that go through the model at once.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to less than 1 or more than 65,536.</exception>
    public int ChunkSize
    {
        get => _chunkSize;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1, nameof(ChunkSize));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, 65_536, nameof(ChunkSize));
            _chunkSize = value;
        }
    }

    /// <summary>Whether the tokenizer and the chat template are loaded too. Without them only token ids go in and out.</summary>
    public bool LoadTokenizer { get; init; } = true;
}
