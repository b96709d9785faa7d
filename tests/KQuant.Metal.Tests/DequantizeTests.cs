using System.Runtime.InteropServices;
using KQuant.Codecs;
using KQuant.Matmul.Backends;
using KQuant.TestKit;

namespace KQuant.Metal.Tests;

/// <summary>Decoding gives the floats of the managed decoders, bit for bit.</summary>
public class DequantizeTests : MetalTest
{
    [TestCaseSource(nameof(Formats))]
    public void ToFloat32(QuantFormat format) => InAllModes(backend =>
    {
        foreach (QuantizedTensor tensor in Tensors(format))
        {
            var actual = new float[tensor.Shape.TotalWeights];
            using BackendWeights weights = backend.Upload(tensor);
            backend.Dequantize(weights, actual);
            Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(RandomTensors.Decode(tensor))), tensor.ToString());
        }
    });

    [TestCaseSource(nameof(Formats))]
    public void ToFloat16(QuantFormat format) => InAllModes(backend =>
    {
        foreach (QuantizedTensor tensor in Tensors(format))
        {
            var actual = new Half[tensor.Shape.TotalWeights];
            using BackendWeights weights = backend.Upload(tensor);
            backend.Dequantize(weights, actual);
            Assert.That(Bits<Half>(actual), Is.EqualTo(Bits<Half>(Convert(tensor, value => (Half)value))), tensor.ToString());
        }
    });

    [TestCaseSource(nameof(Formats))]
    public void ToBFloat16(QuantFormat format) => InAllModes(backend =>
    {
        foreach (QuantizedTensor tensor in Tensors(format))
        {
            var actual = new BFloat16[tensor.Shape.TotalWeights];
            using BackendWeights weights = backend.Upload(tensor);
            backend.Dequantize(weights, actual);
            Assert.That(Bits<BFloat16>(actual), Is.EqualTo(Bits<BFloat16>(Convert(tensor, value => (BFloat16)value))), tensor.ToString());
        }
    });

    [Test]
    public void EveryBinary16IsWidenedExactly() => InAllModes(backend =>
    {
        // All finite ones, subnormals included.
        ushort[] halves = [.. Enumerable.Range(0, 1 << 16).Select(bits => (ushort)bits).Where(bits => (bits & 0x7C00) != 0x7C00)];
        using var tensor = QuantizedTensor.FromMemory(
            QuantCodec.Get(QuantFormat.F16), new QuantShape(1, halves.Length), MemoryMarshal.AsBytes<ushort>(halves).ToArray());
        var actual = new float[halves.Length];
        using BackendWeights weights = backend.Upload(tensor);
        backend.Dequantize(weights, actual);
        Assert.That(Numbers.Bits(actual), Is.EqualTo(Numbers.Bits(RandomTensors.Decode(tensor))));
    });

    [Test]
    public void RoundingToBinary16IsThatOfHalf() => InAllModes(backend =>
    {
        // Around every rounding boundary of some exponents, and random bits; NaN apart, whose payload is nobody's business.
        var random = new Random(3);
        float[] values =
        [
            .. Enumerable.Range(0, 30000).Select(_ => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue))),
            .. Enumerable.Range(0, 20000).Select(_ => BitConverter.Int32BitsToSingle((random.Next(98, 145) << 23) | (random.Next(1 << 12) << 11))),
            0, -0f, 65519.99f, 65520, 65504, 5.9604645e-8f, 2.9802322e-8f, 2.9802326e-8f, 1e-40f, float.MaxValue, float.PositiveInfinity,
        ];
        values = [.. values.Where(value => !float.IsNaN(value))];
        values = values[..(values.Length / 16 * 16)];
        using var tensor = QuantizedTensor.FromMemory(
            QuantCodec.Get(QuantFormat.F32), new QuantShape(1, values.Length), MemoryMarshal.AsBytes<float>(values).ToArray());
        var half = new Half[values.Length];
        var bfloat = new BFloat16[values.Length];
        using BackendWeights weights = backend.Upload(tensor);
        backend.Dequantize(weights, half);
        backend.Dequantize(weights, bfloat);
        Assert.Multiple(() =>
        {
            Assert.That(Bits<Half>(half), Is.EqualTo(Bits<Half>(Convert(tensor, value => (Half)value))));
            Assert.That(Bits<BFloat16>(bfloat), Is.EqualTo(Bits<BFloat16>(Convert(tensor, value => (BFloat16)value))));
        });
    });

    // From one block on; block counts that fill no threadgroup. The last one has scales that are subnormal in binary16.
    private static IEnumerable<QuantizedTensor> Tensors(QuantFormat format)
    {
        int block = Math.Max(16, QuantCodec.Get(format).WeightsPerBlock);
        foreach ((int rows, int blocks) in ((int, int)[])[(1, 1), (3, 1), (5, 7)])
        {
            yield return RandomTensors.Create(format, new QuantShape(rows, block * blocks), seed: rows);
        }

        QuantizedTensor tensor = RandomTensors.Create(format, new QuantShape(2, block), seed: 9);
        var bytes = new byte[tensor.ByteCount];
        for (long row = 0; row < 2; row++)
        {
            tensor.UnsafeGetRowBytes(row).CopyTo(bytes.AsSpan((int)(row * tensor.RowByteCount)));
        }

        foreach (int offset in tensor.Codec.ScaleOffsets)
        {
            MemoryMarshal.Write(bytes.AsSpan(offset), (ushort)0x0001);
            MemoryMarshal.Write(bytes.AsSpan((int)tensor.RowByteCount + offset), (ushort)0x83FF);
        }

        yield return QuantizedTensor.FromMemory(tensor.Codec, tensor.Shape, bytes);
    }

    private static T[] Convert<T>(QuantizedTensor tensor, Converter<float, T> convert) => Array.ConvertAll(RandomTensors.Decode(tensor), convert);

    private static ushort[] Bits<T>(T[] values)
        where T : unmanaged => MemoryMarshal.Cast<T, ushort>(values).ToArray();
}
