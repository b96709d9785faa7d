using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul;
using KQuant.Models.Products;
using KQuant.Models.Transformers;
using KQuant.TestKit;

namespace KQuant.Models.Tests;

/// <summary>Products know the names of weights: what observes them sees everything, what adapts them adds to one alone.</summary>
public unsafe class ProductTests
{
    private static readonly int[] Prompt = RandomCheckpoint.Prompt(23);

    private readonly RandomModels _models = new();

    [OneTimeTearDown]
    public void TearDown() => _models.Dispose();

    [Test]
    public void EveryMatrixOfACheckpointIsSeenUnderItsName([ValueSource(typeof(RandomCheckpoint), nameof(RandomCheckpoint.Names))] string name)
    {
        var checkpoint = RandomCheckpoint.Create(name);
        using LanguageModel model = _models.Load(name);
        var sums = new InputSums();
        model.Runner.Decorate(products => new ObservedProducts(products, sums));
        using KeyValueCache cache = model.CreateCache();
        RandomModels.Logits(model, cache, Prompt);
        using var temporary = new TemporaryFolder();
        using ModelFolder folder = ModelFolder.Open(checkpoint.Write(temporary["folder"]));
        string[] expected =
        [
            .. folder.Tensors.Where(tensor => tensor.Shape.Length >= 2 && !tensor.Name.EndsWith(".bias", StringComparison.Ordinal)).Select(tensor => tensor.Name)
                .Where(tensor => tensor != "model.embed_tokens.weight" || (bool)checkpoint.Config["tie_word_embeddings"]!),
        ];
        Assert.That(sums.StoredNames.Values.Distinct(), Is.EquivalentTo(expected));
        Assert.That(sums.ByName.Keys, Has.None.Contains("qkv_proj").And.None.Contains("gate_up_proj"), "parts of fused weights have their own names");
        Assert.That(sums.ByName.Keys, Has.Some.EndsWith("self_attn.v_proj.weight"));
    }

    [Test]
    public void ObservedSumsAreThoseOfTheActivations([Values("qwen3-moe", "phi3", "gemma2")] string name)
    {
        using LanguageModel model = _models.Load(name);
        ModelConfig config = model.Config;
        var observed = new InputSums();
        var expected = new InputSums();
        LayerActivations[] activations = [.. Enumerable.Range(0, config.LayerCount).Select(_ => new LayerActivations(keepsAll: true))];
        model.Runner.Decorate(products => new ObservedProducts(products, observed));
        model.Runner.KeepActivations(activations);
        int rows = Prompt.Length;
        using KeyValueCache cache = model.CreateCache();
        model.Forward(Prompt, cache, new float[rows * config.VocabularySize]);
        for (int i = 0; i < config.LayerCount; i++)
        {
            LayerActivations layer = activations[i];
            string prefix = $"model.layers.{i}.";
            foreach (string projection in new[] { "q_proj", "k_proj", "v_proj" })
            {
                Add($"{prefix}self_attn.{projection}.weight", layer.AttentionInput.Pointer, config.HiddenSize);
            }

            Add(prefix + "self_attn.o_proj.weight", layer.Attended.Pointer, config.HeadCount * config.HeadSize);
            if (config.Experts is { } experts)
            {
                int pairs = rows * experts.PerToken;
                var ids = new ReadOnlySpan<int>(layer.ExpertIds.Pointer, pairs);
                var input = new ReadOnlySpan<float>(layer.FeedForwardInput.Pointer, rows * config.HiddenSize);
                Add(prefix + "mlp.gate.weight", layer.FeedForwardInput.Pointer, config.HiddenSize);
                expected.Add(prefix + "mlp.switch_mlp.gate_proj.weight", experts.Count, input, config.HiddenSize, ids, experts.PerToken);
                expected.Add(prefix + "mlp.switch_mlp.up_proj.weight", experts.Count, input, config.HiddenSize, ids, experts.PerToken);
                var gated = new ReadOnlySpan<float>(layer.Gated.Pointer, pairs * experts.IntermediateSize);
                expected.Add(prefix + "mlp.switch_mlp.down_proj.weight", experts.Count, gated, experts.IntermediateSize, ids, 1);
            }
            else
            {
                Add(prefix + "mlp.gate_proj.weight", layer.FeedForwardInput.Pointer, config.HiddenSize);
                Add(prefix + "mlp.up_proj.weight", layer.FeedForwardInput.Pointer, config.HiddenSize);
                Add(prefix + "mlp.down_proj.weight", layer.Gated.Pointer, config.IntermediateSize);
            }
        }

        model.Runner.KeepActivations(null);
        cache.Clear();
        var hidden = new float[rows * config.HiddenSize];
        var silent = observed.ByName.ToDictionary();
        model.ForwardHidden(Prompt, cache, hidden);
        fixed (float* x = hidden)
        {
            Add(config.TiesEmbedding ? "model.embed_tokens.weight" : "lm_head.weight", x, config.HiddenSize);
        }

        Assert.That(silent.Keys, Is.EquivalentTo(expected.ByName.Keys));
        foreach ((string weight, (double[][] sums, long[] counts)) in expected.ByName)
        {
            // The second pass, for the hidden states, went through everything but the head.
            int passes = weight is "lm_head.weight" or "model.embed_tokens.weight" ? 1 : 2;
            Assert.That(observed.ByName[weight].Rows, Is.EqualTo(counts.Select(count => passes * count)), weight);
            for (int matrix = 0; matrix < sums.Length; matrix++)
            {
                Assert.That(
                    observed.ByName[weight].Sums[matrix], Is.EqualTo(sums[matrix].Select(sum => passes * sum)).Within(1e-9).Percent, $"{weight} {matrix}");
            }
        }

        Array.ForEach(activations, set => set.Dispose());

        void Add(string weight, float* x, int width) =>
            expected.Add(weight, 1, new ReadOnlySpan<float>(x, rows * width), width, new int[rows], 1);
    }

