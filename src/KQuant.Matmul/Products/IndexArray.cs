using System.Diagnostics.CodeAnalysis;

namespace KQuant.Matmul;

/// <summary>
/// Indices of a gather, with a shape. A plain span or array converts by itself, to one dimension; the default value is a missing array,
/// whose meaning <see cref="QuantizedMatmul"/> explains.
/// </summary>
public readonly ref struct IndexArray
{
    private readonly ReadOnlySpan<int> _shape;
    private readonly int _length;
    private readonly State _state;

    /// <summary>Indices in one dimension.</summary>
    /// <param name="values">The indices.</param>
    public IndexArray(ReadOnlySpan<int> values)
    {
        Values = values;
        _length = values.Length;
        _state = State.Vector;
    }

    /// <summary>Indices in any shape.</summary>
    /// <param name="values">The indices, the last dimension innermost.</param>
    /// <param name="shape">The length of every dimension.</param>
    /// <exception cref="ArgumentException">A length is negative, or the shape has another number of elements than there are values.</exception>
    public IndexArray(ReadOnlySpan<int> values, ReadOnlySpan<int> shape)
    {
        if (Product(shape, nameof(shape)) != values.Length)
        {
            Throw.WrongIndexCount(values.Length, shape);
        }

        Values = values;
        _shape = shape;
        _state = State.Shaped;
    }

    private enum State
    {
        Missing,
        Vector,
        Shaped,
    }

    /// <summary>Whether there is no array.</summary>
    public bool IsMissing => _state == State.Missing;

    /// <summary>The indices.</summary>
    public ReadOnlySpan<int> Values { get; }

    /// <summary>The length of every dimension.</summary>
    public ReadOnlySpan<int> Shape
    {
        [UnscopedRef]
        get => _state == State.Vector ? new ReadOnlySpan<int>(in _length) : _shape;
    }

    /// <summary>Indices in one dimension.</summary>
    /// <param name="values">The indices.</param>
    public static implicit operator IndexArray(ReadOnlySpan<int> values) => new(values);

    /// <summary>Indices in one dimension.</summary>
    /// <param name="values">The indices.</param>
    public static implicit operator IndexArray(Span<int> values) => new(values);

    /// <summary>Indices in one dimension.</summary>
    /// <param name="values">The indices; null is a missing array.</param>
    public static implicit operator IndexArray(int[]? values) => values is null ? default : new(values);

    /// <summary>The number of elements of a shape.</summary>
    internal static int Product(ReadOnlySpan<int> shape, string parameter)
    {
        long product = 1;
        foreach (int length in shape)
        {
            product *= length;
            if (length < 0 || product > int.MaxValue)
            {
                Throw.BadShape(shape, parameter);
            }
        }

        return (int)product;
    }
}
