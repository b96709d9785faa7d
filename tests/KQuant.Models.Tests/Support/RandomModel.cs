using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>
/// Tiny models of random weights, one for every architecture and every choice that the trained ones do not make, written as GGUF. Norms and
/// biases are random too and queries and keys are large, so that nothing that is forgotten stays hidden.
/// </summary>
internal sealed class RandomModel
{
    private const int Hidden = 192;
    private const int Vocabulary = 320;
    private const int Context = 512;

    private readonly GgufWriter _writer = new();
    private readonly ModelConfig _config;
    private int _seed;

    private RandomModel(string name, ModelConfig config)
    {
        _config = config;
        _seed = 1000 * (1 + Array.IndexOf(Names, name));
    }

    /// <summary>All models.</summary>
    public static string[] Names { get; } =
    [
        "llama3", "linear", "mistral", "mixtral", "qwen2", "qwen2-yarn", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3", "phi3-long",
    ];

    /// <summary>A text for all of them.</summary>
    public static int[] Prompt { get; } = [.. new CongruentialNumbers(7).Take(64, 257)];

    /// <summary>Writes a model.</summary>
    public static void Write(string name, string path) => new RandomModel(name, Configure(name)).Write(path);

    private static ModelConfig Configure(string name)
    {
        ModelConfig plain = Plain("llama");
        return name switch
        {
            "llama3" => plain with
            {
                TiesEmbedding = true,
                HasProjectionBias = true,
                HasOutputBias = true,
                Rope = plain.Rope with
                {
                    Kind = RopeKind.Llama3,
                    Factor = 8,
                    LowFrequencyFactor = 1,
                    HighFrequencyFactor = 4,
                    OriginalContext = 64,
                },
            },
            "linear" => plain with { Rope = plain.Rope with { Kind = RopeKind.Linear, Factor = 4 } },
            "mistral" => plain with { KeyValueHeadCount = 1 },
            "mixtral" => plain with { Experts = Experts(normalizes: true, intermediate: plain.IntermediateSize) },
            "qwen2" => Plain("qwen2") with { HasProjectionBias = true },
            "qwen2-yarn" => Plain("qwen2") with
            {
                HasProjectionBias = true,
                TiesEmbedding = true,
                Rope = plain.Rope with { Kind = RopeKind.Yarn, Factor = 4, OriginalContext = 64 },
            },
            "qwen3" => Plain("qwen3") with { HasHeadNorms = true, HeadSize = 64, Rope = new RopeConfig { Dimensions = 64, Theta = 1e6f } },
            "qwen3moe" => Plain("qwen3moe") with { HasHeadNorms = true, Experts = Experts(normalizes: true, intermediate: 64) },
            "gemma2" => Plain("gemma2") with
            {
                LayerCount = 4,
                TiesEmbedding = true,
                HasPostNorms = true,
                AttentionSoftCap = 50,
                LogitSoftCap = 30,
                Windows = [8, 0, 8, 0],
            },
            "gemma3" => Plain("gemma3") with
            {
                LayerCount = 7,
                TiesEmbedding = true,
                HasPostNorms = true,
                HasHeadNorms = true,
                Windows = [8, 8, 8, 8, 8, 0, 8],
                Rope = plain.Rope with { Theta = 1e6f, Kind = RopeKind.Linear, Factor = 8 },
                LocalRope = plain.Rope,
            },
            "phi3" => Plain("phi3") with { Rope = plain.Rope with { Dimensions = 36 } },
            "phi3-long" => Plain("phi3") with
            {
                Rope = plain.Rope with
                {
                    Kind = RopeKind.LongRope,
                    OriginalContext = 256,
                    AttentionFactor = 1.19f,
                    ShortDivisors = [.. Enumerable.Range(0, 24).Select(i => 1 + (0.01f * i))],
                    LongDivisors = [.. Enumerable.Range(0, 24).Select(i => 1 + (0.3f * i))],
                },
            },
            _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such model"),
        };
    }

    private static ModelConfig Plain(string architecture) => new()
    {
        Architecture = architecture,
        HiddenSize = Hidden,
        LayerCount = 2,
        HeadCount = 4,
        KeyValueHeadCount = 2,
        HeadSize = 48,
        IntermediateSize = 256,
        VocabularySize = Vocabulary,
        ContextLength = Context,
        NormEpsilon = 1e-5f,
        AttentionScale = 0,
        Rope = new RopeConfig { Dimensions = 48 },
    };

    private static ExpertConfig Experts(bool normalizes, int intermediate) =>
        new() { Count = 5, PerToken = 2, IntermediateSize = intermediate, Normalizes = normalizes };

    private void Write(string path)
    {
        GgufHyperparameters.Write(_writer.Metadata, _config);
        _writer.Metadata.SetFileType(QuantFormat.F32);
        WriteVocabulary();
        Add("token_embd.weight", _config.TiesEmbedding ? 0.15f : 1, [Hidden, Vocabulary]);
        AddNorm("output_norm.weight", Hidden);
        if (!_config.TiesEmbedding)
        {
            Add("output.weight", 0.15f, [Hidden, Vocabulary]);
        }

        AddFrequencies();
        for (int layer = 0; layer < _config.LayerCount; layer++)
        {
            WriteLayer($"blk.{layer}.");
        }

        _writer.Write(path);
    }

