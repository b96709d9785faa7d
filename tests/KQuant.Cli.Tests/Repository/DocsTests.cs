using System.CommandLine;
using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;
using KQuant.Codecs;
using KQuant.Codecs.Files;
using KQuant.Matmul;
using KQuant.Matmul.Backends;
using KQuant.Metal;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Repository;

/// <summary>The pages are true: their commands exist and run, their C# is compiled and run.</summary>
public partial class DocsTests
{
    private const string This = "tests/KQuant.Cli.Tests/Repository/DocsTests.cs";

    private static IEnumerable<string> Pages =>
        ((string[])["README.md", "CONTRIBUTING.md"])
            .Concat(Directory.GetFiles(Path.Combine(RepositoryFiles.Root, "docs"), "*.md").Select(file => "docs/" + Path.GetFileName(file)))
            .Concat(["docs/deploy/README.md", "samples/README.md"])
            .Where(page => File.Exists(Path.Combine(RepositoryFiles.Root, page)));

    [GeneratedRegex(@"<<'END'\n(?<body>.*?)\nEND\n", RegexOptions.Singleline)]
    private static partial Regex HereDocument { get; }

    [GeneratedRegex(@"^(?:\w+=\S* |mkdir -p \w+ && )*(?:dotnet )?kquant (?<words>.*)$|^dotnet run -c Release --project tools/KQuant.Cli -- (?<words>.*)$")]
    private static partial Regex Call { get; }

    [GeneratedRegex(@"(?<![\w/.])(?:samples|tests|tools|src|fixtures|docs)/[\w./-]+")]
    private static partial Regex OwnPath { get; }

    [Test]
    public void EveryCommandIsOneThatExists()
    {
        var wrong = new List<string>();
        int count = 0;
        foreach (string page in Pages)
        {
            foreach (string command in Commands(page))
            {
                // In embed.md the current folder is one below the clone.
                wrong.AddRange(OwnPath.Matches(command).Select(match => match.Value)
                    .Where(path => !Path.Exists(Path.Combine(RepositoryFiles.Root, path))).Select(path => $"{page}: {path}"));
                if (Call.Match(command) is { Success: true } call)
                {
                    count++;
                    ParseResult parsed = KQuantCommand.CreateRoot().Parse(Words(call.Groups["words"].Value));
                    wrong.AddRange(parsed.Errors.Select(error => $"{page}: {command}: {error.Message}"));
                }
            }
        }

        Assert.That(wrong, Is.Empty);
        Assert.That(count, Is.GreaterThan(35), "the commands are found");
    }

