namespace KQuant.Codecs;

/// <summary>
/// What happens to a row of activations before it is multiplied with weights that were stored for it: a matrix R, such as a randomised
/// Hadamard rotation. Stored are the rows of <c>W R^T</c>; a product is <c>y = (R x) (W R^T)^T</c>, and a gradient
/// <c>dx = R^T (dy W R^T)</c>.
/// </summary>
/// <remarks>Implementations are safe to call from several threads at once.</remarks>
public abstract class ActivationTransform
{
    /// <summary>Replaces a row x by R x.</summary>
    /// <param name="row">As many values as the weights have columns.</param>
    public abstract void Apply(Span<float> row);

    /// <summary>Replaces a row x by the transpose of R times x.</summary>
    /// <param name="row">As many values as the weights have columns.</param>
    public abstract void ApplyTransposed(Span<float> row);
}
