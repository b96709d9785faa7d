using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using KQuant.Codecs;
using KQuant.Matmul.Backends;
using KQuant.Matmul.Vectors;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>What lies between products has the bits of the processor: every operation, and many of them in one submission.</summary>
public class LayerTests : MetalTest
{
    [Test]
    public void Norms([Values(1, 16, 250, 1024, 3000)] int width, [Values(0, 1, 2)] int added) => Same((backend, buffer) =>
    {
        var shape = new NormShape(3, width, 1e-5f);
        BackendBuffer stream = buffer(3 * width, 1), target = buffer(3 * width, 2);
        backend.Norm(stream, added == 0 ? null : buffer(3 * width, 3), added == 2 ? buffer(width, 4) : null, buffer(width, 5), target, shape);
        return [stream, target];
    });

    [Test]
    public void GatesAndBiases([Values(1, 100, 777)] int width) => Same((backend, buffer) =>
    {
        BackendBuffer gate = buffer(2 * width, 1), up = buffer(2 * width, 2);
        gate.Values[0] = 200;
        gate.Values[^1] = -200;
        backend.GateBySilu(gate, up, 2 * width);
        backend.AddRow(up, buffer(width, 3), 2, width);
        return [gate, up];
    });

    [Test]
    public void HeadsAndAttention(
        [Values(6, 64, 80)] int size, [Values(false, true)] bool interleaved, [Values(false, true)] bool norms, [Values(1, 37, 200, 1030)] int before) => Same(
        (backend, buffer) =>
        {
            const int Rows = 3;
            int rotated = size == 80 ? 60 : size, stride = (size + 15) / 16 * 16, capacity = 1040;
            var shape = new HeadShape(4, 2, size, rotated, interleaved, 1e-6f, 1 / MathF.Sqrt(size));
            var cache = new BackendCache(buffer(2 * capacity * size, 1), buffer(2 * capacity * stride, 2), capacity, stride);
            BackendBuffer queries = buffer(Rows * 4 * size, 3), outputs = buffer(Rows * 4 * size, 4);
            AttentionRow[] rows =
            [
                .. Enumerable.Range(0, Rows).Select(row => new AttentionRow(
                    (uint)row, (uint)(before + row), before > 100 ? 32u : 0, (uint)(before + Rows), (uint)(before + row + 1), (uint)(before + Rows),
                    before > 100 ? 32u : 0, before > 100 ? 40u : 0)),
            ];
            backend.PrepareHeads(
                queries, buffer(Rows * 2 * size, 5), buffer(Rows * 2 * size, 6), norms ? buffer(2 * size, 7) : null, buffer(Rows * rotated, 8), cache, shape,
                rows);
            backend.Attend(queries, cache, outputs, shape, rows);
            return [queries, cache.Keys, cache.Values, outputs];
        });

    [Test]
    public void Experts([Values(true, false)] bool normalizes, [Values(8, 33)] int experts)
    {
        using QuantizedTensor tensor = RandomTensors.Create(QuantFormat.Q4_K, QuantShape.Stack(experts, 32, 256));
        Same((backend, buffer) =>
        {
            BackendBuffer scores = buffer(3 * experts, 1), ids = buffer(3 * 4, 2), weights = buffer(3 * 4, 3);
            BackendBuffer y = buffer(3 * 4 * 32, 5), target = buffer(3 * 32, 6);
            using BackendWeights w = backend.Upload(tensor);
            backend.Route(scores, ids, weights, new RouteShape(3, experts, 4, normalizes, 1e-9f));
            backend.GatherMultiply(w, buffer(3 * 256, 4), ids, 12, 4, y);
            backend.AddWeighted(y, weights, target, 3, 4, 32);
            return [ids, weights, y, target];
        });
    }

    [Test]
    public void TheExponentialIsOneFunction()
    {
        float[] x = [.. Enumerable.Range(-200_000, 400_001).Select(i => i * 0.0005f), float.NegativeInfinity, float.PositiveInfinity, float.NaN, -87, 87, -0f];
        float[] scores = [.. x];
        double worst = 0;
        foreach (float value in x)
        {
            float y = FloatExp.Exp(value);
            if (float.Abs(value) <= 87)
            {
                worst = Math.Max(worst, Math.Abs((y / Math.Exp(value)) - 1));
            }
        }

        Assert.That(worst, Is.LessThan(2.0 / (1 << 23)));
        for (int i = 0; i + 16 <= scores.Length; i += 16)
        {
            FloatExp.Exp(Vector512.Create(scores, i)).CopyTo(scores, i);
        }

        int[] expected = [.. x.Select(FloatExp.Exp).Select(BitConverter.SingleToInt32Bits)];
        int vectors = x.Length / 16 * 16;
        Assert.That(Numbers.Bits(scores.AsSpan(0, vectors)), Is.EqualTo(expected[..vectors]));
        Assert.That(FloatExp.Exp(float.NegativeInfinity), Is.Zero);
        Assert.That(FloatExp.Exp(float.NaN), Is.NaN);
    }

    private static void Same(Func<ILayerBackend, Func<int, int, BackendBuffer>, BackendBuffer[]> work)
    {
        int[][] expected = Run(Reference, work);
        InAllModes(backend =>
        {
            long waits = backend.Counters.Waits;
            int[][] actual = Run(backend, work);
            Assert.That(backend.Counters.Waits - waits, Is.EqualTo(1), "waits");
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.That(actual[i], Is.EqualTo(expected[i]), $"result {i}");
            }
        });
    }

    private static int[][] Run(ILayerBackend backend, Func<ILayerBackend, Func<int, int, BackendBuffer>, BackendBuffer[]> work)
    {
        var buffers = new List<BackendBuffer>();
        try
        {
            BackendBuffer[] results = work(backend, (length, seed) =>
            {
                BackendBuffer buffer = backend.Allocate(length);
                Numbers.Gaussian(length, seed).CopyTo(buffer.Values);
                buffers.Add(buffer);
                return buffer;
            });
            backend.Synchronize();
            return [.. results.Select(result => MemoryMarshal.Cast<float, int>(result.Values).ToArray())];
        }
        finally
        {
            buffers.ForEach(buffer => buffer.Dispose());
        }
    }
}
