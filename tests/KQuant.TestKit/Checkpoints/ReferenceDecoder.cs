using System.Text.Json.Nodes;

namespace KQuant.TestKit;

/// <summary>
/// What a checkpoint computes, in double precision and as plainly as possible: no cache, no batch, one loop for each formula. Follows Hugging
/// Face's classes; sliding windows only for Gemma and gpt-oss.
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
        double scale = _isGemma ? Math.Sqrt(_hidden) : Number("embedding_multiplier", 1), share = Number("residual_multiplier", 1);
        bool isGlm = _modelType == "glm4";
        double[][] x = [.. ids.Select(id => Row("model.embed_tokens.weight", id).Select(value => value * scale).ToArray())];
        for (int layer = 0; layer < Integer("num_hidden_layers"); layer++)
        {
            string prefix = $"model.layers.{layer}.";
            double[][] attended = Attend(prefix + "self_attn.", layer, Norm(x, prefix + "input_layernorm"));
            Add(x, isGlm ? Norm(attended, prefix + "post_self_attn_layernorm") : _isGemma ? Norm(attended, prefix + "post_attention_layernorm") : attended, share);
            string before = prefix + (_isGemma ? "pre_feedforward_layernorm" : "post_attention_layernorm");
            double[][] fed = [.. Norm(x, before).Select(row => FeedForward(prefix, row))];
            Add(x, isGlm ? Norm(fed, prefix + "post_mlp_layernorm") : _isGemma ? Norm(fed, prefix + "post_feedforward_layernorm") : fed, share);
        }

        string head = _tensors.ContainsKey("lm_head.weight") ? "lm_head.weight" : "model.embed_tokens.weight";
        double? cap = (double?)_config["final_logit_softcapping"];
        return [.. Norm(x, "model.norm").Select(row => Softmax(Cap([.. Multiply(head, row).Select(value => value / Number("logits_scaling", 1))], cap)))];
    }

    private static void Add(double[][] x, double[][] y, double share)
    {
        for (int t = 0; t < x.Length; t++)
        {
            for (int i = 0; i < x[t].Length; i++)
            {
                x[t][i] += share * y[t][i];
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
        bool slides = _modelType switch { "gemma2" => layer % 2 == 0, "gemma3_text" => (layer + 1) % 6 != 0, "gpt_oss" => layer % 2 == 0, _ => false };
        int window = slides ? Integer("sliding_window") : int.MaxValue;
        (double[][] q, double[][] k, double[][] v) = ProjectAll(prefix, x);
        (double[] frequencies, double magnitude) = Frequencies(_modelType == "gemma3_text" && slides);
        if (_modelType == "smollm3" && (layer + 1) % 4 == 0)
        {
            frequencies = [];
        }

        for (int t = 0; t < x.Length; t++)
        {
            Rotate(q[t], prefix + "q_norm", t, frequencies, magnitude);
            Rotate(k[t], prefix + "k_norm", t, frequencies, magnitude);
        }

        double scale = Number("attention_multiplier", 1 / Math.Sqrt(Number("query_pre_attn_scalar", _headSize)));
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

                double[] shares = _tensors.TryGetValue(prefix + "sinks", out (int[] Shape, float[] Values) sinks)
                    ? Softmax([.. scores, sinks.Values[head]])
                    : Softmax(Cap(scores, cap));
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
                (int one, int other) = _modelType == "glm4" ? (start + (2 * j), start + (2 * j) + 1) : (start + j, start + j + frequencies.Length);
                (double a, double b) = (x[one], x[other]);
                x[one] = magnitude * ((a * cos) - (b * sin));
                x[other] = magnitude * ((b * cos) + (a * sin));
            }
        }
    }

    private (double[] Frequencies, double Magnitude) Frequencies(bool isLocal)
    {
        double theta = isLocal ? Number("rope_local_base_freq", 1e4) : Number("rope_theta", 1e4);
        int rotated = (int)(_headSize * Number("partial_rotary_factor", _modelType == "glm4" ? 0.5 : 1));
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
            case "qwen2_moe":
                double open = Sigmoid(Project(layer + "mlp.shared_expert_gate", x)[0]);
                return Sum(
                    Mix(layer + "mlp.", "gate_proj", "up_proj", "down_proj", x),
                    Gated(layer + "mlp.shared_expert.", "gate_proj", "up_proj", "down_proj", x), open);
            case "glm4_moe" when _tensors.ContainsKey(layer + "mlp.gate.weight"):
                return Sum(
                    Mix(layer + "mlp.", "gate_proj", "up_proj", "down_proj", x),
                    Gated(layer + "mlp.shared_experts.", "gate_proj", "up_proj", "down_proj", x), 1);
            case "granitemoe" or "granitemoeshared" or "gpt_oss":
                double[] mixed = MixStacked(layer, x);
                return _tensors.ContainsKey(layer + "shared_mlp.input_linear.weight")
                    ? Sum(mixed, Halved(layer + "shared_mlp.input_linear", layer + "shared_mlp.output_linear", x), 1)
                    : mixed;
            case "glm4" or "phi3":
                return Halved(layer + "mlp.gate_up_proj", layer + "mlp.down_proj", x);
            default:
                return Gated(layer + "mlp.", "gate_proj", "up_proj", "down_proj", x);
        }
    }

    private double[] Mix(string prefix, string gate, string up, string down, double[] x)
    {
        double[] scores = Project(prefix + "gate", x);
        double[] shares = _modelType == "glm4_moe" ? [.. scores.Select(Sigmoid)] : Softmax(scores);
        float[]? bias = _tensors.TryGetValue(prefix + "gate.e_score_correction_bias", out (int[] Shape, float[] Values) stored) ? stored.Values : null;
        int[] chosen = [.. Enumerable.Range(0, shares.Length).OrderByDescending(i => shares[i] + (bias?[i] ?? 0)).Take(Integer("num_experts_per_tok"))];
        double sum = _modelType == "qwen2_moe" ? 1 : chosen.Sum(expert => shares[expert]) / Number("routed_scaling_factor", 1);
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

    /// <summary>Experts in stacks: Granite's [experts, out, in] with the rows of the gate first, gpt-oss's [experts, in, out] with gate and up in turns.</summary>
    private double[] MixStacked(string layer, double[] x)
    {
        bool isGptOss = _modelType == "gpt_oss";
        string block = layer + (isGptOss ? "mlp.experts." : "block_sparse_moe.");
        double[] scores = Project(layer + (isGptOss ? "mlp.router" : "block_sparse_moe.router.layer"), x);
        int[] chosen = [.. Enumerable.Range(0, scores.Length).OrderByDescending(i => scores[i]).Take(Integer("num_experts_per_tok"))];
        double[] shares = Softmax([.. chosen.Select(expert => scores[expert])]);
        var result = new double[x.Length];
        for (int k = 0; k < chosen.Length; k++)
        {
            double[] both = Stacked(block + (isGptOss ? "gate_up_proj" : "input_linear"), chosen[k], x, isGptOss);
            int half = both.Length / 2;
            double[] inner = isGptOss
                ? [.. Enumerable.Range(0, half).Select(i => Swiglu(both[2 * i], both[(2 * i) + 1]))]
                : Gate(both[..half], both[half..]);
            result = Sum(result, Stacked(block + (isGptOss ? "down_proj" : "output_linear"), chosen[k], inner, isGptOss), shares[k]);
        }

        return result;

        static double Swiglu(double gate, double up)
        {
            gate = Math.Min(gate, 7);
            return (Math.Clamp(up, -7, 7) + 1) * gate * Sigmoid(1.702 * gate);
        }
    }

    private double[] Stacked(string name, int expert, double[] x, bool isTransposed)
    {
        (int[] shape, float[] values) = _tensors[isTransposed ? name : name + ".weight"];
        int size = shape[1] * shape[2], outputs = isTransposed ? shape[2] : shape[1];
        float[]? bias = _tensors.TryGetValue(name + "_bias", out (int[] Shape, float[] Values) stored) ? stored.Values : null;
        return
        [
            .. Enumerable.Range(0, outputs).Select(row => (bias?[(expert * outputs) + row] ?? 0)
                + x.Select((value, i) => value * values[(expert * size) + (isTransposed ? (i * outputs) + row : (row * x.Length) + i)]).Sum()),
        ];
    }

    private static double[] Sum(double[] x, double[] y, double share) => [.. x.Zip(y, (a, b) => a + (share * b))];

    private static double Sigmoid(double z) => 1 / (1 + Math.Exp(-z));

    private double[] Halved(string gateUp, string down, double[] x)
    {
        double[] both = Project(gateUp, x);
        return Project(down, Gate(both[..(both.Length / 2)], both[(both.Length / 2)..]));
    }

    private double[] Gated(string prefix, string gate, string up, string down, double[] x) =>
        Project(prefix + down, Gate(Project(prefix + gate, x), Project(prefix + up, x)));

    private double[] Gate(double[] gate, double[] up) => [.. gate.Select((value, i) => Activate(value) * up[i])];

    private double Activate(double z) => _isGemma
        ? 0.5 * z * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (z + (0.044715 * z * z * z))))
        : z / (1 + Math.Exp(-z));
}
