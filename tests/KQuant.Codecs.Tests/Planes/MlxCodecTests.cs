using System.Runtime.InteropServices;
using KQuant.Codecs.Blocks;
using KQuant.Codecs.Files;
using KQuant.Codecs.Planes;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Planes;

/// <summary>MLX's codecs against bytes and errors that others computed, and against a second implementation of its rules.</summary>
public class MlxCodecTests
{
    // 32 numbers from -1.625 to 2.25 in another order; many quotients are ties.
    private static readonly float[] Steps = [.. Enumerable.Range(0, 32).Select(i => ((7 * i % 32) - 13) * 0.125f)];

    private static readonly float[] Normal = new NumpyRandom(15).NextNormals(1 << 18);

    private static IEnumerable<QuantCodec> AffineCodecs => QuantCodec.Quantized.Concat(QuantCodec.OtherScales).Where(codec => codec is AffineCodec);

    private static IEnumerable<QuantCodec> FloatCodecs => QuantCodec.Quantized.Where(codec => codec is FloatCodec);

    [TestCase(2, -1.125f, "B1B1AC6F 5B1BD6C6")]
    [TestCase(3, -0.5625f, "8277152F CC13B8A9 2E60A5E5")]
    [TestCase(4, -0.25f, "7AE258CF BE269C04 F26AD048 36AE148C")]
    [TestCase(5, -0.125f, "7835471F B9640775 050FB748 17F1593D 3369B126")]
    [TestCase(6, -0.0608108118f, "86563C7F 300E76BE B7C21797 67D4241F 286FF8A6 31BA7811")]
    [TestCase(8, -0.015202703f, "528CC5FF 73ADE619 94CE003A B5EE215A D608427B F729639C 104A84BD 316BA4DE")]
    public void AffineGroupsHaveTheWordsOfMlx(int bits, float scale, string words)
    {
        QuantCodec codec = MlxFormat.Create(MlxMode.Affine, 32, bits).GetCodec(ElementType.F32);
        using QuantizedTensor tensor = QuantizedTensor.Encode(codec, new QuantShape(1, 32), Steps);
        Assert.That(Words(tensor.UnsafeGetRowBytes(0)), Is.EqualTo(words));
        Assert.That(MemoryMarshal.Read<float>(tensor.UnsafeGetRowBytes(0, 1)), Is.EqualTo(scale));
        Assert.That(MemoryMarshal.Read<float>(tensor.UnsafeGetRowBytes(0, 2)), Is.EqualTo(2.25f));
    }

    [Test]
    public void MxFp4HasTheWordsOfMlx()
    {
        using QuantizedTensor tensor = QuantizedTensor.Encode(MlxFormat.Create(MlxMode.MxFp4).GetCodec(), new QuantShape(1, 32), Steps);
        Assert.That(Words(tensor.UnsafeGetRowBytes(0)), Is.EqualTo("2AC640BD AD640C65 D538C642 529C641A"));
        Assert.That(tensor.UnsafeGetRowBytes(0, 1)[0], Is.EqualTo(126));
    }

    [Test]
    public void MxFp8HasTheBytesOfMlx()
    {
        using QuantizedTensor tensor = QuantizedTensor.Encode(MlxFormat.Create(MlxMode.MxFp8).GetCodec(), new QuantShape(1, 32), Steps);
        Assert.That(Convert.ToHexString(tensor.UnsafeGetRowBytes(0)), Is.EqualTo("FDF460787EFAEC707B7EF600767EFBF06C7A7EF8E0747DFCF268797EF9E8727C"));
        Assert.That(tensor.UnsafeGetRowBytes(0, 1)[0], Is.EqualTo(119));
    }

    [Test]
    public void NvFp4HasTheCodesOfMlx()
    {
        using QuantizedTensor tensor = QuantizedTensor.Encode(MlxFormat.Create(MlxMode.NvFp4).GetCodec(), new QuantShape(1, 32), Steps);
        byte[] bytes = tensor.UnsafeGetRowBytes(0).ToArray();
        Assert.That(string.Concat(bytes.Select(pair => $"{pair & 15:X}{pair >> 4:X}")), Is.EqualTo("EC156DA367C046EB267D946EC157D946"));
        Assert.That(tensor.UnsafeGetRowBytes(0, 1).ToArray(), Is.EqualTo((byte[])[0x2C, 0x2B]));
    }

