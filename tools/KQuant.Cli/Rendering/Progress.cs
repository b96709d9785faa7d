using Spectre.Console;

namespace KQuant.Cli.Rendering;

/// <summary>Says what a long command is doing, on the error stream and only to a person.</summary>
internal static class Progress
{
    /// <summary>Runs work with a line that changes as it goes.</summary>
    /// <param name="title">What it says at first: markup, and not empty.</param>
    /// <param name="work">Work, given what it calls to change the line.</param>
    public static void Show(string title, Action<Action<string>> work)
    {
        if (Console.IsErrorRedirected)
        {
            work(_ => { });
            return;
        }

        Terminal.CreateErrorConsole().Status().Start(title, context => work(text => context.Status(Markup.Escape(text))));
    }
}
