using KQuant.Codecs.Rotations;
using KQuant.TestKit;

namespace KQuant.Codecs.Tests.Rotations;

/// <summary>Codes in streams of bits.</summary>
public class BitPackingTests
{
    [Test]
    public void PacksWithoutGapsTheLowestBitFirst()
    {
        byte[] packed = new byte[3];
        BitPacking.Pack([1, 2, 15], 4, packed.AsSpan(0, 2));
        Assert.That(packed[..2], Is.EqualTo(new byte[] { 0x21, 0x0F }));
        BitPacking.Pack([1, 2, 3, 4, 5, 6, 7, 0], 3, packed);
        Assert.That(packed, Is.EqualTo(new byte[] { 0xD1, 0x58, 0x1F }));
        BitPacking.Pack([1, 0, 1, 1], 1, packed.AsSpan(0, 1));
        Assert.That(packed[0], Is.EqualTo(0x0D));
    }

    [Test]
    public void UnpacksWhatWasPacked([Range(1, 8)] int bits, [Values(0, 1, 7, 8, 9, 63, 64, 65, 128, 1000)] int count)
    {
        var random = new Random(count);
        byte[] codes = [.. Enumerable.Range(0, count).Select(_ => (byte)random.Next(1 << bits))];
        int bytes = (int)BitPacking.GetByteCount(count, bits);
        Assert.That(bytes, Is.EqualTo(((count * bits) + 7) / 8));
        using var packed = new GuardedBuffer(bytes);
        using var unpacked = new GuardedBuffer(count);
        byte[] expected = new byte[bytes], specified = new byte[count];
        BitPacking.PackBits(codes, bits, expected);
        BitPacking.UnpackBits(expected, bits, specified);
        BitPacking.Pack(codes, bits, packed.Span);
        BitPacking.Unpack(packed.Span, bits, unpacked.Span);
        Assert.That(packed.Span.ToArray(), Is.EqualTo(expected));
        Assert.That(unpacked.Span.ToArray(), Is.EqualTo(codes));
        Assert.That(specified, Is.EqualTo(codes));
    }

    [Test]
    public void WhatDoesNotFitIsRefused()
    {
        Assert.That(() => BitPacking.Pack([0, 8], 3, new byte[1]), Throws.ArgumentException.With.Message.StartsWith("Code 1 is 8, which 3 bits do not hold."));
        Assert.That(() => BitPacking.Pack(new byte[9], 3, new byte[3]), Throws.ArgumentException.With.Message.Contains("is 3; 4 was expected"));
        Assert.That(() => BitPacking.Unpack(new byte[3], 3, new byte[9]), Throws.ArgumentException.With.Message.Contains("is 3; 4 was expected"));
        Assert.That(() => BitPacking.GetByteCount(1, 9), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }
}
