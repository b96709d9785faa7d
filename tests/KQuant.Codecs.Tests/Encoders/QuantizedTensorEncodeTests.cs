using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Encoders;

/// <summary>Stacked experts: every slice is what it would be alone, with its own importance.</summary>
public class QuantizedTensorEncodeTests
{
    private const int Experts = 3;
    private const int Rows = 4;
    private const int Columns = 512;

    private static readonly QuantShape Shape = QuantShape.Stack(Experts, Rows, Columns);
    private static readonly float[] Weights = SampleWeights.SetA.Weights[..(Experts * Rows * Columns)];

    private static IEnumerable<QuantCodec> Codecs => QuantCodec.Quantized;

    [Test]
    public void EachExpertIsEncodedByItself([ValueSource(nameof(Codecs))] QuantCodec codec, [Values(0, 1, Experts)] int importanceRows)
    {
        float[] importance = [.. Enumerable.Range(0, importanceRows * Columns).Select(i => 0.1f + (i * 7919 % 101))];

        using QuantizedTensor tensor = QuantizedTensor.Encode(
            codec, Shape, Weights, new EncodeOptions { Importance = importance, MaxDegreeOfParallelism = 3 });

        Assert.Multiple(() =>
        {
            for (int expert = 0; expert < Experts; expert++)
            {
                var expected = new byte[codec.GetByteCount(Rows * Columns)];
                float[] own = importanceRows == Experts ? importance[(expert * Columns)..((expert + 1) * Columns)] : importance;
                codec.Encode(
                    Weights.AsSpan(expert * Rows * Columns, Rows * Columns),
                    expected,
                    new EncodeOptions { RowLength = Columns, Importance = own });

                using QuantizedTensor slice = tensor.GetExpert(expert);
                byte[] actual =
                [
                    .. Enumerable.Range(0, codec.Planes.Length)
                        .SelectMany(plane => Enumerable.Range(0, Rows).SelectMany(row => slice.UnsafeGetRowBytes(row, plane).ToArray())),
                ];
                Assert.That(actual, Is.EqualTo(expected), $"expert {expert}");
            }
        });
    }

    [Test]
    public void ErrorsCountRowsOverAllExperts([Values(0, Experts)] int importanceRows)
    {
        var weights = (float[])Weights.Clone();
        weights[(((2 * Rows) + 1) * Columns) + 9] = float.NaN;
        var importance = new float[importanceRows * Columns];

        var error = Assert.Throws<InvalidWeightException>(
            () => QuantizedTensor.Encode(QuantCodec.Quantized[0], Shape, weights, new EncodeOptions { Importance = importance }));

        Assert.That((error!.Row, error.Column), Is.EqualTo(((2L * Rows) + 1, 9)));
    }

    [TestCase(1)]
    [TestCase(Columns - 1)]
    [TestCase(2 * Columns)]
    [TestCase(Rows * Columns)]
    public void ImportanceOfAnotherLengthIsRefused(int length) => Assert.That(
        () => QuantizedTensor.Encode(QuantCodec.Quantized[0], Shape, Weights, new EncodeOptions { Importance = new float[length] }),
        Throws.ArgumentException.With.Message.Contains($"{length}").And.Message.Contains($"{Columns}").And.Message.Contains($"{Experts}"));

    [Test]
    public void WeightsOfAnotherLengthAreRefused() => Assert.That(
        () => QuantizedTensor.Encode(QuantCodec.Quantized[0], Shape, Weights.AsSpan(1)),
        Throws.ArgumentException.With.Message.Contains($"{Weights.Length - 1}").And.Message.Contains($"{Weights.Length}"));

    [Test]
    public void TensorsWithoutRowsAreEmpty()
    {
        using QuantizedTensor tensor = QuantizedTensor.Encode(QuantCodec.Quantized[0], new QuantShape(0, Columns), []);

        Assert.That(tensor.ByteCount, Is.Zero);
    }
}
