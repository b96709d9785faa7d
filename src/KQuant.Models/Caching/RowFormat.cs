namespace KQuant.Models.Caching;

/// <summary>Rows of bytes that something encodes and decodes.</summary>
/// <param name="name">Its name.</param>
/// <param name="unit">What sizes of heads are multiples of.</param>
/// <param name="create">Makes what codes rows of a size.</param>
internal sealed class RowFormat(string name, int unit, Func<int, RowCoding> create) : CacheFormat(name)
{
    private readonly CodingTable<RowCoding> _codings = new(create);

    /// <summary>Whether rows are rotated before they are encoded.</summary>
    public bool IsRotated { get; init; }

    /// <summary>How values are stored where this is for keys alone; otherwise null.</summary>
    public CacheFormat? Values { get; init; }

    public override int ValuesPerBlock => unit;

    internal override int MaxHeadSize => 1024;

    internal override KeyStore CreateKeys(int heads, int headSize)
    {
        var keys = new RowKeys(heads, _codings.Get(headSize));
        return IsRotated ? new RotatedKeys(keys, RotatedFormat.CreateKeyRotation(headSize)) : keys;
    }

    internal override ValueStore CreateValues(int heads, int headSize)
    {
        if (Values is not null)
        {
            return Values.CreateValues(heads, headSize);
        }

        var values = new RowValues(heads, _codings.Get(headSize));
        return IsRotated ? new RotatedValues(values, RotatedFormat.CreateValueRotation(headSize)) : values;
    }
}
