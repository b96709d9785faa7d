using System.Globalization;
using KQuant.TestKit;
using NUnit.Framework.Interfaces;
using NUnit.Framework.Internal;

[assembly: ForeignCulture]

namespace KQuant.TestKit;

/// <summary>
/// Tests run in a culture that writes numbers otherwise: a decimal comma as in German, and a minus sign that is not ASCII's as in Swedish.
/// What a message or a file says is the same everywhere, so that a number written without naming a culture fails the test that reads it.
/// </summary>
[AttributeUsage(AttributeTargets.Assembly)]
internal sealed class ForeignCultureAttribute : NUnitAttribute, IApplyToContext
{
    public void ApplyToContext(TestExecutionContext context)
    {
        // Made here: the build leaves the data of named cultures out.
        var culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        culture.NumberFormat.NegativeSign = "\u2212";
        culture.NumberFormat.NumberDecimalSeparator = ",";
        culture.NumberFormat.NumberGroupSeparator = ".";
        culture.NumberFormat.PercentDecimalSeparator = ",";
        CultureInfo.DefaultThreadCurrentCulture = culture;
        context.CurrentCulture = culture;
    }
}
