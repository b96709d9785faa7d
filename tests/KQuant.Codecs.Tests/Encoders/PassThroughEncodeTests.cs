namespace KQuant.Codecs.Tests.Encoders;

/// <summary>f32, f16 and bf16: one weight per block.</summary>
public class PassThroughEncodeTests
{
    [TestCase(QuantFormat.F16, 65504f, 65520f)]
    [TestCase(QuantFormat.F16, -65519.9f, -1e9f)]
    [TestCase(QuantFormat.BF16, 3.3895314e38f, 3.4e38f)]
    public void ValuesBeyondTheRangeAreAnError(QuantFormat format, float fits, float tooLarge)
    {
        QuantCodec codec = QuantCodec.Get(format);
        float[] weights = [1, 2, fits, 3, 4, tooLarge];
        var wire = new byte[codec.GetByteCount(3)];

        codec.Encode(weights.AsSpan(0, 3), wire);
        var error = Assert.Throws<InvalidWeightException>(
            () => codec.Encode(weights, new byte[codec.GetByteCount(6)], new EncodeOptions { RowLength = 3, FirstRow = 40 }));

        Assert.Multiple(() =>
        {
            Assert.That(error!.Row, Is.EqualTo(41));
            Assert.That(error!.Column, Is.EqualTo(2));
            Assert.That(error!.Value, Is.EqualTo(tooLarge));
            Assert.That(error!.Message, Does.Contain(codec.Name).And.Contain("column 2"));
        });
    }

    [Test]
    public void ValuesBeyondTheRangeCanBeKept()
    {
        var wire = new byte[4];
        QuantCodec.Get(QuantFormat.F16).Encode([70000f, -70000f], wire, new EncodeOptions { Overflow = ScaleOverflow.Keep });

        Assert.That(wire, Is.EqualTo(new byte[] { 0x00, 0x7C, 0x00, 0xFC }));
    }

    [Test]
    public void RoundsToNearestEven()
    {
        float[] weights = [1f + (1f / 2048), 1f + (3f / 2048), 1f + (1f / 256), 1f + (3f / 256), 1e-8f, -0f];
        var half = new byte[12];
        var brain = new byte[12];
        QuantCodec.Get(QuantFormat.F16).Encode(weights, half);
        QuantCodec.Get(QuantFormat.BF16).Encode(weights, brain);

        Assert.Multiple(() =>
        {
            Assert.That(Words(half), Is.EqualTo(new ushort[] { 0x3C00, 0x3C02, 0x3C04, 0x3C0C, 0x0000, 0x8000 }));
            Assert.That(Words(brain), Is.EqualTo(new ushort[] { 0x3F80, 0x3F80, 0x3F80, 0x3F82, 0x322C, 0x8000 }));
        });
    }

    [Test]
    public void FloatsAreCopied()
    {
        float[] weights = [1.5f, -0f, float.Epsilon, float.MaxValue];
        var wire = new byte[16];
        QuantCodec.Get(QuantFormat.F32).Encode(weights, wire);

        Assert.That(wire, Is.EqualTo(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(weights).ToArray()));
    }

    private static ushort[] Words(byte[] wire) => System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ushort>(wire).ToArray();
}
