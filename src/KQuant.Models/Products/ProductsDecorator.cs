namespace KQuant.Models.Products;

/// <summary>Products of another, and something besides.</summary>
/// <param name="inner">Computes the products; disposed with this.</param>
internal abstract unsafe class ProductsDecorator(IModelProducts inner) : IModelProducts
{
    protected IModelProducts Inner => inner;

    public virtual void Multiply(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation) =>
        inner.Multiply(weight, input, output, cancellation);

    public virtual void Lookup(ModelWeight weight, ReadOnlySpan<int> ids, Span<float> output, CancellationToken cancellation) =>
        inner.Lookup(weight, ids, output, cancellation);

    public virtual void Finish(CancellationToken cancellation) => inner.Finish(cancellation);

    public virtual void Forget() => inner.Forget();

    public virtual void Dispose() => inner.Dispose();
}