    [Test]
    public void KeepingActivationsChangesNothingAndAddsUp([Values("llama3", "mixtral", "gemma3")] string name)
    {
        using LanguageModel model = _models.Load(name);
        using KeyValueCache cache = model.CreateCache(), other = model.CreateCache();
        float[] expected = RandomModels.Logits(model, cache, Prompt);
        LayerActivations[] activations = [.. Enumerable.Range(0, model.Config.LayerCount).Select(_ => new LayerActivations(keepsAll: true))];
        model.Runner.KeepActivations(activations);
        Assert.That(Numbers.Bits(RandomModels.Logits(model, other, Prompt)), Is.EqualTo(Numbers.Bits(expected)));
        int values = Prompt.Length * model.Config.HiddenSize;
        for (int layer = 0; layer < activations.Length && !model.Config.HasPostNorms; layer++)
        {
            LayerActivations set = activations[layer];
            for (int i = 0; i < values; i++)
            {
                Assert.That(set.Middle.Pointer[i], Is.EqualTo(set.Input.Pointer[i] + set.AttentionOutput.Pointer[i]));
                if (layer + 1 < activations.Length)
                {
                    Assert.That(activations[layer + 1].Input.Pointer[i], Is.EqualTo(set.Middle.Pointer[i] + set.FeedForwardOutput.Pointer[i]));
                }
            }
        }

        model.Runner.KeepActivations(null);
        Array.ForEach(activations, set => set.Dispose());
    }

    [Test]
    public void AnAdapterAddsItsTermToOneWeight([Values] bool isStack)
    {
        const int inputs = 96, outputs = 40, rank = 4, rows = 5, perRow = 2;
        int matrices = isStack ? 3 : 1, slots = isStack ? perRow : 1;
        using QuantizedTensor weights = Floats(1, matrices, outputs, inputs), a = Floats(2, matrices, rank, inputs), b = Floats(3, matrices, outputs, rank);
        float[] bias = Numbers.Gaussian(matrices * outputs, 4), x = Numbers.Gaussian(rows * inputs, 5);
        int[] ids = [.. Enumerable.Range(0, rows * slots).Select(i => i * 2 % matrices)];
        ModelWeight named = isStack ? ModelWeight.MatrixStack("this.weight", weights, bias) : ModelWeight.Matrix("this.weight", weights, bias);
        ModelWeight unnamed = isStack ? ModelWeight.MatrixStack("that.weight", weights, bias) : ModelWeight.Matrix("that.weight", weights, bias);
        using var context = new MatmulContext(new MatmulOptions { MaxDegreeOfParallelism = 1 });
        var term = new LowRankTerm("this.weight", a, b, 0.5f, isStack);
        using var products = new AdaptedProducts(new ProcessorProducts(context), new Dictionary<string, LowRankTerm> { [term.Weight] = term });
        float[] adapted = new float[rows * slots * outputs], plain = new float[adapted.Length];
        fixed (float* input = x, y = adapted, z = plain)
        fixed (int* chosen = ids)
        {
            var rowsOfX = new ProductInput(input, rows, isStack ? chosen : null, slots);
            products.Multiply(named, rowsOfX, y, default);
            products.Multiply(unnamed, rowsOfX, z, default);
            products.Finish(default);
        }

        float[] w = Decode(weights), aValues = Decode(a), bValues = Decode(b);
        for (int result = 0; result < rows * slots; result++)
        {
            int matrix = isStack ? ids[result] : 0;
            for (int n = 0; n < outputs; n++)
            {
                double sum = bias[(matrix * outputs) + n], added = 0;
                for (int k = 0; k < inputs; k++)
                {
                    double value = x[(result / slots * inputs) + k];
                    sum += value * w[(((matrix * outputs) + n) * inputs) + k];
                    for (int r = 0; r < rank; r++)
                    {
                        added += 0.5 * bValues[(((matrix * outputs) + n) * rank) + r] * aValues[(((matrix * rank) + r) * inputs) + k] * value;
                    }
                }

                Assert.That(plain[(result * outputs) + n], Is.EqualTo(sum).Within(1e-4));
                Assert.That(adapted[(result * outputs) + n], Is.EqualTo(sum + added).Within(1e-3));
            }
        }
    }

