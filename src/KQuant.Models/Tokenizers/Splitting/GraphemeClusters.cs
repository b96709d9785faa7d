namespace KQuant.Models.Tokenizers;

/// <summary><c>\X</c>: an extended grapheme cluster (Unicode Standard Annex 29).</summary>
internal static class GraphemeClusters
{
    private static readonly CodePointSet Return = CodePointSet.Of(('\r', '\r')), LineFeed = CodePointSet.Of(('\n', '\n'));
    private static readonly CodePointSet Joiner = CodePointSet.Of((0x200D, 0x200D));
    private static readonly CodePointSet Leads = CodePointSet.Of((0x1100, 0x115F), (0xA960, 0xA97C));
    private static readonly CodePointSet Vowels = CodePointSet.Of((0x1160, 0x11A7), (0xD7B0, 0xD7C6));
    private static readonly CodePointSet Trails = CodePointSet.Of((0x11A8, 0x11FF), (0xD7CB, 0xD7FB));
    private static readonly CodePointSet Syllables = CodePointSet.Of((0xAC00, 0xD7A3));

    /// <summary>Syllables without a trailing consonant.</summary>
    private static readonly CodePointSet Open = CodePointSet.Of([.. Enumerable.Range(0, 399).Select(i => (0xAC00 + (28 * i), 0xAC00 + (28 * i)))]);

    private static readonly CodePointSet Prepended = CodePointSet.Of(
        (0x600, 0x605), (0x6DD, 0x6DD), (0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2), (0xD4E, 0xD4E), (0x110BD, 0x110BD), (0x110CD, 0x110CD),
        (0x111C2, 0x111C3), (0x1193F, 0x1193F), (0x11941, 0x11941), (0x11A3A, 0x11A3A), (0x11A84, 0x11A89), (0x11D46, 0x11D46), (0x11F02, 0x11F02));

    /// <summary>Marks with a width of their own that stand apart.</summary>
    private static readonly CodePointSet ApartMarks = CodePointSet.Of(
        (0x102B, 0x102C), (0x1038, 0x1038), (0x1062, 0x1064), (0x1067, 0x106D), (0x1083, 0x1083), (0x1087, 0x108C), (0x108F, 0x108F), (0x109A, 0x109C),
        (0x1A61, 0x1A61), (0x1A63, 0x1A64), (0xAA7B, 0xAA7B), (0xAA7D, 0xAA7D), (0x11720, 0x11721));

    /// <summary>Adds the expression.</summary>
    /// <param name="text">Adds a text of it.</param>
    /// <param name="set">Adds a set.</param>
    public static void Add(Action<string> text, Action<CodePointSet> set)
    {
        CodePointSet extend = UnicodeSets.Get("Grapheme_Extend").Union(UnicodeSets.Get("Emoji_Modifier"));
        CodePointSet behind = extend.Union(Joiner).Union(UnicodeSets.Get("Mc").Except(ApartMarks)).Union(CodePointSet.Of((0xE33, 0xE33), (0xEB3, 0xEB3)));
        CodePointSet alone = UnicodeSets.Get("Cc").Union(UnicodeSets.Get("Zl")).Union(UnicodeSets.Get("Zp"))
            .Union(UnicodeSets.Get("Cf").Except(Prepended)).Except(behind);
        CodePointSet pictures = UnicodeSets.Get("Extended_Pictographic"), regional = UnicodeSets.Get("Regional_Indicator");
        void All(params ReadOnlySpan<object> parts)
        {
            foreach (object part in parts)
            {
                if (part is CodePointSet characters)
                {
                    set(characters);
                }
                else
                {
                    text((string)part);
                }
            }
        }

        All(
            "(?>", Return, LineFeed, "|", alone, "|", Prepended, "*(?>", Leads, "*(?:", Open, Vowels, "*|", Syllables, "|", Vowels, "+)", Trails, "*|", Leads, "+|", Trails,
            "+|", regional, regional, "|", pictures, "(?>", extend, "*", Joiner, pictures, ")*|", alone.Complement(), ")", behind, "*|",
            UnicodeSets.Get("any"), ")");
    }
}
