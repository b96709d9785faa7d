using KQuant.Codecs;

namespace KQuant.Models.Caching;

/// <summary>Blocks of a codec. It and its kernels are looked up when a cache needs them: most processes have no such cache.</summary>
internal sealed class BlockFormat(string name, QuantFormat format) : CacheFormat(name)
{
    private readonly CodingTable<BlockCoding> _codings = new(size => new BlockCoding(size, QuantCodec.Get(format)));
    private RotatedFormat? _rotated;

    public override int ValuesPerBlock => 32;

    public override CacheFormat WithRotation() => _rotated ??= new RotatedFormat(this);

    internal override KeyStore CreateKeys(int heads, int headSize) => new BlockKeys(heads, _codings.Get(headSize));

    internal override ValueStore CreateValues(int heads, int headSize) => new RowValues(heads, _codings.Get(headSize));
}
