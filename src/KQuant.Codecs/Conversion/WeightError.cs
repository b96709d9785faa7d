using System.Buffers.Binary;
using System.Numerics;

namespace KQuant.Codecs.Conversion;

/// <summary>
/// How far weights are from the originals. Errors of parts add up (<c>+</c>) to that of the whole. Sums are kept in double precision; the
/// last digits depend on the vector width of the machine.
/// </summary>
public readonly record struct WeightError
{
    /// <summary>Bytes of a stored error.</summary>
    internal const int StoredBytes = 6 * sizeof(double);

    /// <summary>The number of weights compared.</summary>
    public long Count { get; private init; }

    /// <summary>Sum of the squared differences.</summary>
    public double SquaredError { get; private init; }

    /// <summary>Sum of the squared originals.</summary>
    public double SquaredReference { get; private init; }

    /// <summary>Sum of the squared weights that were compared with them.</summary>
    public double SquaredActual { get; private init; }

    /// <summary>Sum of the products of both.</summary>
    public double DotProduct { get; private init; }

    /// <summary>The largest absolute difference of one weight.</summary>
    public double MaxAbsolute { get; private init; }

    /// <summary>Root mean square of the differences; 0 for no weights.</summary>
    public double Rmse => Count == 0 ? 0 : Math.Sqrt(SquaredError / Count);

    /// <summary>
    /// Normalized mean square error: <see cref="SquaredError"/> over <see cref="SquaredReference"/>. Comparable between tensors of any
    /// magnitude. 0 when nothing differs, infinite when all originals are zero and something does.
    /// </summary>
    public double Nmse => SquaredError == 0 ? 0 : SquaredError / SquaredReference;

    /// <summary>Cosine of the angle between both; 1 when nothing differs.</summary>
    public double Cosine => SquaredError == 0 ? 1 : DotProduct / Math.Sqrt(SquaredReference * SquaredActual);

    /// <summary>The error of two parts together.</summary>
    /// <param name="left">One part.</param>
    /// <param name="right">The other.</param>
    /// <returns>The sums of both.</returns>
    public static WeightError operator +(WeightError left, WeightError right) => Add(left, right);

    /// <summary>The error of two parts together.</summary>
    /// <param name="left">One part.</param>
    /// <param name="right">The other.</param>
    /// <returns>The sums of both.</returns>
    public static WeightError Add(WeightError left, WeightError right) => new()
    {
        Count = left.Count + right.Count,
        SquaredError = left.SquaredError + right.SquaredError,
        SquaredReference = left.SquaredReference + right.SquaredReference,
        SquaredActual = left.SquaredActual + right.SquaredActual,
        DotProduct = left.DotProduct + right.DotProduct,
        MaxAbsolute = Math.Max(left.MaxAbsolute, right.MaxAbsolute),
    };

    /// <summary>Writes an error down; null as a negative count.</summary>
    internal static void Store(WeightError? error, Span<byte> bytes)
    {
        WeightError value = error ?? default;
        BinaryPrimitives.WriteInt64LittleEndian(bytes, error is null ? -1 : value.Count);
        double[] numbers = [value.SquaredError, value.SquaredReference, value.SquaredActual, value.DotProduct, value.MaxAbsolute];
        for (int i = 0; i < numbers.Length; i++)
        {
            BinaryPrimitives.WriteDoubleLittleEndian(bytes[(sizeof(double) * (i + 1))..], numbers[i]);
        }
    }

    /// <summary>Reads what <see cref="Store"/> wrote.</summary>
    internal static WeightError? Load(ReadOnlySpan<byte> bytes)
    {
        long count = BinaryPrimitives.ReadInt64LittleEndian(bytes);
        return count < 0 ? null : new WeightError
        {
            Count = count,
            SquaredError = Number(bytes, 1),
            SquaredReference = Number(bytes, 2),
            SquaredActual = Number(bytes, 3),
            DotProduct = Number(bytes, 4),
            MaxAbsolute = Number(bytes, 5),
        };

        static double Number(ReadOnlySpan<byte> bytes, int i) => BinaryPrimitives.ReadDoubleLittleEndian(bytes[(sizeof(double) * i)..]);
    }

    /// <summary>Compares weights with their originals.</summary>
    /// <param name="reference">The originals.</param>
    /// <param name="actual">As many weights.</param>
    /// <returns>The error; NaN where a weight is.</returns>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static WeightError Measure(ReadOnlySpan<float> reference, ReadOnlySpan<float> actual)
    {
        if (reference.Length != actual.Length)
        {
            throw new ArgumentException($"{actual.Length} weights cannot be compared with {reference.Length}.", nameof(actual));
        }

        Vector<double> error = default, square = default, actualSquare = default, dot = default, max = default;
        int i = 0;
        for (; i <= reference.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(reference[i..]), out Vector<double> referenceLow, out Vector<double> referenceHigh);
            Vector.Widen(new Vector<float>(actual[i..]), out Vector<double> actualLow, out Vector<double> actualHigh);
            Vector<double> low = actualLow - referenceLow, high = actualHigh - referenceHigh;
            error += (low * low) + (high * high);
            square += (referenceLow * referenceLow) + (referenceHigh * referenceHigh);
            actualSquare += (actualLow * actualLow) + (actualHigh * actualHigh);
            dot += (referenceLow * actualLow) + (referenceHigh * actualHigh);
            max = Vector.Max(max, Vector.Max(Vector.Abs(low), Vector.Abs(high)));
        }

        double largest = 0;
        for (int lane = 0; lane < Vector<double>.Count; lane++)
        {
            largest = Math.Max(largest, max[lane]);
        }

        double errorSum = Vector.Sum(error), squareSum = Vector.Sum(square);
        double actualSum = Vector.Sum(actualSquare), dotSum = Vector.Sum(dot);
        for (; i < reference.Length; i++)
        {
            double x = reference[i], y = actual[i];
            errorSum += (y - x) * (y - x);
            squareSum += x * x;
            actualSum += y * y;
            dotSum += x * y;
            largest = Math.Max(largest, Math.Abs(y - x));
        }

        return new WeightError
        {
            Count = reference.Length,
            SquaredError = errorSum,
            SquaredReference = squareSum,
            SquaredActual = actualSum,
            DotProduct = dotSum,
            MaxAbsolute = largest,
        };
    }
}
