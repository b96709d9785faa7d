using KQuant.Models.Products;

namespace KQuant.Models.Tests;

/// <summary>Products that wait at the beginning of a step until a test lets them go, and tell how many rows each step has.</summary>
internal sealed class GatedProducts(IModelProducts inner, GatedProducts.Gate gate) : ProductsDecorator(inner)
{
    public override void Lookup(ModelWeight weight, ReadOnlySpan<int> ids, Span<float> output, CancellationToken cancellation)
    {
        gate.Pass(ids.Length);
        base.Lookup(weight, ids, output, cancellation);
    }

    public override unsafe void Multiply(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation)
    {
        base.Multiply(weight, input, output, cancellation);
        if (weight.Name.EndsWith("down_proj.weight", StringComparison.Ordinal))
        {
            gate.OnStep?.Invoke(input.Rows);
        }
    }

    internal sealed class Gate : IDisposable
    {
        private readonly ManualResetEventSlim _open = new(true);
        private readonly ManualResetEventSlim _reached = new();
        private readonly List<int> _steps = [];

        /// <summary>Rows of every step so far.</summary>
        public IReadOnlyList<int> Steps => _steps;

        /// <summary>Called within a step, with its rows.</summary>
        public Action<int>? OnStep { get; set; }

        public void Close() => _open.Reset();

        public void Open() => _open.Set();

        /// <summary>Waits until a step stands before the gate.</summary>
        public void WaitUntilReached() => _reached.Wait();

        public void Pass(int rows)
        {
            _steps.Add(rows);
            _reached.Set();
            _open.Wait();
        }

        public void Dispose()
        {
            _open.Dispose();
            _reached.Dispose();
        }
    }
}
