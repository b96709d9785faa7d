using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary>The image and the manifest of a server in docs/deploy say what <c>kquant serve</c> knows, and what they say works.</summary>
public class DeployTests
{
    private const string Port = "8080";

    private static readonly string Folder = Path.Combine(RepositoryFiles.Root, "docs", "deploy");

    private static readonly (string Name, string Text)[] Image = ReadDockerfile(Path.Combine(Folder, "Dockerfile"));

    private static readonly JsonObject[] Manifest = YamlText.ReadFile(Path.Combine(Folder, "kquant-server.yaml"));

    private static JsonNode Deployment => Manifest.Single(document => (string?)document["kind"] == "Deployment");

    private static JsonNode Service => Manifest.Single(document => (string?)document["kind"] == "Service");

    private static JsonNode Pod => Deployment["spec"]!["template"]!;

    private static JsonNode Container => Pod["spec"]!["containers"]!.AsArray().Single()!;

    private static string[] Arguments => [.. Words(Container["args"]!)];

    private static string[] ImageCommand => [.. Words(JsonNode.Parse(Only("CMD"))!)];

    [Test]
    public void BothStartAServer()
    {
        foreach (string[] words in (string[][])[Arguments, ImageCommand])
        {
            ParseResult parsed = KQuantCommand.CreateRoot().Parse(words);
            Assert.That(parsed.Errors, Is.Empty);
            Assert.That(parsed.CommandResult.Command.Name, Is.EqualTo("serve"));
            Assert.That(ValueOf(words, "--host"), Is.EqualTo("0.0.0.0"), "others than the container itself reach it");
            Assert.That(ValueOf(words, "--port"), Is.EqualTo(Port));
        }

        Assert.That(KQuantCommand.CreateRoot().Parse("serve --model m").GetValue<int>("--port").ToString(CultureInfo.InvariantCulture), Is.EqualTo(Port));
    }

