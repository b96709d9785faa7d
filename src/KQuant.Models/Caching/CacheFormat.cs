using KQuant.Codecs;
using KQuant.Models.Caching;
using KQuant.Models.Caching.Kernels;

namespace KQuant.Models;

/// <summary>How a <see cref="KeyValueCache"/> stores keys or values.</summary>
/// <example>
/// <code>
/// var options = new ModelOptions { Cache = CacheOptions.Uniform(CacheFormat.Q4_0.WithRotation()) };
/// int bytes = CacheFormat.TurboQuantMse(3).GetKeyByteCount(headSize: 128);   // 50: 3 bits for each value, and a scale
/// </code>
/// </example>
public abstract class CacheFormat
{
    private const int MostBits = 8;

    private static readonly CacheFormat[] Mse = [.. Enumerable.Range(1, MostBits).Select(bits => new RowFormat(
        $"turboquant_mse{bits}", 8, size => new CodebookCoding(size, bits)) { IsRotated = true })];

    private static readonly CacheFormat[] Prod = [.. Enumerable.Range(2, MostBits - 1).Select(bits => new RowFormat(
        $"turboquant_prod{bits}", 8, size => new ProductCoding(size, bits)) { IsRotated = true, Values = Mse[bits - 1] })];

    private static readonly CacheFormat[] Rvq = [.. Enumerable.Range(1, MostBits / 2).Select(bits => new RowFormat(
        $"turboquant_rvq{bits}", 8, size => new ResidualCoding(size, bits)) { IsRotated = true })];

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

    /// <summary>
    /// Rotated, in polar coordinates (PolarQuant): for sixteen values eight angles of four bits, seven of two bits, and a radius in binary16; 3.875 bits
    /// for each number. Heads are multiples of 16.
    /// </summary>
    public static CacheFormat Polar { get; } = new RowFormat("polar", PolarCoding.Group, size => new PolarCoding(size)) { IsRotated = true };

    /// <summary>
    /// Keys as one bit for each value and their length (QJL): scores are right in the mean and noisy. Values, of which there are sums and no
    /// products, are stored as <see cref="Q8_0"/>.
    /// </summary>
    public static CacheFormat Qjl { get; } = new RowFormat("qjl", Q8_0.ValuesPerBlock, size => new SketchCoding(size)) { Values = Q8_0 };

    /// <summary>
    /// A choice of every kind: by the names that the command line, and of dense ones and blocks llama.cpp, know. Those with a number of bits exist
    /// for more numbers.
    /// </summary>
    public static IReadOnlyList<CacheFormat> All { get; } =
    [
        F32, F16, BF16, Q8_0, Q5_1, Q5_0, Q4_1, Q4_0, IQ4_NL,
        Mse[3], Mse[2], Mse[1], Prod[2], Prod[1], Rvq[1], Rvq[0], Polar, Qjl,
    ];

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>Numbers that are stored together: sizes of heads are multiples of it.</summary>
    public virtual int ValuesPerBlock => 1;

    /// <summary>The most values of a head.</summary>
    internal virtual int MaxHeadSize => int.MaxValue;

    /// <summary>
    /// Rotated, each number as a code of the best codebook for Gaussian numbers, and a scale in binary16 for each head (TurboQuant for the least
    /// squared error). Heads are multiples of 8.
    /// </summary>
    /// <param name="bits">Bits of a code, 1 to 8.</param>
    /// <returns>The format.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The bits are out of their range.</exception>
    public static CacheFormat TurboQuantMse(int bits) => Get(Mse, bits, 1);

    /// <summary>
    /// Keys as <see cref="TurboQuantMse"/> of one bit less, and of what that leaves the signs of products with random directions: scores are right in
    /// the mean (TurboQuant for inner products), and noisier. Values, of which there are sums and no products, are stored as
    /// <see cref="TurboQuantMse"/> of as many bits.
    /// </summary>
    /// <param name="bits">Bits of a value altogether, 2 to 8.</param>
    /// <returns>The format.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The bits are out of their range.</exception>
    public static CacheFormat TurboQuantProd(int bits) => Get(Prod, bits, 2);

    /// <summary>As <see cref="TurboQuantMse"/>, and what that leaves once more: always worse than one stage of as many bits.</summary>
    /// <param name="bits">Bits of each of the two stages, 1 to 4.</param>
    /// <returns>The format.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The bits are out of their range.</exception>
    public static CacheFormat TurboQuantRvq(int bits) => Get(Rvq, bits, 1);

    /// <summary>
    /// The same behind a randomised Hadamard rotation, which spreads values of unusual size over their heads. Queries are rotated once, and sums
    /// of values once back.
    /// </summary>
    /// <returns>The rotated format; this one where there is nothing to gain: without blocks, and where rows are rotated anyway.</returns>
    public virtual CacheFormat WithRotation() => this;

    /// <summary>Bytes of the keys of a token, for each head and layer.</summary>
    /// <param name="headSize">Values of a head.</param>
    /// <returns>All that is stored, scales included.</returns>
    /// <exception cref="ArgumentException">There are no such heads in this format.</exception>
    public int GetKeyByteCount(int headSize)
    {
        CheckHeads(headSize, nameof(headSize));
        using KeyStore keys = CreateKeys(1, headSize);
        return (int)keys.Memory.GetByteCount(1);
    }

    /// <summary>Bytes of the values of a token, for each head and layer.</summary>
    /// <param name="headSize">Values of a head.</param>
    /// <returns>All that is stored, scales included.</returns>
    /// <exception cref="ArgumentException">There are no such heads in this format.</exception>
    public int GetValueByteCount(int headSize)
    {
        CheckHeads(headSize, nameof(headSize));
        using ValueStore values = CreateValues(1, headSize);
        return (int)values.Memory.GetByteCount(1);
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>Refuses heads that cannot be stored.</summary>
    internal void CheckHeads(int headSize, string parameter)
    {
        if (headSize < 1 || headSize % ValuesPerBlock != 0)
        {
            throw new ArgumentException($"A cache in {this} stores heads in blocks of {ValuesPerBlock} values; the heads of the model have {headSize}.", parameter);
        }

        if (headSize > MaxHeadSize)
        {
            throw new ArgumentException($"A cache in {this} stores heads of {MaxHeadSize} values at most; the heads of the model have {headSize}.", parameter);
        }
    }

    /// <summary>An empty store for the keys of a layer.</summary>
    internal abstract KeyStore CreateKeys(int heads, int headSize);

    /// <summary>An empty store for the values of a layer.</summary>
    internal abstract ValueStore CreateValues(int heads, int headSize);

    private static CacheFormat Get(CacheFormat[] formats, int bits, int least)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, least);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, least + formats.Length - 1);
        return formats[bits - least];
    }
}
