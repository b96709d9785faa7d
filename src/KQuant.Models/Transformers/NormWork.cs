using KQuant.Matmul;
using KQuant.Matmul.Vectors;
using KQuant.Models.Computing;

namespace KQuant.Models.Transformers;

/// <summary>
/// Root mean square norms, <c>y = x / sqrt(mean(x^2) + e) * g</c>, and the residual connections around them.
/// </summary>
internal sealed unsafe class NormWork(float epsilon) : RowWork
{
    private float* _stream;
    private float* _added;
    private float[]? _addedWeights;
    private float[]? _weights;
    private float* _target;
    private int _width;

    /// <summary><c>x / sqrt(mean(x^2) + e) * g</c>.</summary>
    public static void Normalize(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, float epsilon, Span<float> target) =>
        RowMath.Normalize(x, weights, epsilon, target);

    /// <summary><c>stream += added</c>, where that is normalized first if there are weights for it; <c>target = norm(stream)</c>.</summary>
    /// <param name="stream">[rows][width].</param>
    /// <param name="added">As many values, or null; they are lost.</param>
    /// <param name="addedWeights">Weights to normalize what is added with, or null.</param>
    /// <param name="weights">Weights of the norm, or null for none.</param>
    /// <param name="target">Its results.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="width">Values of a row.</param>
    /// <param name="context">Threads.</param>
    /// <param name="cancellation">Ends it early.</param>
    public void Run(
        float* stream,
        float* added,
        float[]? addedWeights,
        float[]? weights,
        float* target,
        int rows,
        int width,
        MatmulContext context,
        CancellationToken cancellation)
    {
        _stream = stream;
        _added = added;
        _addedWeights = addedWeights;
        _weights = weights;
        _target = target;
        _width = width;
        Run(rows, width, context, cancellation);
    }

    protected override void RunRow(int row)
    {
        long offset = (long)row * _width;
        var stream = new Span<float>(_stream + offset, _width);
        if (_added is not null)
        {
            var added = new Span<float>(_added + offset, _width);
            if (_addedWeights is not null)
            {
                Normalize(added, _addedWeights, epsilon, added);
            }

            RowMath.Add(added, stream);
        }

        if (_weights is not null)
        {
            Normalize(stream, _weights, epsilon, new Span<float>(_target + offset, _width));
        }
    }
}
