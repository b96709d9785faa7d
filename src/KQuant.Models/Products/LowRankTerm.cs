using CommunityToolkit.HighPerformance.Buffers;
using KQuant.Codecs;
using KQuant.Matmul.Vectors;

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
    public ReadOnlyMemory<float> Factors { get; set; }

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

    /// <summary>Makes a row of the weight what it is together with the term, in one order of additions on every machine.</summary>
    /// <param name="row">The row, counted over all matrices.</param>
    /// <param name="values">Its values, [inputs].</param>
    public void AddTo(long row, Span<float> values)
    {
        int rank = B.Inputs;
        using SpanOwner<float> factors = SpanOwner<float>.Allocate(rank), summand = SpanOwner<float>.Allocate(A.Inputs);
        B.Tensor.DecodeRow(row, factors.Span);
        for (int k = 0; k < rank; k++)
        {
            A.Tensor.DecodeRow((row / B.Outputs * rank) + k, summand.Span);
            RowMath.AddScaled(summand.Span, Scale * factors.Span[k], values);
        }

        if (!Factors.IsEmpty)
        {
            RowMath.Multiply(values, Factors.Span[(int)row], values);
        }
    }
}
