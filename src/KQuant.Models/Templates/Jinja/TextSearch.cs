namespace KQuant.Models.Templates;

/// <summary>Looks for a text in another, in time that is linear whatever the two are.</summary>
internal static class TextSearch
{
    /// <summary>The framework's search is fast, but takes the product of both lengths for texts made for that.</summary>
    private const int MaxPlainLength = 32;

    /// <summary>Where a text occurs first.</summary>
    /// <param name="context">Is charged.</param>
    /// <param name="text">Where to look.</param>
    /// <param name="part">What for.</param>
    /// <param name="from">Where to begin.</param>
    /// <returns>The index, or -1.</returns>
    public static int IndexOf(RenderContext context, string text, string part, int from)
    {
        if (part.Length > MaxPlainLength)
        {
            return Search(context, text.AsSpan(from), part, isReversed: false) is >= 0 and int at ? from + at : -1;
        }

        int found = text.IndexOf(part, from, StringComparison.Ordinal);
        context.Step(1 + ((long)((found < 0 ? text.Length : found) - from) * (1 + (part.Length / 8)) / 64));
        return found;
    }

    /// <summary>Where a text occurs last.</summary>
    /// <param name="context">Is charged.</param>
    /// <param name="text">Where to look.</param>
    /// <param name="part">What for.</param>
    /// <returns>The index, or -1.</returns>
    public static int LastIndexOf(RenderContext context, ReadOnlySpan<char> text, string part)
    {
        if (part.Length > MaxPlainLength)
        {
            return Search(context, text, part, isReversed: true);
        }

        int found = part.Length == 0 ? text.Length : text.LastIndexOf(part, StringComparison.Ordinal);
        context.Step(1 + ((long)(text.Length - Math.Max(found, 0)) * (1 + (part.Length / 8)) / 64));
        return found;
    }

    /// <summary>Knuth, Morris and Pratt; from the end with both texts reversed.</summary>
    private static int Search(RenderContext context, ReadOnlySpan<char> text, string part, bool isReversed)
    {
        if (part.Length > text.Length)
        {
            return -1;
        }

        context.Work((long)text.Length + part.Length);
        context.Allocate((long)sizeof(int) * part.Length);
        char Part(int i) => part[isReversed ? part.Length - 1 - i : i];
        var borders = new int[part.Length];
        for (int i = 1, length = 0; i < part.Length; i++)
        {
            while (length > 0 && Part(i) != Part(length))
            {
                length = borders[length - 1];
            }

            length += Part(i) == Part(length) ? 1 : 0;
            borders[i] = length;
        }

        for (int i = 0, length = 0; i < text.Length; i++)
        {
            char here = text[isReversed ? text.Length - 1 - i : i];
            while (length > 0 && here != Part(length))
            {
                length = borders[length - 1];
            }

            length += here == Part(length) ? 1 : 0;
            if (length == part.Length)
            {
                return isReversed ? text.Length - 1 - i : i + 1 - length;
            }
        }

        return -1;
    }
}
