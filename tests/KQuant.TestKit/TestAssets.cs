namespace KQuant.TestKit;

/// <summary>
/// Big files of third parties that are not part of the repository: <c>KQUANT_TEST_ASSETS</c> names a folder with what llama.cpp keeps in its
/// <c>models</c> folder. Tests that need them say so when they are not there.
/// </summary>
public static class TestAssets
{
    private const string Variable = "KQUANT_TEST_ASSETS";

    private static string? Folder { get; } = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } folder ? folder : null;

    /// <summary>The files of a pattern below the folder, sorted; null alone when there are none, so that a test is there to say so.</summary>
    public static IEnumerable<string?> Find(string pattern)
    {
        string[] files = Folder is null ? [] : [.. Directory.EnumerateFiles(Folder, pattern, SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
        return files.Length > 0 ? files : new string?[] { null };
    }

    /// <summary>A file of this name; null when there is none.</summary>
    public static string? FindOne(string name) => Find(name).First();

    /// <summary>Why a test does not run.</summary>
    /// <param name="what">What it needs, as in "ggml-vocab-*.gguf".</param>
    public static string Missing(string what) => Folder is null
        ? $"{Variable} is not set; it names a folder with {what} of llama.cpp's 'models' folder."
        : $"{Variable}={Folder} has no {what} of llama.cpp's 'models' folder.";
}