    [Test]
    public void TheImageIsBuiltFromWhatThereIs()
    {
        string props = File.ReadAllText(Path.Combine(RepositoryFiles.Root, "Directory.Build.props"));
        string framework = XDocument.Parse(props).Descendants("TargetFramework").Single().Value["net".Length..];
        string[] bases = [.. All("FROM")];
        Assert.That(bases, Is.EqualTo((string[])[$"mcr.microsoft.com/dotnet/sdk:{framework} AS build", $"mcr.microsoft.com/dotnet/aspnet:{framework}"]));
        JsonNode sdk = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryFiles.Root, "global.json")))!["sdk"]!;
        Assert.That((string?)sdk["version"], Does.StartWith(framework), "the SDK of the image is one that global.json takes");
        Assert.That((string?)sdk["rollForward"], Is.EqualTo("latestFeature"));

        string[] copied = [.. All("COPY").Where(text => !text.StartsWith("--from", StringComparison.Ordinal)).SelectMany(text => text.Split(' ')[..^1])];
        string[] ignored = [.. File.ReadAllLines(Path.Combine(Folder, "Dockerfile.dockerignore"))];
        Assert.That(copied.Where(path => !Path.Exists(Path.Combine(RepositoryFiles.Root, path))), Is.Empty);
        Assert.That(copied.Where(path => !ignored.Contains("!" + path.TrimEnd('/'))), Is.Empty, "nothing that is copied is kept from the build");

        string project = All("RUN").Select(text => Regex.Match(text, @"^dotnet publish (?<project>\S+) -c Release -o /app$")).Single(match => match.Success).Groups["project"].Value;
        string output = XDocument.Load(Path.Combine(RepositoryFiles.Root, project)).Descendants("AssemblyName").Single().Value;
        Assert.That(Words(JsonNode.Parse(Only("ENTRYPOINT"))!), Is.EqualTo((string[])["/app/" + output]));
        Assert.That(Needed(project).Where(path => !copied.Any(root => path == root || path.StartsWith(root, StringComparison.Ordinal))), Is.Empty, "all that the project refers to is there");
        Assert.That(Only("EXPOSE"), Is.EqualTo(Port));
        Assert.That(Only("USER"), Is.EqualTo("$APP_UID"), "it is not root");
    }

    [Test]
    public void ThePartsOfTheManifestFitOneAnother()
    {
        Assert.That(Manifest.Select(document => ((string?)document["apiVersion"], (string?)document["kind"])), Is.EqualTo(((string?, string?)[])[("apps/v1", "Deployment"), ("v1", "Service")]));
        string labels = Pod["metadata"]!["labels"]!.ToJsonString();
        Assert.That(Deployment["spec"]!["selector"]!["matchLabels"]!.ToJsonString(), Is.EqualTo(labels));
        Assert.That(Service["spec"]!["selector"]!.ToJsonString(), Is.EqualTo(labels));

        JsonNode port = Container["ports"]!.AsArray().Single()!, exposed = Service["spec"]!["ports"]!.AsArray().Single()!;
        Assert.That((long?)port["containerPort"], Is.EqualTo(long.Parse(Port, CultureInfo.InvariantCulture)));
        Assert.That((string?)exposed["targetPort"], Is.EqualTo((string?)port["name"]));
        foreach (string probe in (string[])["startupProbe", "readinessProbe", "livenessProbe"])
        {
            Assert.That((string?)Container[probe]!["httpGet"]!["port"], Is.EqualTo((string?)port["name"]), probe);
        }

        string[] volumes = [.. Pod["spec"]!["volumes"]!.AsArray().Select(volume => (string)volume!["name"]!)];
        Dictionary<string, string> mounts = Container["volumeMounts"]!.AsArray().ToDictionary(mount => (string)mount!["name"]!, mount => (string)mount!["mountPath"]!);
        Assert.That(mounts.Keys, Is.EquivalentTo(volumes));
        Assert.That(ValueOf(Arguments, "--model"), Does.StartWith(mounts["models"] + "/"));
        Assert.That(ValueOf(Arguments, "--api-key-file"), Does.StartWith(mounts["keys"] + "/"));
        JsonNode secret = Pod["spec"]!["volumes"]!.AsArray().Single(volume => (string?)volume!["name"] == "keys")!["secret"]!;
        Assert.That(
            File.ReadAllText(Path.Combine(Folder, "kquant-server.yaml")),
            Does.Contain($"kubectl create secret generic {(string?)secret["secretName"]} --from-literal={Path.GetFileName(ValueOf(Arguments, "--api-key-file"))}="));

        Assert.That((bool?)Pod["spec"]!["securityContext"]!["runAsNonRoot"], Is.True);
        Assert.That((bool?)Container["securityContext"]!["readOnlyRootFilesystem"], Is.True);
        Assert.That((string?)Container["resources"]!["requests"]!["cpu"], Is.EqualTo(ValueOf(Arguments, "--threads")));
        Assert.That(Container["resources"]!["requests"]!["memory"], Is.Not.Null);
        Assert.That((long?)Pod["spec"]!["terminationGracePeriodSeconds"], Is.GreaterThan(long.Parse(ValueOf(Arguments, "--drain"), CultureInfo.InvariantCulture) + 5), "answers come to their end");
    }

    [Test]
    public async Task TheServerOfTheManifestAnswersItsProbesAndWhoeverHasTheKey()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("Windows has no bash that opens connections.");
        }

        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["keys"], "first\n\n  second  \n");
        string[] words = Replace(Replace(Replace(Replace(Arguments, "--model", TestModels.TinyDense), "--host", "127.0.0.1"), "--port", "0"), "--api-key-file", folder["keys"]);
        using Process process = CliProcess.Start(null, words);
        Match match = Regex.Match((await process.StandardOutput.ReadLineAsync())!, @"^Listening on (?<url>http://127\.0\.0\.1:(?<port>\d+)); Ctrl-C stops\.$");
        Assert.That(match.Success);
        using var client = new HttpClient { BaseAddress = new Uri(match.Groups["url"].Value) };
        foreach (string probe in (string[])["startupProbe", "readinessProbe", "livenessProbe"])
        {
            using HttpResponseMessage health = await client.GetAsync((string)Container[probe]!["httpGet"]!["path"]!);
            Assert.That(health.StatusCode, Is.EqualTo(HttpStatusCode.OK), probe);
        }

        Assert.That(RunHealthCheck(match.Groups["port"].Value), Is.Zero);
        foreach ((string key, HttpStatusCode expected) in new[] { ("first", HttpStatusCode.OK), ("second", HttpStatusCode.OK), ("third", HttpStatusCode.Unauthorized) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = new StringContent("""{"prompt":"It is","max_tokens":1}""", Encoding.UTF8, "application/json") };
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
            using HttpResponseMessage answer = await client.SendAsync(request);
            Assert.That(answer.StatusCode, Is.EqualTo(expected), key);
        }

        process.Kill();
        string log = CliProcess.Finish(process).Error;
        Assert.That(log, Does.Not.Contain("first").And.Not.Contain("warning:"));
        Assert.That(log.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement.ValueKind), Is.All.EqualTo(JsonValueKind.Object));
        Assert.That(RunHealthCheck(match.Groups["port"].Value), Is.Not.Zero, "a server that is not there is not healthy");
    }

    [TestCase("", "has no keys; it has one a line.")]
    [TestCase(" \n\r\n", "has no keys; it has one a line.")]
    [TestCase(null, "there is no such file.")]
    public void AFileWithoutKeysStartsNoServer(string? text, string message)
    {
        using var folder = new TemporaryFolder();
        if (text is not null)
        {
            File.WriteAllText(folder["keys"], text);
        }

        Cli.Run("serve", "--model", TestModels.TinyDense, "--port", "0", "--api-key-file", folder["keys"]).MustFail(message);
    }

    [TestCase("a: 1\nb:\n  - x: \"2\"\n    y: true\n  - |\n    # no comment\n      deep\n  - z # comment\n---\nc:\n- d\n", """[{"a":1,"b":[{"x":"2","y":true},"# no comment\n  deep\n","z"]},{"c":["d"]}]""")]
    [TestCase("a:\n  b: 1\n   c: 2\n", null)]
    [TestCase("a: 1\na: 2\n", null)]
    [TestCase("a:\n\tb: 1\n", null)]
    [TestCase("a: {b: 1}\n", null)]
    [TestCase("a: yes\n", null)]
    [TestCase("a:\n", null)]
    [TestCase("- a\n", null)]
    [TestCase("a\n", null)]
    [TestCase("a: \"b\n", null)]
    public void ManifestsAreReadStrictly(string text, string? expected)
    {
        if (expected is null)
        {
            Assert.Throws<FormatException>(() => YamlText.Read(text));
        }
        else
        {
            Assert.That(new JsonArray(YamlText.Read(text)).ToJsonString(), Is.EqualTo(JsonNode.Parse(expected)!.ToJsonString()));
        }
    }

    /// <summary>The instructions of a file, with lines joined that end in a backslash.</summary>
    private static (string Name, string Text)[] ReadDockerfile(string path)
    {
        string text = File.ReadAllText(path).Replace("\\\n", "", StringComparison.Ordinal);
        return [.. text.Split('\n').Where(line => line.Length > 0 && line[0] != '#').Select(line => (line[..line.IndexOf(' ', StringComparison.Ordinal)], line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..].Trim()))];
    }

    private static IEnumerable<string> All(string instruction) => Image.Where(line => line.Name == instruction).Select(line => line.Text);

    private static string Only(string instruction) => All(instruction).Single();

    private static IEnumerable<string> Words(JsonNode list) => list.AsArray().Select(word => (string)word!);

    private static string ValueOf(string[] words, string option) => words[Array.IndexOf(words, option) + 1];

    private static string[] Replace(string[] words, string option, string value) => [.. words.Select((word, i) => i > 0 && words[i - 1] == option ? value : word)];

    /// <summary>The projects that a project refers to, itself included.</summary>
    private static IEnumerable<string> Needed(string project) => XDocument.Load(Path.Combine(RepositoryFiles.Root, project)).Descendants("ProjectReference")
        .Select(reference => Path.GetRelativePath(RepositoryFiles.Root, Path.GetFullPath(Path.Combine(RepositoryFiles.Root, Path.GetDirectoryName(project)!, (string)reference.Attribute("Include")!))).Replace('\\', '/'))
        .SelectMany(Needed).Prepend(project).Distinct();

    /// <summary>Runs the health check of the image against another port.</summary>
    private static int RunHealthCheck(string port)
    {
        string text = Only("HEALTHCHECK");
        string[] words = [.. Words(JsonNode.Parse(text[(text.IndexOf("CMD ", StringComparison.Ordinal) + 4)..])!)];
        Assert.That(words[^1], Does.Contain("/127.0.0.1/" + Port + " "));
        using Process process = Process.Start(new ProcessStartInfo(words[0], words[1..].Select(word => word.Replace($"/{Port} ", $"/{port} ", StringComparison.Ordinal))) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }
}
