using KQuant.Codecs.Rotations;

namespace KQuant.Models.Caching;

/// <summary>Another format behind a rotation; one for the keys and one for the values of all heads and layers.</summary>
/// <param name="format">The other format.</param>
internal sealed class RotatedFormat(CacheFormat format) : CacheFormat($"rotated {format.Name}")
{
    private const long KeySeed = 42;
    private const long ValueSeed = 43;

    public override int ValuesPerBlock => format.ValuesPerBlock;

    internal override int MaxHeadSize => format.MaxHeadSize;

    public static HadamardRotation CreateKeyRotation(int headSize) => new(headSize, KeySeed);

    public static HadamardRotation CreateValueRotation(int headSize) => new(headSize, ValueSeed);

    internal override KeyStore CreateKeys(int heads, int headSize) => new RotatedKeys(format.CreateKeys(heads, headSize), CreateKeyRotation(headSize));

    internal override ValueStore CreateValues(int heads, int headSize) =>
        new RotatedValues(format.CreateValues(heads, headSize), CreateValueRotation(headSize));
}
