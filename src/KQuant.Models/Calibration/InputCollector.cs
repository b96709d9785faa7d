using KQuant.Models.Products;

namespace KQuant.Models.Calibration;

/// <summary>Gathers the inputs of all products, under the names of the tensors that weights are stored in.</summary>
internal sealed class InputCollector : IProductObserver
{
    private readonly Dictionary<string, string> _counted = [];

    /// <summary>By the name of the stored tensor.</summary>
    public Dictionary<string, InputMoments> ByName { get; } = [];

    /// <summary>The weights that lie in each tensor.</summary>
    public Dictionary<string, List<ModelWeight>> Weights { get; } = [];

    /// <summary>Whether nothing is gathered for a while.</summary>
    public bool IsPaused { get; set; }

    /// <summary>Decides which matrices of a stack are counted; null for all of everything. What is no stack is not counted then.</summary>
    public Func<string, int, bool>? Filter { get; set; }

    public void Observe(ModelWeight weight, in ProductInput input)
    {
        if (IsPaused)
        {
            return;
        }

        // Parts of a fused matrix have the same input: the first that is met stands for all.
        string name = weight.StoredName;
        if (!_counted.TryGetValue(name, out string? part))
        {
            _counted.Add(name, part = weight.Name);
        }

        if (!Weights.TryGetValue(name, out List<ModelWeight>? parts))
        {
            Weights.Add(name, parts = []);
        }

        if (!parts.Exists(known => known.Name == weight.Name))
        {
            parts.Add(weight);
        }

        if (part != weight.Name || (Filter is not null && !weight.IsStack))
        {
            return;
        }

        int columns = weight.Inputs;
        InputMoments moments = Get(name, weight.IsStack ? (int)weight.Tensor.Shape.Experts : 1, columns);
        ReadOnlySpan<float> rows = input.Span(columns);
        if (!weight.IsStack)
        {
            Add(moments, rows);
            return;
        }

        ReadOnlySpan<int> ids = input.Ids;
        for (int i = 0; i < ids.Length; i++)
        {
            if (Filter is null || Filter(name, ids[i]))
            {
                moments.Add(ids[i], rows.Slice(i / input.IdsPerRow * columns, columns));
            }
        }
    }

    /// <summary>The moments of a tensor, made when they are first asked for.</summary>
    public InputMoments Get(string name, int matrices, int columns)
    {
        if (!ByName.TryGetValue(name, out InputMoments? moments))
        {
            ByName.Add(name, moments = new InputMoments(matrices, columns));
        }

        return moments;
    }

    /// <summary>Adds rows that meet one matrix.</summary>
    public static void Add(InputMoments moments, ReadOnlySpan<float> rows)
    {
        for (int start = 0; start < rows.Length; start += moments.Columns)
        {
            moments.Add(0, rows.Slice(start, moments.Columns));
        }
    }
}
