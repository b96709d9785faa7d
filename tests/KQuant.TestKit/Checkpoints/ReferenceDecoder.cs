using System.Text.Json.Nodes;

namespace KQuant.TestKit;

/// <summary>
/// What a checkpoint computes, in double precision and as plainly as possible: no cache, no batch, one loop for each formula. Follows Hugging
/// Face's classes; sliding windows only for Gemma.
/// </summary>
public sealed class ReferenceDecoder
{
    /// <summary>The context of the recordings of llama.cpp.</summary>
    private const int LlamaCppContext = 256;

    private readonly JsonObject _config;
    private readonly IReadOnlyDictionary<string, (int[] Shape, float[] Values)> _tensors;
    private readonly string _modelType;
    private readonly bool _isGemma;
    private readonly int _hidden;
    private readonly int _heads;
    private readonly int _sharedHeads;
    private readonly int _headSize;

    public ReferenceDecoder(JsonObject config, IReadOnlyDictionary<string, (int[] Shape, float[] Values)> tensors)
    {
        (_config, _tensors) = (config, tensors);
        _modelType = (string)config["model_type"]!;
        _isGemma = _modelType.StartsWith("gemma", StringComparison.Ordinal);
        _hidden = Integer("hidden_size");
        _heads = Integer("num_attention_heads");
        _sharedHeads = Integer("num_key_value_heads");
        _headSize = (int?)config["head_dim"] ?? (_hidden / _heads);
    }

    /// <summary>Probabilities of the next token behind each position.</summary>
    public double[][] NextTokens(int[] ids)
    {
        double scale = _isGemma ? Math.Sqrt(_hidden) : 1;
        double[][] x = [.. ids.Select(id => Row("model.embed_tokens.weight", id).Select(value => value * scale).ToArray())];
        for (int layer = 0; layer < Integer("num_hidden_layers"); layer++)
        {
            string prefix = $"model.layers.{layer}.";
            double[][] attended = Attend(prefix + "self_attn.", layer, Norm(x, prefix + "input_layernorm"));
            Add(x, _isGemma ? Norm(attended, prefix + "post_attention_layernorm") : attended);
            string before = prefix + (_isGemma ? "pre_feedforward_layernorm" : "post_attention_layernorm");
            double[][] fed = [.. Norm(x, before).Select(row => FeedForward(prefix, row))];
            Add(x, _isGemma ? Norm(fed, prefix + "post_feedforward_layernorm") : fed);
        }

        string head = _tensors.ContainsKey("lm_head.weight") ? "lm_head.weight" : "model.embed_tokens.weight";
        double? cap = (double?)_config["final_logit_softcapping"];
        return [.. Norm(x, "model.norm").Select(row => Softmax(Cap(Multiply(head, row), cap)))];
    }

    private static void Add(double[][] x, double[][] y)
    {
        for (int t = 0; t < x.Length; t++)
        {
            for (int i = 0; i < x[t].Length; i++)
            {
                x[t][i] += y[t][i];
            }
        }
    }

    private static double[] Cap(double[] values, double? cap) =>
        cap is double c ? [.. values.Select(value => c * Math.Tanh(value / c))] : values;

    private static double[] Softmax(IReadOnlyCollection<double> values)
    {
        double max = values.Max();
        double[] exponentials = [.. values.Select(value => Math.Exp(value - max))];
        double sum = exponentials.Sum();
        return [.. exponentials.Select(value => value / sum)];
    }

    private int Integer(string key) => (int)_config[key]!;

    private double Number(string key, double fallback) => (double?)_config[key] ?? fallback;

    private IEnumerable<double> Row(string name, int row)
    {
        (int[] shape, float[] values) = _tensors[name];
        return values.Skip(row * shape[^1]).Take(shape[^1]).Select(value => (double)value);
    }

    private double[] Multiply(string name, double[] x, string? bias = null)
    {
        (int[] shape, float[] values) = _tensors[name];
        var result = new double[shape[0]];
        for (int row = 0; row < result.Length; row++)
        {
            double sum = bias is not null && _tensors.TryGetValue(bias, out (int[] Shape, float[] Values) added) ? added.Values[row] : 0;
            for (int i = 0; i < x.Length; i++)
            {
                sum += values[(row * x.Length) + i] * x[i];
            }

            result[row] = sum;
        }

        return result;
    }

