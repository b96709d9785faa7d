using KQuant.Codecs;
using KQuant.TestKit;
using PropertyAttribute = FsCheck.NUnit.PropertyAttribute;

namespace KQuant.Matmul.Tests;

/// <summary>Laws of products, for any shape.</summary>
public class PropertyTests
{
    private const string Seed = "20261,17";

    private MatmulContext _int8 = null!;
    private MatmulContext _float32 = null!;
    private MatmulContext _alone = null!;

    [OneTimeSetUp]
    public void SetUp()
    {
        _int8 = Contexts.Create(3);
        _float32 = Contexts.Create(3, ActivationPrecision.Float32);
        _alone = Contexts.Create(1);
    }

    [OneTimeTearDown]
    public void TearDown()
    {
        _int8.Dispose();
        _float32.Dispose();
        _alone.Dispose();
    }

    [Property(Replay = Seed, MaxTest = 60, QuietOnSuccess = true)]
    public bool Float32IsAdditive(byte format, byte rows, byte outputs, byte blocks)
    {
        (QuantizedTensor weights, float[] x) = Sample(format, rows, outputs, blocks);
        float[] other = Numbers.Gaussian(x.Length, 99);
        float[] sum = _float32.Multiply(weights, [.. x.Zip(other, (a, b) => a + b)]);
        float[] parts = [.. _float32.Multiply(weights, x).Zip(_float32.Multiply(weights, other), (a, b) => a + b)];
        return Numbers.Nmse(sum, parts) < 1e-11;
    }

    [Property(Replay = Seed, MaxTest = 60, QuietOnSuccess = true)]
    public bool PowersOfTwoComeOutExactly(byte format, byte rows, byte outputs, byte blocks)
    {
        (QuantizedTensor weights, float[] x) = Sample(format, rows, outputs, blocks);
        float[] scaled = [.. x.Select(value => -8 * value)];
        return new[] { _int8, _float32 }.All(context => Numbers.Bits(context.Multiply(weights, scaled))
            .SequenceEqual(Numbers.Bits([.. context.Multiply(weights, x).Select(value => -8 * value)])));
    }

    [Property(Replay = Seed, MaxTest = 60, QuietOnSuccess = true)]
    public bool RowsKeepTheirBitsInAnyOrder(byte format, byte rows, byte outputs, byte blocks, int seed)
    {
        (QuantizedTensor weights, float[] x) = Sample(format, rows, outputs, blocks);
        int columns = weights.Shape.Columns, width = (int)weights.Shape.Rows;
        int[] order = [.. Enumerable.Range(0, x.Length / columns)];
        new Random(seed).Shuffle(order);
        float[] shuffled = [.. order.SelectMany(row => x[(row * columns)..((row + 1) * columns)])];
        return new[] { _int8, _float32 }.All(context =>
        {
            float[] y = context.Multiply(weights, x);
            float[] expected = [.. order.SelectMany(row => y[(row * width)..((row + 1) * width)])];
            return Numbers.Bits(context.Multiply(weights, shuffled)).SequenceEqual(Numbers.Bits(expected));
        });
    }

    [Property(Replay = Seed, MaxTest = 60, QuietOnSuccess = true)]
    public bool ThreadsDoNotShow(byte format, byte rows, byte outputs, byte blocks)
    {
        (QuantizedTensor weights, float[] x) = Sample(format, rows, outputs, blocks);
        return Numbers.Bits(_int8.Multiply(weights, x)).SequenceEqual(Numbers.Bits(_alone.Multiply(weights, x)));
    }

    [Property(Replay = Seed, MaxTest = 60, QuietOnSuccess = true)]
    public bool TheTransposeIsTheAdjoint(byte format, byte rows, byte outputs, byte blocks)
    {
        (QuantizedTensor weights, float[] x) = Sample(format, rows, outputs, blocks);
        float[] y = _float32.Multiply(weights, x);
        float[] dy = Numbers.Gaussian(y.Length, 98);
        float[] dx = _float32.MultiplyTransposed(weights, dy);
        double forwards = y.Zip(dy, (a, b) => (double)a * b).Sum();
        double backwards = x.Zip(dx, (a, b) => (double)a * b).Sum();
        double scale = Math.Sqrt(y.Sum(value => (double)value * value) * dy.Sum(value => (double)value * value));
        return Math.Abs(forwards - backwards) <= 1e-6 * scale;
    }

    [Property(Replay = Seed, MaxTest = 60, QuietOnSuccess = true)]
    public bool SlicesOfTheOutputAreProductsWithSlicesOfTheWeights(byte format, byte rows, byte outputs, byte blocks)
    {
        // As experts of a stack: the same bytes, cut elsewhere.
        (QuantizedTensor weights, float[] x) = Sample(format, rows, outputs, blocks);
        int half = Math.Max(1, (int)weights.Shape.Rows / 2);
        int count = Math.Min(2 * half, (int)weights.Shape.Rows);
        var shape = QuantShape.Stack(count / half, half, weights.Shape.Columns);
        QuantizedTensor stack = QuantizedTensor.FromPlanes(
            weights.Codec,
            shape,
            [
                .. Enumerable.Range(0, weights.Codec.Planes.Length).Select(plane => TensorPlane.FromMemory(
                    Enumerable.Range(0, count).SelectMany(row => weights.UnsafeGetRowBytes(row, plane).ToArray()).ToArray())),
            ]);
        float[] y = _int8.Multiply(weights, x);
        for (int expert = 0; expert < shape.Experts; expert++)
        {
            int[] part = Numbers.Bits(_int8.Multiply(stack.GetExpert(expert), x));
            for (int i = 0; i < part.Length; i++)
            {
                if (part[i] != BitConverter.SingleToInt32Bits(y[(i / half * weights.Shape.Rows) + (expert * half) + (i % half)]))
                {
                    return false;
                }
            }
        }

        return true;
    }

    private static (QuantizedTensor Weights, float[] X) Sample(byte format, byte rows, byte outputs, byte blocks)
    {
        QuantCodec[] codecs = [.. Contexts.Formats];
        QuantCodec codec = codecs[format % codecs.Length];
        int columns = codec.WeightsPerBlock switch
        {
            256 => 256 * (1 + (blocks % 3)),
            1 => 1 + (blocks * 7 % 1500),
            int block => block * (1 + (blocks % (640 / block))),
        };
        QuantizedTensor weights = RandomTensors.Create(codec, new QuantShape(1 + (outputs % 90), columns), format + (256 * outputs));
        return (weights, Numbers.Gaussian((1 + (rows % 35)) * columns, rows));
    }
}
