using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.TestKit;

namespace KQuant.Benchmarks;

/// <summary>
/// A model of a real one's shape to measure speed with: the 28 layers of Qwen3-0.6B with random weights, and the tokenizer of the tiny
/// model among the fixtures. 440 million weights in BF16, 881 MB.
/// </summary>
internal static class RandomModel
{
    private const float Deviation = 0.02f;
    private const int Hidden = 1024, Layers = 28, Heads = 16, SharedHeads = 8, HeadSize = 128, Inner = 3072, Context = 4096;

    /// <summary>Writes the folder.</summary>
    public static void Write(string folder)
    {
        string pattern = RepositoryFiles.Fixture("models", "tiny-dense");
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.EnumerateFiles(pattern).Where(file => !file.EndsWith(".safetensors", StringComparison.Ordinal)))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)), overwrite: true);
        }

        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(pattern, "config.json")))!.AsObject();
        foreach ((string key, int value) in new[]
        {
            ("hidden_size", Hidden), ("num_hidden_layers", Layers), ("num_attention_heads", Heads), ("num_key_value_heads", SharedHeads),
            ("head_dim", HeadSize), ("intermediate_size", Inner), ("max_position_embeddings", Context),
        })
        {
            config[key] = value;
        }

        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        var writer = new SafetensorsWriter();
        Add(writer, "model.embed_tokens.weight", (int)config["vocab_size"]!, Hidden);
        for (int layer = 0; layer < Layers; layer++)
        {
            string prefix = $"model.layers.{layer}.";
            foreach ((string name, int rows, int columns) in new[]
            {
                ("self_attn.q_proj", Heads * HeadSize, Hidden), ("self_attn.k_proj", SharedHeads * HeadSize, Hidden),
                ("self_attn.v_proj", SharedHeads * HeadSize, Hidden), ("self_attn.o_proj", Hidden, Heads * HeadSize),
                ("mlp.gate_proj", Inner, Hidden), ("mlp.up_proj", Inner, Hidden), ("mlp.down_proj", Hidden, Inner),
            })
            {
                Add(writer, $"{prefix}{name}.weight", rows, columns);
            }

            foreach ((string name, int length) in new[]
            {
                ("input_layernorm", Hidden), ("post_attention_layernorm", Hidden), ("self_attn.q_norm", HeadSize), ("self_attn.k_norm", HeadSize),
            })
            {
                AddNorm(writer, $"{prefix}{name}.weight", length);
            }
        }

        AddNorm(writer, "model.norm.weight", Hidden);
        writer.Write(Path.Combine(folder, "model.safetensors"));
    }

    private static void AddNorm(SafetensorsWriter writer, string name, int length)
    {
        var ones = new BFloat16[length];
        Array.Fill(ones, (BFloat16)1f);
        writer.Add(name, ElementType.BF16, [length], MemoryMarshal.AsBytes(ones.AsSpan()).ToArray());
    }

    private static void Add(SafetensorsWriter writer, string name, int rows, int columns)
    {
        int seed = writer.Count;
        writer.Add(name, ElementType.BF16, [rows, columns], stream =>
        {
            float[] row = Numbers.Gaussian(columns, seed);
            TensorPrimitives.Multiply(row, Deviation, row);
            QuantCodec codec = QuantCodec.Get(QuantFormat.BF16);
            var bytes = new byte[codec.GetByteCount(columns)];
            var random = new Random(seed);
            for (int i = 0; i < rows; i++)
            {
                // Shuffled rather than drawn anew: the same distribution in a fraction of the time.
                random.Shuffle(row);
                codec.Encode(row, bytes);
                stream.Write(bytes);
            }
        });
    }
}
