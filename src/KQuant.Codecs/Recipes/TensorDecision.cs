namespace KQuant.Codecs.Recipes;

/// <summary>What somebody who makes a plan wants for a tensor.</summary>
/// <param name="Codec">The codec, or null: it keeps its bytes.</param>
/// <param name="Stays">Why it can have no block codec; null if it can.</param>
/// <param name="Rule">By which rule; null for none worth a word.</param>
internal readonly record struct TensorDecision(QuantCodec? Codec, PlanReason? Stays, string? Rule = null);
