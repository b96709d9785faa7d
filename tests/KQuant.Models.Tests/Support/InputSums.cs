using KQuant.Models.Products;

namespace KQuant.Models.Tests;

/// <summary>Sums of squares of everything that weights are multiplied with, and how many rows there were, by matrix.</summary>
internal sealed class InputSums : IProductObserver
{
    /// <summary>By the name of the weight: for each matrix of it the sums for its columns, and the rows.</summary>
    public Dictionary<string, (double[][] Sums, long[] Rows)> ByName { get; } = [];

    /// <summary>The tensors that the weights are stored in.</summary>
    public Dictionary<string, string> StoredNames { get; } = [];

    public void Observe(ModelWeight weight, in ProductInput input)
    {
        StoredNames[weight.Name] = weight.StoredName;
        ReadOnlySpan<float> x = input.Span(weight.Inputs);
        if (weight.IsStack)
        {
            Add(weight.Name, (int)weight.Tensor.Shape.Experts, x, weight.Inputs, input.Ids, input.IdsPerRow);
        }
        else
        {
            Add(weight.Name, 1, x, weight.Inputs, new int[input.Rows], 1);
        }
    }

    /// <summary>Adds rows.</summary>
    public void Add(string name, int matrices, ReadOnlySpan<float> x, int width, ReadOnlySpan<int> ids, int idsPerRow)
    {
        if (!ByName.TryGetValue(name, out (double[][] Sums, long[] Rows) entry))
        {
            ByName[name] = entry = ([.. Enumerable.Range(0, matrices).Select(_ => new double[width])], new long[matrices]);
        }

        for (int i = 0; i < ids.Length; i++)
        {
            ReadOnlySpan<float> row = x.Slice(i / idsPerRow * width, width);
            double[] sums = entry.Sums[ids[i]];
            for (int column = 0; column < width; column++)
            {
                sums[column] += (double)row[column] * row[column];
            }

            entry.Rows[ids[i]]++;
        }
    }
}
