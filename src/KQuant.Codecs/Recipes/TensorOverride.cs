using System.Text.RegularExpressions;

namespace KQuant.Codecs.Recipes;

/// <summary>Tensors whose codec somebody has chosen.</summary>
/// <param name="Pattern">Found anywhere in a tensor's name.</param>
/// <param name="Codec">A block codec, or a float format.</param>
public sealed record TensorOverride(Regex Pattern, QuantCodec Codec);
