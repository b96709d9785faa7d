using System.Buffers.Binary;
using KQuant.Codecs;
using KQuant.TestKit;

namespace KQuant.Matmul.Tests;

/// <summary>
/// Blocks of encoders that choose otherwise than ours: plain rounding, no searches, other signs. What the format says they mean is what they
/// decode to and are multiplied as.
/// </summary>
public class OtherEncoderTests
{
    private const int Outputs = 20, Columns = 512;

    private static IEnumerable<TestCaseData> Encoders =>
    [
        new TestCaseData(QuantFormat.Q4_0, (Encoder)PlainQ4_0).SetArgDisplayNames("q4_0"),
        new TestCaseData(QuantFormat.Q8_0, (Encoder)PlainQ8_0).SetArgDisplayNames("q8_0"),
        new TestCaseData(QuantFormat.Q4_K, (Encoder)PlainQ4_K).SetArgDisplayNames("q4_k"),
        new TestCaseData(QuantFormat.Q6_K, (Encoder)PlainQ6_K).SetArgDisplayNames("q6_k"),
    ];

    public delegate double[] Encoder(float[] x, Span<byte> block);

    [TestCaseSource(nameof(Encoders))]
    public void TheirBytesAreReadAndMultiplied(QuantFormat format, Encoder encode)
    {
        QuantCodec codec = QuantCodec.Get(format);
        float[] weights = Numbers.Gaussian(Outputs * Columns, 1);
        byte[] bytes = new byte[codec.GetByteCount(weights.Length)], ours = new byte[bytes.Length];
        codec.Encode(weights, ours, new EncodeOptions { RowLength = Columns });
        double[] meaning = [.. weights.Chunk(codec.WeightsPerBlock).SelectMany((block, i) => encode(block, bytes.AsSpan(i * codec.BytesPerBlock, codec.BytesPerBlock)))];
        Assert.That(bytes, Is.Not.EqualTo(ours));
        using QuantizedTensor tensor = QuantizedTensor.FromMemory(codec, new QuantShape(Outputs, Columns), bytes);

        float[] decoded = RandomTensors.Decode(tensor);
        Assert.That(decoded.Zip(meaning, (a, b) => Math.Abs(a - b)).Max(), Is.LessThan(2e-6));
        Assert.That(Numbers.Nmse(decoded, weights), Is.LessThan(0.03), "and they are an encoder's");
        foreach (int rows in (int[])[1, 4, 17])
        {
            float[] x = Numbers.Gaussian(rows * Columns, 2);
            float[] expected = [.. Enumerable.Range(0, rows * Outputs).Select(i =>
                (float)Enumerable.Range(0, Columns).Sum(k => meaning[(i % Outputs * Columns) + k] * x[(i / Outputs * Columns) + k]))];
            using MatmulContext exact = Contexts.Create(activations: ActivationPrecision.Float32), context = Contexts.Create();
            Assert.That(Numbers.Nmse(exact.Multiply(tensor, x), expected), Is.LessThan(1e-11));
            Assert.That(Numbers.Nmse(context.Multiply(tensor, x), expected), Is.LessThan(2e-4));
        }
    }

    private static double[] PlainQ4_0(float[] x, Span<byte> block)
    {
        double d = Store(x.Max(Math.Abs) / 7, block);
        int[] codes = [.. x.Select(value => (int)Math.Clamp(Math.Round(value / d), -8, 7))];
        for (int i = 0; i < 16; i++)
        {
            block[2 + i] = (byte)((codes[i] + 8) | ((codes[i + 16] + 8) << 4));
        }

        return [.. codes.Select(code => d * code)];
    }

    private static double[] PlainQ8_0(float[] x, Span<byte> block)
    {
        // A negative scale, and -128 is a code like any other.
        double d = Store(-x.Max(Math.Abs) / 128, block);
        int[] codes = [.. x.Select(value => (int)Math.Clamp(Math.Round(value / d), -128, 127))];
        for (int i = 0; i < 32; i++)
        {
            block[2 + i] = (byte)(sbyte)codes[i];
        }

        return [.. codes.Select(code => d * code)];
    }

    private static double[] PlainQ4_K(float[] x, Span<byte> block)
    {
        float[][] parts = [.. x.Chunk(32)];
        double[] lows = [.. parts.Select(part => -Math.Min(0.0, part.Min()))], steps = [.. parts.Select((part, s) => (part.Max() + lows[s]) / 15)];
        double d = Store((float)(steps.Max() / 63), block), dmin = Store((float)(lows.Max() / 63), block[2..]);
        int[] scales = [.. steps.Select(step => (int)Math.Clamp(Math.Round(step / d), 1, 63))], mins = [.. lows.Select(low => (int)Math.Clamp(Math.Round(low / dmin), 0, 63))];
        for (int s = 0; s < 8; s++)
        {
            if (s < 4)
            {
                block[4 + s] |= (byte)scales[s];
                block[8 + s] |= (byte)mins[s];
            }
            else
            {
                block[8 + s] = (byte)((scales[s] & 15) | ((mins[s] & 15) << 4));
                block[s] |= (byte)(scales[s] >> 4 << 6);
                block[4 + s] |= (byte)(mins[s] >> 4 << 6);
            }
        }

        var meaning = new double[256];
        for (int i = 0; i < 256; i++)
        {
            int s = i / 32;
            int code = (int)Math.Clamp(Math.Round((x[i] + (dmin * mins[s])) / (d * scales[s])), 0, 15);
            block[16 + (i / 64 * 32) + (i % 32)] |= (byte)(code << (i % 64 < 32 ? 0 : 4));
            meaning[i] = (d * scales[s] * code) - (dmin * mins[s]);
        }

        return meaning;
    }

    private static double[] PlainQ6_K(float[] x, Span<byte> block)
    {
        double[] steps = [.. x.Chunk(16).Select(part => part.Max(Math.Abs) / 31.0)];
        double d = Store((float)(steps.Max() / 127), block[208..]);
        var meaning = new double[256];
        for (int s = 0; s < 16; s++)
        {
            // Scales of either sign.
            int scale = (int)Math.Clamp(Math.Round(steps[s] / d), 1, 127) * (s % 2 == 0 ? 1 : -1);
            block[192 + s] = (byte)(sbyte)scale;
            for (int i = 16 * s; i < 16 * (s + 1); i++)
            {
                int code = (int)Math.Clamp(Math.Round(x[i] / (d * scale)), -32, 31), bits = code + 32, half = i / 128, at = i % 128;
                block[(64 * half) + (at % 64)] |= (byte)((bits & 15) << (at < 64 ? 0 : 4));
                block[128 + (32 * half) + (at % 32)] |= (byte)(bits >> 4 << (2 * (at / 32)));
                meaning[i] = d * scale * code;
            }
        }

        return meaning;
    }

    private static double Store(float scale, Span<byte> place)
    {
        BinaryPrimitives.WriteHalfLittleEndian(place, (Half)scale);
        return (double)(Half)scale;
    }
}
