using System.Text;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Commands;

/// <summary>Pages and pictures beside a report: there when they are complete, and never in the place of what was read for them.</summary>
internal static class PageFile
{
    /// <summary>Refuses a place before any work is done; null is none.</summary>
    /// <exception cref="CommandException">It is one of the models or lies in its folder, or is another file that is read.</exception>
    public static void Check(string? path, params ReadOnlySpan<string> inputs)
    {
        if (path is null)
        {
            return;
        }

        string target = LinkResolver.RealPath(path);
        foreach (string input in inputs)
        {
            string real = Path.TrimEndingDirectorySeparator(LinkResolver.RealPath(input));
            if (target == real || LinkResolver.IsBelow(real, target))
            {
                throw new CommandException($"{path} is or lies in {input}, which is read; the page must be another place.");
            }
        }
    }

    /// <summary>Writes one.</summary>
    public static void Write(string path, string content)
    {
        using var file = new OutputFile(path);
        file.Stream.Write(Encoding.UTF8.GetBytes(content));
        file.Commit();
    }
}
