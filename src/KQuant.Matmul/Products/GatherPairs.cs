using KQuant.Codecs.Scheduling;

namespace KQuant.Matmul.Products;

/// <summary>The two index arrays of a gather, completed, broadcast and checked: entry p takes item <c>Lhs[p]</c> and matrix <c>Rhs[p]</c>.</summary>
internal sealed unsafe class GatherPairs : IDisposable
{
    private readonly AlignedBuffer _buffer = new();

    /// <summary>How many entries there are.</summary>
    public int Count { get; private set; }

    /// <summary>How many items there are.</summary>
    public int Items { get; private set; }

    /// <summary>How many matrices there are.</summary>
    public int Matrices { get; private set; }

    /// <summary>Items of the entries.</summary>
    public int* Lhs { get; private set; }

    /// <summary>Matrices of the entries.</summary>
    public int* Rhs { get; private set; }

    /// <summary>Resolves the arrays.</summary>
    /// <param name="lhs">Indices of items; missing means all of them, in the shape of <paramref name="batch"/>.</param>
    /// <param name="rhs">Indices of matrices; missing means all of them.</param>
    /// <param name="batch">The leading dimensions of the activations.</param>
    /// <param name="matrices">How many matrices there are.</param>
    /// <exception cref="ArgumentException">The shapes cannot be broadcast, or an index is out of range.</exception>
    public void Resolve(in IndexArray lhs, in IndexArray rhs, ReadOnlySpan<int> batch, long matrices)
    {
        Items = IndexArray.Product(batch, "shape");
        Matrices = (int)Math.Min(matrices, int.MaxValue);
        ReadOnlySpan<int> lhsShape = lhs.IsMissing ? batch : lhs.Shape;
        Span<int> all = [Matrices];
        ReadOnlySpan<int> rhsShape = rhs.IsMissing ? all : rhs.Shape;
        int rank = Math.Max(lhsShape.Length, rhsShape.Length);
        Span<int> shape = stackalloc int[rank];
        for (int d = 0; d < rank; d++)
        {
            int left = Dimension(lhsShape, rank, d);
            int right = Dimension(rhsShape, rank, d);
            if (left != right && left != 1 && right != 1)
            {
                Throw.NotBroadcastable(lhsShape, rhsShape);
            }

            shape[d] = left == 1 ? right : left;
        }

        Count = IndexArray.Product(shape, "rhs");
        Lhs = _buffer.Get<int>(2 * (nint)Count);
        Rhs = Lhs + Count;
        Expand(lhs.Values, lhs.IsMissing, lhsShape, shape, Lhs, Items, "lhs", "matrices of x");
        Expand(rhs.Values, rhs.IsMissing, rhsShape, shape, Rhs, Matrices, "rhs", "experts");
    }

    /// <summary>Every head of every batch meets the matrix of that head.</summary>
    /// <param name="batches">Batches.</param>
    /// <param name="heads">Heads, of which each has a matrix.</param>
    /// <param name="isShared">Whether the heads of a batch have one item between them instead of one each.</param>
    public void SetHeads(int batches, int heads, bool isShared)
    {
        Items = isShared ? batches : batches * heads;
        Matrices = heads;
        Count = batches * heads;
        Lhs = _buffer.Get<int>(2 * (nint)Count);
        Rhs = Lhs + Count;
        for (int i = 0; i < Count; i++)
        {
            Lhs[i] = isShared ? i / heads : i;
            Rhs[i] = i % heads;
        }
    }

    public void Dispose() => _buffer.Dispose();

    private static int Dimension(ReadOnlySpan<int> shape, int rank, int dimension) =>
        dimension < rank - shape.Length ? 1 : shape[dimension - rank + shape.Length];

    private static void Expand(
        ReadOnlySpan<int> values,
        bool isMissing,
        ReadOnlySpan<int> from,
        ReadOnlySpan<int> to,
        int* destination,
        int limit,
        string name,
        string what)
    {
        int rank = to.Length;
        Span<int> position = stackalloc int[rank];
        Span<int> strides = stackalloc int[rank];
        position.Clear();
        int stride = 1;
        for (int d = rank - 1; d >= 0; d--)
        {
            int length = Dimension(from, rank, d);
            strides[d] = length == 1 ? 0 : stride;
            stride *= length;
        }

        int count = IndexArray.Product(to, name);
        int offset = 0;
        for (int i = 0; i < count; i++)
        {
            int index = isMissing ? offset : values[offset];
            if ((uint)index >= (uint)limit)
            {
                Throw.IndexOutOfRange(name, i, index, limit, what);
            }

            destination[i] = index;
            for (int d = rank - 1; d >= 0; d--)
            {
                offset += strides[d];
                if (++position[d] < to[d])
                {
                    break;
                }

                offset -= strides[d] * to[d];
                position[d] = 0;
            }
        }
    }
}
