using System.Security.Cryptography;
using CommunityToolkit.HighPerformance;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Codecs.Scheduling;
using KQuant.Matmul.Vectors;
using KQuant.Models.Products;

namespace KQuant.Models.Adapters;

/// <summary>Brings an adapter and a model together: finds the weights, checks their shapes, and makes the terms of <see cref="AdaptedProducts"/>.</summary>
/// <param name="config">What the model computes.</param>
/// <param name="weights">Everything that the model multiplies with; parts of a fused matrix in their order.</param>
internal sealed class AdapterBinding(ModelConfig config, IReadOnlyList<ModelWeight> weights)
{
    private const int RowsPerTurn = 64;

    private readonly bool _hasGgufRows = config.InterleavedRope && AdapterFit.Permutes(config.Architecture);

    /// <summary>The terms by the names of the weights, with memory of the adapter where it serves as it is.</summary>
    /// <param name="applied">The adapter and its scale.</param>
    /// <exception cref="ModelFormatException">The model has no such weight, or one of another shape.</exception>
    public Dictionary<string, LowRankTerm> Bind(AppliedAdapter applied)
    {
        LoraAdapter adapter = applied.Adapter;
        if (adapter.Architecture is { } architecture && architecture != config.Architecture)
        {
            throw new ModelFormatException(
                adapter.Path, $"the adapter is for architecture '{Printable.Shorten(architecture)}', and the model is '{config.Architecture}'");
        }

        var terms = new Dictionary<string, LowRankTerm>();
        foreach (LoraWeight weight in adapter.Weights)
        {
            ModelWeight[] found = Find(weight.Name);
            if (found.Length == 0)
            {
                throw new ModelFormatException(adapter.Path, "the model has no such weight", weight.Name);
            }

            QuantShape shape = found[0].Tensor.Shape with { Rows = found.Sum(part => part.Tensor.Shape.Rows) };
            if (shape != weight.Shape || found[0].IsStack != weight.IsStack)
            {
                throw new ModelFormatException(adapter.Path, $"the adapter is for a weight {weight.Shape}, and that of the model is {shape}", weight.Name);
            }

            LoraWeight ordered = AdapterShaping.Reorder(weight, _hasGgufRows, config.HeadSize);
            float scale = applied.Scale * weight.Scale;
            for (int i = 0, row = 0; i < found.Length; row += found[i++].Outputs)
            {
                int rows = found[i].Outputs;
                ReadOnlyMemory<float> part = found.Length == 1 ? ordered.B : ordered.B.Slice(row * weight.Rank, rows * weight.Rank);
                var term = new LowRankTerm(
                    found[i].Name,
                    Floats(weight.A, QuantShape.Stack(weight.Matrices, weight.Rank, weight.Inputs)),
                    Floats(part, QuantShape.Stack(weight.Matrices, rows, weight.Rank)),
                    scale,
                    weight.IsStack)
                {
                    OnlyLooksUp = weight.OnlyLooksUp,
                };
                if (weight.IsDora)
                {
                    term.Factors = GetFactors(found[i], term, ordered.Magnitude.Slice(row, rows));
                }

                if (!terms.TryAdd(term.Weight, term))
                {
                    throw new ModelFormatException(adapter.Path, $"the adapter has {term.Weight} twice, alone and as a part of a fused weight", weight.Name);
                }
            }
        }

        return terms;
    }

    /// <summary>Tells a model with adapters from one without.</summary>
    /// <param name="fingerprint">The model's.</param>
    /// <param name="adapters">The adapters.</param>
    public static byte[] Sign(byte[] fingerprint, IReadOnlyList<AppliedAdapter> adapters)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(fingerprint);
        foreach (AppliedAdapter applied in adapters)
        {
            foreach (LoraWeight weight in applied.Adapter.Weights)
            {
                SourceDigest.Append(hash, FormattableString.Invariant($"{weight} {applied.Scale:R} {weight.Scale:R} {weight.HasGgufRows} {weight.OnlyLooksUp}"));
                hash.AppendData(weight.A.Span.AsBytes());
                hash.AppendData(weight.B.Span.AsBytes());
                hash.AppendData(weight.Magnitude.Span.AsBytes());
            }
        }

        return hash.GetHashAndReset();
    }

    /// <summary>The weight of a name, or the parts of what is stored under it.</summary>
    private ModelWeight[] Find(string name)
    {
        ModelWeight? one = weights.FirstOrDefault(weight => weight.Name == name);
        return one is not null ? [one] : [.. weights.Where(weight => weight.StoredName == name)];
    }

    private static QuantizedTensor Floats(ReadOnlyMemory<float> values, QuantShape shape) =>
        QuantizedTensor.FromMemory(QuantCodec.Get(QuantFormat.F32), shape, values.AsBytes());

    /// <summary>What rows of <c>W + s B A</c> are multiplied with to have the given lengths.</summary>
    private static float[] GetFactors(ModelWeight weight, LowRankTerm term, ReadOnlyMemory<float> lengths)
    {
        var factors = new float[weight.Outputs];
        ParallelRows.Run(new FactorJob(weight, term, lengths, factors), factors.Length, RowsPerTurn, -1, default);
        return factors;
    }

    private readonly struct FactorJob(ModelWeight weight, LowRankTerm term, ReadOnlyMemory<float> lengths, float[] factors) : IRowJob
    {
        public void Run(int firstRow, int count)
        {
            var sum = new float[weight.Inputs];
            for (int row = firstRow; row < firstRow + count; row++)
            {
                weight.Tensor.DecodeRow(row, sum);
                term.AddTo(row, sum);
                float norm = MathF.Sqrt(RowMath.Dot(sum, sum));
                factors[row] = norm > 0 ? lengths.Span[row] / norm : 0;
            }
        }
    }
}