    private void WriteLayer(string prefix)
    {
        int queries = _config.HeadCount * _config.HeadSize, keys = _config.KeyValueHeadCount * _config.HeadSize;
        AddNorm(prefix + "attn_norm.weight", Hidden);
        AddNorm(prefix + "ffn_norm.weight", Hidden);
        if (_config.HasPostNorms)
        {
            AddNorm(prefix + "post_attention_norm.weight", Hidden);
            AddNorm(prefix + "post_ffw_norm.weight", Hidden);
        }

        if (_config.HasHeadNorms)
        {
            AddNorm(prefix + "attn_q_norm.weight", _config.HeadSize);
            AddNorm(prefix + "attn_k_norm.weight", _config.HeadSize);
        }

        if (_config.Architecture == "phi3")
        {
            Add(prefix + "attn_qkv.weight", 0.12f, [Hidden, queries + (2 * keys)]);
            Add(prefix + "ffn_up.weight", 0.07f, [Hidden, 2 * _config.IntermediateSize]);
        }
        else
        {
            AddLinear(prefix + "attn_q", 0.14f, queries, _config.HasProjectionBias);
            AddLinear(prefix + "attn_k", 0.14f, keys, _config.HasProjectionBias);
            AddLinear(prefix + "attn_v", 0.07f, keys, _config.HasProjectionBias);
        }

        Add(prefix + "attn_output.weight", 0.07f, [queries, Hidden]);
        if (_config.HasOutputBias)
        {
            Add(prefix + "attn_output.bias", 0.3f, [Hidden]);
        }

        WriteFeedForward(prefix);
    }

    private void WriteFeedForward(string prefix)
    {
        if (_config.Experts is { } experts)
        {
            int inner = experts.IntermediateSize;
            Add(prefix + "ffn_gate_inp.weight", 0.2f, [Hidden, experts.Count]);
            Add(prefix + "ffn_gate_exps.weight", 0.07f, [Hidden, inner, experts.Count]);
            Add(prefix + "ffn_up_exps.weight", 0.07f, [Hidden, inner, experts.Count]);
            Add(prefix + "ffn_down_exps.weight", 0.07f, [inner, Hidden, experts.Count]);
            return;
        }

        if (_config.Architecture != "phi3")
        {
            Add(prefix + "ffn_gate.weight", 0.07f, [Hidden, _config.IntermediateSize]);
            Add(prefix + "ffn_up.weight", 0.07f, [Hidden, _config.IntermediateSize]);
        }

        Add(prefix + "ffn_down.weight", 0.07f, [_config.IntermediateSize, Hidden]);
    }

    private void AddFrequencies()
    {
        RopeConfig rope = _config.Rope;
        if (rope.Kind == RopeKind.Llama3)
        {
            float[] plain = Transformers.RotaryEmbedding.GetFrequencies(rope with { Kind = RopeKind.Default }, 0, 0);
            float[] scaled = Transformers.RotaryEmbedding.GetFrequencies(rope, 0, 0);
            Add("rope_freqs.weight", [plain.Length], [.. plain.Zip(scaled, (a, b) => a / b)]);
        }
        else if (rope.Kind == RopeKind.LongRope)
        {
            Add("rope_factors_long.weight", [rope.LongDivisors.Length], [.. rope.LongDivisors]);
            Add("rope_factors_short.weight", [rope.ShortDivisors.Length], [.. rope.ShortDivisors]);
        }
    }

    private void AddLinear(string name, float deviation, int rows, bool hasBias)
    {
        Add(name + ".weight", deviation, [Hidden, rows]);
        if (hasBias)
        {
            Add(name + ".bias", 0.3f, [rows]);
        }
    }

    private void AddNorm(string name, int length) =>
        Add(name, [length], [.. Numbers.Gaussian(length, _seed++).Select(value => 1 + (0.1f * value))]);

    private void Add(string name, float deviation, long[] dimensions) => Add(
        name,
        dimensions,
        [.. Numbers.Gaussian((int)dimensions.Aggregate(1L, (a, b) => a * b), _seed++).Select(value => deviation * value)]);

    private void Add(string name, long[] dimensions, float[] values) =>
        _writer.Add(name, dimensions, GgmlType.Of(QuantFormat.F32), MemoryMarshal.AsBytes(values.AsSpan()).ToArray());

    /// <summary>The byte alphabet, one merge, the end of text, and fillers.</summary>
    private void WriteVocabulary()
    {
        var tokens = new List<string>();
        int beyond = 256;
        for (int value = 0; value < 256; value++)
        {
            bool prints = value is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE;
            tokens.Add(((char)(prints ? value : beyond++)).ToString());
        }

        tokens.Add("ab");
        tokens.Add("<|endoftext|>");
        int[] types = [.. Enumerable.Repeat(1, 257), 3, .. Enumerable.Repeat(5, Vocabulary - 258)];
        tokens.AddRange(Enumerable.Range(258, Vocabulary - 258).Select(id => $"[PAD{id}]"));
        GgufMetadata metadata = _writer.Metadata;
        metadata.Set("tokenizer.ggml.model", GgufValue.From("gpt2"));
        metadata.Set("tokenizer.ggml.pre", GgufValue.From("qwen2"));
        metadata.SetStrings("tokenizer.ggml.tokens", tokens);
        metadata.SetArray<int>("tokenizer.ggml.token_type", types);
        metadata.SetStrings("tokenizer.ggml.merges", ["a b"]);
        metadata.Set("tokenizer.ggml.bos_token_id", GgufValue.From(257u));
        metadata.Set("tokenizer.ggml.eos_token_id", GgufValue.From(257u));
    }

    /// <summary>Whole numbers from a generator that is the same everywhere.</summary>
    private sealed class CongruentialNumbers(uint state)
    {
        private uint _state = state;

        public IEnumerable<int> Take(int count, int below)
        {
            for (int i = 0; i < count; i++)
            {
                _state = (_state * 1664525) + 1013904223;
                yield return (int)((_state >> 8) % (uint)below);
            }
        }
    }
}
