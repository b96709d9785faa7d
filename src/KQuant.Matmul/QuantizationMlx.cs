using CommunityToolkit.HighPerformance;
using KQuant.Codecs;
using KQuant.Codecs.Files;

namespace KQuant.Matmul;

/// <summary>
/// Products under the names and with the layouts of the package quantization-mlx, over <see cref="QuantizedMatmul"/>: packed codes as 32-bit words,
/// scales and biases apart, all row-major. Only the last axis of a weight is packed, and groups run along it. The NAX names are the same products.
/// </summary>
/// <remarks>
/// Scales and biases are <see cref="Half"/>, <see cref="BFloat16"/> or <see cref="float"/>, those of mxfp4 bytes. What does not fit is an
/// <see cref="ArgumentException"/> that names both numbers.
/// </remarks>
public static class QuantizationMlx
{
    /// <summary><c>x W^T</c>, x [M, inFeatures] and W [N, inFeatures].</summary>
    /// <typeparam name="TScale">Type of scales and biases.</typeparam>
    /// <param name="x">Activations.</param>
    /// <param name="w">Codes, [N, inFeatures * bits / 32].</param>
    /// <param name="scales">Scales, [N, inFeatures / groupSize].</param>
    /// <param name="biases">Biases, like the scales.</param>
    /// <param name="inFeatures">Columns of x and W.</param>
    /// <param name="groupSize">Weights that share a scale.</param>
    /// <param name="bits">Bits of a code.</param>
    /// <param name="context">Threads and memory.</param>
    /// <returns>[M, N].</returns>
    public static float[] AffineQmmT<TScale>(
        ReadOnlySpan<float> x,
        ReadOnlyMemory<uint> w,
        ReadOnlyMemory<TScale> scales,
        ReadOnlyMemory<TScale> biases,
        int inFeatures,
        int groupSize,
        int bits,
        MatmulContext context)
        where TScale : unmanaged => Multiply(x, Affine(w, scales, biases, 1, RowsOf(w, inFeatures, bits), inFeatures, groupSize, bits), context);

    /// <summary><c>x W</c>, x [M, K] and W [K, outFeatures].</summary>
    /// <inheritdoc cref="AffineQmmT"/>
    public static float[] AffineQmmN<TScale>(
        ReadOnlySpan<float> x,
        ReadOnlyMemory<uint> w,
        ReadOnlyMemory<TScale> scales,
        ReadOnlyMemory<TScale> biases,
        int outFeatures,
        int groupSize,
        int bits,
        MatmulContext context)
        where TScale : unmanaged => MultiplyTransposed(x, Affine(w, scales, biases, 1, RowsOf(w, outFeatures, bits), outFeatures, groupSize, bits), context);

    /// <summary><c>W x</c>, x [K] and W [outFeatures, K].</summary>
    /// <inheritdoc cref="AffineQmmT"/>
    public static float[] AffineQmv<TScale>(
        ReadOnlySpan<float> x,
        ReadOnlyMemory<uint> w,
        ReadOnlyMemory<TScale> scales,
        ReadOnlyMemory<TScale> biases,
        int outFeatures,
        int groupSize,
        int bits,
        MatmulContext context)
        where TScale : unmanaged => Multiply(x, Affine(w, scales, biases, 1, outFeatures, x.Length, groupSize, bits), context);

    /// <summary><c>x W</c> with mxfp4 weights, x [M, K] and W [K, outFeatures].</summary>
    /// <param name="x">Activations.</param>
    /// <param name="w">Codes, [K, outFeatures / 8].</param>
    /// <param name="scales">Scales, [K, outFeatures / 32].</param>
    /// <param name="outFeatures">Columns of W.</param>
    /// <param name="context">Threads and memory.</param>
    /// <returns>[M, outFeatures].</returns>
    public static float[] Mxfp4QmmN(ReadOnlySpan<float> x, ReadOnlyMemory<uint> w, ReadOnlyMemory<byte> scales, int outFeatures, MatmulContext context) =>
        MultiplyTransposed(x, Mxfp4(w, scales, RowsOf(w, outFeatures, 4), outFeatures), context);

    /// <summary><c>W x</c> with mxfp4 weights, x [K] and W [outFeatures, K].</summary>
    /// <inheritdoc cref="Mxfp4QmmN"/>
    public static float[] Mxfp4Qmv(ReadOnlySpan<float> x, ReadOnlyMemory<uint> w, ReadOnlyMemory<byte> scales, int outFeatures, MatmulContext context) =>
        Multiply(x, Mxfp4(w, scales, outFeatures, x.Length), context);

    /// <summary>Row m of x [M, K] times the transpose of expert <c>indices[m]</c> of W [experts, outFeatures, K].</summary>
    /// <inheritdoc cref="AffineQmmT"/>
    public static float[] AffineGatherQmmRhs<TScale>(
        ReadOnlySpan<float> x,
        ReadOnlyMemory<uint> w,
        ReadOnlyMemory<TScale> scales,
        ReadOnlyMemory<TScale> biases,
        ReadOnlySpan<int> indices,
        int outFeatures,
        int groupSize,
        int bits,
        MatmulContext context)
        where TScale : unmanaged
    {
        if (indices.IsEmpty || x.Length % indices.Length != 0)
        {
            throw new ArgumentException($"x has {x.Length} values, which are no rows for {indices.Length} indices.", nameof(x));
        }

        int columns = x.Length / indices.Length;
        int rows = RowsOf(w, columns, bits);
        if (outFeatures <= 0 || rows % outFeatures != 0)
        {
            throw new ArgumentException($"w has {rows} rows of {columns} weights, which are no experts of {outFeatures} rows.", nameof(w));
        }

        QuantizedTensor experts = Affine(w, scales, biases, rows / outFeatures, outFeatures, columns, groupSize, bits);
        var y = new float[indices.Length * outFeatures];
        QuantizedMatmul.GatherMultiply(experts, x, [indices.Length, 1, columns], default, indices.ToArray(), y, context);
        return y;
    }