    private double[] Project(string module, double[] x) => Multiply(module + ".weight", x, module + ".bias");

    private double[][] Norm(double[][] x, string name) => [.. x.Select(row => Norm(row, name))];

    private double[] Norm(double[] x, string name)
    {
        float[] weights = _tensors[name + ".weight"].Values;
        double scale = 1 / Math.Sqrt((x.Sum(value => value * value) / x.Length) + Number("rms_norm_eps", 1e-6));
        return [.. x.Select((value, i) => value * scale * (weights[i] + (_isGemma ? 1 : 0)))];
    }

    private double[][] Attend(string prefix, int layer, double[][] x)
    {
        bool slides = _modelType switch { "gemma2" => layer % 2 == 0, "gemma3_text" => (layer + 1) % 6 != 0, _ => false };
        int window = slides ? Integer("sliding_window") : int.MaxValue;
        (double[][] q, double[][] k, double[][] v) = ProjectAll(prefix, x);
        (double[] frequencies, double magnitude) = Frequencies(_modelType == "gemma3_text" && slides);
        for (int t = 0; t < x.Length; t++)
        {
            Rotate(q[t], prefix + "q_norm", t, frequencies, magnitude);
            Rotate(k[t], prefix + "k_norm", t, frequencies, magnitude);
        }

        double scale = 1 / Math.Sqrt(Number("query_pre_attn_scalar", _headSize));
        double? cap = (double?)_config["attn_logit_softcapping"];
        var result = new double[x.Length][];
        for (int t = 0; t < x.Length; t++)
        {
            var mixed = new double[_heads * _headSize];
            for (int head = 0; head < _heads; head++)
            {
                int start = head * _headSize, shared = head / (_heads / _sharedHeads) * _headSize, first = Math.Max(0, t - window + 1);
                var scores = new double[t - first + 1];
                for (int s = first; s <= t; s++)
                {
                    for (int i = 0; i < _headSize; i++)
                    {
                        scores[s - first] += q[t][start + i] * k[s][shared + i] * scale;
                    }
                }

                double[] shares = Softmax(Cap(scores, cap));
                for (int s = first; s <= t; s++)
                {
                    for (int i = 0; i < _headSize; i++)
                    {
                        mixed[start + i] += shares[s - first] * v[s][shared + i];
                    }
                }
            }

            result[t] = Project(prefix + "o_proj", mixed);
        }

        return result;
    }

    private (double[][] Q, double[][] K, double[][] V) ProjectAll(string prefix, double[][] x)
    {
        if (_modelType != "phi3")
        {
            return (
                [.. x.Select(row => Project(prefix + "q_proj", row))], [.. x.Select(row => Project(prefix + "k_proj", row))],
                [.. x.Select(row => Project(prefix + "v_proj", row))]);
        }

        double[][] all = [.. x.Select(row => Project(prefix + "qkv_proj", row))];
        int q = _heads * _headSize, kv = _sharedHeads * _headSize;
        return ([.. all.Select(row => row[..q])], [.. all.Select(row => row[q..(q + kv)])], [.. all.Select(row => row[(q + kv)..])]);
    }

    private void Rotate(double[] x, string norm, int position, double[] frequencies, double magnitude)
    {
        for (int start = 0; start < x.Length; start += _headSize)
        {
            if (_tensors.ContainsKey(norm + ".weight"))
            {
                Norm(x[start..(start + _headSize)], norm).CopyTo(x, start);
            }

            for (int j = 0; j < frequencies.Length; j++)
            {
                (double sin, double cos) = Math.SinCos(position * frequencies[j]);
                (double a, double b) = (x[start + j], x[start + j + frequencies.Length]);
                x[start + j] = magnitude * ((a * cos) - (b * sin));
                x[start + j + frequencies.Length] = magnitude * ((b * cos) + (a * sin));
            }
        }
    }

