using KQuant.Cli.Chat;

namespace KQuant.Cli.Tests.Chat;

/// <summary>Pasted text among the keys of a terminal.</summary>
public class KeyReaderTests
{
    // The framework takes an escape character and a bracket for Alt and the bracket.
    private const string Escape = "\u001b[";

    [Test]
    public void KeysAreKeys() => Assert.That(Read("ab\rc"), Is.EqualTo(["a", "b", "\r", "c"]));

    [Test]
    public void PastedTextComesInOnePieceWithItsLineBreaks() => Assert.That(
        Read($"a{Escape}200~one\rtwo\tthree\nü🙂{Escape}201~\r"), Is.EqualTo(["a", "pasted one\ntwo\tthree\nü🙂", "\r"]));

    [Test]
    public void OtherSequencesInsideAreLeftOut() => Assert.That(Read($"{Escape}200~a{Escape}7~b{Escape}201~"), Is.EqualTo(["pasted ab"]));

    [Test]
    public void UnknownSequencesWriteNothing() => Assert.That(Read($"a{Escape}1;9Xb{Escape}201~c"), Is.EqualTo(["a", "pasted ", "b", "pasted ", "c"]));

    [Test]
    public void EscapeAloneIsAKey() => Assert.That(Read("a\u001b"), Is.EqualTo(["a", "\u001b"]));

    private static List<string> Read(string typed)
    {
        var keys = new Queue<ConsoleKeyInfo>();
        for (int i = 0; i < typed.Length; i++)
        {
            bool isAlt = typed[i..].StartsWith(Escape, StringComparison.Ordinal);
            i += isAlt ? 1 : 0;
            keys.Enqueue(new ConsoleKeyInfo(
                typed[i],
                typed[i] switch { '\r' => ConsoleKey.Enter, '\u001b' => ConsoleKey.Escape, _ => default },
                shift: false,
                isAlt,
                control: false));
        }

        var reader = new KeyReader(keys.Dequeue, () => keys.Count > 0);
        var read = new List<string>();
        while (keys.Count > 0)
        {
            (ConsoleKeyInfo key, string? pasted) = reader.Read();
            read.Add(pasted is null ? key.KeyChar.ToString() : $"pasted {pasted}");
        }

        return read;
    }
}
