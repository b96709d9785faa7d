using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Matmul.Layers;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>No product touches a byte beside its operands: each ends where a page begins that may not be touched.</summary>
public unsafe class GuardedProductTests
{
    private const int Experts = 2;
    private const int Outputs = 35;

    private static readonly int[] RowCounts = [1, 2, 7, 33];

    private static IEnumerable<TestCaseData> Cases =>
        from codec in Contexts.Formats
        from activations in Enum.GetValues<ActivationPrecision>()
        select new TestCaseData(codec, activations).SetArgDisplayNames(codec.Name, activations.ToString());

    [TestCaseSource(nameof(Cases))]
    public void NothingBesideTheOperandsIsTouched(QuantCodec codec, ActivationPrecision activations)
    {
        if (!GuardedBuffer.IsSupported)
        {
            Assert.Ignore("Pages cannot be protected here.");
        }

        int columns = Contexts.ColumnsOf(codec);
        QuantizedTensor source = RandomTensors.Create(codec, QuantShape.Stack(Experts, Outputs, columns));
        GuardedBuffer[] planes = [.. codec.Planes.Select((_, plane) => Copy(source, plane))];
        using QuantizedTensor experts = QuantizedTensor.FromPlanes(
            source.Codec, source.Shape, [.. planes.Select(plane => TensorPlane.FromBuffer(plane.Buffer, 0, plane.Span.Length))]);
        using QuantizedTensor last = experts.GetExpert(Experts - 1);
        using MatmulContext context = Contexts.Create(activations: activations);
        foreach (int rows in RowCounts)
        {
            using var x = new GuardedBuffer(rows * columns * sizeof(float));
            using var y = new GuardedBuffer(rows * Outputs * sizeof(float));
            Numbers.Gaussian(rows * columns, rows).CopyTo(Floats(x));

            QuantizedMatmul.Multiply(last, Floats(x), Floats(y), context);
            QuantizedMatmul.MultiplyTransposed(last, Floats(y), Floats(x), context);
            int[] ids = [.. Enumerable.Range(0, rows).Select(i => Experts - 1 - (i % Experts))];
            QuantizedMatmul.GatherMultiply(experts, Floats(x), [rows, 1, columns], default, ids, Floats(y), context);
            QuantizedMatmul.GatherGradient(experts, Floats(y), [rows, 1, columns], default, ids, Floats(x), context);
            new QuantizedEmbedding(last).Lookup([.. Enumerable.Range(0, rows).Select(i => Outputs - 1 - i)], Floats(x), context);

            using var halves = new GuardedBuffer(rows * columns * 2);
            halves.Span.Fill(0x3C);
            QuantizedMatmul.Multiply(last, MemoryMarshal.Cast<byte, Half>(halves.Span), Floats(y), context);
            QuantizedMatmul.Multiply(last, MemoryMarshal.Cast<byte, BFloat16>(halves.Span), Floats(y), context);

            Assert.That(Floats(y).ToArray(), Has.None.NaN);
        }

        foreach (GuardedBuffer plane in planes)
        {
            plane.Dispose();
        }
    }

    private static GuardedBuffer Copy(QuantizedTensor source, int plane)
    {
        int rowBytes = (int)source.GetRowByteCount(plane);
        var bytes = new GuardedBuffer((int)source.Shape.TotalRows * rowBytes);
        for (int row = 0; row < source.Shape.TotalRows; row++)
        {
            source.UnsafeGetRowBytes(row, plane).CopyTo(bytes.Span[(row * rowBytes)..]);
        }

        return bytes;
    }

    private static Span<float> Floats(GuardedBuffer buffer) => MemoryMarshal.Cast<byte, float>(buffer.Span);
}
