using System.Numerics.Tensors;
using KQuant.Matmul;

namespace KQuant.Models.Transformers;

/// <summary>
/// Runs a mixture of experts: softmax of the router in float32, the best few experts of every token, their outputs weighted and added in
/// the order of descending probability.
/// </summary>
internal sealed unsafe class ExpertWork(ModelConfig config) : IDisposable
{
    private readonly ExpertConfig _experts = config.Experts!;
    private readonly FloatBuffer _logits = new();
    private readonly FloatBuffer _gate = new();
    private readonly FloatBuffer _up = new();
    private readonly FloatBuffer _down = new();
    private readonly FloatBuffer _shared = new();
    private readonly GateWork _activation = new(config.Activation);
    private readonly SumWork _sum = new();
    private int[] _ids = [];
    private float[] _weights = [];

    /// <summary>One layer.</summary>
    /// <param name="layer">Its weights.</param>
    /// <param name="input">[rows][hidden].</param>
    /// <param name="output">As many values.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="products">Computes the products with the weights.</param>
    /// <param name="context">Threads.</param>
    /// <param name="cancellation">Ends it early.</param>
    public void Run(
        ExpertLayer layer, float* input, float* output, int rows, ModelProducts products, MatmulContext context, CancellationToken cancellation)
    {
        int pairs = rows * _experts.PerToken;
        if (_ids.Length < pairs)
        {
            _ids = new int[pairs];
            _weights = new float[pairs];
        }

        Span<float> logits = _logits.Get((long)rows * _experts.Count);
        products.Multiply(layer.Router, input, _logits.Pointer, rows, cancellation);
        products.Finish();
        for (int row = 0; row < rows; row++)
        {
            Choose(
                logits.Slice(row * _experts.Count, _experts.Count),
                _ids.AsSpan(row * _experts.PerToken, _experts.PerToken),
                _weights.AsSpan(row * _experts.PerToken, _experts.PerToken));
        }

        ReadOnlySpan<int> ids = _ids.AsSpan(0, pairs);
        float* gate = _gate.Reserve((long)pairs * _experts.IntermediateSize);
        float* up = _up.Reserve((long)pairs * _experts.IntermediateSize);
        products.Multiply(layer.Gate, input, ids, gate, rows, cancellation);
        products.Multiply(layer.Up, input, ids, up, rows, cancellation);
        products.Finish();
        _activation.Run(gate, up, pairs, _experts.IntermediateSize, context, cancellation);
        float* down = _down.Reserve((long)pairs * config.HiddenSize);
        products.Multiply(layer.Down, gate, ids, down, pairs, cancellation);
        products.Finish();
        _sum.Run(down, _weights, output, rows, _experts.PerToken, config.HiddenSize, context, cancellation);
        if (layer.SharedRouter is not null)
        {
            AddShared(layer, input, output, rows, products, context, cancellation);
        }
    }

    public void Dispose()
    {
        _logits.Dispose();
        _gate.Dispose();
        _up.Dispose();
        _down.Dispose();
        _shared.Dispose();
    }

    /// <summary>The best experts of a token, best first, and their weights.</summary>
    private void Choose(Span<float> logits, Span<int> ids, Span<float> weights)
    {
        TensorPrimitives.SoftMax(logits, logits);
        float sum = 0;
        for (int k = 0; k < ids.Length; k++)
        {
            int best = 0;
            for (int i = 1; i < logits.Length; i++)
            {
                // Written so that an expert without a number is never chosen twice.
                best = logits[i] > logits[best] ? i : best;
            }

            ids[k] = best;
            weights[k] = logits[best];
            sum += logits[best];
            logits[best] = -1;
        }

        if (_experts.Normalizes)
        {
            TensorPrimitives.Divide(weights, Math.Max(sum, _experts.LeastSum), weights);
        }
    }

    private void AddShared(
        ExpertLayer layer, float* input, float* output, int rows, ModelProducts products, MatmulContext context, CancellationToken cancellation)
    {
        float* gate = _gate.Reserve((long)rows * _experts.SharedIntermediateSize);
        float* up = _up.Reserve((long)rows * _experts.SharedIntermediateSize);
        products.Multiply(layer.SharedGate!, input, gate, rows, cancellation);
        products.Multiply(layer.SharedUp!, input, up, rows, cancellation);
        products.Finish();
        _activation.Run(gate, up, rows, _experts.SharedIntermediateSize, context, cancellation);
        int width = config.HiddenSize;
        Span<float> shared = _shared.Get((long)rows * width);
        products.Multiply(layer.SharedDown!, gate, _shared.Pointer, rows, cancellation);
        products.Finish();
        for (int row = 0; row < rows; row++)
        {
            var x = new ReadOnlySpan<float>(input + ((long)row * width), width);
            float share = 1 / (1 + MathF.Exp(-TensorPrimitives.Dot(x, layer.SharedRouter)));
            var target = new Span<float>(output + ((long)row * width), width);
            TensorPrimitives.MultiplyAdd(shared.Slice(row * width, width), share, target, target);
        }
    }

    /// <summary>Adds the weighted outputs of the experts of every row.</summary>
    private sealed class SumWork : RowWork
    {
        private float* _source;
        private float* _target;
        private float[] _weights = [];
        private int _perRow;
        private int _width;

        public void Run(
            float* source, float[] weights, float* target, int rows, int perRow, int width, MatmulContext context, CancellationToken cancellation)
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
                    TensorPrimitives.Multiply(source, _weights[pair], target);
                }
                else
                {
                    TensorPrimitives.MultiplyAdd(source, _weights[pair], target, target);
                }
            }
        }
    }
}