    [Test]
    public void AFactorOfTheTensorUsesAllScalesOfNvFp4()
    {
        float[] weights = [.. Normal[..4096].Select(weight => 1e-4f * weight)];
        float largest = weights.Max(Math.Abs);
        var codec = new NvFloatCodec(largest);
        byte[] bytes = new byte[codec.GetByteCount(weights.Length)];
        codec.Encode(weights, bytes);
        float[] decoded = new float[weights.Length];
        codec.Decode(bytes, decoded);
        Assert.That(bytes[(weights.Length / 2)..].Max(), Is.EqualTo(0x7E));
        Assert.That(Numbers.Nmse(decoded, weights), Is.LessThan(0.0095));
        Assert.That(bytes[(weights.Length / 2)..].Select((scale, group) =>
            (Scale: (float)(Float8.E4M3[scale] * (largest / 2688f)), Largest: decoded[(16 * group)..(16 * (group + 1))].Max(Math.Abs)))
            .All(group => group.Largest <= 6 * group.Scale));
        Assert.That(Numbers.Nmse(RandomTensors.Decode(QuantizedTensor.Encode(MlxFormat.Create(MlxMode.NvFp4).GetCodec(), new QuantShape(1, 4096), weights)), weights), Is.GreaterThan(0.5));
    }

    /// <summary>Codes, scales and biases of every size by the words of the rule, one weight after the other.</summary>
    [TestCaseSource(nameof(AffineCodecs))]
    public void AffineFollowsTheRule(QuantCodec codec)
    {
        var affine = (AffineCodec)codec;
        int group = codec.WeightsPerBlock, maxCode = (1 << affine.Bits) - 1;
        var random = new Random(codec.Index);
        using QuantizedTensor tensor = QuantizedTensor.Encode(codec, new QuantShape(6, 256), MixedRows(random));
        float[] weights = MixedRows(new Random(codec.Index));
        for (int row = 0; row < 6; row++)
        {
            byte[] stream = tensor.UnsafeGetRowBytes(row).ToArray();
            float[] decoded = new float[256];
            tensor.DecodeRow(row, decoded);
            for (int b = 0; b < 256 / group; b++)
            {
                float[] x = weights[((256 * row) + (group * b))..][..group];
                float high = x.Max(), low = x.Min();
                float scale = Math.Max((high - low) / maxCode, 1e-7f), edge = Math.Abs(low) > Math.Abs(high) ? low : high;
                scale = edge == low && Math.Abs(low) > Math.Abs(high) ? scale : -scale;
                float zero = (float)Math.Round((double)(edge / scale), MidpointRounding.ToEven);
                float bias = zero == 0 ? 0 : edge;
                scale = zero == 0 ? scale : edge / zero;
                float storedScale = Stored(scale, affine.ScaleType), storedBias = Stored(bias, affine.ScaleType);
                Assert.That(StoredScale(tensor, row, 1, b), Is.EqualTo(storedScale));
                Assert.That(StoredScale(tensor, row, 2, b), Is.EqualTo(storedBias));
                for (int i = 0; i < group; i++)
                {
                    int at = ((group * b) + i) * affine.Bits, code = 0;
                    for (int bit = 0; bit < affine.Bits; bit++)
                    {
                        code |= (stream[(at + bit) / 8] >> ((at + bit) % 8) & 1) << bit;
                    }

                    Assert.That(code, Is.EqualTo((int)Math.Clamp(Math.Round((double)((x[i] - bias) / scale)), 0, maxCode)), $"row {row}, weight {i} of group {b}");
                    float product = code * storedScale;
                    Assert.That(decoded[(group * b) + i], Is.EqualTo(product + storedBias));
                }
            }
        }

        float StoredScale(QuantizedTensor from, int row, int plane, int number)
        {
            ReadOnlySpan<byte> bytes = from.UnsafeGetRowBytes(row, plane);
            return affine.ScaleType switch
            {
                ElementType.F16 => (float)MemoryMarshal.Cast<byte, Half>(bytes)[number],
                ElementType.BF16 => BitConverter.UInt32BitsToSingle((uint)MemoryMarshal.Cast<byte, ushort>(bytes)[number] << 16),
                _ => MemoryMarshal.Cast<byte, float>(bytes)[number],
            };
        }
    }

    [TestCase(448f, 0x7E)]
    [TestCase(447.9f, 0x7E)]
    [TestCase(470f, 0x7E)]
    [TestCase(1e9f, 0x7E)]
    [TestCase(-448f, 0xFE)]
    [TestCase(432f, 0x7E)]
    [TestCase(431.9f, 0x7D)]
    [TestCase(0.0009765625f, 0x00)]
    [TestCase(0.0029296875f, 0x02)]
    [TestCase(-1e-9f, 0x80)]
    [TestCase(-0f, 0x80)]
    [TestCase(0.015625f, 0x08)]
    [TestCase(0.0151f, 0x08)]
    [TestCase(1f, 0x38)]
    public void EightBitFloatsRoundToEvenAndEndAt448(float value, int code)
    {
        Assert.That(Float8.EncodeE4M3(value), Is.EqualTo(code));
        Assert.That(Float8.EncodeE4M3(System.Runtime.Intrinsics.Vector512.Create(value))[5], Is.EqualTo(code));
    }

