namespace KQuant.Models.Products;

/// <summary>Shows every product to an observer.</summary>
internal sealed unsafe class ObservedProducts(IModelProducts inner, IProductObserver observer) : ProductsDecorator(inner)
{
    public override void Multiply(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation)
    {
        observer.Observe(weight, input);
        base.Multiply(weight, input, output, cancellation);
    }
}