    [Test]
    public void AnAdapterAddsToRowsThatAreLookedUp()
    {
        using QuantizedTensor weights = Floats(1, 1, 10, 32), a = Floats(2, 1, 3, 32), b = Floats(3, 1, 10, 3);
        using var context = new MatmulContext(new MatmulOptions { MaxDegreeOfParallelism = 1 });
        var table = ModelWeight.Matrix("table.weight", weights);
        var term = new LowRankTerm(table.Name, a, b, 2);
        using var products = new AdaptedProducts(new ProcessorProducts(context), new Dictionary<string, LowRankTerm> { [table.Name] = term });
        var found = new float[64];
        products.Lookup(table, [7, 2], found, default);
        float[] w = Decode(weights), aValues = Decode(a), bValues = Decode(b);
        for (int i = 0; i < found.Length; i++)
        {
            int row = i < 32 ? 7 : 2, column = i % 32;
            double sum = w[(row * 32) + column];
            for (int r = 0; r < 3; r++)
            {
                sum += 2.0 * bValues[(row * 3) + r] * aValues[(r * 32) + column];
            }

            Assert.That(found[i], Is.EqualTo(sum).Within(1e-4));
        }
    }

    [Test]
    public void AnAdaptedModelIsTheModelWithThatWeightChanged()
    {
        using LanguageModel model = _models.Load("llama");
        using KeyValueCache cache = model.CreateCache();
        float[] before = RandomModels.Logits(model, cache, Prompt);
        using QuantizedTensor a = Floats(2, 1, 4, 256), b = Floats(3, 1, 256, 4), zero = Zeros(256, 4);
        float[] Adapted(QuantizedTensor right, string weight)
        {
            using LanguageModel adapted = _models.Load("llama");
            var term = new LowRankTerm(weight, a, right, 0.01f);
            adapted.Runner.Decorate(products => new AdaptedProducts(products, new Dictionary<string, LowRankTerm> { [weight] = term }));
            using KeyValueCache other = adapted.CreateCache();
            return RandomModels.Logits(adapted, other, Prompt);
        }

        Assert.That(Adapted(zero, "model.layers.1.self_attn.o_proj.weight"), Is.EqualTo(before));
        Assert.That(Numbers.Nmse(Adapted(b, "model.layers.1.self_attn.o_proj.weight"), before), Is.GreaterThan(1e-6));
        Assert.That(Adapted(b, "model.layers.9.self_attn.o_proj.weight"), Is.EqualTo(before), "there is no such layer");
        Assert.That(() => Adapted(b, "model.layers.1.mlp.up_proj.weight"), Throws.ArgumentException.With.Message.Contains("mlp.up_proj"));
    }

    private static QuantizedTensor Floats(int seed, int matrices, int rows, int columns) => QuantizedTensor.FromMemory(
        QuantCodec.Get(QuantFormat.F32),
        QuantShape.Stack(matrices, rows, columns),
        MemoryMarshal.AsBytes(Numbers.Gaussian(matrices * rows * columns, seed).AsSpan()).ToArray());

    private static QuantizedTensor Zeros(int rows, int columns) =>
        QuantizedTensor.FromMemory(QuantCodec.Get(QuantFormat.F32), new QuantShape(rows, columns), new byte[rows * columns * sizeof(float)]);

    private static float[] Decode(QuantizedTensor tensor)
    {
        var values = new float[tensor.Shape.TotalRows * tensor.Shape.Columns];
        for (int row = 0; row < tensor.Shape.TotalRows; row++)
        {
            tensor.DecodeRow(row, values.AsSpan(row * tensor.Shape.Columns, tensor.Shape.Columns));
        }

        return values;
    }
}
