using KQuant.Codecs;
using KQuant.Matmul.Layers;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Packed weights multiply as the tensor they were made from.</summary>
public class PackedTensorTests
{
    private static readonly int[] RowCounts = [1, 2, 5, 8, 17, 40];

    private static IEnumerable<QuantCodec> Formats => Contexts.Formats;

    [TestCaseSource(nameof(Formats))]
    public void ProductsHaveTheBitsOfTheTensor(QuantCodec codec)
    {
        // Rows that fill neither a granule nor a piece.
        QuantizedTensor weights = RandomTensors.Create(codec, new QuantShape(77, Contexts.ColumnsOf(codec)));
        using MatmulContext context = Contexts.Create(3, deterministic: true);
        using PackedTensor packed = PackedTensor.Pack(weights, context);
        foreach (int rows in RowCounts)
        {
            float[] x = Numbers.Gaussian(rows * weights.Shape.Columns, rows);
            var y = new float[rows * 77];
            QuantizedMatmul.Multiply(packed, x, y, context);
            Assert.That(Numbers.Bits(y), Is.EqualTo(Numbers.Bits(context.Multiply(weights, x))), $"M={rows}");
        }
    }

    [TestCaseSource(nameof(Formats))]
    public void GathersHaveTheBitsOfTheTensor(QuantCodec codec)
    {
        int columns = Contexts.ColumnsOf(codec);
        QuantizedTensor experts = RandomTensors.Create(codec, QuantShape.Stack(3, 77, columns));
        using MatmulContext context = Contexts.Create(3, deterministic: true);
        using PackedTensor packed = PackedTensor.Pack(experts, context);
        int[] ids = [2, 0, 2, 2, 1, 2];
        float[] x = Numbers.Gaussian(6 * columns, 1);
        float[] y = new float[6 * 77], expected = new float[6 * 77], layer = new float[6 * 77];

        QuantizedMatmul.GatherMultiply(packed, x, [6, 1, columns], default, ids, y, context);
        QuantizedMatmul.GatherMultiply(experts, x, [6, 1, columns], default, ids, expected, context);
        new QuantizedSwitchLinear(packed).Forward(x, ids, layer, context);

        Assert.That(Numbers.Bits(y), Is.EqualTo(Numbers.Bits(expected)));
        Assert.That(Numbers.Bits(layer), Is.EqualTo(Numbers.Bits(expected)));
    }

    [Test]
    public void LayersTakePackedWeights()
    {
        QuantizedTensor weights = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(77, 256));
        using MatmulContext context = Contexts.Create(deterministic: true);
        using PackedTensor packed = PackedTensor.Pack(weights, context);
        float[] bias = Numbers.Gaussian(77, 1);
        float[] x = Numbers.Gaussian(5 * 256, 2);
        float[] y = new float[5 * 77], expected = new float[5 * 77], dx = new float[5 * 256];

        new QuantizedLinear(packed, bias).Forward(x, y, context);
        new QuantizedLinear(packed).Backward(y, dx, context);

        new QuantizedLinear(weights, bias).Forward(x, expected, context);
        Assert.That(y, Is.EqualTo(expected));
        Assert.That(dx, Is.EqualTo(context.MultiplyTransposed(weights, y)));
    }

    [Test]
    public void OtherTiersAndFloat32UseTheTensor()
    {
        QuantizedTensor weights = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(77, 256));
        using MatmulContext best = Contexts.Create(deterministic: true);
        using MatmulContext scalar = Contexts.Create(deterministic: true, maxTier: KernelTier.Scalar);
        using MatmulContext floats = Contexts.Create(activations: ActivationPrecision.Float32);
        using PackedTensor packed = PackedTensor.Pack(weights, best);
        float[] x = Numbers.Gaussian(5 * 256, 2);
        float[] y = new float[5 * 77];

        QuantizedMatmul.Multiply(packed, x, y, scalar);
        Assert.That(Numbers.Bits(y), Is.EqualTo(Numbers.Bits(best.Multiply(weights, x))));
        QuantizedMatmul.Multiply(packed, x, y, floats);
        Assert.That(Numbers.Bits(y), Is.EqualTo(Numbers.Bits(floats.Multiply(weights, x))));
    }

    [Test]
    public void PackingKeepsTheSize()
    {
        using MatmulContext context = Contexts.Create();
        foreach (QuantCodec codec in QuantCodec.Quantized)
        {
            QuantizedTensor weights = RandomTensors.Create(codec, QuantShape.Stack(2, 4096, 256));
            using PackedTensor packed = PackedTensor.Pack(weights, context);
            Assert.That(packed.ByteCount, Is.AnyOf(0L, weights.ByteCount), $"{packed}");
            Assert.That(packed.ByteCount == 0, Is.EqualTo(packed.Tier is null));
            Assert.That(context.GetKernel(packed, 100).Tier, Is.EqualTo(packed.Tier ?? context.GetTier(codec)));
        }
    }

    [Test]
    public void DisposedPackedWeightsThrow()
    {
        QuantizedTensor weights = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(77, 256));
        using MatmulContext context = Contexts.Create();
        PackedTensor packed = PackedTensor.Pack(weights, context);
        packed.Dispose();
        int[] ids = [0];

        Assert.That(() => QuantizedMatmul.Multiply(packed, new float[256], new float[77], context), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(
            () => QuantizedMatmul.GatherMultiply(packed, new float[256], [1, 256], default, ids, new float[77], context),
            Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void EmptyWeightsCanBePacked()
    {
        using MatmulContext context = Contexts.Create();
        using PackedTensor packed = PackedTensor.Pack(RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(0, 256)), context);

        Assert.That(() => QuantizedMatmul.Multiply(packed, new float[256], Span<float>.Empty, context), Throws.Nothing);
    }
}
