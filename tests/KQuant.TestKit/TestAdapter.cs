using System.Globalization;
using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.TestKit;

/// <summary>
/// An adapter of single matrices that tests write by hand in every format, a second implementation beside the product's writers: for each module
/// A [rank, inputs] and B [outputs, rank].
/// </summary>
public sealed class TestAdapter
{
    public Dictionary<string, Term> Terms { get; } = [];

    public float Scale { get; init; } = 2;

    /// <summary>The trained adapters of another implementation: <c>init</c>, <c>after5.b_zero</c> or <c>after5.b_nonzero</c>.</summary>
    public static TestAdapter Reference(string state)
    {
        using var file = SafetensorsFile.Open(RepositoryFiles.Fixture("reference", "lora-tiny-dense.safetensors"));
        var adapter = new TestAdapter();
        for (int layer = 0; layer < 6; layer++)
        {
            foreach (string projection in (string[])["q_proj", "v_proj"])
            {
                string module = $"model.layers.{layer}.self_attn.{projection}";
                (string a, string b) = state == "init"
                    ? ($"init.{module}.lora_A", $"initB_nonzero.{module}.lora_B")
                    : ($"{state}.{module}.lora_A", $"{state}.{module}.lora_B");
                adapter.Terms[module] = new Term(Floats(a), Floats(b), 8);
            }
        }

        return adapter;

        float[] Floats(string name) => file.TryGet(name, out SafetensorsTensor? tensor)
            ? MemoryMarshal.Cast<byte, float>(tensor.UnsafeGetBytes(0, (int)tensor.ByteCount)).ToArray()
            : throw new KeyNotFoundException(name);
    }

    /// <summary>Random terms.</summary>
    public static TestAdapter Random(int rank, params (string Module, int Outputs, int Inputs)[] modules)
    {
        var adapter = new TestAdapter();
        int seed = 1;
        foreach ((string module, int outputs, int inputs) in modules)
        {
            float[] b = [.. Numbers.Gaussian(outputs * rank, seed++).Select(value => value / 64)];
            adapter.Terms[module] = new Term(Numbers.Gaussian(rank * inputs, seed++), b, rank);
        }

        return adapter;
    }

    public string WriteMlx(string folder, string scale = "")
    {
        Directory.CreateDirectory(folder);
        string number = scale.Length > 0 ? scale : Scale.ToString("R", CultureInfo.InvariantCulture);
        File.WriteAllText(
            Path.Combine(folder, "adapter_config.json"),
            $$"""{"fine_tune_type": "lora", "model": "somewhere/base", "num_layers": -1, "lora_parameters": {"rank": {{Terms.First().Value.Rank}}, "scale": {{number}}, "dropout": 0.0 } }""");
        return WriteTensors(folder, "adapters.safetensors", [.. Terms.SelectMany(pair => pair.Key.EndsWith("embed_tokens", StringComparison.Ordinal)
            ? (IEnumerable<(string, long[], float[])>)
            [
                (pair.Key + ".lora_a", [pair.Value.Outputs, pair.Value.Rank], pair.Value.B), (pair.Key + ".lora_b", [pair.Value.Rank, pair.Value.Inputs], pair.Value.A),
            ]
            :
            [
                (pair.Key + ".lora_a", [pair.Value.Inputs, pair.Value.Rank], Turn(pair.Value.A, pair.Value.Rank)),
                (pair.Key + ".lora_b", [pair.Value.Rank, pair.Value.Outputs], Turn(pair.Value.B, pair.Value.Outputs)),
            ])]);
    }

