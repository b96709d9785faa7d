using KQuant.Codecs.Blocks;

namespace KQuant.Codecs.Planes;

/// <summary>
/// nvfp4: 16 4-bit floats and an 8-bit float, which maps the largest weight to the largest value. A factor of the whole tensor, its largest weight,
/// can make the most of the scales: <c>w = value * (scale * factor / 2688)</c>.
/// </summary>
/// <param name="globalScale">The largest weight of the tensor; null for no factor.</param>
internal sealed class NvFloatCodec(float? globalScale = null) : FloatCodec("mlx_nvfp4", MlxFormat.Create(MlxMode.NvFp4))
{
    private const float Largest = Float8.MaxE4M3 * Float4.Max;

    private readonly float _decodeFactor = globalScale / Largest ?? 1;
    private readonly float _encodeFactor = Largest / globalScale ?? 1;

    // MLX's rule loses what is beyond its largest scale without a word.
    internal override float MaxWeight => globalScale is { } factor ? Math.Max(factor, 0) : Largest;

    protected override int LargestScale => 0x7E;

    protected override (int Below, int Above) SearchedScales => (3, 4);

    protected override float DecodeScale(byte code) => Float8.E4M3[code] * _decodeFactor;

    protected override float EncodeFactor(byte code) => _encodeFactor / Float8.E4M3[code];

    protected override byte ChooseScale(float largest) => Float8.EncodeE4M3(largest / Float4.Max * _encodeFactor);
}