    /// <inheritdoc cref="AffineQmmT"/>
    public static float[] AffineQmmTNax<TScale>(
        ReadOnlySpan<float> x,
        ReadOnlyMemory<uint> w,
        ReadOnlyMemory<TScale> scales,
        ReadOnlyMemory<TScale> biases,
        int inFeatures,
        int groupSize,
        int bits,
        MatmulContext context)
        where TScale : unmanaged => AffineQmmT(x, w, scales, biases, inFeatures, groupSize, bits, context);

    /// <inheritdoc cref="AffineQmmN"/>
    public static float[] AffineQmmNNax<TScale>(
        ReadOnlySpan<float> x,
        ReadOnlyMemory<uint> w,
        ReadOnlyMemory<TScale> scales,
        ReadOnlyMemory<TScale> biases,
        int outFeatures,
        int groupSize,
        int bits,
        MatmulContext context)
        where TScale : unmanaged => AffineQmmN(x, w, scales, biases, outFeatures, groupSize, bits, context);

    /// <inheritdoc cref="AffineGatherQmmRhs"/>
    public static float[] AffineGatherQmmRhsNax<TScale>(
        ReadOnlySpan<float> x,
        ReadOnlyMemory<uint> w,
        ReadOnlyMemory<TScale> scales,
        ReadOnlyMemory<TScale> biases,
        ReadOnlySpan<int> indices,
        int outFeatures,
        int groupSize,
        int bits,
        MatmulContext context)
        where TScale : unmanaged => AffineGatherQmmRhs(x, w, scales, biases, indices, outFeatures, groupSize, bits, context);

    private static float[] Multiply(ReadOnlySpan<float> x, QuantizedTensor weights, MatmulContext context)
    {
        CheckRows(x, weights.Shape.Columns);
        var y = new float[x.Length / weights.Shape.Columns * weights.Shape.Rows];
        QuantizedMatmul.Multiply(weights, x, y, context);
        return y;
    }

    private static float[] MultiplyTransposed(ReadOnlySpan<float> x, QuantizedTensor weights, MatmulContext context)
    {
        CheckRows(x, (int)weights.Shape.Rows);
        var y = new float[x.Length / weights.Shape.Rows * weights.Shape.Columns];
        QuantizedMatmul.MultiplyTransposed(weights, x, y, context);
        return y;
    }

    private static void CheckRows(ReadOnlySpan<float> x, int columns)
    {
        if (columns == 0 || x.Length % columns != 0)
        {
            throw new ArgumentException($"x has {x.Length} values, which are no rows of {columns}, the inner dimension of w.", nameof(x));
        }
    }

    private static int RowsOf(ReadOnlyMemory<uint> w, int columns, int bits)
    {
        long codes = bits is > 0 and <= 8 ? w.Length * 32L / bits : 0;
        return columns > 0 && codes % columns == 0
            ? (int)(codes / columns)
            : throw new ArgumentException($"w has {w.Length} words, which are no rows of {columns} codes of {bits} bits.", nameof(w));
    }

    private static QuantizedTensor Affine<TScale>(
        ReadOnlyMemory<uint> w,
        ReadOnlyMemory<TScale> scales,
        ReadOnlyMemory<TScale> biases,
        int experts,
        int rows,
        int columns,
        int groupSize,
        int bits)
        where TScale : unmanaged
    {
        ElementType type = typeof(TScale) == typeof(Half) ? ElementType.F16
            : typeof(TScale) == typeof(BFloat16) ? ElementType.BF16
            : typeof(TScale) == typeof(float) ? ElementType.F32
            : throw new ArgumentException($"Scales and biases are Half, BFloat16 or float, not {typeof(TScale).Name}.", nameof(scales));
        if (scales.Length != biases.Length)
        {
            throw new ArgumentException($"There are {scales.Length} scales and {biases.Length} biases; they must be alike.", nameof(biases));
        }

        QuantCodec codec = MlxFormat.Create(MlxMode.Affine, groupSize, bits).GetCodec(type);
        return QuantizedTensor.FromPlanes(
            codec,
            experts == 1 ? new QuantShape(rows, columns) : QuantShape.Stack(experts, rows, columns),
            TensorPlane.FromMemory(w.AsBytes()),
            TensorPlane.FromMemory(scales.AsBytes()),
            TensorPlane.FromMemory(biases.AsBytes()));
    }

    private static QuantizedTensor Mxfp4(ReadOnlyMemory<uint> w, ReadOnlyMemory<byte> scales, int rows, int columns) => QuantizedTensor.FromPlanes(
        MlxFormat.Create(MlxMode.MxFp4).GetCodec(), new QuantShape(rows, columns), TensorPlane.FromMemory(w.AsBytes()), TensorPlane.FromMemory(scales));
}
