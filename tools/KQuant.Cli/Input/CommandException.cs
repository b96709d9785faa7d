namespace KQuant.Cli;

/// <summary>The work cannot be done, or did not succeed. The message is one sentence for the user.</summary>
internal sealed class CommandException(string message) : Exception(message);
