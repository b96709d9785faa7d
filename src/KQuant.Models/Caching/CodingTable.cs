using System.Collections.Concurrent;

namespace KQuant.Models.Caching;

/// <summary>What codes rows of a size, made once: all layers share it.</summary>
/// <param name="create">Makes it.</param>
internal sealed class CodingTable<TCoding>(Func<int, TCoding> create)
    where TCoding : RowCoding
{
    private readonly ConcurrentDictionary<int, TCoding> _codings = new();

    public TCoding Get(int headSize) => _codings.GetOrAdd(headSize, create);
}
