using KQuant.Cli.Chat;

namespace KQuant.Cli.Tests.Chat;

/// <summary>Editing of a line.</summary>
public class LineBufferTests
{
    [Test]
    public void HistoryAndCompletion()
    {
        var line = new LineBuffer(["first", "second"], ChatLoop.Complete);
        line.Insert("/te");
        Press(line, ConsoleKey.Tab);
        Assert.That(line.Text, Is.EqualTo("/temp"));
        Press(line, ConsoleKey.UpArrow, ConsoleKey.UpArrow, ConsoleKey.UpArrow);
        Assert.That(line.Text, Is.EqualTo("first"));
        Press(line, ConsoleKey.DownArrow, ConsoleKey.DownArrow, ConsoleKey.DownArrow);
        Assert.That(line.Text, Is.EqualTo("/temp"), "what was typed comes back");
        line.Set("/p");
        Press(line, ConsoleKey.Tab);
        Assert.That(line.Text, Is.EqualTo("/presence-penalty"));
        line.Set("/to");
        Press(line, ConsoleKey.Tab, ConsoleKey.Tab);
        Assert.That(line.Choices, Is.EqualTo(["/top-p", "/top-k"]));
        line.Set("/history o");
        Press(line, ConsoleKey.Tab);
        Assert.That(line.Choices, Is.EqualTo(["/history on", "/history off"]));
    }

    [Test]
    public void Keys()
    {
        var line = new LineBuffer([], _ => []);
        line.Insert("one two three");
        Press(line, ConsoleKey.Home, ConsoleKey.Delete, ConsoleKey.End, ConsoleKey.Backspace);
        Assert.That(line.Text, Is.EqualTo("ne two thre"));
        PressControl(line, ConsoleKey.LeftArrow);
        Assert.That(line.Cursor, Is.EqualTo(7));
        PressControl(line, ConsoleKey.W);
        Assert.That(line.Text, Is.EqualTo("ne thre"));
        PressControl(line, ConsoleKey.A, ConsoleKey.D, ConsoleKey.RightArrow);
        Assert.That((line.Text, line.Cursor), Is.EqualTo(("e thre", 1)));
        PressControl(line, ConsoleKey.K);
        Assert.That(line.Text, Is.EqualTo("e"));
        PressControl(line, ConsoleKey.U);
        Assert.That(line.Text, Is.Empty);
        line.Press(new ConsoleKeyInfo('f', ConsoleKey.F, shift: false, alt: true, control: false));
        line.Press(new ConsoleKeyInfo('\u001b', ConsoleKey.Escape, shift: false, alt: false, control: false));
        Assert.That(line.Text, Is.Empty, "keys without a meaning write nothing");
        line.Press(new ConsoleKeyInfo('\u20AC', ConsoleKey.E, shift: false, alt: true, control: true));
        Assert.That(line.Text, Is.EqualTo("\u20AC"), "AltGr writes");
    }

    [Test]
    public void TheCursorMovesByWhatPeopleSee()
    {
        var line = new LineBuffer([], _ => []);
        foreach (char half in "漢👍🏽e\u0301")
        {
            line.Press(new ConsoleKeyInfo(half, default, shift: false, alt: false, control: false));
        }

        Press(line, ConsoleKey.LeftArrow);
        Assert.That(line.Cursor, Is.EqualTo(5), "before e and its accent");
        Press(line, ConsoleKey.Backspace);
        Assert.That(line.Text, Is.EqualTo("漢e\u0301"), "the thumb with its colour");
        Press(line, ConsoleKey.LeftArrow, ConsoleKey.LeftArrow, ConsoleKey.Delete, ConsoleKey.Delete, ConsoleKey.Delete);
        Assert.That(line.Text, Is.Empty);
    }

    [Test]
    public void UndoTakesBackWordsAndDeletions()
    {
        var line = new LineBuffer(["earlier"], _ => []);
        Type(line, "one two");
        PressControl(line, ConsoleKey.W);
        line.Insert("pasted text");
        Press(line, ConsoleKey.Home, ConsoleKey.Delete, ConsoleKey.UpArrow);
        Assert.That(line.Text, Is.EqualTo("earlier"));
        string[] steps = ["ne pasted text", "one pasted text", "one ", "one two", "one ", "one", "", ""];
        foreach (string step in steps)
        {
            line.Press(new ConsoleKeyInfo('\u001f', default, shift: false, alt: false, control: true));
            Assert.That(line.Text, Is.EqualTo(step));
        }

        Type(line, "x");
        PressControl(line, ConsoleKey.D7);
        Assert.That((line.Text, line.Cursor), Is.EqualTo(("", 0)), "what the framework makes of Ctrl-_");
    }

