using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>The names of quantization-mlx are the products of the library on MLX's arrays.</summary>
public class QuantizationMlxTests
{
    private const int Rows = 6, Columns = 128;

    [Test]
    public void AffineNamesMultiply([Values(2, 3, 4, 5, 6, 8)] int bits, [Values(32, 64, 128)] int groupSize)
    {
        QuantizedTensor weights = RandomTensors.Create(MlxFormat.Create(MlxMode.Affine, groupSize, bits).GetCodec(), QuantShape.Stack(3, Rows, Columns));
        (uint[] w, Half[] scales, Half[] biases) = (Words(weights), Plane<Half>(weights, 1), Plane<Half>(weights, 2));
        int words = w.Length / 3, groups = scales.Length / 3;
        QuantizedTensor first = weights.GetExpert(0);
        using MatmulContext context = Contexts.Create(activations: ActivationPrecision.Float32);
        float[] x = Numbers.Gaussian(3 * Columns, 1), dy = Numbers.Gaussian(2 * Rows, 2);
        Assert.That(
            QuantizationMlx.AffineQmmT<Half>(x, w.AsMemory(0, words), scales.AsMemory(0, groups), biases.AsMemory(0, groups), Columns, groupSize, bits, context),
            Is.EqualTo(context.Multiply(first, x)));
        Assert.That(
            QuantizationMlx.AffineQmmN<Half>(dy, w.AsMemory(0, words), scales.AsMemory(0, groups), biases.AsMemory(0, groups), Columns, groupSize, bits, context),
            Is.EqualTo(context.MultiplyTransposed(first, dy)));
        Assert.That(
            QuantizationMlx.AffineQmv<Half>(x.AsSpan(0, Columns), w.AsMemory(0, words), scales.AsMemory(0, groups), biases.AsMemory(0, groups), Rows, groupSize, bits, context),
            Is.EqualTo(context.Multiply(first, x[..Columns])));

        float[] gathered = QuantizationMlx.AffineGatherQmmRhs<Half>(x, w, scales, biases, [0, 0, 2], Rows, groupSize, bits, context);
        Assert.That(Numbers.Nmse(gathered.AsSpan(2 * Rows), ReferenceProduct.Multiply(weights, x.AsSpan(2 * Columns), 2)), Is.LessThan(1e-11));
        Assert.That(QuantizationMlx.AffineGatherQmmRhsNax<Half>(x, w, scales, biases, [0, 0, 2], Rows, groupSize, bits, context), Is.EqualTo(gathered));
    }

    [Test]
    public void Mxfp4NamesMultiply()
    {
        QuantizedTensor weights = RandomTensors.Create(MlxFormat.Create(MlxMode.MxFp4).GetCodec(), new QuantShape(Rows, Columns));
        using MatmulContext context = Contexts.Create(activations: ActivationPrecision.Float32);
        float[] x = Numbers.Gaussian(Columns, 1), dy = Numbers.Gaussian(2 * Rows, 2);
        Assert.That(QuantizationMlx.Mxfp4Qmv(x, Words(weights), Plane<byte>(weights, 1), Rows, context), Is.EqualTo(context.Multiply(weights, x)));
        Assert.That(
            QuantizationMlx.Mxfp4QmmN(dy, Words(weights), Plane<byte>(weights, 1), Columns, context), Is.EqualTo(context.MultiplyTransposed(weights, dy)));
    }

    [Test]
    public void WhatDoesNotFitIsNamed()
    {
        using MatmulContext context = Contexts.Create();
        float[] scales = new float[4];
        Refuses("affine has codes of 2, 3, 4, 5, 6 or 8 bits, not 7", 64, 224 * 2 / 32, scales, scales, 7);
        Refuses("There are 4 scales and 3 biases", 64, 16, scales, scales[..3]);
        Refuses("w has 15 words, which are no rows of 64 codes of 4 bits", 64, 15, scales, scales);
        Refuses("x has 65 values, which are no rows of 64", 65, 16, scales[..2], scales[..2]);
        Refuses("the plane 'scales'", 64, 16, scales, scales);

        void Refuses(string message, int x, int words, float[] scale, float[] bias, int bits = 4) => Assert.That(
            () => QuantizationMlx.AffineQmmT<float>(new float[x], new uint[words], scale, bias, 64, 64, bits, context),
            Throws.ArgumentException.With.Message.Contains(message));
    }

    private static uint[] Words(QuantizedTensor tensor) => Plane<uint>(tensor, 0);

    private static T[] Plane<T>(QuantizedTensor tensor, int plane)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(
            Enumerable.Range(0, (int)tensor.Shape.TotalRows).SelectMany(row => tensor.UnsafeGetRowBytes(row, plane).ToArray()).ToArray()).ToArray();
}
