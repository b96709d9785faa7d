namespace KQuant.Codecs.Recipes;

/// <summary>Why a tensor gets the codec it gets, or stays as it is.</summary>
public enum PlanReason
{
    /// <summary>It gets the codec that was asked for.</summary>
    Requested,

    /// <summary>Its rows are no whole blocks of that codec; it gets the next one whose blocks fit.</summary>
    WidthFallback,

    /// <summary>It stays: its rows are no whole groups of the mode that was asked for, and MLX leaves such weights alone.</summary>
    Width,

    /// <summary>It stays: it is neither a matrix nor a stack of them.</summary>
    NotAMatrix,

    /// <summary>It stays: it is a bias or another parameter that is not multiplied with activations.</summary>
    NotAWeight,

    /// <summary>It stays: small and decisive (norm, router, convolution, position embedding), or of a tower that is kept whole.</summary>
    Role,

    /// <summary>It stays: the recipe never quantizes it.</summary>
    Recipe,

    /// <summary>It stays: it was excluded.</summary>
    Excluded,

    /// <summary>It stays: it holds no floats, or is in a format without a decoder here.</summary>
    NotFloat,

    /// <summary>It stays: it is quantized already, and requantizing was not asked for.</summary>
    AlreadyQuantized,

    /// <summary>It stays: it holds floats already.</summary>
    AlreadyFloat,
}
