using System.Globalization;

namespace KQuant.TestKit;

/// <summary>A culture whose minus sign is not ASCII's, as in Swedish or Norwegian, current for this thread until it is disposed.</summary>
public sealed class ForeignCulture : IDisposable
{
    private readonly CultureInfo _before = CultureInfo.CurrentCulture;

    public ForeignCulture()
    {
        // Made here: the build leaves the data of named cultures out.
        var culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        culture.NumberFormat.NegativeSign = "\u2212";
        CultureInfo.CurrentCulture = culture;
    }

    public void Dispose() => CultureInfo.CurrentCulture = _before;
}
