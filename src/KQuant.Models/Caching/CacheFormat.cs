using KQuant.Codecs;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models;

/// <summary>How a <see cref="KeyValueCache"/> stores keys or values.</summary>
public abstract class CacheFormat
{
    internal CacheFormat(string name) => Name = name;

    /// <summary>As they were computed.</summary>
    public static CacheFormat F32 { get; } = new DenseFormat("f32", CacheElement.Single);

    /// <summary>Rounded to binary16: half the memory.</summary>
    public static CacheFormat F16 { get; } = new DenseFormat("f16", CacheElement.Half);

    /// <summary>Rounded to bfloat16: half the memory, eight bits of precision, and no number is too large.</summary>
    public static CacheFormat BF16 { get; } = new DenseFormat("bf16", CacheElement.BFloat16);

    /// <summary>
    /// As blocks of 32 eight-bit codes, 8.5 bits for each number; what is said here holds for all formats of blocks. They are ggml's, written as
    /// its reference does; numbers beyond those of binary16, ±65,504, become these. Queries meet keys rounded to eight bits.
    /// </summary>
    public static CacheFormat Q8_0 { get; } = new BlockFormat("q8_0", QuantFormat.Q8_0);

    /// <summary>As blocks of 32 five-bit codes with a minimum, 6 bits for each number.</summary>
    public static CacheFormat Q5_1 { get; } = new BlockFormat("q5_1", QuantFormat.Q5_1);

    /// <summary>As blocks of 32 five-bit codes, 5.5 bits for each number.</summary>
    public static CacheFormat Q5_0 { get; } = new BlockFormat("q5_0", QuantFormat.Q5_0);

    /// <summary>As blocks of 32 four-bit codes with a minimum, 5 bits for each number.</summary>
    public static CacheFormat Q4_1 { get; } = new BlockFormat("q4_1", QuantFormat.Q4_1);

    /// <summary>As blocks of 32 four-bit codes, 4.5 bits for each number.</summary>
    public static CacheFormat Q4_0 { get; } = new BlockFormat("q4_0", QuantFormat.Q4_0);

    /// <summary>As blocks of 32 four-bit codes of unequal steps, 4.5 bits for each number.</summary>
    public static CacheFormat IQ4_NL { get; } = new BlockFormat("iq4_nl", QuantFormat.IQ4_NL);

    /// <summary>All, by the names that the command line and llama.cpp know.</summary>
    public static IReadOnlyList<CacheFormat> All { get; } = [F32, F16, BF16, Q8_0, Q5_1, Q5_0, Q4_1, Q4_0, IQ4_NL];

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>Numbers that are stored together: sizes of heads are multiples of it.</summary>
    public virtual int ValuesPerBlock => 1;

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>An empty store for the keys of a layer.</summary>
    internal abstract KeyStore CreateKeys(int heads, int headSize);

    /// <summary>An empty store for the values of a layer.</summary>
    internal abstract ValueStore CreateValues(int heads, int headSize);

    private sealed class DenseFormat(string name, CacheElement element) : CacheFormat(name)
    {
        internal override KeyStore CreateKeys(int heads, int headSize) => new DenseKeys(heads, headSize, element);

        internal override ValueStore CreateValues(int heads, int headSize) => new DenseValues(heads, headSize, element);
    }

    /// <summary>Codecs and kernels are looked up when a cache needs them: most processes have no such cache.</summary>
    private sealed class BlockFormat(string name, QuantFormat format) : CacheFormat(name)
    {
        private BlockCoding Coding => field ??= new BlockCoding(QuantCodec.Get(format));

        public override int ValuesPerBlock => 32;

        internal override KeyStore CreateKeys(int heads, int headSize) => new BlockKeys(heads, headSize, Coding);

        internal override ValueStore CreateValues(int heads, int headSize) => new BlockValues(heads, headSize, Coding);
    }
}