    private (double[] Frequencies, double Magnitude) Frequencies(bool isLocal)
    {
        double theta = isLocal ? Number("rope_local_base_freq", 1e4) : Number("rope_theta", 1e4);
        int rotated = (int)(_headSize * Number("partial_rotary_factor", 1));
        double[] plain = [.. Enumerable.Range(0, rotated / 2).Select(i => Math.Pow(theta, -2.0 * i / rotated))];
        if (isLocal || _config["rope_scaling"] is not JsonObject scaling)
        {
            return (plain, 1);
        }

        switch ((string?)(scaling["rope_type"] ?? scaling["type"]))
        {
            case "linear":
                return ([.. plain.Select(frequency => frequency / (double)scaling["factor"]!)], 1);
            case "llama3":
                return ([.. plain.Select(frequency => Llama3(frequency, scaling))], 1);
            case "yarn":
                double all = (double)scaling["factor"]!;
                return ([.. plain.Select((frequency, i) => Yarn(frequency, i, theta, rotated, scaling))], (0.1 * Math.Log(all)) + 1);
            case "longrope":
                // The short factors hold up to the original context; llama.cpp goes by the context it makes, not by the text.
                double original = Integer("original_max_position_embeddings"), factor = Integer("max_position_embeddings") / original;
                JsonArray factors = scaling[original < LlamaCppContext ? "long_factor" : "short_factor"]!.AsArray();
                return ([.. plain.Select((frequency, i) => frequency / (double)factors[i]!)], Math.Sqrt(1 + (Math.Log(factor) / Math.Log(original))));
            case string other:
                throw new NotSupportedException(other);
            default:
                return (plain, 1);
        }
    }

    /// <summary>Dimensions that turn more than 32 times over the original context are left alone, those that turn less than once are divided.</summary>
    private static double Yarn(double frequency, int i, double theta, int rotated, JsonObject scaling)
    {
        double original = (double)scaling["original_max_position_embeddings"]!;
        double Dimension(double turns) => rotated * Math.Log(original / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));
        double low = Math.Max(0, Math.Floor(Dimension(32))), high = Math.Min(rotated - 1, Math.Ceiling(Dimension(1)));
        double ramp = Math.Clamp((i - low) / Math.Max(0.001, high - low), 0, 1);
        return (frequency / (double)scaling["factor"]! * ramp) + (frequency * (1 - ramp));
    }

    private static double Llama3(double frequency, JsonObject scaling)
    {
        double factor = (double)scaling["factor"]!, low = (double)scaling["low_freq_factor"]!, high = (double)scaling["high_freq_factor"]!;
        double turns = (double)scaling["original_max_position_embeddings"]! * frequency / (2 * Math.PI);
        double smooth = Math.Clamp((turns - low) / (high - low), 0, 1);
        return ((1 - smooth) * frequency / factor) + (smooth * frequency);
    }

    private double[] FeedForward(string layer, double[] x)
    {
        switch (_modelType)
        {
            case "mixtral":
                return Mix(layer + "block_sparse_moe.", "w1", "w3", "w2", x);
            case "qwen3_moe":
                return Mix(layer + "mlp.", "gate_proj", "up_proj", "down_proj", x);
            case "phi3":
                double[] both = Project(layer + "mlp.gate_up_proj", x);
                return Project(layer + "mlp.down_proj", Gate(both[..(both.Length / 2)], both[(both.Length / 2)..]));
            default:
                return Gated(layer + "mlp.", "gate_proj", "up_proj", "down_proj", x);
        }
    }

    private double[] Mix(string prefix, string gate, string up, string down, double[] x)
    {
        double[] shares = Softmax(Project(prefix + "gate", x));
        int[] chosen = [.. Enumerable.Range(0, shares.Length).OrderByDescending(i => shares[i]).Take(Integer("num_experts_per_tok"))];
        double sum = chosen.Sum(expert => shares[expert]);
        var result = new double[x.Length];
        foreach (int expert in chosen)
        {
            double[] part = Gated($"{prefix}experts.{expert}.", gate, up, down, x);
            for (int i = 0; i < result.Length; i++)
            {
                result[i] += shares[expert] / sum * part[i];
            }
        }

        return result;
    }

    private double[] Gated(string prefix, string gate, string up, string down, double[] x) =>
        Project(prefix + down, Gate(Project(prefix + gate, x), Project(prefix + up, x)));

    private double[] Gate(double[] gate, double[] up) => [.. gate.Select((value, i) => Activate(value) * up[i])];

    private double Activate(double z) => _isGemma
        ? 0.5 * z * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (z + (0.044715 * z * z * z))))
        : z / (1 + Math.Exp(-z));
}
