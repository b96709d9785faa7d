namespace KQuant.Cli.Chat;

/// <summary>Where a chat's lines come from.</summary>
internal interface IChatInput
{
    /// <summary>The next line.</summary>
    /// <param name="prompt">What to show before it.</param>
    /// <param name="text">Text that is there already and may be edited.</param>
    /// <returns>The line; null when there are no more.</returns>
    /// <exception cref="OperationCanceledException">Ctrl-C at the prompt.</exception>
    string? ReadLine(string prompt, string text);
}

/// <summary>Lines from a pipe or a file: nothing is shown.</summary>
internal sealed class PipedInput(TextReader reader) : IChatInput
{
    public string? ReadLine(string prompt, string text) => text.Length > 0 ? text : reader.ReadLine();
}
