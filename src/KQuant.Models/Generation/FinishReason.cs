namespace KQuant.Models.Generation;

/// <summary>Why a text ends.</summary>
public enum FinishReason
{
    /// <summary>It does not; more follows.</summary>
    None = 0,

    /// <summary>The model has ended it.</summary>
    EndOfText,

    /// <summary>A stop sequence came.</summary>
    StopSequence,

    /// <summary>It has as many tokens as were asked for, or the context is full.</summary>
    Length,
}
