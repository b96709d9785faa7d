namespace KQuant.Cli.Chat;

/// <summary>Lines from a person at a console: editing, undo, history and search in it, Tab.</summary>
internal sealed class ConsoleInput(TextWriter output, ChatHistory history, Func<string, IReadOnlyList<string>> complete) : IChatInput
{
    private readonly KeyReader _keys = new(() => Console.ReadKey(intercept: true), () => Console.KeyAvailable);

    public string? ReadLine(string prompt, string text)
    {
        var line = new LineBuffer(history.Lines, complete);
        line.Set(text);
        bool before = Console.TreatControlCAsInput;
        Console.TreatControlCAsInput = true;
        output.Write(KeyReader.Begin);
        try
        {
            while (true)
            {
                Show(line.GetPrompt(prompt), line);
                (ConsoleKeyInfo key, string? pasted) = _keys.Read();
                if (pasted is not null)
                {
                    line.Insert(pasted);
                    continue;
                }

                bool control = LineBuffer.IsControl(key);
                if (control && key.Key == ConsoleKey.L)
                {
                    output.Write("\u001b[2J\u001b[H");
                    continue;
                }

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
            output.Write(KeyReader.End);
            output.Flush();
            Console.TreatControlCAsInput = before;
        }
    }

    // One row: of a longer line the part around the cursor. Who writes what is before the cursor again need not know how wide it is.
    private void Show(string prompt, LineBuffer line)
    {
        (string before, string after) = line.GetView(Math.Max(10, Console.WindowWidth - prompt.Length - 1));
        output.Write($"\r\u001b[K{prompt}{before}{after}\r{prompt}{before}");
        output.Flush();
    }
}