    [Test]
    public void EveryEightBitFloatIsItself()
    {
        Assert.Multiple(() =>
        {
            for (int code = 0; code < 256; code++)
            {
                // 0x7F and 0xFF decode beyond the largest number.
                int expected = (code & 0x7F) == 0x7F ? code - 1 : code;
                Assert.That(Float8.EncodeE4M3(Float8.E4M3[code]), Is.EqualTo(expected));
            }

            Assert.That(Float8.E4M3[0x7F], Is.EqualTo(480));
            Assert.That(Float8.EncodeE4M3(float.NaN), Is.EqualTo(0x7E).Or.EqualTo(0xFE));
        });
    }

    /// <summary>Every power-of-two scale of small floats by the words of the rule.</summary>
    [Test]
    public void PowersOfTwoAreRoundedLogarithms([Values(MlxMode.MxFp4, MlxMode.MxFp8)] MlxMode mode)
    {
        QuantCodec codec = MlxFormat.Create(mode).GetCodec();
        float top = mode == MlxMode.MxFp4 ? 6 : 448;
        var random = new Random(3);
        float[] weights = new float[32];
        byte[] bytes = new byte[codec.BytesPerBlock];
        Assert.Multiple(() =>
        {
            for (int i = 0; i < 4000; i++)
            {
                // Near the square root of two, between powers, at the ends of the range.
                float ratio = (i % 4) switch
                {
                    0 => BitConverter.UInt32BitsToSingle((uint)random.Next(1, 254) << 23 | (0x3504F3u + (uint)random.Next(-3, 4))),
                    1 => BitConverter.UInt32BitsToSingle((uint)random.Next(1, 0x7F000000)),
                    2 => MathF.ScaleB(1, random.Next(-149, 120)),
                    _ => (float)Math.Exp(random.NextDouble()),
                };
                weights[i % 32] = ratio * top;
                float largest = weights.Max(Math.Abs);
                if (float.IsFinite(largest))
                {
                    codec.Encode(weights, bytes);
                    double exponent = Math.Round((double)(float)Math.Log2(largest / top), MidpointRounding.AwayFromZero);
                    int expected = largest / top == 0 ? 0 : (int)Math.Clamp(exponent, -127, 127) + 127;
                    Assert.That(bytes[^1], Is.EqualTo(expected), $"{largest:R}");
                }

                weights[i % 32] = 0;
            }
        });
    }

    [TestCase(2, 0.1310, 0.1552, 0.1792)]
    [TestCase(3, 0.0293, 0.0361, 0.0428)]
    [TestCase(4, 0.00655, 0.00825, 0.00997)]
    [TestCase(5, 0.00154, 0.00195, 0.00236)]
    [TestCase(6, 0.00037, 0.00047, 0.00057)]
    [TestCase(8, 2.3e-5, 2.9e-5, 3.6e-5)]
    public void AffineErrorsAreThoseOfMlx(int bits, params double[] expected)
    {
        double tolerance = bits < 6 ? 0.02 : 0.03;
        for (int i = 0; i < 3; i++)
        {
            QuantCodec codec = MlxFormat.Create(MlxMode.Affine, MlxFormat.GroupSizes[i], bits).GetCodec(ElementType.F32);
            double error = Nmse(codec, EncodeMode.Reference, Normal);
            Assert.That(error, Is.EqualTo(expected[i]).Within(100 * tolerance).Percent, codec.Name);

            // The search gains most where there are few codes.
            double best = Nmse(codec, EncodeMode.Best, Normal[..(1 << 15)]) / Nmse(codec, EncodeMode.Reference, Normal[..(1 << 15)]);
            Assert.That(best, Is.LessThan(bits switch { 2 => 0.75, 3 => 0.79, 4 => 0.85, 5 => 0.92, 6 => 0.96, _ => 0.99 }), codec.Name);
            TestContext.Out.WriteLine($"{codec.Name} {error:G4} best {best:F3}");
        }
    }

