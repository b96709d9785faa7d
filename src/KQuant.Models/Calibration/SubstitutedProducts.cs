using KQuant.Models.Products;

namespace KQuant.Models.Calibration;

/// <summary>Multiplies with other weights in the place of some.</summary>
internal sealed unsafe class SubstitutedProducts(IModelProducts inner) : ProductsDecorator(inner)
{
    /// <summary>By name.</summary>
    public IReadOnlyDictionary<string, ModelWeight> Substitutes { get; set; } = new Dictionary<string, ModelWeight>();

    public override void Multiply(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation) =>
        base.Multiply(Substitutes.GetValueOrDefault(weight.Name, weight), input, output, cancellation);

    public override void Lookup(ModelWeight weight, ReadOnlySpan<int> ids, Span<float> output, CancellationToken cancellation) =>
        base.Lookup(Substitutes.GetValueOrDefault(weight.Name, weight), ids, output, cancellation);
}
