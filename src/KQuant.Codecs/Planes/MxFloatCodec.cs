using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Planes;

/// <summary>
/// mxfp4 and mxfp8: 32 values and a power of two (E8M0), which is the one nearest to what maps the largest weight to the largest value. For 8-bit
/// values that clips by up to a factor of 1.4; <see cref="EncodeMode.Best"/> does not.
/// </summary>
internal sealed class MxFloatCodec(MlxMode mode) : FloatCodec($"mlx_{MlxFormat.NameOf(mode)}", MlxFormat.Create(mode))
{
    private readonly float _maxValue = mode == MlxMode.MxFp4 ? Float4.Max : Float8.MaxE4M3;

    public override double ErrorLimit => mode == MlxMode.MxFp4 ? 0.05 : 0.02;

    protected override int LargestScale => 254;

    protected override (int Below, int Above) SearchedScales => (1, 1);

    protected override float DecodeScale(byte code) => Float8.DecodeE8M0(code);

    protected override float EncodeFactor(byte code) => 1 / DecodeScale(code);

    protected override byte ChooseScale(float largest)
    {
        // Half away from zero of a logarithm as float32 has it. Only next to the square root of two does it take a logarithm to tell.
        float ratio = largest / _maxValue;
        if (ratio == 0)
        {
            return 0;
        }

        const uint Root = 0x3504F3;
        uint bits = BitConverter.SingleToUInt32Bits(ratio), mantissa = bits & 0x7F_FFFF;
        int exponent = (int)(bits >> 23) - 127;
        if (exponent == -127 || mantissa - (Root - 4) <= 8)
        {
            exponent = (int)MathF.Round((float)Math.Log2(ratio), MidpointRounding.AwayFromZero);
        }
        else if (mantissa > Root)
        {
            exponent++;
        }

        return (byte)(Math.Clamp(exponent, -127, 127) + 127);
    }
}
