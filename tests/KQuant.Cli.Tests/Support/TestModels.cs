using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Cli.Tests;

/// <summary>Models for tests: the trained ones of the repository, and made-up ones with everything that is awkward.</summary>
internal static class TestModels
{
    public static string TinyDense { get; } = RepositoryFiles.Fixture("models", "tiny-dense");

    public static string TinyMoe { get; } = RepositoryFiles.Fixture("models", "tiny-moe");

    /// <summary>Normal weights of deviation 0.05, the same for the same seed.</summary>
    public static float[] Weights(int seed, long count)
    {
        var random = new Random(seed);
        var weights = new float[count];
        for (int i = 0; i < weights.Length; i++)
        {
            weights[i] = (float)(0.05 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        return weights;
    }

    /// <summary>Bytes of weights in a float format.</summary>
    public static byte[] Encode(QuantFormat format, float[] weights)
    {
        QuantCodec codec = QuantCodec.Get(format);
        var bytes = new byte[codec.GetByteCount(weights.Length)];
        codec.Encode(weights, bytes);
        return bytes;
    }

    /// <summary>
    /// Writes a small mixture-of-experts model as GGUF: norms and router in F32, the rest in <paramref name="format"/>, widths of 256, 96
    /// (no multiple of 256) and 40 (no multiple of 32), a tensor of integers.
    /// </summary>
    public static string WriteGguf(string path, QuantFormat format = QuantFormat.F16, Action<GgufWriter>? change = null)
    {
        var writer = new GgufWriter();
        writer.Metadata.Set("general.architecture", "qwen3moe");
        writer.Metadata.Set("general.name", "made for a test");
        writer.Metadata.Set("qwen3moe.block_count", 2u);
        writer.Metadata.Set("qwen3moe.embedding_length", 256u);
        writer.Metadata.SetStrings("tokenizer.ggml.tokens", [.. Enumerable.Range(0, 100).Select(i => $"token{i}")]);
        int seed = 1;
        Add("token_embd.weight", format, 256, 100);
        Add("output_norm.weight", QuantFormat.F32, 256);
        for (int layer = 0; layer < 2; layer++)
        {
            Add($"blk.{layer}.attn_norm.weight", QuantFormat.F32, 256);
            Add($"blk.{layer}.attn_q.weight", format, 256, 128);
            Add($"blk.{layer}.attn_output.weight", format, 40, 256);
            Add($"blk.{layer}.ffn_gate_inp.weight", QuantFormat.F32, 256, 4);
            Add($"blk.{layer}.ffn_up_exps.weight", format, 256, 96, 4);
            Add($"blk.{layer}.ffn_down_exps.weight", format, 96, 256, 4);
        }

        writer.Add("ids", [4], GgmlType.All.Single(type => type.Name == "i32"), MemoryMarshal.AsBytes<int>([1, 2, 3, 4]).ToArray());
        change?.Invoke(writer);
        writer.Write(path);
        return path;

        void Add(string name, QuantFormat type, params long[] dimensions) => writer.Add(
            name, dimensions, GgmlType.Of(type), Encode(type, Weights(seed++, dimensions.Aggregate(1L, (a, b) => a * b))));
    }

    /// <summary>Writes a Hugging Face folder of one layer whose weights are made by a callback.</summary>
    public static string WriteFolder(
        string path, long rows, long columns, Action<Stream> write, ElementType type = ElementType.BF16)
    {
        Directory.CreateDirectory(path);
        var config = new JsonObject { ["model_type"] = "qwen3", ["vocab_size"] = rows, ["hidden_size"] = columns, ["num_hidden_layers"] = 1 };
        File.WriteAllText(Path.Combine(path, "config.json"), config.ToJsonString());
        var writer = new SafetensorsWriter();
        writer.Add("model.embed_tokens.weight", type, [rows, columns], write);
        writer.Add("model.layers.0.input_layernorm.weight", type, [columns], new byte[columns * type.GetBits() / 8]);
        writer.Write(Path.Combine(path, "model.safetensors"));
        return path;
    }
}
