using KQuant.Codecs;
using KQuant.Matmul.Products;

namespace KQuant.Matmul;

public static unsafe partial class QuantizedMatmul
{
    /// <inheritdoc cref="Multiply(QuantizedTensor, ReadOnlySpan{float}, Span{float}, MatmulContext, CancellationToken)"/>
    public static void Multiply(
        PackedTensor weights, ReadOnlySpan<float> x, Span<float> y, MatmulContext context, CancellationToken cancellationToken = default) =>
        MultiplyRows(WeightsOf(weights), weights, default, x, y, context, cancellationToken);

    /// <inheritdoc cref="Multiply(QuantizedTensor, ReadOnlySpan{float}, Span{float}, MatmulContext, CancellationToken)"/>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; others throw <see cref="NotSupportedException"/>.</typeparam>
    public static void Multiply<T>(
        PackedTensor weights, ReadOnlySpan<T> x, Span<float> y, MatmulContext context, CancellationToken cancellationToken = default)
        where T : unmanaged =>
        MultiplyRows(WeightsOf(weights), weights, default, x, y, context, cancellationToken);

    /// <inheritdoc cref="GatherMultiply(QuantizedTensor, ReadOnlySpan{float}, ReadOnlySpan{int}, IndexArray, IndexArray, Span{float}, MatmulContext, bool, CancellationToken)"/>
    public static void GatherMultiply(
        PackedTensor experts,
        ReadOnlySpan<float> x,
        ReadOnlySpan<int> shape,
        IndexArray lhs,
        IndexArray rhs,
        Span<float> y,
        MatmulContext context,
        bool sorted = false,
        CancellationToken cancellationToken = default) =>
        Gather(ProductKind.Forward, WeightsOf(experts), experts, default, x, shape, lhs, rhs, y, context, sorted, cancellationToken);

    private static QuantizedTensor WeightsOf(PackedTensor packed)
    {
        ArgumentNullException.ThrowIfNull(packed);
        return packed.Weights;
    }
}
