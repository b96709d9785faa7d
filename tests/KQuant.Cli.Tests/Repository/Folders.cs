using System.Text.RegularExpressions;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Repository;

/// <summary>
/// The folders of <c>src/</c> and <c>tools/</c> and who uses whom, read from the names of types that files mention: text, not meaning, so
/// that a name which several folders define counts for the nearest project.
/// </summary>
internal sealed partial class Folders
{
    /// <summary>A name that more files than this define says nothing about who is meant.</summary>
    private const int MostDefinitions = 8;

    private Folders(SortedDictionary<string, int> files, SortedDictionary<string, SortedSet<string>> uses)
    {
        Files = files;
        Uses = uses;
    }

    /// <summary>Folder to number of C# files.</summary>
    public SortedDictionary<string, int> Files { get; }

    /// <summary>Folder to the folders that its files mention types of.</summary>
    public SortedDictionary<string, SortedSet<string>> Uses { get; }

    [GeneratedRegex(@"""""""(?:.|\n)*?""""""")]
    private static partial Regex RawString { get; }

    [GeneratedRegex(@"//[^\n]*|/\*(?:.|\n)*?\*/")]
    private static partial Regex Comment { get; }

    [GeneratedRegex(@"\$?@?""(?:\\.|[^""\\\n])*""")]
    private static partial Regex PlainString { get; }

    [GeneratedRegex(@"\{([^{}]*)\}")]
    private static partial Regex Hole { get; }

    [GeneratedRegex(@"^(?:\[[^\]]*\]\s*)*(?:(?:public|internal|static|sealed|abstract|readonly|unsafe|ref|partial|file)\s+)*(?:class|struct|interface|enum|record(?:\s+(?:class|struct))?|delegate\s+[\w<>\[\], ?.*]+?)\s+(?<name>\w+)", RegexOptions.Multiline)]
    private static partial Regex Declaration { get; }

    [GeneratedRegex(@"\b[A-Za-z_]\w*\b")]
    private static partial Regex Word { get; }

    [GeneratedRegex(@"ProjectReference\s+Include=""(?<path>[^""]+)""")]
    private static partial Regex Reference { get; }

    /// <summary>Reads the sources of the repository.</summary>
    public static Folders Read()
    {
        string[] tops = ["src", "tools"];
        string[] projects = [.. tops.SelectMany(top => Find(top, "*.csproj"))];
        Dictionary<string, string[]> reachable = projects.ToDictionary(FolderOf, path => Reach(path).ToArray());
        Dictionary<string, string> texts = tops.SelectMany(top => Find(top, "*.cs")).ToDictionary(path => path, path => Strip(KeptText.Read(path)));
        ILookup<string, string> definitions = texts
            .SelectMany(file => Declaration.Matches(file.Value).Select(match => (Name: match.Groups["name"].Value, File: file.Key)).Distinct())
            .ToLookup(pair => pair.Name, pair => pair.File);
        var files = new SortedDictionary<string, int>(StringComparer.Ordinal);
        var uses = new SortedDictionary<string, SortedSet<string>>(StringComparer.Ordinal);
        foreach ((string file, string text) in texts)
        {
            string folder = FolderOf(file);
            files[folder] = files.GetValueOrDefault(folder) + 1;
            uses.TryAdd(folder, new SortedSet<string>(StringComparer.Ordinal));
            foreach (string name in Word.Matches(text).Select(match => match.Value).Distinct())
            {
                string[] places = [.. definitions[name]];
                if (places.Length is > 0 and <= MostDefinitions && !places.Contains(file))
                {
                    IEnumerable<string> nearest = reachable[ProjectOf(file)]
                        .Select(project => places.Where(place => ProjectOf(place) == project)).FirstOrDefault(found => found.Any()) ?? [];
                    uses[folder].UnionWith(nearest.Select(FolderOf).Where(other => other != folder));
                }
            }
        }

        return new Folders(files, uses);

        string ProjectOf(string file) => reachable.Keys.Where(project => file.StartsWith(project + "/", StringComparison.Ordinal)).MaxBy(project => project.Length)!;
    }

    /// <summary>The sets of folders that reach one another.</summary>
    public IEnumerable<string[]> Circles()
    {
        Dictionary<string, HashSet<string>> reach = Files.Keys.ToDictionary(folder => folder, From);
        var seen = new HashSet<string>();
        foreach (string folder in Files.Keys)
        {
            string[] circle = [.. reach[folder].Where(other => reach[other].Contains(folder)).Order(StringComparer.Ordinal)];
            if (circle.Length > 1 && seen.Add(circle[0]))
            {
                yield return circle;
            }
        }
    }

    /// <summary>A folder's name in the table: without <c>src/</c> and <c>KQuant.</c>.</summary>
    public static string ShortName(string folder) => folder[(folder.IndexOf('/', StringComparison.Ordinal) + 1)..].Replace("KQuant.", "", StringComparison.Ordinal);

    private HashSet<string> From(string start)
    {
        var found = new HashSet<string>();
        var open = new Stack<string>([start]);
        while (open.TryPop(out string? folder))
        {
            foreach (string next in Uses[folder].Where(found.Add))
            {
                open.Push(next);
            }
        }

        return found;
    }

    private static IEnumerable<string> Find(string top, string pattern) =>
        Directory.EnumerateFiles(Path.Combine(RepositoryFiles.Root, top), pattern, SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(RepositoryFiles.Root, path).Replace('\\', '/'))
            .Order(StringComparer.Ordinal);

    private static string FolderOf(string path) => path[..path.LastIndexOf('/')];

    /// <summary>The project's folder and those that it may use, nearest first.</summary>
    private static List<string> Reach(string project)
    {
        var found = new List<string> { FolderOf(project) };
        for (int i = 0; i < found.Count; i++)
        {
            string file = Find(found[i], "*.csproj").First();
            found.AddRange(Reference.Matches(KeptText.Read(file))
                .Select(match => Path.GetRelativePath(RepositoryFiles.Root, Path.Combine(RepositoryFiles.Root, found[i], Path.GetDirectoryName(match.Groups["path"].Value)!)).Replace('\\', '/'))
                .Where(folder => !found.Contains(folder)).ToArray());
        }

        return found;
    }

    private static string Strip(string text) => PlainString.Replace(
        Comment.Replace(RawString.Replace(text, "\"\""), ""),
        match => match.Value[0] == '$' ? string.Join(' ', Hole.Matches(match.Value).Select(hole => hole.Groups[1].Value)) : "\"\"");
}
