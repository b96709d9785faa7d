using KQuant.Codecs;
using KQuant.Matmul.Layers;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>The layers, each against float64, forwards and backwards.</summary>
public class LayerTests
{
    private static readonly ActivationPrecision[] Precisions = [ActivationPrecision.Int8, ActivationPrecision.Float32];

    [TestCaseSource(nameof(Precisions))]
    public void LinearAddsItsBias(ActivationPrecision activations)
    {
        // Enough rows and columns for several pieces.
        using MatmulContext context = Contexts.Create(activations: activations);
        QuantizedTensor weights = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(300, 256));
        float[] bias = Numbers.Gaussian(300, 1);
        float[] x = Numbers.Gaussian(9 * 256, 2);
        var layer = new QuantizedLinear(weights, bias);
        var y = new float[9 * 300];

        layer.Forward(x, y, context);

        float[] expected = context.Multiply(weights, x);
        for (int i = 0; i < expected.Length; i++)
        {
            expected[i] += bias[i % 300];
        }

        Assert.That(y, Is.EqualTo(expected));
    }

    [Test]
    public void LinearTakesNarrowActivations()
    {
        using MatmulContext context = Contexts.Create();
        var layer = new QuantizedLinear(RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(30, 256)), Numbers.Gaussian(30, 1));
        float[] x = [.. Numbers.Gaussian(256, 2).Select(value => (float)(BFloat16)value)];
        float[] y = new float[30], fromHalves = new float[30], fromBFloats = new float[30];

        layer.Forward(x, y, context);
        layer.Forward(Array.ConvertAll(x, value => (Half)value), fromHalves, context);
        layer.Forward(Array.ConvertAll(x, value => (BFloat16)value), fromBFloats, context);

        Assert.That(fromHalves, Is.EqualTo(y), "bfloat16 values of ordinary size fit into binary16");
        Assert.That(fromBFloats, Is.EqualTo(y));
    }

    [Test]
    public void LinearGoesBack()
    {
        using MatmulContext context = Contexts.Create();
        QuantizedTensor weights = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(300, 256));
        float[] dy = Numbers.Gaussian(9 * 300, 2);
        var dx = new float[9 * 256];

        new QuantizedLinear(weights, new float[300]).Backward(dy, dx, context);

        Assert.That(Numbers.Nmse(dx, ReferenceProduct.MultiplyTransposed(weights, dy)), Is.LessThan(1e-12));
    }

    [Test]
    public void EmbeddingDecodesTheRowsAskedFor([Values(1, 3)] int threads)
    {
        foreach (QuantCodec codec in Contexts.Formats)
        {
            using MatmulContext context = Contexts.Create(threads);
            QuantizedTensor weights = RandomTensors.Create(codec, new QuantShape(40, Contexts.ColumnsOf(codec)));
            var table = new QuantizedEmbedding(weights);
            int[] ids = [.. Enumerable.Range(0, 200).Select(i => i * 7 % 40)];
            var y = new float[ids.Length * table.Dimensions];

            table.Lookup(ids, y, context);

            float[] all = RandomTensors.Decode(weights);
            float[] expected = [.. ids.SelectMany(id => all[(id * table.Dimensions)..((id + 1) * table.Dimensions)])];
            Assert.That(Numbers.Bits(y), Is.EqualTo(Numbers.Bits(expected)), $"{codec}");
        }
    }

    [Test]
    public void EmbeddingIsItsOwnHead()
    {
        using MatmulContext context = Contexts.Create();
        QuantizedTensor weights = RandomTensors.Create(QuantFormat.Q6_K, new QuantShape(40, 256));
        var table = new QuantizedEmbedding(weights);
        float[] x = Numbers.Gaussian(2 * 256, 1);
        var logits = new float[2 * 40];

        table.AsLinear().Forward(x, logits, context);

        Assert.That(logits, Is.EqualTo(context.Multiply(weights, x)));
        Assert.That(table.AsLinear().Weights, Is.SameAs(weights));
    }

    [TestCaseSource(nameof(Precisions))]
    public void SwitchLinearAddsTheBiasOfTheExpert(ActivationPrecision activations)
    {
        const int Tokens = 12, PerToken = 2, Experts = 5, Outputs = 48;
        using MatmulContext context = Contexts.Create(activations: activations, deterministic: true);
        QuantizedTensor experts = RandomTensors.Create(QuantFormat.Q5_0, QuantShape.Stack(Experts, Outputs, 96));
        float[] bias = Numbers.Gaussian(Experts * Outputs, 1);
        float[] x = Numbers.Gaussian(Tokens * 96, 2);

        // Expert 3 twice for the same token: the second result is a copy, with its bias.
        int[] ids = [.. Enumerable.Range(0, Tokens * PerToken).Select(i => i < 2 ? 3 : i * 3 % Experts)];
        var y = new float[Tokens * PerToken * Outputs];

        new QuantizedSwitchLinear(experts, bias).Forward(x, ids, y, context);

        var expected = new List<float>();
        for (int i = 0; i < ids.Length; i++)
        {
            float[] row = context.Multiply(experts.GetExpert(ids[i]), x[(i / PerToken * 96)..((i / PerToken * 96) + 96)]);
            expected.AddRange(row.Select((value, n) => value + bias[(ids[i] * Outputs) + n]));
        }

        Assert.That(y, Is.EqualTo(expected));
    }

    [Test]
    public void SwitchLinearTakesARowPerSlot()
    {
        using MatmulContext context = Contexts.Create(deterministic: true);
        QuantizedTensor experts = RandomTensors.Create(QuantFormat.Q5_0, QuantShape.Stack(4, 16, 32));
        float[] x = Numbers.Gaussian(3 * 32, 2);
        int[] ids = [0, 2, 3];
        var y = new float[3 * 16];

        new QuantizedSwitchLinear(experts).Forward(x, ids, y, context, sorted: true);

        Assert.That(y, Is.EqualTo(ids.SelectMany((id, i) => context.Multiply(experts.GetExpert(id), x[(i * 32)..((i + 1) * 32)]))));
    }

    [Test]
    public void SwitchLinearGoesBack()
    {
        const int Tokens = 6, PerToken = 2, Outputs = 48;
        using MatmulContext context = Contexts.Create();
        QuantizedTensor experts = RandomTensors.Create(QuantFormat.Q5_0, QuantShape.Stack(5, Outputs, 96));
        int[] ids = [.. Enumerable.Range(0, Tokens * PerToken).Select(i => i * 3 % 5)];
        float[] dy = Numbers.Gaussian(Tokens * PerToken * Outputs, 1);
        var dx = new float[Tokens * 96];

        new QuantizedSwitchLinear(experts).Backward(dy, ids, dx, context);

        var expected = new float[dx.Length];
        for (int i = 0; i < ids.Length; i++)
        {
            float[] part = ReferenceProduct.MultiplyTransposed(experts, dy.AsSpan(i * Outputs, Outputs), ids[i]);
            for (int k = 0; k < 96; k++)
            {
                expected[(i / PerToken * 96) + k] += part[k];
            }
        }

        Assert.That(Numbers.Nmse(dx, expected), Is.LessThan(1e-12));
    }

    [Test]
    public void SwitchLinearOfNoRows()
    {
        using MatmulContext context = Contexts.Create();
        var layer = new QuantizedSwitchLinear(RandomTensors.Create(QuantFormat.Q5_0, QuantShape.Stack(4, 16, 32)));

        Assert.That(() => layer.Forward([], [], [], context), Throws.Nothing);
        Assert.That(() => layer.Backward([], [], [], context), Throws.Nothing);
    }

    [Test]
    public void MultiLinearMultipliesEveryHeadByItsMatrix([Values] bool isShared, [Values] bool isTransposed)
    {
        const int Batches = 2, Heads = 3, Length = 5, Inputs = 64, Outputs = 40;
        int xHeads = isShared ? 1 : Heads;
        (int inner, int outer) = isTransposed ? (Outputs, Inputs) : (Inputs, Outputs);
        using MatmulContext context = Contexts.Create(activations: ActivationPrecision.Float32);
        QuantizedTensor weights = RandomTensors.Create(QuantFormat.Q8_0, QuantShape.Stack(Heads, Outputs, Inputs));
        var layer = new QuantizedMultiLinear(weights);
        float[] x = Numbers.Gaussian(Batches * xHeads * Length * inner, 1);
        float[] dy = Numbers.Gaussian(Batches * Heads * Length * outer, 2);
        var y = new float[dy.Length];
        var dx = new float[x.Length];

        if (isTransposed)
        {
            layer.ForwardTransposed(x, [Batches, xHeads, Length, inner], y, context);
            layer.BackwardTransposed(dy, [Batches, xHeads, Length, inner], dx, context);
        }
        else
        {
            layer.Forward(x, [Batches, xHeads, Length, inner], y, context);
            layer.Backward(dy, [Batches, xHeads, Length, inner], dx, context);
        }

        var expected = new List<float>();
        var gradient = new float[dx.Length];
        for (int i = 0; i < Batches * Heads; i++)
        {
            int item = isShared ? i / Heads : i;
            ReadOnlySpan<float> rows = x.AsSpan(item * Length * inner, Length * inner);
            ReadOnlySpan<float> back = dy.AsSpan(i * Length * outer, Length * outer);
            expected.AddRange(isTransposed
                ? ReferenceProduct.MultiplyTransposed(weights, rows, i % Heads)
                : ReferenceProduct.Multiply(weights, rows, i % Heads));
            float[] part = isTransposed
                ? ReferenceProduct.Multiply(weights, back, i % Heads)
                : ReferenceProduct.MultiplyTransposed(weights, back, i % Heads);
            for (int k = 0; k < part.Length; k++)
            {
                gradient[(item * Length * inner) + k] += part[k];
            }
        }

        Assert.That(Numbers.Nmse(y, expected.ToArray()), Is.LessThan(1e-12));
        Assert.That(Numbers.Nmse(dx, gradient), Is.LessThan(1e-12));
    }
}
