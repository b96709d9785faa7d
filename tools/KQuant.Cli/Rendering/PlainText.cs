namespace KQuant.Cli.Rendering;

/// <summary>Text from files, which must not give commands to a terminal.</summary>
internal static class PlainText
{
    /// <summary>The text on one line, with blanks in the place of control characters.</summary>
    public static string OneLine(string text) =>
        text.Any(char.IsControl) ? string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c)) : text;
}
