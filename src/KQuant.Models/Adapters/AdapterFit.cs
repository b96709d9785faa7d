using KQuant.Codecs.Files;
using KQuant.Models.Configuration;

namespace KQuant.Models.Adapters;

/// <summary>Whether a format can say what an adapter does.</summary>
internal static class AdapterFit
{
    /// <summary>Why an adapter cannot be written in a format; null if it can.</summary>
    /// <param name="adapter">The adapter.</param>
    /// <param name="format">The format.</param>
    /// <param name="model">The model, if it is known.</param>
    public static string? WhyNot(LoraAdapter adapter, AdapterFormat format, ModelConfig? model)
    {
        bool isDora = adapter.Weights.Any(weight => weight.IsDora);
        string? architecture = adapter.Architecture ?? model?.Architecture;
        if (format == AdapterFormat.Gguf && isDora)
        {
            return "GGUF adapters have no DoRA";
        }

        if (isDora && adapter.Weights.Any(weight => !weight.IsDora))
        {
            return "some weights have DoRA and some have not";
        }

        foreach (LoraWeight weight in adapter.Weights)
        {
            if (WhyNot(weight, format, architecture, model) is { } reason)
            {
                return reason;
            }
        }

        return format == AdapterFormat.Gguf && architecture is null ? "a GGUF adapter names an architecture; the model tells it" : null;
    }

    /// <summary>Why the program of a format does not load an adapter; null if it does.</summary>
    public static string? WhyNotLoaded(LoraAdapter adapter, AdapterFormat format, ModelConfig? model) => adapter.Format == format
        ? format == AdapterFormat.MlxLm && WhyUneven(adapter) is { } uneven ? $"{uneven}; --uniform-rank pads them" : null
        : WhyNot(adapter, format, model) ?? "once it is converted";

    /// <summary>What mlx-lm, which loads one rank for all, says of ranks that differ; null if they do not.</summary>
    public static string? WhyUneven(LoraAdapter adapter)
    {
        int least = adapter.Weights.Min(weight => weight.Rank), most = adapter.Weights.Max(weight => weight.Rank);
        return least == most ? null : $"ranks differ, {least} to {most}, and mlx-lm loads one rank for all";
    }

    /// <summary>Whether GGUF files of an architecture have rows of queries and keys in an order of their own.</summary>
    public static bool Permutes(string? architecture) =>
        Array.Exists(ModelFamily.All, family => family.Architecture == architecture && family.PermutesInGguf);

    private static string? WhyNot(LoraWeight weight, AdapterFormat format, string? architecture, ModelConfig? model)
    {
        if (AdapterNames.IsEmbedding(AdapterNames.ModuleOf(weight.Name)) && weight.OnlyLooksUp != (format != AdapterFormat.MlxLm) && model is not { TiesEmbedding: false })
        {
            return weight.OnlyLooksUp
                ? "it adapts the embedding where tokens are looked up only, and mlx-lm adapts it where it makes the logits, too"
                : "it adapts the embedding where it makes the logits, too, and other readers only where tokens are looked up";
        }

        if (weight.IsStack && format == AdapterFormat.Peft)
        {
            return architecture is null ? "PEFT names experts one by one; the model tells their names"
                : TryGetExpert(weight, architecture, 0, out _) ? null
                : $"'{weight.Name}' is a stack whose experts have no names of their own in PEFT";
        }

        bool wantsGgufRows = format == AdapterFormat.Gguf && Permutes(architecture);
        if (AdapterNames.IsRotated(weight.Name) && weight.HasGgufRows != wantsGgufRows && model is null)
        {
            return "rows of queries and keys change their order inside of each head; the model tells the size of heads";
        }

        return format == AdapterFormat.Gguf && architecture is not null && !TryGetGguf(weight, architecture, out _)
            ? $"architecture '{architecture}' has no place for '{weight.Name}' in GGUF"
            : null;
    }

    /// <summary>The GGUF name of the weight.</summary>
    public static bool TryGetGguf(LoraWeight weight, string architecture, out string name)
    {
        name = ModelTensorNames.TryFor(architecture, out TensorNames? names) && names.TryToGguf(weight.Name, out string? found) ? found : "";
        return name.Length > 0;
    }

    /// <summary>The module of one expert of a stack.</summary>
    public static bool TryGetExpert(LoraWeight weight, string architecture, int expert, out string module)
    {
        module = ModelTensorNames.TryFor(architecture, out TensorNames? names) && names.TryToGguf(weight.Name, out string? stack)
            && names.TryToExpert(stack, expert, out string? single) ? AdapterNames.ModuleOf(single) : "";
        return module.Length > 0;
    }
}