    [Test]
    public void UndoPutsTheCursorBack()
    {
        var line = new LineBuffer([], _ => []);
        Type(line, "ab cd");
        Press(line, ConsoleKey.LeftArrow, ConsoleKey.LeftArrow);
        PressControl(line, ConsoleKey.K, ConsoleKey.D7);
        Assert.That((line.Text, line.Cursor), Is.EqualTo(("ab cd", 3)));
    }

    [Test]
    public void SearchesEarlierLinesBackwards()
    {
        var line = new LineBuffer(["make tea", "take time", "make time", "other"], _ => []);
        Type(line, "draft");
        PressControl(line, ConsoleKey.R);
        Assert.That(line.GetPrompt(">> "), Is.EqualTo("(reverse-i-search)`': "));
        Type(line, "tim");
        Assert.That((line.Text, line.GetPrompt(">> ")), Is.EqualTo(("make time", "(reverse-i-search)`tim': ")));
        PressControl(line, ConsoleKey.R);
        Assert.That(line.Text, Is.EqualTo("take time"));
        PressControl(line, ConsoleKey.R);
        Assert.That((line.Text, line.GetPrompt(">> ")), Is.EqualTo(("take time", "(failing reverse-i-search)`tim': ")));
        Press(line, ConsoleKey.Backspace, ConsoleKey.Backspace);
        Assert.That((line.Text, line.GetPrompt(">> ")), Is.EqualTo(("other", "(reverse-i-search)`t': ")));
        Type(line, "e");
        Assert.That(line.Text, Is.EqualTo("make tea"));
        Press(line, ConsoleKey.Home);
        Assert.That((line.Text, line.Cursor, line.GetPrompt(">> ")), Is.EqualTo(("make tea", 0, ">> ")), "another key takes the line and does its work");
        Type(line, "!");
        Assert.That(line.Text, Is.EqualTo("!make tea"));
    }

    [TestCase(ConsoleKey.G, true)]
    [TestCase(ConsoleKey.Escape, false)]
    public void ASearchThatIsLeftGivesTheLineBack(ConsoleKey key, bool control)
    {
        var line = new LineBuffer(["earlier"], _ => []);
        Type(line, "draft");
        Press(line, ConsoleKey.LeftArrow);
        PressControl(line, ConsoleKey.R);
        line.Insert("arl");
        Assert.That(line.Text, Is.EqualTo("earlier"), "pasted patterns");
        line.Press(new ConsoleKeyInfo('\0', key, shift: false, alt: false, control));
        Assert.That((line.Text, line.Cursor, line.GetPrompt(">> ")), Is.EqualTo(("draft", 4, ">> ")));
        PressControl(line, ConsoleKey.R);
        line.Insert("nowhere");
        Assert.That(line.Text, Is.EqualTo("draft"), "nothing is found");
    }

    [TestCase("abc", 3, 10, "abc", "")]
    [TestCase("0123456789abcdef", 16, 8, "89abcdef", "")]
    [TestCase("0123456789abcdef", 0, 8, "", "01234567")]
    [TestCase("0123456789abcdef", 10, 8, "456789", "ab")]
    [TestCase("漢字かな漢字かな", 8, 9, "漢字かな", "")]
    [TestCase("漢字かな漢字かな", 0, 9, "", "漢字かな")]
    [TestCase("👍🏽👍🏽👍🏽", 12, 5, "👍🏽👍🏽", "")]
    [TestCase("a\nb\tc\u001b[0m\u0085", 3, 20, "a⏎b", " c␛[0m␡")]
    public void ALongLineIsShownAroundTheCursor(string text, int cursor, int width, string before, string after)
    {
        var line = new LineBuffer([], _ => []);
        line.Set(text);
        while (line.Cursor > cursor)
        {
            Press(line, ConsoleKey.LeftArrow);
        }

        Assert.That(line.GetView(width), Is.EqualTo((before, after)));
    }

    private static void Press(LineBuffer line, params ConsoleKey[] keys) =>
        Array.ForEach(keys, key => line.Press(new ConsoleKeyInfo('\0', key, shift: false, alt: false, control: false)));

    private static void Type(LineBuffer line, string text) =>
        Array.ForEach([.. text], c => line.Press(new ConsoleKeyInfo(c, default, shift: false, alt: false, control: false)));

    private static void PressControl(LineBuffer line, params ConsoleKey[] keys) =>
        Array.ForEach(keys, key => line.Press(new ConsoleKeyInfo('\0', key, shift: false, alt: false, control: true)));
}
