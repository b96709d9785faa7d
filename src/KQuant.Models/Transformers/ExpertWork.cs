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
    /// <param name="context">Threads.</param>
    /// <param name="cancellation">Ends it early.</param>
    public void Run(
        ExpertLayer layer, ReadOnlySpan<float> input, Span<float> output, int rows, MatmulContext context, CancellationToken cancellation)
    {
        int pairs = rows * _experts.PerToken;
        if (_ids.Length < pairs)
        {
            _ids = new int[pairs];
            _weights = new float[pairs];
        }

        Span<float> logits = _logits.Get((long)rows * _experts.Count);
        layer.Router.Forward(input, logits, context, cancellation);
        for (int row = 0; row < rows; row++)
        {
            Choose(
                logits.Slice(row * _experts.Count, _experts.Count),
                _ids.AsSpan(row * _experts.PerToken, _experts.PerToken),
                _weights.AsSpan(row * _experts.PerToken, _experts.PerToken));
        }

        ReadOnlySpan<int> ids = _ids.AsSpan(0, pairs);
        Span<float> gate = _gate.Get((long)pairs * _experts.IntermediateSize);
        Span<float> up = _up.Get((long)pairs * _experts.IntermediateSize);
        layer.Gate.Forward(input, ids, gate, context, cancellationToken: cancellation);
        layer.Up.Forward(input, ids, up, context, cancellationToken: cancellation);
        _activation.Run(_gate.Pointer, _up.Pointer, pairs, _experts.IntermediateSize, context, cancellation);
        Span<float> down = _down.Get((long)pairs * config.HiddenSize);
        layer.Down.Forward(gate, ids, down, context, cancellationToken: cancellation);
        fixed (float* target = output)
        {
            _sum.Run(_down.Pointer, _weights, target, rows, _experts.PerToken, config.HiddenSize, context, cancellation);
        }

        if (layer.SharedRouter is not null)
        {
            AddShared(layer, input, output, rows, context, cancellation);
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
        ExpertLayer layer, ReadOnlySpan<float> input, Span<float> output, int rows, MatmulContext context, CancellationToken cancellation)
    {
        Span<float> gate = _gate.Get((long)rows * _experts.SharedIntermediateSize);
        Span<float> up = _up.Get((long)rows * _experts.SharedIntermediateSize);
        layer.SharedGate!.Forward(input, gate, context, cancellation);
        layer.SharedUp!.Forward(input, up, context, cancellation);
        _activation.Run(_gate.Pointer, _up.Pointer, rows, _experts.SharedIntermediateSize, context, cancellation);
        Span<float> shared = _shared.Get((long)rows * config.HiddenSize);
        layer.SharedDown!.Forward(gate, shared, context, cancellation);
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> x = input.Slice(row * config.HiddenSize, config.HiddenSize);
            float share = 1 / (1 + MathF.Exp(-TensorPrimitives.Dot(x, layer.SharedRouter)));
            Span<float> target = output.Slice(row * config.HiddenSize, config.HiddenSize);
            TensorPrimitives.MultiplyAdd(shared.Slice(row * config.HiddenSize, config.HiddenSize), share, target, target);
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
