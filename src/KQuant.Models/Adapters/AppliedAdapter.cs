namespace KQuant.Models.Adapters;

/// <summary>An adapter that a model is loaded with.</summary>
public sealed record AppliedAdapter
{
    private readonly float _scale = 1;

    /// <summary>The adapter.</summary>
    public required LoraAdapter Adapter { get; init; }

    /// <summary>What all its terms are multiplied with, beside the scales of their own; 1 for nothing.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to something that is not finite.</exception>
    public float Scale
    {
        get => _scale;
        init => _scale = float.IsFinite(value)
            ? value
            : throw new ArgumentOutOfRangeException(nameof(Scale), value, FormattableString.Invariant($"The scale of an adapter is {value}."));
    }
}
