using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul.Layers;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>Weights whose codes, scales and biases lie apart: views, slices, and every kind of product against plain floats.</summary>
public class PlaneTests
{
    private const int Experts = 3, Outputs = 37, Columns = 320;

    private static readonly AffineCodec Floats = new(64, integers: false);
    private static readonly AffineCodec Integers = new(64, integers: true);

    private static IEnumerable<TestCaseData> Codecs =>
        from codec in (AffineCodec[])[Floats, Integers, new AffineCodec(32, integers: true)]
        from rows in (int[])[1, 3, 33]
        select new TestCaseData(codec, rows).SetArgDisplayNames(codec.Name, codec.Integers is null ? "float" : "int8", $"M={rows}");

    /// <summary>A group of MLX's, by hand: codes, scale and bias.</summary>
    [Test]
    public void EncodesAsMlx()
    {
        float[] weights = [.. Enumerable.Range(0, 32).Select(i => ((7 * i % 32) - 13) * 0.125f)];
        QuantizedTensor tensor = QuantizedTensor.Encode(new AffineCodec(32, integers: false), new QuantShape(1, 32), weights);
        Assert.That(
            MemoryMarshal.Cast<byte, uint>(tensor.UnsafeGetRowBytes(0)).ToArray(), Is.EqualTo((uint[])[0x7AE258CF, 0xBE269C04, 0xF26AD048, 0x36AE148C]));
        Assert.That(MemoryMarshal.Cast<byte, Half>(tensor.UnsafeGetRowBytes(0, 1)).ToArray(), Is.EqualTo((Half[])[(Half)(-0.25f)]));
        Assert.That(MemoryMarshal.Cast<byte, Half>(tensor.UnsafeGetRowBytes(0, 2)).ToArray(), Is.EqualTo((Half[])[(Half)2.25f]));
    }

    [Test]
    public void CodecsAreNumberedAndKnowNoGgmlType()
    {
        Assert.That(Floats.Index, Is.Not.EqualTo(Integers.Index));
        Assert.That(Floats.Format, Is.Null);
        Assert.That(Floats.BitsPerWeight, Is.EqualTo(4.5));
        Assert.That(Floats.GetByteCount(128), Is.EqualTo(72));
        Assert.That(() => KQuant.Codecs.Files.GgmlType.Of(Floats), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("affine4_64"));
    }

    [Test]
    public void OneRunOfBytesHoldsPlaneAfterPlane()
    {
        float[] weights = Numbers.Gaussian(4 * Columns, 1);
        byte[] bytes = new byte[Floats.GetByteCount(weights.Length)];
        Assert.That(Floats.Encode(weights, bytes, new EncodeOptions { RowLength = Columns, MaxDegreeOfParallelism = 2 }), Is.EqualTo(bytes.Length));
        QuantizedTensor tensor = QuantizedTensor.Encode(Floats, new QuantShape(4, Columns), weights);
        Assert.That(bytes[..(Columns / 2)], Is.EqualTo(tensor.UnsafeGetRowBytes(0).ToArray()));
        Assert.That(bytes[^(Columns / 64 * 2)..], Is.EqualTo(tensor.UnsafeGetRowBytes(3, 2).ToArray()));

        float[] decoded = new float[weights.Length];
        Half[] halves = new Half[weights.Length];
        Floats.Decode(bytes, decoded);
        Floats.Decode(bytes, halves);
        Assert.That(decoded, Is.EqualTo(RandomTensors.Decode(tensor)));
        Assert.That(halves, Is.EqualTo(decoded.Select(value => (Half)value)));
        Assert.That(Numbers.Nmse(decoded, weights), Is.InRange(0.002, 0.01));
    }

    [Test]
    public void EncodeChecksItsWeights()
    {
        float[] weights = new float[2 * 64];
        weights[100] = float.NaN;
        Assert.That(
            () => QuantizedTensor.Encode(Floats, new QuantShape(2, 64), weights),
            Throws.InstanceOf<InvalidWeightException>().With.Message.EqualTo("affine4_64: row 1, column 36: the weight is NaN; it must be finite."));
    }

