using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Metal.Tests.Emulation;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>The backend from end to end: what it is given, what it refuses, what goes wrong on the device.</summary>
public class BackendTests : MetalTest
{
    [Test]
    public void SaysWhatItIs()
    {
        using var backend = MetalBackend.Create();
        Assert.Multiple(() =>
        {
            Assert.That(MetalBackend.IsSupported);
            Assert.That(backend.Name, Does.Match(@"^metal \(.+\)$"));
            Assert.That(Reference.Name, Does.StartWith("cpu ("));
        });
    }

    [Test]
    public void WeightsOfAMappedFileAreNotCopied()
    {
        using GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", "q4_K.gguf"));
        using var backend = MetalBackend.Create();
        int tensors = 0;
        foreach (GgufTensor entry in file.Tensors)
        {
            using QuantizedTensor tensor = entry.AsWeights();
            if (!tensor.Codec.IsQuantized)
            {
                continue;
            }

            using BackendWeights weights = backend.Upload(tensor), reference = Reference.Upload(tensor);
            Assert.That(((MetalWeights)weights).IsCopy, Is.False);
            float[] x = Numbers.Gaussian(tensor.Shape.Columns, seed: 1);
            float[] expected = new float[tensor.Shape.Rows], actual = new float[tensor.Shape.Rows];
            Reference.Multiply(reference, x, expected);
            backend.Multiply(weights, x, actual);
            Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(expected)));
            if (++tensors == 2)
            {
                break;
            }
        }

        Assert.That(tensors, Is.GreaterThan(0));
        if (SoftwareDevice.Build is not null)
        {
            Assert.That(SoftwareDevice.NoCopyBuffers, Is.EqualTo(tensors + 1), "with the page of the self-test");
        }
    }

    [TestCase(true)]
    [TestCase(false)]
    public void WeightsKeepTheMemoryOfAFileThatWasClosed(bool beforeTheProduct)
    {
        using var backend = MetalBackend.Create();
        GgufFile file = GgufFile.Open(RepositoryFiles.Fixture("gguf", "q4_K.gguf"));
        QuantizedTensor tensor = file.Tensors.Select(entry => entry.AsWeights()).First(tensor => tensor.Codec.IsQuantized);
        using BackendWeights weights = backend.Upload(tensor);
        using BackendBuffer x = backend.Allocate(tensor.Shape.Columns), y = backend.Allocate((int)tensor.Shape.Rows);
        x.Values.Fill(1);
        backend.Multiply(weights, x, 1, y);
        backend.Synchronize();
        float[] expected = y.Values.ToArray();
        y.Values.Fill(7);
        if (!beforeTheProduct)
        {
            backend.Multiply(weights, x, 1, y);
        }

        file.Dispose();
        if (beforeTheProduct)
        {
            backend.Multiply(weights, x, 1, y);
        }

        backend.Synchronize();
        Assert.That(y.Values.ToArray(), Is.EqualTo(expected));
    }

    [Test]
    public void RefusesWhatDoesNotFit()
    {
        using var backend = MetalBackend.Create();
        using QuantizedTensor matrix = RandomTensors.Create(QuantFormat.Q4_K, new QuantShape(4, 256));
        using QuantizedTensor stack = RandomTensors.Create(QuantFormat.Q4_K, QuantShape.Stack(3, 4, 256));
        using QuantizedTensor odd = RandomTensors.Create(QuantFormat.F16, new QuantShape(4, 30));
        using BackendWeights weights = backend.Upload(matrix), experts = backend.Upload(stack), foreign = Reference.Upload(matrix);
        using BackendBuffer x = backend.Allocate(512), y = backend.Allocate(8), other = Reference.Allocate(512);
        Assert.Multiple(() =>
        {
            foreach (QuantCodec codec in QuantCodec.Quantized.Where(codec => !ShaderLibrary.Codecs.Contains(codec.Name)))
            {
                using QuantizedTensor unknown = RandomTensors.Create(codec, new QuantShape(4, 256));
                Assert.That(backend.Supports(codec, unknown.Shape), Is.False);
                Assert.That(() => backend.Upload(unknown), Throws.InstanceOf<NotSupportedException>().With.Message.Contains($"no shaders for {codec}"));
            }

            Assert.That(backend.Supports(matrix.Codec, matrix.Shape), Is.True);
            Assert.That(() => backend.Upload(odd), Throws.InstanceOf<NotSupportedException>().With.Message.Contains("f16 [4, 30]"));
            Assert.That(() => backend.Multiply(weights, x, 3, y), Throws.ArgumentException.With.Message.Contains("x has room for 512 values; the product needs 768"));
            Assert.That(() => backend.Multiply(weights, y, 1, x), Throws.ArgumentException.With.Message.Contains("x has room for 8"));
            Assert.That(() => backend.Multiply(weights, x, 0, y), Throws.InstanceOf<ArgumentOutOfRangeException>());
            Assert.That(() => backend.Multiply(weights, x, 1, x), Throws.ArgumentException.With.Message.Contains("overlap"));
            Assert.That(() => backend.Multiply(experts, x, 1, y), Throws.ArgumentException.With.Message.Contains("stack of 3"));
            Assert.That(() => backend.Multiply(foreign, x, 1, y), Throws.ArgumentException.With.Message.Contains("another backend"));
            Assert.That(() => backend.Multiply(weights, other, 1, y), Throws.ArgumentException.With.Message.Contains("x was allocated by another"));
            Assert.That(() => Reference.Multiply(weights, other, 1, other), Throws.ArgumentException.With.Message.Contains("another backend"));
            Assert.That(() => backend.Allocate(0), Throws.InstanceOf<ArgumentOutOfRangeException>());
            Assert.That(() => backend.Dequantize(weights, new float[1023]), Throws.ArgumentException.With.Message.Contains("1023"));
            Assert.That(
                () => backend.GatherMultiply(experts, x, [2, 1, 256], default, (int[])[0, 3], y),
                Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("rhs has 3 at entry 1; there are 3 experts"));
            Assert.That(() => backend.GatherMultiply(experts, x, [2, 1, 256], default, default, y), Throws.ArgumentException);
            Assert.That(() => backend.GatherMultiply(experts, x, [2, 1, 255], default, (int[])[0, 1], y), Throws.ArgumentException);
            Assert.That(
                () => backend.GatherMultiply(experts, x, [2, 1, 256], default, new IndexArray([0, 1, 2], [3, 1]), y),
                Throws.ArgumentException.With.Message.Contains("y has room for 8 values; the product needs 24"));
        });
    }

    [Test]
    public void WhatIsQueuedSurvivesTheDisposalOfItsBuffers()
    {
        using var backend = MetalBackend.Create();
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q8_0, new QuantShape(4, 256));
        using BackendBuffer y = backend.Allocate(4);
        float[] input = Numbers.Gaussian(256, seed: 1), expected = new float[4];
        using (BackendWeights weights = backend.Upload(tensor))
        using (BackendBuffer x = backend.Allocate(256))
        {
            input.CopyTo(x.Values);
            backend.Multiply(weights, x, 1, y);
        }

        backend.Synchronize();
        using BackendWeights reference = Reference.Upload(tensor);
        Reference.Multiply(reference, input, expected);
        Assert.That(Numbers.Bits(y.Values), Is.EqualTo(Numbers.Bits(expected)));
    }

    [Test]
    public void WhatWasDisposedIsAnError()
    {
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q8_0, new QuantShape(4, 256));
        MetalBackend backend = MetalBackend.Create();
        BackendWeights weights = backend.Upload(tensor);
        BackendBuffer x = backend.Allocate(256), y = backend.Allocate(4), gone = backend.Allocate(256);
        gone.Dispose();
        Assert.That(() => gone.Values[0], Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(() => backend.Multiply(weights, gone, 1, y), Throws.InstanceOf<ObjectDisposedException>());
        backend.Multiply(weights, x, 1, y);
        backend.Dispose();
        backend.Dispose();
        Assert.Multiple(() =>
        {
            Assert.That(() => backend.Multiply(weights, x, 1, y), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => backend.Upload(tensor), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => backend.Allocate(1), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(backend.Synchronize, Throws.InstanceOf<ObjectDisposedException>());
        });
        weights.Dispose();
        x.Dispose();
        y.Dispose();
    }
}
