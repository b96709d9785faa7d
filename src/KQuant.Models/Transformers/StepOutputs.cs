namespace KQuant.Models.Transformers;

/// <summary>For which tokens of a chunk results are wanted.</summary>
internal enum StepOutputs
{
    /// <summary>For none.</summary>
    None = 0,

    /// <summary>For the last one.</summary>
    Last,

    /// <summary>For every one.</summary>
    All,
}
