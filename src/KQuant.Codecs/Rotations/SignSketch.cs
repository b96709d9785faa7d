namespace KQuant.Codecs.Rotations;

/// <summary>
/// A Johnson-Lindenstrauss sketch of one bit for each direction (QJL): the signs of a vector's products with random directions, and its
/// length. With the products of another vector it estimates their inner product, without bias.
/// </summary>
/// <remarks>Sums have one order: results have the same bits on every machine.</remarks>
/// <example>
/// <code>
/// var sketch = new SignSketch(128, 128, seed: 43);
/// float length = sketch.Encode(key, signs);
/// sketch.Project(query, projected);
/// float product = sketch.Estimate(projected, signs, length);
/// </code>
/// </example>
public sealed class SignSketch
{
    /// <summary>The most values of a vector, and the most directions.</summary>
    public const int MaxSize = 4096;

    private readonly float[] _rows;
    private readonly float[] _columns;
    private readonly float _factor;

    /// <summary>Creates one.</summary>
    /// <param name="dimension">Values of a vector.</param>
    /// <param name="size">Directions.</param>
    /// <param name="seed">Makes the directions.</param>
    /// <param name="isOrthogonal">
    /// Whether directions are at right angles, which needs no more of them than dimensions, at most <see cref="OrthogonalRotation.MaxSize"/>, and
    /// makes errors smaller: the variance of what is decoded is π/2 - 1 instead of π/2 of the squared length for as many directions as dimensions.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public SignSketch(int dimension, int size, long seed, bool isOrthogonal = true)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dimension, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(dimension, isOrthogonal ? OrthogonalRotation.MaxSize : MaxSize);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, isOrthogonal ? dimension : MaxSize);
        (Dimension, Size) = (dimension, size);
        _rows = isOrthogonal
            ? RandomMatrices.CreateOrthonormal(size, dimension, (ulong)seed)
            : RandomMatrices.CreateGaussian(size, dimension, (ulong)seed);
        _columns = RandomMatrices.Transpose(_rows, size, dimension);
        _factor = (float)(1 / (size * (isOrthogonal ? GetMeanMagnitude(dimension) : Math.Sqrt(2 / Math.PI))));
    }

    /// <summary>Values of a vector.</summary>
    public int Dimension { get; }

    /// <summary>Directions: bits of a sketch.</summary>
    public int Size { get; }

    /// <summary>Bytes of the signs of a vector.</summary>
    public int ByteCount => (Size + 7) / 8;

    /// <summary>The directions, a row for each.</summary>
    public ReadOnlySpan<float> Directions => _rows;

    internal RotationKernel Kernel { get; init; } = RotationKernel.Best;

    /// <summary>What products of signs with projected vectors are multiplied with for a vector of length 1.</summary>
    internal float Factor => _factor;

    /// <summary>Sketches a vector.</summary>
    /// <param name="vector"><see cref="Dimension"/> values.</param>
    /// <param name="signs">Receives <see cref="ByteCount"/> bytes: a bit for each direction, the lowest first, 1 for products of zero and more.</param>
    /// <returns>The length of the vector, which belongs to its sketch.</returns>
    /// <exception cref="ArgumentException">A length is another one.</exception>
    public float Encode(ReadOnlySpan<float> vector, Span<byte> signs)
    {
        if (signs.Length != ByteCount)
        {
            Throw.WrongLength("the room for signs", signs.Length, ByteCount, nameof(signs));
        }

        Span<float> products = stackalloc float[Size];
        Project(vector, products);
        signs.Clear();
        for (int i = 0; i < Size; i++)
        {
            signs[i / 8] |= (byte)(products[i] >= 0 ? 1 << (i % 8) : 0);
        }

        double square = 0;
        foreach (float value in vector)
        {
            square += (double)value * value;
        }

        return (float)Math.Sqrt(square);
    }

    /// <summary>The products of a vector with all directions.</summary>
    /// <param name="vector"><see cref="Dimension"/> values.</param>
    /// <param name="products">Receives <see cref="Size"/> values.</param>
    /// <exception cref="ArgumentException">A length is another one.</exception>
    public void Project(ReadOnlySpan<float> vector, Span<float> products)
    {
        CheckLengths(vector.Length, products.Length, nameof(vector), nameof(products));
        Kernel.Combine(_columns, vector, products);
    }

    /// <summary>Estimates an inner product; the mean over seeds is the true one.</summary>
    /// <param name="products">Those of one vector with all directions, from <see cref="Project"/>.</param>
    /// <param name="signs">The sketch of the other.</param>
    /// <param name="length">The length of the other.</param>
    /// <returns>About the inner product.</returns>
    /// <exception cref="ArgumentException">A length is another one.</exception>
    public float Estimate(ReadOnlySpan<float> products, ReadOnlySpan<byte> signs, float length)
    {
        CheckLengths(Dimension, products.Length, nameof(products), nameof(products));
        CheckSigns(signs);
        float sum = 0;
        for (int i = 0; i < Size; i++)
        {
            sum += ((signs[i / 8] >> (i % 8)) & 1) == 1 ? products[i] : -products[i];
        }

        return sum * (_factor * length);
    }

    /// <summary>The vector whose inner products are the estimates.</summary>
    /// <param name="signs">A sketch.</param>
    /// <param name="length">The length that belongs to it.</param>
    /// <param name="vector">Receives <see cref="Dimension"/> values.</param>
    /// <exception cref="ArgumentException">A length is another one.</exception>
    public void Decode(ReadOnlySpan<byte> signs, float length, Span<float> vector)
    {
        CheckSigns(signs);
        Span<float> weights = stackalloc float[Size];
        for (int i = 0; i < Size; i++)
        {
            weights[i] = ((signs[i / 8] >> (i % 8)) & 1) == 1 ? _factor * length : -_factor * length;
        }

        CheckLengths(vector.Length, Size, nameof(vector), nameof(vector));
        Kernel.Combine(_rows, weights, vector);
    }

    /// <summary>
    /// The mean magnitude of a coordinate of a uniform point on the unit sphere, Γ(d/2) / (√π Γ((d+1)/2)); about √(2/(πd)). With
    /// g(d) = Γ(d/2) / Γ((d+1)/2), g(1) is √π and g(d+1) is 2 / (d g(d)).
    /// </summary>
    internal static double GetMeanMagnitude(int dimension)
    {
        double ratio = Math.Sqrt(Math.PI);
        for (int i = 1; i < dimension; i++)
        {
            ratio = 2 / (i * ratio);
        }

        return ratio / Math.Sqrt(Math.PI);
    }

    private void CheckSigns(ReadOnlySpan<byte> signs)
    {
        if (signs.Length != ByteCount)
        {
            Throw.WrongLength("the sketch", signs.Length, ByteCount, nameof(signs));
        }
    }

    private void CheckLengths(int vector, int products, string vectorName, string productsName)
    {
        if (vector != Dimension)
        {
            Throw.WrongLength("the vector", vector, Dimension, vectorName);
        }

        if (products != Size)
        {
            Throw.WrongLength("the row of products", products, Size, productsName);
        }
    }
}
