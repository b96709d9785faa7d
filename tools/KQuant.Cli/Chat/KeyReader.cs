using System.Text;

namespace KQuant.Cli.Chat;

/// <summary>
/// Keys of a terminal, with pasted text in one piece: terminals that are asked to put <c>ESC [ 200 ~</c> and <c>ESC [ 201 ~</c> around it, so
/// that its line breaks are not the Enter key.
/// </summary>
/// <param name="read">Waits for the next key.</param>
/// <param name="isWaiting">Whether a key is there already.</param>
internal sealed class KeyReader(Func<ConsoleKeyInfo> read, Func<bool> isWaiting)
{
    /// <summary>What asks a terminal for the marks.</summary>
    public const string Begin = "\u001b[?2004h";

    /// <summary>What ends them.</summary>
    public const string End = "\u001b[?2004l";

    private const string PasteBegins = "200~", PasteEnds = "201~";

    /// <summary>The next key, or a text that was pasted.</summary>
    public (ConsoleKeyInfo Key, string? Pasted) Read()
    {
        ConsoleKeyInfo key = read();
        return TryReadSequence(key, out string sequence)
            ? (default, sequence == PasteBegins ? ReadPaste() : "")
            : (key, null);
    }

    private string ReadPaste()
    {
        var text = new StringBuilder();
        while (true)
        {
            ConsoleKeyInfo key = read();
            if (TryReadSequence(key, out string sequence))
            {
                if (sequence == PasteEnds)
                {
                    return text.ToString();
                }

                continue;
            }

            // Enter is a carriage return, which terminals also make of the line breaks of what they paste.
            text.Append(key.Key == ConsoleKey.Enter || key.KeyChar is '\r' or '\n' ? '\n' : key.KeyChar);
        }
    }

    // The framework knows sequences of keys; others come in pieces: Escape or Alt with a bracket, then what follows.
    private bool TryReadSequence(ConsoleKeyInfo key, out string sequence)
    {
        sequence = "";
        bool isBracket = key.KeyChar == '[' && LineBuffer.IsAlt(key);
        if (!isBracket)
        {
            if (key.Key != ConsoleKey.Escape || !isWaiting())
            {
                return false;
            }

            if (read().KeyChar != '[')
            {
                return true;
            }
        }

        while (isWaiting() && sequence.Length < 16)
        {
            char next = read().KeyChar;
            sequence += next;
            if (next is >= '@' and <= '~')
            {
                break;
            }
        }

        return true;
    }
}