    public string WritePeft(string folder, string more = "")
    {
        Directory.CreateDirectory(folder);
        int rank = Terms.First().Value.Rank;
        File.WriteAllText(
            Path.Combine(folder, "adapter_config.json"),
            $$"""{"peft_type": "LORA", "base_model_name_or_path": "somewhere/base", "r": {{rank}}, "lora_alpha": {{(Scale * rank).ToString("R", CultureInfo.InvariantCulture)}}{{more}} }""");
        return WriteTensors(folder, "adapter_model.safetensors", [.. Terms.SelectMany(pair => pair.Key.EndsWith("embed_tokens", StringComparison.Ordinal)
            ? (IEnumerable<(string, long[], float[])>)
            [
                ($"base_model.model.{pair.Key}.lora_embedding_A", [pair.Value.Rank, pair.Value.Outputs], Turn(pair.Value.B, pair.Value.Outputs)),
                ($"base_model.model.{pair.Key}.lora_embedding_B", [pair.Value.Inputs, pair.Value.Rank], Turn(pair.Value.A, pair.Value.Rank)),
            ]
            :
            [
                ($"base_model.model.{pair.Key}.lora_A.weight", [pair.Value.Rank, pair.Value.Inputs], pair.Value.A),
                ($"base_model.model.{pair.Key}.lora_B.weight", [pair.Value.Outputs, pair.Value.Rank], pair.Value.B),
            ])]);
    }

    public string WriteGguf(string path, string architecture)
    {
        var writer = new GgufWriter();
        writer.Metadata.Set("general.type", "adapter");
        writer.Metadata.Set("general.architecture", architecture);
        writer.Metadata.Set("adapter.type", "lora");
        writer.Metadata.Set("adapter.lora.alpha", Scale * Terms.First().Value.Rank);
        foreach ((string module, Term term) in Terms)
        {
            string name = GgufName(module) + ".weight";
            if (module.EndsWith("embed_tokens", StringComparison.Ordinal))
            {
                writer.Add(name + ".lora_a", [term.Rank, term.Outputs], GgmlType.Of(QuantFormat.F32), Bytes(term.B));
                writer.Add(name + ".lora_b", [term.Rank, term.Inputs], GgmlType.Of(QuantFormat.F32), Bytes(Turn(term.A, term.Rank)));
            }
            else
            {
                writer.Add(name + ".lora_a", [term.Inputs, term.Rank], GgmlType.Of(QuantFormat.F32), Bytes(term.A));
                writer.Add(name + ".lora_b", [term.Rank, term.Outputs], GgmlType.Of(QuantFormat.F32), Bytes(term.B));
            }
        }

        writer.Write(path);
        return path;
    }

    /// <summary>The same in the format of this name.</summary>
    public string Write(string format, TemporaryFolder folder, string architecture, string name = "adapter") => format switch
    {
        "mlx" => WriteMlx(folder[name + "-mlx"]),
        "peft" => WritePeft(folder[name + "-peft"]),
        _ => WriteGguf(folder[name + ".gguf"], architecture),
    };

    /// <summary>Tensors in float32.</summary>
    public static string WriteTensors(string folder, string name, params (string Name, long[] Shape, float[] Values)[] tensors)
    {
        File.WriteAllBytes(Path.Combine(folder, name), SafetensorsBytes.Build([.. tensors.Select(tensor => (tensor.Name, "F32", tensor.Shape, Bytes(tensor.Values)))]));
        return folder;
    }

    public static float[] Turn(float[] values, int rows)
    {
        int columns = values.Length / rows;
        return [.. Enumerable.Range(0, values.Length).Select(i => values[(i % rows * columns) + (i / rows)])];
    }

    private static string GgufName(string module)
    {
        string[] parts = module.Split('.');
        return parts is ["model", "embed_tokens"] ? "token_embd" : $"blk.{parts[2]}." + parts[^1] switch
        {
            "q_proj" => "attn_q",
            "k_proj" => "attn_k",
            "v_proj" => "attn_v",
            "o_proj" => "attn_output",
            "q_norm" => "attn_q_norm",
            "gate_proj" => "ffn_gate",
            "up_proj" => "ffn_up",
            "down_proj" => "ffn_down",
            _ => throw new ArgumentException(module),
        };
    }

    private static byte[] Bytes(float[] values) => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    public sealed record Term(float[] A, float[] B, int Rank)
    {
        public int Inputs => A.Length / Rank;

        public int Outputs => B.Length / Rank;
    }
}
