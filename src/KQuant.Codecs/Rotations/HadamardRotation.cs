using System.Numerics.Tensors;

namespace KQuant.Codecs.Rotations;

/// <summary>
/// A randomised Hadamard rotation: random signs, then orthonormal Hadamard transforms of blocks as large as the size allows. It spreads every
/// value over its block, so that rows look Gaussian, in O(n log n). Signs and transforms are those of MLX for the same seed; the inverse is the
/// true one for every size.
/// </summary>
/// <remarks>Sums have one order: results have the same bits on every machine.</remarks>
/// <example>
/// <code>
/// var rotation = new HadamardRotation(128, seed: 42);
/// rotation.Apply(row);             // as Gaussian as it gets
/// rotation.ApplyTransposed(row);   // as it was, but for rounding
/// </code>
/// </example>
public sealed unsafe class HadamardRotation : ActivationTransform
{
    private readonly float[] _signs;
    private readonly sbyte[]? _matrix;
    private readonly sbyte[]? _transposed;
    private readonly int _order;
    private readonly int _run;
    private readonly float _scale;

    /// <summary>Creates one.</summary>
    /// <param name="size">Values of a row.</param>
    /// <param name="seed">Makes the signs.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is less than 1.</exception>
    public HadamardRotation(int size, long seed)
    {
        _signs = CreateSigns(size, seed);
        BlockSize = GetBlockSize(size, out _order);
        _run = BlockSize / _order;
        _scale = 1 / MathF.Sqrt(BlockSize);
        if (_order > 1)
        {
            _matrix = HadamardMatrices.Get(_order);
            _transposed = HadamardMatrices.Transpose(_matrix, _order);
        }
    }

    /// <summary>Values of a row.</summary>
    public int Size => _signs.Length;

    /// <summary>Values that are mixed with one another.</summary>
    public int BlockSize { get; }

    internal RotationKernel Kernel { get; init; } = RotationKernel.Best;

    /// <summary>The largest number that divides a size and is a power of two, or 12, 20 or 28 times one.</summary>
    /// <param name="size">Values of a row.</param>
    /// <returns>Values that a rotation of that size mixes; 1 if it has only signs.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The size is less than 1.</exception>
    public static int GetBlockSize(int size) => GetBlockSize(size, out _);

    /// <summary>Random signs, 1 and -1: threefry words as MLX draws them for the seed, -1 for uniform numbers below a half.</summary>
    /// <param name="count">How many.</param>
    /// <param name="seed">The seed.</param>
    /// <returns>The signs.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The count is less than 1.</exception>
    public static float[] CreateSigns(int count, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);

        // Float32 rounds the last words below the half up to it.
        return Array.ConvertAll(Threefry.GetWords((ulong)seed, count), word => word < 2147483584 ? -1f : 1f);
    }

    /// <inheritdoc/>
    public override void Apply(Span<float> row)
    {
        CheckLength(row);
        TensorPrimitives.Multiply(row, _signs, row);
        Transform(row, _matrix);
    }

    /// <inheritdoc/>
    public override void ApplyTransposed(Span<float> row)
    {
        CheckLength(row);
        Transform(row, _transposed);
        TensorPrimitives.Multiply(row, _signs, row);
    }

    private static int GetBlockSize(int size, out int order)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        (int largest, order) = (0, 1);
        foreach (int candidate in HadamardMatrices.Orders)
        {
            int factor = size / candidate, block = size % candidate == 0 ? candidate * (factor & -factor) : 0;
            (largest, order) = block > largest ? (block, candidate) : (largest, order);
        }

        return largest;
    }

    private void Transform(Span<float> row, sbyte[]? matrix)
    {
        fixed (float* values = row)
        fixed (sbyte* signs = matrix)
        {
            for (int start = 0; start < row.Length; start += BlockSize)
            {
                Kernel.Butterflies(values + start, _order, _run);
                if (_order > 1)
                {
                    Kernel.Mix(values + start, signs, _order, _run);
                }
            }
        }

        TensorPrimitives.Multiply(row, _scale, row);
    }

    private void CheckLength(ReadOnlySpan<float> row)
    {
        if (row.Length != Size)
        {
            Throw.WrongLength("the row", row.Length, Size, nameof(row));
        }
    }
}
