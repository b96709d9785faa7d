using KQuant.Codecs;
using KQuant.Matmul.Backends;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>The processor behind the seam for hardware.</summary>
public class BackendTests
{
    [Test]
    public void MultipliesAsQuantizedMatmulDoes([Values(QuantFormat.Q4_K, QuantFormat.Q8_0, QuantFormat.F16)] QuantFormat format, [Values(1, 5)] int rows)
    {
        using var context = new MatmulContext();
        using var backend = new ManagedBackend(context);
        using QuantizedTensor tensor = RandomTensors.Create(format, new QuantShape(7, 512));
        using BackendWeights weights = backend.Upload(tensor);
        float[] x = Numbers.Gaussian(rows * 512, seed: 1), expected = new float[rows * 7], actual = new float[rows * 7];
        QuantizedMatmul.Multiply(tensor, x, expected, context);
        backend.Multiply(weights, x, actual);
        Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)));
    }

    [Test]
    public void GathersAsQuantizedMatmulDoes()
    {
        using var context = new MatmulContext();
        using var backend = new ManagedBackend(context);
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q5_K, QuantShape.Stack(4, 7, 256));
        using BackendWeights experts = backend.Upload(tensor);
        float[] x = Numbers.Gaussian(3 * 256, seed: 1), expected = new float[6 * 7], actual = new float[6 * 7];
        var rhs = new IndexArray([3, 0, 1, 1, 2, 3], [3, 2]);
        var lhs = new IndexArray([0, 1, 2], [3, 1]);
        QuantizedMatmul.GatherMultiply(tensor, x, [3, 1, 256], lhs, rhs, expected, context);
        backend.GatherMultiply(experts, x, [3, 1, 256], lhs, rhs, actual);
        Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)));
    }

    [Test]
    public void UsesTheBeginningOfItsBuffers()
    {
        using var context = new MatmulContext();
        using var backend = new ManagedBackend(context);
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q4_0, new QuantShape(3, 64));
        using BackendWeights weights = backend.Upload(tensor);
        using BackendBuffer x = backend.Allocate(200), y = backend.Allocate(10);
        Numbers.Gaussian(200, seed: 2).CopyTo(x.Values);
        y.Values.Fill(-1);
        backend.Multiply(weights, x, 2, y);
        backend.Synchronize();
        float[] expected = new float[6];
        QuantizedMatmul.Multiply(tensor, x.Values[..128], expected, context);
        Assert.That(y.Values.ToArray(), Is.EqualTo((float[])[.. expected, -1, -1, -1, -1]));
    }

    [Test]
    public void RefusesWhatDoesNotFit()
    {
        using var context = new MatmulContext();
        using var backend = new ManagedBackend(context);
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q4_0, new QuantShape(3, 64));
        using BackendWeights weights = backend.Upload(tensor);
        using BackendBuffer x = backend.Allocate(100), y = backend.Allocate(3);
        BackendBuffer gone = backend.Allocate(64);
        gone.Dispose();
        Assert.Multiple(() =>
        {
            Assert.That(() => backend.Multiply(weights, x, 2, y), Throws.ArgumentException.With.Message.Contains("x has room for 100 values; the product needs 128"));
            Assert.That(() => backend.Multiply(weights, x, 1, x), Throws.ArgumentException.With.Message.Contains("overlap"));
            Assert.That(() => backend.Multiply(weights, gone, 1, y), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => backend.Multiply(weights, new float[65], new float[3]), Throws.ArgumentException.With.Message.Contains("65"));
            Assert.That(() => backend.Multiply(weights, new float[64], new float[4]), Throws.ArgumentException.With.Message.Contains("4 values"));
            Assert.That(() => backend.GatherMultiply(weights, x, [64], default, default, y), Throws.ArgumentException);
            Assert.That(() => backend.GatherMultiply(weights, x, [0, 64], default, default, y), Throws.ArgumentException);
            Assert.That(() => backend.Allocate(0), Throws.InstanceOf<ArgumentOutOfRangeException>());
        });
    }
}
