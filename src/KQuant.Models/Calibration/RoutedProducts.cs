using KQuant.Codecs.Recipes;
using KQuant.Models.Products;

namespace KQuant.Models.Calibration;

/// <summary>Makes routers choose experts that they rarely choose: of every token's experts one is such, in turns.</summary>
internal sealed unsafe class RoutedProducts(IModelProducts inner) : ProductsDecorator(inner)
{
    private readonly Dictionary<string, int> _next = [];

    /// <summary>By the name of the router: who is to be chosen.</summary>
    public IReadOnlyDictionary<string, int[]> Cold { get; set; } = new Dictionary<string, int[]>();

    public override void Multiply(ModelWeight weight, in ProductInput input, float* output, CancellationToken cancellation)
    {
        base.Multiply(weight, input, output, cancellation);
        if (weight.IsStack || !Cold.TryGetValue(weight.Name, out int[]? cold) || TensorRoles.Classify(weight.Name) != TensorRole.Router)
        {
            return;
        }

        base.Finish(cancellation);
        int turn = _next.GetValueOrDefault(weight.Name);
        for (int row = 0; row < input.Rows; row++)
        {
            var scores = new Span<float>(output + ((long)row * weight.Outputs), weight.Outputs);
            float highest = scores[0];
            foreach (float score in scores)
            {
                highest = Math.Max(highest, score);
            }

            scores[cold[turn % cold.Length]] = highest + 1;
            turn++;
        }

        _next[weight.Name] = turn;
    }
}
