using KQuant.Matmul;
using KQuant.Matmul.Vectors;
using KQuant.Models.Computing;

namespace KQuant.Models.Transformers;

/// <summary>Adds the weighted outputs of the experts of every row.</summary>
internal sealed unsafe class WeightedSumWork : RowWork
{
    private float* _source;
    private float* _target;
    private float* _weights;
    private int _perRow;
    private int _width;

    public void Run(
        float* source, float* weights, float* target, int rows, int perRow, int width, MatmulContext context, CancellationToken cancellation)
    {
        _source = source;
        _weights = weights;
        _target = target;
        _perRow = perRow;
        _width = width;
        Run(rows, perRow * width, context, cancellation);
    }

    protected override void RunRow(int row)
    {
        var target = new Span<float>(_target + ((long)row * _width), _width);
        for (int k = 0; k < _perRow; k++)
        {
            int pair = (row * _perRow) + k;
            var source = new ReadOnlySpan<float>(_source + ((long)pair * _width), _width);
            if (k == 0)
            {
                RowMath.Multiply(source, _weights[pair], target);
            }
            else
            {
                RowMath.AddScaled(source, _weights[pair], target);
            }
        }
    }
}