    [Test]
    public void PlanesAreViews()
    {
        QuantizedTensor all = Stack(Floats);
        (byte[] codes, byte[] scales, byte[] biases) = Planes(all);
        QuantizedTensor tensor = FromArrays(all, codes, scales, biases);
        Assert.That(RandomTensors.Decode(tensor), Is.EqualTo(RandomTensors.Decode(all)));
        Assert.That(tensor.ByteCount, Is.EqualTo(codes.Length + scales.Length + biases.Length));
        for (int expert = 0; expert < Experts; expert++)
        {
            Assert.That(RandomTensors.Decode(tensor.GetExpert(expert)), Is.EqualTo(RandomTensors.Decode(all)[(expert * Outputs * Columns)..][..(Outputs * Columns)]));
        }

        Assert.That(RandomTensors.Decode(tensor.SliceRows(40, 5)), Is.EqualTo(RandomTensors.Decode(all)[(40 * Columns)..(45 * Columns)]));
        QuantizedTensor slice = tensor.GetExpert(1);
        tensor.Dispose();
        Assert.That(() => slice.UnsafeGetRowBytes(0), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public void PlanesMustFit()
    {
        QuantizedTensor all = Stack(Floats);
        (byte[] codes, byte[] scales, byte[] biases) = Planes(all);
        Assert.That(
            () => FromArrays(all, codes, scales[2..], biases),
            Throws.ArgumentException.With.Message.Contains("the plane 'scales' of a [3, 37, 320] tensor is 1108 long; 1110 was expected"));
        Assert.That(
            () => QuantizedTensor.FromPlanes(Floats, all.Shape, TensorPlane.FromMemory(codes)),
            Throws.ArgumentException.With.Message.Contains("1 planes were given; there are 3 (weight, scales, biases)"));
        Assert.That(() => all.UnsafeGetRowBytes(0, 3), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => all.SliceRows(110, 2), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    [TestCaseSource(nameof(Codecs))]
    public void Products(object codecObject, int rows)
    {
        var codec = (AffineCodec)codecObject;
        QuantizedTensor weights = Stack(codec).GetExpert(1);
        float[] x = Numbers.Gaussian(rows * Columns, 2), expected = ReferenceProduct.Multiply(weights, x);
        float[] dy = Numbers.Gaussian(rows * Outputs, 3), expectedGradient = ReferenceProduct.MultiplyTransposed(weights, dy);
        float[]? floats = null;
        foreach (KernelTier tier in KernelTiers.All)
        {
            using MatmulContext precise = Contexts.Create(activations: ActivationPrecision.Float32, maxTier: tier);
            using MatmulContext quick = Contexts.Create(maxTier: tier);
            float[] y = precise.Multiply(weights, x);
            Assert.That(Numbers.Nmse(y, expected), Is.LessThan(1e-12), $"{tier}");
            Assert.That(y, Is.EqualTo(floats ??= y), $"{tier}");
            Assert.That(Numbers.Nmse(precise.MultiplyTransposed(weights, dy), expectedGradient), Is.LessThan(1e-12), $"{tier}");

            float[] quantized = quick.Multiply(weights, x);
            Assert.That(quick.GetKernel(codec, rows).Name, Is.EqualTo(codec.Integers is null ? "float" : "scalar"));
            Assert.That(codec.Integers is null ? Numbers.Nmse(quantized, y) : 0, Is.Zero, "without int8 kernels, products are in float32");
            Assert.That(Numbers.Nmse(quantized, expected), Is.LessThan(1e-4), $"{tier}");
        }
    }

    [Test]
    public void Gathers([Values] bool integers)
    {
        QuantizedTensor experts = Stack(integers ? Integers : Floats);
        int[] lhs = [1, 0, 1, 1], rhs = [2, 0, 2, 1];
        float[] x = Numbers.Gaussian(2 * Columns, 1), dy = Numbers.Gaussian(4 * Outputs, 2);
        float[] y = new float[4 * Outputs], dx = new float[2 * Columns], expectedGradient = new float[2 * Columns];
        using MatmulContext context = Contexts.Create();
        QuantizedMatmul.GatherMultiply(experts, x, [2, 1, Columns], lhs, rhs, y, context);
        QuantizedMatmul.GatherGradient(experts, dy, [2, 1, Columns], lhs, rhs, dx, context);
        for (int entry = 0; entry < 4; entry++)
        {
            float[] expected = ReferenceProduct.Multiply(experts, x.AsSpan(lhs[entry] * Columns, Columns), rhs[entry]);
            Assert.That(Numbers.Nmse(y.AsSpan(entry * Outputs, Outputs), expected), Is.LessThan(integers ? 1e-4 : 1e-12), $"entry {entry}");
            float[] part = ReferenceProduct.MultiplyTransposed(experts, dy.AsSpan(entry * Outputs, Outputs), rhs[entry]);
            for (int i = 0; i < Columns; i++)
            {
                expectedGradient[(lhs[entry] * Columns) + i] += part[i];
            }
        }

        Assert.That(Numbers.Nmse(dx, expectedGradient), Is.LessThan(1e-12));
    }

    [Test]
    public void LayersTakeThemToo()
    {
        QuantizedTensor weights = Stack(Floats).GetExpert(0);
        using MatmulContext context = Contexts.Create();
        float[] rows = new float[2 * Columns], y = new float[Outputs];
        new QuantizedEmbedding(weights).Lookup([30, 4], rows, context);
        Assert.That(rows[..Columns], Is.EqualTo(RandomTensors.Decode(weights)[(30 * Columns)..(31 * Columns)]));
        Assert.That(rows[Columns..], Is.EqualTo(RandomTensors.Decode(weights)[(4 * Columns)..(5 * Columns)]));

        // There is no kernel to pack them for, and nothing is packed.
        using PackedTensor packed = PackedTensor.Pack(weights, context);
        QuantizedMatmul.Multiply(packed, rows.AsSpan(0, Columns), y, context);
        Assert.That(packed.ByteCount, Is.Zero);
        Assert.That(y, Is.EqualTo(context.Multiply(weights, rows[..Columns])));
    }

    [Test]
    public void ResultsMayNotLieInAPlane()
    {
        QuantizedTensor all = Stack(Floats);
        (byte[] codes, _, byte[] biases) = Planes(all);
        using MatmulContext context = Contexts.Create();

        // 110 rows have 1100 bytes of scales: 275 floats.
        using var scales = new NativeBlock(1100);
        QuantizedTensor matrix = QuantizedTensor.FromPlanes(
            Floats,
            new QuantShape(110, Columns),
            TensorPlane.FromMemory(codes.AsMemory(0, 110 * Columns / 2)),
            TensorPlane.FromBuffer(scales, 0, 1100),
            TensorPlane.FromMemory(biases.AsMemory(0, 1100)));
        Assert.That(
            () => QuantizedMatmul.Multiply(matrix, new float[Columns], Floats32(scales).Slice(100, 110), context),
            Throws.ArgumentException.With.Message.Contains("overlap"));
    }

    private static unsafe Span<float> Floats32(NativeBlock block) => new(block.Pointer, (int)(block.ByteLength / sizeof(float)));

    private static QuantizedTensor Stack(AffineCodec codec) =>
        QuantizedTensor.Encode(codec, QuantShape.Stack(Experts, Outputs, Columns), Numbers.Gaussian(Experts * Outputs * Columns, 7));

    private static (byte[] Codes, byte[] Scales, byte[] Biases) Planes(QuantizedTensor tensor)
    {
        byte[][] planes = [.. Enumerable.Range(0, 3).Select(plane => Enumerable.Range(0, (int)tensor.Shape.TotalRows)
            .SelectMany(row => tensor.UnsafeGetRowBytes(row, plane).ToArray()).ToArray())];
        return (planes[0], planes[1], planes[2]);
    }

    private static QuantizedTensor FromArrays(QuantizedTensor like, byte[] codes, byte[] scales, byte[] biases) => QuantizedTensor.FromPlanes(
        like.Codec, like.Shape, TensorPlane.FromMemory(codes), TensorPlane.FromMemory(scales), TensorPlane.FromMemory(biases));
}
