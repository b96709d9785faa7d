using System.Diagnostics;
using Spectre.Console;

namespace KQuant.Cli.Rendering;

/// <summary>
/// Says what a long command is doing, on the error stream: on a terminal at once, elsewhere in a line every few seconds if it takes longer than
/// that.
/// </summary>
internal static class Progress
{
    /// <summary>Runs work with a line that changes as it goes.</summary>
    /// <param name="title">What it says at first: markup, and not empty.</param>
    /// <param name="work">Work, given what it calls to change the line.</param>
    public static void Show(string title, Action<Action<string>> work)
    {
        if (Console.IsErrorRedirected)
        {
            long last = Stopwatch.GetTimestamp();
            work(text =>
            {
                if (Stopwatch.GetElapsedTime(last) >= ProgressLines.Interval)
                {
                    last = Stopwatch.GetTimestamp();
                    Console.Error.WriteLine(text);
                }
            });
            return;
        }

        Terminal.CreateErrorConsole().Status().Start(title, context => work(text => context.Status(Markup.Escape(text))));
    }
}
