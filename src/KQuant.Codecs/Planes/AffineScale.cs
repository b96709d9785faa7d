namespace KQuant.Codecs.Planes;

/// <summary>The scale and the bias of an affine group.</summary>
/// <param name="Scale">What a code is multiplied with.</param>
/// <param name="Bias">What is added then.</param>
internal readonly record struct AffineScale(float Scale, float Bias)
{
    public bool IsFinite => float.IsFinite(Scale) && float.IsFinite(Bias);
}
