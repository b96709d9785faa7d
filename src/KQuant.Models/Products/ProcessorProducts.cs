using KQuant.Matmul;

namespace KQuant.Models.Products;

/// <summary>Products on the processor; each is complete when its call returns.</summary>
internal sealed unsafe class ProcessorProducts(MatmulContext context) : ModelProducts(context)
{
    /// <summary>A product without its bias.</summary>
    public static void Multiply(
        MatmulContext context, ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation)
    {
        ReadOnlySpan<float> x = input.Span(weight.Inputs);
        var y = new Span<float>(output, checked(input.Results * weight.Outputs));
        if (weight.Stack is { } stack)
        {
            stack.Forward(x, input.Ids, y, context, cancellationToken: cancellation);
        }
        else
        {
            weight.Linear.Forward(x, y, context, cancellation);
        }
    }

    protected override void Start(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation) =>
        Multiply(Context, weight, input, output, cancellation);

    protected override void Complete()
    {
    }
}
