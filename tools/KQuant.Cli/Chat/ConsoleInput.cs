namespace KQuant.Cli.Chat;

/// <summary>Lines from a person at a console: editing, history, Tab.</summary>
internal sealed class ConsoleInput(TextWriter output, ChatHistory history, Func<string, IReadOnlyList<string>> complete) : IChatInput
{
    public string? ReadLine(string prompt, string text)
    {
        var line = new LineBuffer(history.Lines, complete);
        line.Set(text);
        bool before = Console.TreatControlCAsInput;
        Console.TreatControlCAsInput = true;
        try
        {
            while (true)
            {
                Show(prompt, line);
                ConsoleKeyInfo key = Console.ReadKey(intercept: true);
                bool control = key.Modifiers.HasFlag(ConsoleModifiers.Control);
                if (control && key.Key == ConsoleKey.C)
                {
                    output.WriteLine();
                    throw new OperationCanceledException();
                }

                if (control && key.Key == ConsoleKey.D && line.Text.Length == 0)
                {
                    output.WriteLine();
                    return null;
                }

                if (key.Key == ConsoleKey.Enter)
                {
                    output.WriteLine();
                    return line.Text;
                }

                line.Press(key);
                if (line.Choices.Count > 0)
                {
                    output.WriteLine();
                    output.WriteLine(string.Join("  ", line.Choices));
                }
            }
        }
        finally
        {
            Console.TreatControlCAsInput = before;
        }
    }

    // One row: of a longer line the part around the cursor.
    private void Show(string prompt, LineBuffer line)
    {
        int width = Math.Max(10, Console.WindowWidth - prompt.Length - 1);
        int start = Math.Max(0, line.Cursor - width + 1);
        string shown = line.Text[start..Math.Min(line.Text.Length, start + width)].Replace('\n', '\u23ce');
        output.Write($"\r\u001b[K{prompt}{shown}\r\u001b[{prompt.Length + line.Cursor - start}C");
        output.Flush();
    }
}
