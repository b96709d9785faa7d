using KQuant.Models.Caching;

namespace KQuant.Models;

/// <summary>Says what a cache of keys and values without a model is to be; checked when it is built.</summary>
/// <example>
/// <code>
/// using AttentionCache cache = new KeyValueCacheBuilder()
///     .WithKeys(CacheFormat.TurboQuantProd(4)).WithValues(CacheFormat.TurboQuantMse(4))
///     .WithHeads(8, size: 128).WithCapacity(4096).Build();
/// cache.Append(keys, values);
/// cache.Attend(queries, outputs);
/// </code>
/// </example>
public sealed class KeyValueCacheBuilder
{
    private CacheFormat _keys = CacheFormat.F16;
    private CacheFormat _values = CacheFormat.F16;
    private int _heads = 1;
    private int _headSize = 128;
    private int _capacity = int.MaxValue;
    private int _window;
    private int _kept;

    /// <summary>How keys and values are stored; <see cref="CacheFormat.F16"/> if nothing is said.</summary>
    /// <param name="format">The format.</param>
    /// <returns>This builder.</returns>
    public KeyValueCacheBuilder WithFormat(CacheFormat format) => WithKeys(format).WithValues(format);

    /// <summary>How keys and values are stored, by the name of one of <see cref="CacheFormat.All"/>.</summary>
    /// <param name="name">The name, in any case.</param>
    /// <returns>This builder.</returns>
    /// <exception cref="ArgumentException">There is no such format.</exception>
    public KeyValueCacheBuilder WithFormat(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return WithFormat(CacheFormat.All.FirstOrDefault(format => format.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
            ?? throw new ArgumentException($"'{name}' is no format of caches; there are {string.Join(", ", CacheFormat.All)}.", nameof(name)));
    }

    /// <summary>How keys are stored.</summary>
    /// <param name="format">The format.</param>
    /// <returns>This builder.</returns>
    public KeyValueCacheBuilder WithKeys(CacheFormat format)
    {
        ArgumentNullException.ThrowIfNull(format);
        _keys = format;
        return this;
    }

    /// <summary>How values are stored.</summary>
    /// <param name="format">The format.</param>
    /// <returns>This builder.</returns>
    public KeyValueCacheBuilder WithValues(CacheFormat format)
    {
        ArgumentNullException.ThrowIfNull(format);
        _values = format;
        return this;
    }

    /// <summary>Puts a rotation in front of formats that gain from it (<see cref="CacheFormat.WithRotation"/>).</summary>
    /// <returns>This builder.</returns>
    public KeyValueCacheBuilder WithRotation() => WithKeys(_keys.WithRotation()).WithValues(_values.WithRotation());

    /// <summary>Key and value heads; one of 128 values if nothing is said.</summary>
    /// <param name="count">How many.</param>
    /// <param name="size">Values of a head.</param>
    /// <returns>This builder.</returns>
    public KeyValueCacheBuilder WithHeads(int count, int size)
    {
        (_heads, _headSize) = (count, size);
        return this;
    }

    /// <summary>The most tokens that may be appended; as many as there is memory for if nothing is said.</summary>
    /// <param name="tokens">Tokens.</param>
    /// <returns>This builder.</returns>
    public KeyValueCacheBuilder WithCapacity(int tokens)
    {
        _capacity = tokens;
        return this;
    }

    /// <summary>Keeps the last tokens alone, and perhaps some first ones; others are forgotten, and their memory is used again.</summary>
    /// <param name="tokens">Tokens that are seen, the first ones included; 0 for all.</param>
    /// <param name="kept">First tokens that are always seen.</param>
    /// <returns>This builder.</returns>
    public KeyValueCacheBuilder WithWindow(int tokens, int kept = 0)
    {
        (_window, _kept) = (tokens, kept);
        return this;
    }

    /// <summary>Makes the cache. It takes memory when tokens are appended.</summary>
    /// <returns>An empty cache.</returns>
    /// <exception cref="ArgumentException">A number is out of its range, or a format has no heads of that size.</exception>
    public AttentionCache Build()
    {
        Check(_heads >= 1, $"A cache has at least one head, not {_heads}.");
        Check(_capacity >= 1, $"The capacity is at least one token, not {_capacity}.");
        Check(_window >= 0, $"A window has at least one token, or is 0, not {_window}.");
        Check(_kept >= 0 && (_kept == 0 || _kept < _window), $"A window of {_window} tokens cannot keep the first {_kept}.");
        _keys.CheckHeads(_headSize, "size");
        _values.CheckHeads(_headSize, "size");
        var layer = new LayerCache(
            new SlotMap(_window, _kept, chunk: 1), _keys.CreateKeys(_heads, _headSize), _values.CreateValues(_heads, _headSize),
            new LayerCacheFormat(_keys, _values));
        return new AttentionCache(layer, _capacity);
    }

    private static void Check(bool isRight, string sentence)
    {
        if (!isRight)
        {
            throw new ArgumentException(sentence);
        }
    }
}
