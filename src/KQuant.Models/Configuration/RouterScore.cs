namespace KQuant.Models;

/// <summary>How the scores of a router become weights of experts.</summary>
public enum RouterScore
{
    /// <summary>Softmax over all experts.</summary>
    Softmax = 0,

    /// <summary><c>1 / (1 + exp(-s))</c>, each by itself.</summary>
    Sigmoid,
}
