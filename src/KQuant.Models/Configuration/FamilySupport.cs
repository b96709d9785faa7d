namespace KQuant.Models.Configuration;

/// <summary>What is done with a family of models.</summary>
[Flags]
internal enum FamilySupport
{
    /// <summary>The names of its tensors are known.</summary>
    Names = 0,

    /// <summary>It is computed.</summary>
    Run = 1,

    /// <summary>Checkpoints of it become GGUF files.</summary>
    Export = 2,
}
