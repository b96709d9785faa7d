using KQuant.Codecs.Files;

namespace KQuant.Cli.Chat;

/// <summary>What was typed in this chat and in earlier ones, kept in a file unless told otherwise.</summary>
internal sealed class ChatHistory
{
    private const int MaxLines = 1000;

    private readonly List<string> _lines = [];
    private readonly List<string> _added = [];

    /// <param name="path">The file.</param>
    /// <param name="isKept">Whether the file is read and written.</param>
    public ChatHistory(string path, bool isKept)
    {
        Path = path;
        IsKept = isKept;
        if (isKept)
        {
            _lines.AddRange(Read());
        }
    }

    /// <summary>Where it is kept by default: <c>$XDG_CACHE_HOME/kquant/chat_history</c>, or below <c>~/.cache</c>.</summary>
    public static string DefaultPath
    {
        get
        {
            string? cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            cache = string.IsNullOrEmpty(cache)
                ? System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache")
                : cache;
            return System.IO.Path.Combine(cache, "kquant", "chat_history");
        }
    }

    public string Path { get; }

    /// <summary>Whether lines go to the file when the chat ends.</summary>
    public bool IsKept { get; set; }

    public IReadOnlyList<string> Lines => _lines;

    public void Add(string line)
    {
        if (line.Length > 0 && (_lines.Count == 0 || _lines[^1] != line))
        {
            _lines.Add(line);
            _added.Add(line);
        }
    }

    /// <summary>Forgets all lines, those in the file too.</summary>
    public void Clear()
    {
        _lines.Clear();
        _added.Clear();
        if (File.Exists(Path))
        {
            File.Delete(Path);
        }
    }

    /// <summary>Adds the lines of this chat to those that others have written meanwhile.</summary>
    public void Save()
    {
        if (!IsKept || _added.Count == 0)
        {
            return;
        }

        try
        {
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(Path)!);
            string temporary = $"{Path}.{Environment.ProcessId}.tmp";
            File.WriteAllLines(temporary, Read().Concat(_added.Select(line => line.Replace('\n', ' '))).TakeLast(MaxLines));
            File.Move(temporary, Path, overwrite: true);
            _added.Clear();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A chat does not fail for want of its history.
        }
    }

    private IEnumerable<string> Read()
    {
        try
        {
            FileKinds.CheckReadable(Path);
            return File.Exists(Path) ? File.ReadAllLines(Path).TakeLast(MaxLines) : [];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