    [TestCase("quantize", 10)]
    [TestCase("ci", 10)]
    public void ThePageRunsFromNothingToItsResult(string page, int commands)
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Ignore("The page is for a POSIX shell.");
        }

        string[] steps = [.. Commands($"docs/{page}.md")];
        Assert.That(steps, Has.Length.EqualTo(commands));
        using var folder = new TemporaryFolder();
        foreach (string name in (string[])["fixtures", "LICENSE"])
        {
            File.CreateSymbolicLink(folder[name], Path.Combine(RepositoryFiles.Root, name));
        }

        // Installing takes a network and packages that are published; everything behind it runs as it stands there.
        string script = $$"""
            set -e
            kquant() { "{{CliProcess.Path}}" "$@"; }
            dotnet() {
                case "$*" in
                    'tool install --global KQuant.Cli' | 'new tool-manifest' | 'tool install KQuant.Cli') ;;
                    kquant\ *) shift; kquant "$@" ;;
                    *) echo "dotnet $*: not expected here"; exit 9 ;;
                esac
            }

            """ + string.Join('\n', steps) + "\n";
        using Process process = Process.Start(new ProcessStartInfo("bash", ["-c", script])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder.Path,
        })!;
        CliResult result = CliProcess.Finish(process);
        Assert.That(result.ExitCode, Is.Zero, result.Error + result.Output);
        foreach (string shown in KeptText.Fences($"docs/{page}.md", "text"))
        {
            IEnumerable<string> lines = shown.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0 && !line.StartsWith("Wrote", StringComparison.Ordinal));
            Assert.That(lines.Where(line => !result.Output.Contains(line, StringComparison.Ordinal)), Is.Empty, result.Output);
        }
    }

    [Test]
    public void EveryListingIsOneOfThese()
    {
        string source = KeptText.Read(This);
        string[] regions = [.. KeptText.Regions(This).Select(Plain)];
        string[] pages = [.. Pages.Where(page => page != "README.md")];
        string[] listings =
        [
            .. pages.SelectMany(page => KeptText.Fences(page, "csharp")),
            .. pages.SelectMany(page => HereDocument.Matches(KeptText.Read(page)).Select(match => match.Groups["body"].Value)),
        ];
        foreach (string line in listings.SelectMany(listing => listing.Split('\n')).Where(IsUsing))
        {
            Assert.That(source, Does.Contain("\n" + line));
        }

        Assert.That(listings.Select(Plain), Is.EquivalentTo(regions));

        static bool IsUsing(string line) => Regex.IsMatch(line, @"^using [\w.]+;$");
        static string Plain(string code) => string.Join('\n', code.Split('\n').Where(line => !IsUsing(line)).Select(line => line.Trim())).Trim();
    }

    [Test]
    public void TheCacheOfThePageAttends()
    {
        float[] keys = TestModels.Weights(1, 8 * 128), values = TestModels.Weights(2, 8 * 128), queries = TestModels.Weights(3, 16 * 128), outputs = new float[16 * 128];
        #region cache
        using AttentionCache cache = new KeyValueCacheBuilder()
            .WithFormat("q4_0").WithRotation().WithHeads(8, size: 128).WithCapacity(4096).Build();
        cache.Append(keys, values);      // of a token: eight heads of 128 values
        cache.Attend(queries, outputs);  // sixteen query heads, two for each of the eight
        long bytes = cache.GetByteCount(4096);
        #endregion
        Assert.That((bytes, outputs.Any(value => value != 0)), Is.EqualTo((4096L * 8 * 2 * 72, true)));
    }

    [Test]
    public void TheProgramOfThePagePrintsWhatThePageShows()
    {
        using var folder = new TemporaryFolder();
        Cli.Quantize(TestModels.TinyDense, "q4_k", folder["q4.gguf"]).MustSucceed();
        string[] shown = KeptText.Fences("docs/embed.md", "text").Single().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[] printed = [.. ((string[])[TestModels.TinyDense, folder["q4.gguf"]]).Select(Answer)];
        Assert.That(printed, Is.EqualTo(shown));

        static string Answer(string path)
        {
            TextWriter previous = Console.Out;
            using var output = new StringWriter { NewLine = "\n" };
            Console.SetOut(output);
            try
            {
                Run([path, "It is a truth universally acknowledged"]);
            }
            finally
            {
                Console.SetOut(previous);
            }

            return output.ToString().TrimEnd('\n');
        }

        static void Run(string[] args)
        {
            #region embed
            using LanguageModel model = LanguageModel.Load(args[0]);
            int[] prompt = model.Tokenizer.Encode(args[1]);
            foreach (GeneratedToken token in model.Generate(prompt, new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 24 }))
            {
                Console.Write(token.Text);
            }

            Console.WriteLine();
            #endregion
        }
    }

    [Test]
    public void TheProductsOfTheMetalPageAreThose()
    {
        using var folder = new TemporaryFolder();
        TestModels.WriteGguf(folder["model.gguf"]);
        using GgufFile file = GgufFile.Open(folder["model.gguf"]);
        using var context = new MatmulContext();
        QuantizedTensor tensor = file.GetTensor("blk.0.attn_q.weight");
        int rows = 2, columns = tensor.Shape.Columns, outputs = (int)tensor.Shape.Rows;
        float[] activations = TestModels.Weights(3, rows * columns), expected = new float[rows * outputs];
        TextWriter previous = Console.Out;
        Console.SetOut(TextWriter.Null);
        try
        {
            #region metal
            using MatmulBackend backend = MetalBackend.IsSupported ? MetalBackend.Create() : new ManagedBackend(context);
            using BackendWeights w = backend.Upload(tensor);            // pages of a mapped file are not copied
            using BackendBuffer x = backend.Allocate(rows * columns), y = backend.Allocate(rows * outputs);
            activations.CopyTo(x.Values);
            backend.Multiply(w, x, rows, y);                            // queued; any number of products, which may use each other's results
            backend.Synchronize();                                      // one command buffer for all of them
            Console.WriteLine($"{backend.Name}: {y.Values[0]}");
            #endregion
            QuantizedMatmul.Multiply(tensor, activations, expected, context);
            Assert.That(y.Values[..expected.Length].ToArray(), Is.EqualTo(expected).Within(0.05f));
        }
        finally
        {
            Console.SetOut(previous);
        }
    }

    /// <summary>The command lines of a page, without their prompts.</summary>
    private static IEnumerable<string> Commands(string page) => KeptText.Fences(page, "console")
        .SelectMany(block => block.Split('\n'))
        .Where(line => line.StartsWith("$ ", StringComparison.Ordinal))
        .Select(line => line[2..])
        .Concat(KeptText.Fences(page, "sh").SelectMany(block => block.Split('\n', StringSplitOptions.RemoveEmptyEntries)));

    /// <summary>The words of a command up to a comment, a redirection or the next command.</summary>
    private static List<string> Words(string command)
    {
        var words = new List<string>();
        StringBuilder? word = null;
        char quote = '\0';
        foreach (char c in Regex.Replace(command, @"\$\([^)]*\)", "1"))
        {
            if (quote == '\0' && c is '#' or '>' or '|' or ';' or '&' && word is null)
            {
                break;
            }

            if (c == quote)
            {
                quote = '\0';
            }
            else if (quote == '\0' && c is '"' or '\'')
            {
                quote = c;
                word ??= new StringBuilder();
            }
            else if (quote == '\0' && c == ' ')
            {
                Add();
            }
            else
            {
                (word ??= new StringBuilder()).Append(c);
            }
        }

        Add();
        return words;

        void Add()
        {
            if (word is not null)
            {
                words.Add(word.ToString());
                word = null;
            }
        }
    }
}
