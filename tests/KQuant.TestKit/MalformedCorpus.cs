using System.Text.Json;

namespace KQuant.TestKit;

/// <summary>One file of a malformed corpus and what its manifest says about it.</summary>
public sealed record MalformedCase(string Path, string Category, string Expect, string Reason, JsonElement Content)
{
    /// <summary>All cases of <c>fixtures/malformed/FORMAT</c>.</summary>
    public static IReadOnlyList<MalformedCase> Load(string format)
    {
        using JsonDocument manifest = JsonDocument.Parse(File.ReadAllBytes(RepositoryFiles.Fixture("malformed", format, "manifest.json")));
        return
        [
            .. manifest.RootElement.GetProperty("cases").EnumerateArray().Select(entry => new MalformedCase(
                RepositoryFiles.Fixture("malformed", format, entry.GetProperty("file").GetString()!),
                entry.GetProperty("category").GetString()!,
                entry.GetProperty("expect").GetString()!,
                entry.GetProperty("reason").GetString()!,
                entry.TryGetProperty("content", out JsonElement content) ? content.Clone() : default)),
        ];
    }

    public override string ToString() => System.IO.Path.GetFileName(Path);
}
