using KQuant.Codecs;
using KQuant.Matmul.Products;

namespace KQuant.Matmul.Backends;

/// <summary>The checks that every backend makes before it queues a product.</summary>
internal static class BackendArguments
{
    /// <summary>Weights that this backend uploaded.</summary>
    public static T Weights<T>(BackendWeights weights)
        where T : BackendWeights
    {
        ArgumentNullException.ThrowIfNull(weights);
        return weights as T ?? throw new ArgumentException("The weights were uploaded to another backend.", nameof(weights));
    }

    /// <summary>A buffer that this backend allocated.</summary>
    public static T Buffer<T>(BackendBuffer buffer, string name)
        where T : BackendBuffer
    {
        ArgumentNullException.ThrowIfNull(buffer, name);
        return buffer as T ?? throw new ArgumentException($"{name} was allocated by another backend.", name);
    }

    /// <summary>The operands of a product with one matrix.</summary>
    public static void Check(QuantizedTensor weights, BackendBuffer x, int rows, BackendBuffer y)
    {
        if (weights.Shape.Experts != 1)
        {
            Throw.StackNotMatrix(weights);
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        CheckRoom(x, (long)rows * weights.Shape.Columns, nameof(x));
        CheckRoom(y, checked(rows * weights.Shape.Rows), nameof(y));
        CheckDistinct(x, y);
    }

    /// <summary>The shape of x in a gather.</summary>
    public static void CheckGather(QuantizedTensor experts, BackendBuffer x, ReadOnlySpan<int> shape, in IndexArray lhs, in IndexArray rhs)
    {
        if (lhs.IsMissing && rhs.IsMissing && experts.Shape.Experts != 1)
        {
            Throw.NoIndices(experts);
        }

        if (shape.Length < 2)
        {
            Throw.TooFewDimensions(shape);
        }

        if (shape[^1] != experts.Shape.Columns)
        {
            Throw.WrongInnerDimension(shape, experts, "columns", experts.Shape.Columns);
        }

        if (IndexArray.Product(shape, nameof(shape)) == 0)
        {
            Throw.BadShape(shape, nameof(shape));
        }

        CheckRoom(x, IndexArray.Product(shape, nameof(shape)), nameof(x));
    }

    /// <summary>Room for the results of a gather whose entries are known.</summary>
    public static long CheckResults(QuantizedTensor experts, int entries, int rows, BackendBuffer x, BackendBuffer y)
    {
        long results = checked((long)entries * rows * experts.Shape.Rows);
        CheckRoom(y, results, nameof(y));
        CheckDistinct(x, y);
        return results;
    }

    /// <summary>Room for the results of a gather.</summary>
    public static long CountResults(
        QuantizedTensor experts, ReadOnlySpan<int> shape, in IndexArray lhs, in IndexArray rhs, BackendBuffer y, BackendBuffer x)
    {
        using var pairs = new GatherPairs();
        pairs.Resolve(lhs, rhs, shape[..^2], experts.Shape.Experts);
        return CheckResults(experts, pairs.Count, shape[^2], x, y);
    }

    private static void CheckRoom(BackendBuffer buffer, long needed, string name)
    {
        if (buffer.Length < needed)
        {
            throw new ArgumentException($"{name} has room for {buffer.Length} values; the product needs {needed}.", name);
        }
    }

    private static void CheckDistinct(BackendBuffer x, BackendBuffer y)
    {
        if (ReferenceEquals(x, y))
        {
            Throw.Overlap(nameof(x), nameof(y));
        }
    }
}
