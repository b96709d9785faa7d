using KQuant.Models.Products;
using KQuant.Models.Weights;

namespace KQuant.Models.Transformers;

/// <summary>Loads the weights of a part of a model, whose names begin alike.</summary>
/// <param name="config">What the model computes.</param>
/// <param name="weights">Its tensors.</param>
/// <param name="prefix">How the names begin.</param>
/// <param name="loaded">Takes every weight that is multiplied with.</param>
internal sealed class WeightLoader(ModelConfig config, ModelWeights weights, string prefix, List<ModelWeight> loaded)
{
    private const string Suffix = ".weight";

    public ModelConfig Config => config;

    /// <summary>The same, deeper inside.</summary>
    public WeightLoader Enter(string name) => new(config, weights, prefix + name, loaded);

    /// <summary>Whether there is a weight.</summary>
    public bool Contains(string name) => weights.Contains(prefix + name + Suffix);

    /// <summary>The weights of a norm.</summary>
    public float[] Norm(string name, int length)
    {
        float[] values = Vector(name, length);
        if (config.NormsAddOne)
        {
            for (int i = 0; i < values.Length; i++)
            {
                values[i] += 1;
            }
        }

        return values;
    }

    /// <summary>A vector.</summary>
    public float[] Vector(string name, int length) => weights.Vector(prefix + name + Suffix, length);

    /// <summary>A vector that is no weight of a module: its name is complete.</summary>
    public float[] Parameter(string name, int length) => weights.Vector(prefix + name, length);

    /// <summary>A matrix of one row, in float32.</summary>
    public ModelWeight Row(string name, int length) => Keep(ModelWeight.Matrix(prefix + name + Suffix, weights.Row(prefix + name + Suffix, length)));

    /// <summary>A matrix.</summary>
    public ModelWeight Matrix(string name, int rows, int columns, bool hasBias = false) => Keep(ModelWeight.Matrix(
        prefix + name + Suffix,
        weights.Matrix(prefix + name + Suffix, rows, columns),
        hasBias ? weights.Vector(prefix + name + ".bias", rows) : default));

    /// <summary>A stack of matrices.</summary>
    public ModelWeight Stack(string name, int count, int rows, int columns, bool hasBias = false) => Keep(ModelWeight.MatrixStack(
        prefix + name + Suffix,
        weights.Stack(prefix + name + Suffix, count, rows, columns),
        hasBias ? weights.Vector(prefix + name + ".bias", checked(count * rows)) : default));

    /// <summary>Matrices that a checkpoint keeps one by one, or as the rows of a fused one; they have their own names in both cases.</summary>
    /// <param name="fused">The name of the fused one.</param>
    /// <param name="columns">Columns of all.</param>
    /// <param name="hasBias">Whether they have biases.</param>
    /// <param name="parts">Their names and rows, in their order.</param>
    public ModelWeight[] Parts(string fused, int columns, bool hasBias, params ReadOnlySpan<(string Name, int Rows)> parts)
    {
        var result = new ModelWeight[parts.Length];
        bool isFused = Contains(fused);
        int all = 0;
        foreach ((_, int rows) in parts)
        {
            all += rows;
        }

        string stored = prefix + fused + Suffix;
        float[]? bias = isFused && hasBias && weights.Contains(prefix + fused + ".bias") ? weights.Vector(prefix + fused + ".bias", all) : null;
        for (int i = 0, first = 0; i < parts.Length; first += parts[i++].Rows)
        {
            (string name, int rows) = parts[i];
            result[i] = isFused
                ? Keep(ModelWeight.Matrix(
                    prefix + name + Suffix,
                    weights.Rows(stored, first, rows, all, columns),
                    bias is null ? default : bias.AsMemory(first, rows),
                    stored))
                : Matrix(name, rows, columns, hasBias);
        }

        return result;
    }

    private ModelWeight Keep(ModelWeight weight)
    {
        loaded.Add(weight);
        return weight;
    }
}
