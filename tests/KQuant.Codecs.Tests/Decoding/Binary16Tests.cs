using KQuant.Codecs.Decoding;

namespace KQuant.Codecs.Tests.Decoding;

/// <summary>The widening of binary16 by bits gives what the cast gives; the vector forms are tested as the f16 decoders.</summary>
public class Binary16Tests
{
    [Test]
    public void WidensEveryNumberAsTheCast()
    {
        for (int bits = 0; bits < 0x10000; bits++)
        {
            float expected = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
            float actual = Binary16.ToSingle((ushort)bits);
            if (BitConverter.SingleToInt32Bits(actual) != BitConverter.SingleToInt32Bits(expected)
                && !(float.IsNaN(actual) && float.IsNaN(expected)))
            {
                Assert.Fail($"{bits:X4} became {actual:R}, not {expected:R}");
            }
        }
    }
}
