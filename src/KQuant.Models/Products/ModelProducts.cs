using KQuant.Matmul;
using KQuant.Matmul.Vectors;
using KQuant.Models.Computing;

namespace KQuant.Models.Products;

/// <summary>What processor and backends share: biases are added, and rows looked up, on the processor.</summary>
internal abstract unsafe class ModelProducts(MatmulContext context) : IModelProducts
{
    private readonly List<Biased> _biased = [];
    private readonly BiasWork _addition = new();

    protected MatmulContext Context => context;

    public void Multiply(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation)
    {
        Start(weight, input, output, cancellation);
        if (!weight.Bias.IsEmpty)
        {
            _biased.Add(new Biased(weight, input, (nint)output));
        }
    }

    public void Lookup(ModelWeight weight, ReadOnlySpan<int> ids, Span<float> output, CancellationToken cancellation) =>
        weight.Table.Lookup(ids, output, context, cancellation);

    public void Finish(CancellationToken cancellation)
    {
        Complete();
        foreach (Biased product in _biased)
        {
            _addition.Run(product.Weight, product.Input, (float*)product.Output, context, cancellation);
        }

        _biased.Clear();
    }

    public virtual void Forget() => _biased.Clear();

    public virtual void Dispose()
    {
    }

    /// <summary>Computes or queues a product without its bias.</summary>
    protected abstract void Start(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation);

    /// <summary>Brings everything that was queued to its place.</summary>
    protected abstract void Complete();

    private readonly record struct Biased(ModelWeight Weight, ProductInput Input, nint Output);

    private sealed class BiasWork : RowWork
    {
        private float* _output;
        private int* _ids;
        private int _width;
        private ReadOnlyMemory<float> _bias;

        public void Run(ModelWeight weight, in ProductInput input, float* output, MatmulContext context, CancellationToken cancellation)
        {
            _output = output;
            _ids = input.IdPointer;
            _width = weight.Outputs;
            _bias = weight.Bias;
            Run(input.Results, _width, context, cancellation);
        }

        protected override void RunRow(int row)
        {
            var values = new Span<float>(_output + ((long)row * _width), _width);
            int matrix = _ids == null ? 0 : _ids[row];
            RowMath.Add(_bias.Span.Slice(matrix * _width, _width), values);
        }
    }
}