    [TestCase("mlx_mxfp4", 0.01474, 0.01244)]
    [TestCase("mlx_mxfp8", 0.00562, 0.00070)]
    [TestCase("mlx_nvfp4", 0.00905, 0.0085)]
    public void ErrorsOfSmallFloatsAreThoseOfMlx(string name, double expected, double best)
    {
        Assert.That(QuantCodec.TryParse(name, out QuantCodec? codec));
        Assert.That(Nmse(codec!, EncodeMode.Reference, Normal), Is.EqualTo(expected).Within(2).Percent);
        Assert.That(Nmse(codec!, EncodeMode.Best, Normal), Is.LessThan(1.02 * best));
    }

    [Test]
    public void ZeroGroupsAndEqualGroupsAreExact([ValueSource(nameof(AffineCodecs))] QuantCodec codec)
    {
        float[] weights = [.. Enumerable.Range(0, 512).Select(i => i < 128 ? 0 : i < 256 ? 0.75f : i < 384 ? -3f : 2f)];
        Assert.That(WeightedError.Of(codec, weights, new EncodeOptions { RowLength = 512 }, []), Is.Zero);
    }

    [Test]
    public void SmallFloatsKeepTheirSigns([ValueSource(nameof(FloatCodecs))] QuantCodec codec)
    {
        byte[] bytes = new byte[codec.BytesPerBlock];
        float[] weights = new float[codec.WeightsPerBlock], decoded = new float[codec.WeightsPerBlock];
        (weights[0], weights[1], weights[2]) = (6, -1e-6f, -6);
        codec.Encode(weights, bytes);
        codec.Decode(bytes, decoded);
        Assert.That(decoded[0], Is.EqualTo(-decoded[2]).And.GreaterThan(5.9f));
        Assert.That(float.IsNegative(decoded[1]) && decoded[1] == 0);
    }

    [Test]
    public void NamesAndSizes()
    {
        Assert.Multiple(() =>
        {
            Assert.That(AffineCodecs.Count(), Is.EqualTo(54));
            Assert.That(QuantCodec.TryParse("affine4_64_bf16", out QuantCodec? codec));
            Assert.That(codec!.Mlx, Is.EqualTo(MlxFormat.Create(MlxMode.Affine)));
            Assert.That(codec.BitsPerWeight, Is.EqualTo(4.5));
            Assert.That(codec, Is.SameAs(MlxFormat.Create(MlxMode.Affine).GetCodec(ElementType.BF16)));
            Assert.That(() => MlxFormat.Create(MlxMode.Affine, 64, 7), Throws.ArgumentException.With.Message.EqualTo("affine has codes of 2, 3, 4, 5, 6 or 8 bits, not 7"));
            Assert.That(() => MlxFormat.Create(MlxMode.Affine, 16), Throws.ArgumentException.With.Message.EqualTo("affine has groups of 32, 64 or 128 weights, not 16"));
            Assert.That(() => MlxFormat.Create(MlxMode.NvFp4, 32), Throws.ArgumentException.With.Message.EqualTo("nvfp4 has groups of 16 weights, not 32"));
            Assert.That(() => MlxFormat.Create(MlxMode.Affine).GetCodec(ElementType.U8), Throws.ArgumentException.With.Message.Contains("not U8"));
        });
    }

    private static double Nmse(QuantCodec codec, EncodeMode mode, float[] weights)
    {
        byte[] bytes = new byte[codec.GetByteCount(weights.Length)];
        codec.Encode(weights, bytes, new EncodeOptions { RowLength = 4096, Mode = mode, MaxDegreeOfParallelism = -1 });
        float[] decoded = new float[weights.Length];
        codec.Decode(bytes, decoded);
        return Numbers.Nmse(decoded, weights);
    }

    /// <summary>Normal, one-sided either way, tiny, of one sign and far off, with ties.</summary>
    private static float[] MixedRows(Random random)
    {
        float[] rows = new float[6 * 256];
        for (int i = 0; i < rows.Length; i++)
        {
            float value = (2 * random.NextSingle()) - 1;
            rows[i] = (i / 256) switch
            {
                0 => value,
                1 => MathF.Abs(value) + 0.25f,
                2 => -MathF.Abs(value) - 3,
                3 => 1e-8f * value,
                4 => MathF.Round(16 * value) / 8,
                _ => i % 64 == 9 ? 50 * value : 0.01f * value,
            };
        }

        return rows;
    }

    private static float Stored(float value, ElementType type) => type switch
    {
        ElementType.F16 => (float)(Half)value,
        ElementType.BF16 => (float)(BFloat16)value,
        _ => value,
    };

    private static string Words(ReadOnlySpan<byte> bytes) =>
        string.Join(' ', MemoryMarshal.Cast<byte, uint>(bytes).ToArray().Select(word => word.ToString("X8", System.Globalization.CultureInfo.InvariantCulture)));
}
