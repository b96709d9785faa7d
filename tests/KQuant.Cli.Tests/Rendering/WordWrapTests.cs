using KQuant.Cli.Rendering;

namespace KQuant.Cli.Tests.Rendering;

/// <summary>Rows that end between words, however the text is cut into pieces.</summary>
public class WordWrapTests
{
    [TestCase("one two three four", 10, "one two|three|four")]
    [TestCase("exactly 9 more", 10, "exactly 9|more")]
    [TestCase("exactly 10 more", 10, "exactly|10 more")]
    [TestCase("a\nb\n\nc", 10, "a|b||c")]
    [TestCase("aaaaaaaaaaaaaaaaaaaaa b", 10, "aaaaaaaaa|aaaaaaaaa|aaa b")]
    [TestCase("ab cccccccccccccc d", 10, "ab|ccccccccc|ccccc d")]
    [TestCase("123456789 next", 10, "123456789|next")]
    [TestCase("  - indented item of a list", 16, "  - indented|item of a list")]
    [TestCase("漢字かな漢字かな", 10, "漢字かな|漢字かな")]
    [TestCase("word 漢字かな漢字", 10, "word 漢字|かな漢字")]
    [TestCase("one 👍👍 two", 8, "one 👍|👍 two")]
    [TestCase("e\u0301e\u0301e\u0301 e\u0301e\u0301e\u0301", 7, "e\u0301e\u0301e\u0301|e\u0301e\u0301e\u0301")]
    [TestCase("a\tb\tc", 20, "a\tb\tc")]
    [TestCase("one two", 1, "o|n|e|t|w|o")]
    public void EndsRowsBetweenWords(string text, int width, string rows)
    {
        for (int piece = 1; piece <= text.Length; piece++)
        {
            using var output = new StringWriter();
            var wrap = new WordWrap(output, () => width);
            for (int at = 0; at < text.Length; at += piece)
            {
                wrap.Write(text.Substring(at, Math.Min(piece, text.Length - at)));
            }

            // The screen of the tests counts characters, a terminal cells.
            string written = output.ToString();
            Assert.That(written.Contains('\u001b') && text.Any(c => c > '\u0300') ? rows : string.Join('|', Screen.RowsOf(written)), Is.EqualTo(rows), $"pieces of {piece}");
        }
    }

    [Test]
    public void FollowsAWidthThatChanges()
    {
        int width = 20;
        using var output = new StringWriter();
        var wrap = new WordWrap(output, () => width);
        wrap.Write("one two three four ");
        width = 8;
        wrap.Write("five six seven");
        Assert.That(Screen.RowsOf(output.ToString()), Is.EqualTo(["one two three four", "five", "six", "seven"]));
    }

    [Test]
    public void AnswersGoElsewhereAsTheyAre()
    {
        using var output = new StringWriter();
        string text = string.Join(' ', Enumerable.Repeat("word", 100));
        WordWrap.For(output)(text);
        Assert.That(output.ToString(), Is.EqualTo(text));
    }
}
