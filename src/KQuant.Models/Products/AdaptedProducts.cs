using System.Numerics.Tensors;
using KQuant.Models.Computing;

namespace KQuant.Models.Products;

/// <summary>
/// Adds low-rank terms to the products with some weights, <c>y += s (x A^T) B^T</c>, and with DoRA stretches the results:
/// <c>y = f (x W^T + s (x A^T) B^T) + b</c>.
/// </summary>
/// <param name="inner">Computes the products, those with the terms too.</param>
/// <param name="terms">The terms by the names of their weights.</param>
internal sealed unsafe class AdaptedProducts(IModelProducts inner, IReadOnlyDictionary<string, LowRankTerm> terms) : ProductsDecorator(inner)
{
    private readonly List<Adapted> _queued = [];
    private readonly NativeBuffer<float> _narrow = new();
    private readonly NativeBuffer<float> _wide = new();

    public override void Multiply(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation)
    {
        base.Multiply(weight, input, output, cancellation);
        if (terms.TryGetValue(weight.Name, out LowRankTerm? term) && !term.OnlyLooksUp)
        {
            term.Check(weight);
            _queued.Add(new Adapted(weight, term, input, (nint)output));
        }
    }

    public override void Lookup(ModelWeight weight, ReadOnlySpan<int> ids, Span<float> output, CancellationToken cancellation)
    {
        base.Lookup(weight, ids, output, cancellation);
        if (terms.TryGetValue(weight.Name, out LowRankTerm? term))
        {
            term.Check(weight);
            AddRows(term, ids, output, cancellation);
        }
    }

    public override void Finish(CancellationToken cancellation)
    {
        base.Finish(cancellation);
        foreach (Adapted product in _queued)
        {
            Add(product, cancellation);
        }

        _queued.Clear();
    }

    public override void Forget()
    {
        base.Forget();
        _queued.Clear();
    }

    public override void Dispose()
    {
        _narrow.Dispose();
        _wide.Dispose();
        base.Dispose();
    }

    private void Add(Adapted product, CancellationToken cancellation)
    {
        LowRankTerm term = product.Term;
        ProductInput input = product.Input;
        float* narrow = _narrow.Reserve((long)input.Results * term.A.Outputs);
        Inner.Multiply(term.A, input, narrow, cancellation);
        Inner.Finish(cancellation);

        // Every result has a row of its own now, which meets the matrix that its x met.
        float* wide = _wide.Reserve((long)input.Results * term.B.Outputs);
        Inner.Multiply(term.B, new ProductInput(narrow, input.Results, input.IdPointer), wide, cancellation);
        Inner.Finish(cancellation);
        var output = new Span<float>((float*)product.Output, checked(input.Results * term.B.Outputs));
        TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(wide, output.Length), term.Scale, output, output);
        if (!term.Factors.IsEmpty)
        {
            Stretch(term.Factors.Span, product.Weight.Bias.Span, output);
        }
    }

    // Row i of B A is the sum of the rows of A, weighted with row i of B.
    private void AddRows(LowRankTerm term, ReadOnlySpan<int> ids, Span<float> output, CancellationToken cancellation)
    {
        int rank = term.B.Inputs, width = term.A.Inputs;
        Span<float> weights = _narrow.Get((long)ids.Length * rank);
        Inner.Lookup(term.B, ids, weights, cancellation);
        Span<float> rows = _wide.Get((long)rank * width);
        for (int k = 0; k < rank; k++)
        {
            Span<float> row = rows.Slice(k * width, width);
            term.A.Tensor.DecodeRow(k, row);
            for (int i = 0; i < ids.Length; i++)
            {
                Span<float> target = output.Slice(i * width, width);
                TensorPrimitives.MultiplyAdd(row, term.Scale * weights[(i * rank) + k], target, target);
            }
        }

        for (int i = 0; i < ids.Length && !term.Factors.IsEmpty; i++)
        {
            Span<float> row = output.Slice(i * width, width);
            TensorPrimitives.Multiply(row, term.Factors.Span[ids[i]], row);
        }
    }

    // Results have their bias already, which is not stretched.
    private static void Stretch(ReadOnlySpan<float> factors, ReadOnlySpan<float> bias, Span<float> output)
    {
        for (int at = 0; at < output.Length; at += factors.Length)
        {
            Span<float> row = output.Slice(at, factors.Length);
            if (!bias.IsEmpty)
            {
                TensorPrimitives.Subtract(row, bias, row);
            }

            TensorPrimitives.Multiply(row, factors, row);
            if (!bias.IsEmpty)
            {
                TensorPrimitives.Add(row, bias, row);
            }
        }
    }

    private readonly record struct Adapted(ModelWeight Weight, LowRankTerm Term, ProductInput Input, nint Output);
}
