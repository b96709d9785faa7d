using KQuant.Codecs;

namespace KQuant.Models.Products;

/// <summary>What an adapter adds to a weight: <c>s B A</c>, for a stack one for each matrix.</summary>
internal sealed class LowRankTerm
{
    /// <param name="weight">The name of the weight.</param>
    /// <param name="a">[rank, inputs], or [matrices, rank, inputs].</param>
    /// <param name="b">[outputs, rank], or [matrices, outputs, rank].</param>
    /// <param name="scale">s.</param>
    /// <param name="isStack">Whether the weight is a stack.</param>
    public LowRankTerm(string weight, QuantizedTensor a, QuantizedTensor b, float scale, bool isStack = false)
    {
        if (a.Shape.Rows != b.Shape.Columns || a.Shape.Experts != b.Shape.Experts)
        {
            throw new ArgumentException($"{weight}: the parts of an adapter are {a.Shape} and {b.Shape}, which do not multiply.", nameof(b));
        }

        Weight = weight;
        Scale = scale;
        A = isStack ? ModelWeight.MatrixStack(weight + ".lora_a", a) : ModelWeight.Matrix(weight + ".lora_a", a);
        B = isStack ? ModelWeight.MatrixStack(weight + ".lora_b", b) : ModelWeight.Matrix(weight + ".lora_b", b);
    }

    /// <summary>The name of the weight that it is added to.</summary>
    public string Weight { get; }

    public ModelWeight A { get; }

    public ModelWeight B { get; }

    public float Scale { get; }

    /// <summary>Whether rows that are looked up get the term and products do not.</summary>
    public bool OnlyLooksUp { get; init; }

    /// <summary>What the results of weight and term together are multiplied with, before a bias is added, [outputs]; empty for nothing (DoRA).</summary>
    public ReadOnlyMemory<float> Factors { get; init; }

    /// <summary>Makes sure that it can be added to a weight.</summary>
    /// <exception cref="ArgumentException">It has another shape.</exception>
    public void Check(ModelWeight weight)
    {
        if (A.IsStack != weight.IsStack || A.Inputs != weight.Inputs || B.Outputs != weight.Outputs
            || A.Tensor.Shape.Experts != weight.Tensor.Shape.Experts)
        {
            throw new ArgumentException(
                $"The adapter of {weight.Name} is {B.Tensor.Shape} times {A.Tensor.Shape}; the weight is {weight.Tensor.Shape}.", nameof(weight));
        }
    }
}
