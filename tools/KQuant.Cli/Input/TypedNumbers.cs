using System.Globalization;

namespace KQuant.Cli;

/// <summary>Numbers that people type, with a point whatever the language of the machine.</summary>
internal static class TypedNumbers
{
    public static bool TryParse(string text, out float value) =>
        float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value) && float.IsFinite(value);
}
