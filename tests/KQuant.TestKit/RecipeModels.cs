using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.TestKit;

/// <summary>
/// GGUF files of many small tensors, as llama-quantize takes them: real names, layers and heads of an architecture, rows of a few blocks, so
/// that what matters is which tensor gets which codec. Weights are whole 4096ths, the same on all machines.
/// </summary>
public static class RecipeModels
{
    private const int Rows = 4;

    /// <summary>What they are called.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        "llama", "llama-8-experts", "llama-70b", "llama-odd", "qwen2", "qwen3-tied", "qwen3moe", "gemma2", "gemma3", "phi3", "falcon", "deepseek2",
    ];

    /// <summary>Writes a model.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="path">The file.</param>
    public static void Write(string name, string path)
    {
        (string architecture, int layers, int heads, int keyHeads, int experts) = Describe(name);
        var writer = new GgufWriter();
        GgufMetadata metadata = writer.Metadata;
        metadata.Set("general.architecture", architecture);
        foreach ((string key, uint value) in new (string, uint)[]
        {
            ("context_length", 512), ("embedding_length", 256), ("block_count", (uint)layers), ("feed_forward_length", 512),
            ("attention.head_count", (uint)heads), ("attention.head_count_kv", (uint)keyHeads), ("attention.sliding_window", 128),
            ("vocab_size", 16),
        })
        {
            metadata.Set($"{architecture}.{key}", value);
        }

        metadata.Set($"{architecture}.attention.layer_norm_rms_epsilon", 1e-5f);
        metadata.Set($"{architecture}.attention.layer_norm_epsilon", 1e-5f);
        if (experts > 0)
        {
            metadata.Set($"{architecture}.expert_count", (uint)experts);
            metadata.Set($"{architecture}.expert_used_count", 2u);
            metadata.Set($"{architecture}.expert_feed_forward_length", 256u);
        }

        if (architecture == "deepseek2")
        {
            foreach ((string key, uint value) in new (string, uint)[]
            {
                ("attention.q_lora_rank", 256), ("attention.kv_lora_rank", 256), ("leading_dense_block_count", 1), ("expert_shared_count", 1),
                ("attention.key_length", 32), ("attention.value_length", 32), ("rope.dimension_count", 16),
            })
            {
                metadata.Set($"{architecture}.{key}", value);
            }

            metadata.Set($"{architecture}.expert_weights_scale", 1f);
        }

        uint seed = 1;
        foreach ((string tensor, int width, int matrices) in Tensors(name, layers, experts))
        {
            bool isVector = matrices == 0;
            int rows = tensor is "token_embd.weight" or "output.weight" ? 16 : Rows;
            float[] weights = Weights(seed++, isVector ? width : (long)width * rows * matrices);
            long[] dimensions = isVector ? [width] : matrices == 1 ? [width, rows] : [width, rows, matrices];
            writer.Add(tensor, dimensions, GgmlType.Of(QuantFormat.F32), MemoryMarshal.AsBytes(weights.AsSpan()).ToArray());
        }

        writer.Write(path);
    }

    /// <summary>Writes an importance matrix for a model; one expert of each stack has seen nothing.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="path">The file.</param>
    public static void WriteImportance(string name, string path)
    {
        (_, int layers, _, _, int experts) = Describe(name);
        using var matrix = new ImportanceMatrix { ChunkCount = 4, ChunkSize = 16, Datasets = ["made up"] };
        uint seed = 1_000_000;
        foreach ((string tensor, int width, int matrices) in Tensors(name, layers, experts))
        {
            if (matrices == 0 || tensor is "token_embd.weight")
            {
                continue;
            }

            float[] sums = [.. Weights(seed++, (long)width * matrices).Select(value => value * value * 64)];
            long[] counts = [.. Enumerable.Range(0, matrices).Select(i => matrices == 1 ? 64L : i == 1 ? 0 : 7 + i)];
            if (matrices > 1)
            {
                sums.AsSpan(width, width).Clear();
            }

            matrix.Add(new ImportanceEntry(tensor, sums, counts));
        }

        matrix.Write(path, ImportanceFormat.Gguf);
    }

    private static (string Architecture, int Layers, int Heads, int KeyHeads, int Experts) Describe(string name) => name switch
    {
        "llama" => ("llama", 24, 8, 2, 0),
        "llama-8-experts" => ("llama", 16, 8, 8, 8),
        "llama-70b" => ("llama", 80, 64, 8, 0),
        "llama-odd" => ("llama", 8, 8, 8, 0),
        "qwen2" => ("qwen2", 28, 4, 2, 0),
        "qwen3-tied" => ("qwen3", 36, 4, 2, 0),
        "qwen3moe" => ("qwen3moe", 24, 8, 1, 4),
        "gemma2" => ("gemma2", 26, 8, 4, 0),
        "gemma3" => ("gemma3", 34, 8, 4, 0),
        "phi3" => ("phi3", 32, 8, 8, 0),
        "falcon" => ("falcon", 32, 8, 1, 0),
        "deepseek2" => ("deepseek2", 12, 8, 8, 4),
        _ => throw new ArgumentException(name),
    };

    /// <summary>Name, width, and matrices of a stack; 1 for a matrix, 0 for a vector.</summary>
    private static IEnumerable<(string Name, int Width, int Matrices)> Tensors(string name, int layers, int experts)
    {
        bool isOdd = name == "llama-odd";
        yield return ("token_embd.weight", isOdd ? 96 : 256, 1);
        if (name is not ("qwen3-tied" or "gemma2" or "gemma3"))
        {
            yield return ("output.weight", 256, 1);
        }

        yield return ("output_norm.weight", 256, 0);
        for (int layer = 0; layer < layers; layer++)
        {
            string prefix = $"blk.{layer}.";
            yield return (prefix + "attn_norm.weight", 256, 0);
            foreach ((string tensor, int width, int matrices) in Layer(name, layer, experts, isOdd))
            {
                yield return (prefix + tensor, width, matrices);
            }
        }
    }

    private static IEnumerable<(string Name, int Width, int Matrices)> Layer(string name, int layer, int experts, bool isOdd)
    {
        int width = isOdd ? 96 : 256;
        bool isDense = experts == 0 || (name == "deepseek2" && layer == 0);
        string[] attention = name switch
        {
            "phi3" or "falcon" => ["attn_qkv", "attn_output"],
            "deepseek2" => ["attn_q_a", "attn_q_b", "attn_kv_a_mqa", "attn_kv_b", "attn_output"],
            _ => ["attn_q", "attn_k", "attn_v", "attn_output"],
        };
        foreach (string projection in attention)
        {
            yield return (projection + ".weight", width, 1);
        }

        if (name == "qwen2")
        {
            yield return ("attn_v.bias", 256, 0);
        }

        if (name is "qwen3-tied" or "qwen3moe")
        {
            yield return ("attn_q_norm.weight", 64, 0);
        }

        if (isDense)
        {
            if (name is not ("phi3" or "falcon"))
            {
                yield return ("ffn_gate.weight", 256, 1);
            }

            yield return ("ffn_up.weight", width, 1);

            // A width that only f16 has room for.
            yield return ("ffn_down.weight", isOdd ? 40 : 512, 1);
            yield break;
        }

        yield return ("ffn_gate_inp.weight", 256, 1);
        yield return ("ffn_gate_exps.weight", 256, experts);
        yield return ("ffn_up_exps.weight", 256, experts);
        yield return ("ffn_down_exps.weight", 256, experts);
        if (name == "deepseek2")
        {
            yield return ("ffn_gate_shexp.weight", 256, 1);
            yield return ("ffn_up_shexp.weight", 256, 1);
            yield return ("ffn_down_shexp.weight", 256, 1);
        }
    }

    private static float[] Weights(uint seed, long count)
    {
        var weights = new float[count];
        uint state = (seed * 2654435761u) | 1;
        for (int i = 0; i < weights.Length; i++)
        {
            state = (state * 1664525u) + 1013904223u;

            // Four of them are about normal.
            int sum = (int)((state >> 8) & 255) + (int)((state >> 16) & 255) + (int)((state >> 24) & 255);
            weights[i] = (sum - 382.5f) / 4096f;
        }

        return weights;
    }
}
