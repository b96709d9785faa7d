namespace KQuant.Models.Generation;

/// <summary>A token that could have come.</summary>
/// <param name="Id">Its id.</param>
/// <param name="LogProbability">Natural logarithm of its probability.</param>
public readonly record struct TokenProbability(int Id, float LogProbability);
