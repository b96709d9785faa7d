using System.Diagnostics;
using System.Text.Json.Nodes;
using KQuant.Models.Templates;
using KQuant.TestKit;

namespace KQuant.Models.Tests.Assets;

/// <summary>
/// The chat templates that llama.cpp publishes, against Python's jinja2 set up as transformers does: the same text for every conversation, or
/// an error where Python has one.
/// </summary>
public class PublishedTemplateTests
{
    private const string Tools = """
        [{"type": "function", "function": {"name": "get_weather", "description": "The weather of a \"city\".\nNot <b>old</b>.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "Where"}, "days": {"type": "integer", "default": 1},
        "unit": {"type": "string", "enum": ["C", "F"]}, "tags": {"type": "array", "items": {"type": "string"}}}, "required": ["city"]},
        "return": {"type": "object"}}},
        {"type": "function", "function": {"name": "search", "description": "Finds", "parameters": {"type": "object", "properties":
        {"query": {"type": ["string", "null"]}, "deep": {"type": "object", "properties": {"n": {"type": "number"}}}}, "required": []}}}]
        """;

    private static readonly JsonArray Conversations = ReadConversations();
    private static readonly Lazy<Dictionary<string, JsonArray>> Expected = new(RenderWithPython);

    public static IEnumerable<TestCaseData> Templates => TestAssets.Find("*.jinja").Select(
        file => new TestCaseData(file).SetArgDisplayNames(file is null ? "no assets" : Path.GetFileNameWithoutExtension(file)));

    [TestCaseSource(nameof(Templates))]
    public void RendersAsPython(string? file)
    {
        if (file is null)
        {
            Assert.Ignore(TestAssets.Missing("templates/*.jinja"));
        }

        string source = File.ReadAllText(file);
        JsonArray expected = Expected.Value[file];
        Assert.Multiple(() =>
        {
            for (int i = 0; i < Conversations.Count; i++)
            {
                JsonObject variables = Conversations[i]!.AsObject();
                (string? text, string? error) = Render(source, variables);
                string name = $"{variables["name"]}: {error}{expected[i]!["error"]}";
                Assert.That(text, Is.EqualTo((string?)expected[i]!["text"]), name);
            }
        });
    }

    private static (string? Text, string? Error) Render(string source, JsonObject variables)
    {
        try
        {
            return (ChatTemplate.Parse(source, new Clock()).RenderPlain(variables), null);
        }
        catch (TemplateException exception)
        {
            return (null, exception.Message);
        }
    }

    private static JsonArray ReadConversations()
    {
        JsonArray conversations = JsonNode.Parse(File.ReadAllText(Source("conversations.json")))!.AsArray();
        foreach (JsonNode? conversation in conversations)
        {
            foreach (string key in conversation!.AsObject().Where(entry => entry.Value is JsonValue value && value.ToString() == "TOOLS").Select(entry => entry.Key).ToList())
            {
                conversation[key] = JsonNode.Parse(Tools);
            }

            conversation["bos_token"] = "<s>";
            conversation["eos_token"] = "</s>";
        }

        return conversations;
    }

    private static string Source(string name) => Path.Combine(RepositoryFiles.Root, "tests", "KQuant.Models.Tests", "Assets", name);

    /// <summary>All templates with all conversations in one process of Python.</summary>
    private static Dictionary<string, JsonArray> RenderWithPython()
    {
        string[] files = [.. TestAssets.Find("*.jinja").OfType<string>()];
        var cases = new JsonArray();
        foreach (string file in files)
        {
            foreach (JsonNode? conversation in Conversations)
            {
                cases.Add(new JsonArray(File.ReadAllText(file), conversation!.DeepClone()));
            }
        }

        JsonArray results = JsonNode.Parse(RunPython(cases.ToJsonString()))!.AsArray();
        return Enumerable.Range(0, files.Length).ToDictionary(
            i => files[i],
            i => new JsonArray([.. results.Skip(i * Conversations.Count).Take(Conversations.Count).Select(result => result!.DeepClone())]));
    }

    private static string RunPython(string input)
    {
        var start = new ProcessStartInfo("python3", [Source("render.py")])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Ignore("python3 is not there; it renders the templates that are compared with.");
            throw;
        }

        using (process)
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            Task<string> error = process.StandardError.ReadToEndAsync();
            process.StandardInput.Write(input);
            process.StandardInput.Close();
            process.WaitForExit();
            if (error.Result.Contains("No module named 'jinja2'", StringComparison.Ordinal))
            {
                Assert.Ignore("python3 has no jinja2; it renders the templates that are compared with.");
            }

            Assert.That(process.ExitCode, Is.Zero, error.Result);
            return output.Result;
        }
    }

    private sealed class Clock : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => new(2025, 7, 6, 9, 5, 0, TimeSpan.Zero);
    }
}
