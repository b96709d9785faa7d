using System.CommandLine;
using System.Globalization;
using KQuant.Cli.Commands;
using KQuant.Models.Generation;
using KQuant.TestKit;

namespace KQuant.Cli.Tests.Commands;

/// <summary>Every option of every verb with every kind of wrong value: one sentence that names it, and exit code 2.</summary>
public class BadOptionTests
{
    private static readonly string[] BadNumbers = ["x", "", "1.5x", "--", "99999999999999999999", "-99999999999", "NaN", "Infinity", "1e99", "0x10", "²"];

    /// <summary>Options that take any text at all, and those that take any path.</summary>
    private static readonly Type[] Texts = [typeof(string), typeof(string[]), typeof(AdapterArgument[])];

    private static IEnumerable<TestCaseData> Options()
    {
        foreach ((string[] verb, Command command) in Verbs())
        {
            foreach (Option option in command.Options.Where(option => option.Name is not ("--help" or "--version" or "--list-presets")))
            {
                yield return new TestCaseData(verb, option).SetArgDisplayNames(string.Join(' ', verb), option.Name);
            }
        }
    }

    [TestCaseSource(nameof(Options))]
    public void AWrongValueIsOneSentence(string[] verb, Option option)
    {
        string[] rest = Required(verb, option);
        if (option is Option<bool>)
        {
            // Of a verb that takes any number of files, the word is one of them.
            if (verb is ["imatrix", "merge"])
            {
                Assert.That(Cli.Run([.. verb, .. rest, option.Name + "=maybe"]).MustFail("no such importance matrix").Output, Is.Empty);
                return;
            }

            Check(option, [.. verb, .. rest, option.Name + "=maybe"], "maybe");
            return;
        }

        Check(option, [.. verb, .. rest, option.Name], option.Name);
        bool isReal = option.ValueType == typeof(float) || option.ValueType == typeof(float?);
        foreach (string value in Texts.Contains(option.ValueType) ? [] : BadNumbers.Where(value => !isReal || !float.TryParse(value, CultureInfo.InvariantCulture, out float real) || !float.IsFinite(real)))
        {
            Check(option, [.. verb, .. rest, $"{option.Name}={value}"], null);
        }

        if (option.HelpName != "text")
        {
            Check(option, [.. verb, .. rest, option.Name, ""], null);
        }

        if (option.Arity.MaximumNumberOfValues == 1)
        {
            Check(option, [.. verb, .. rest, option.Name, "1", option.Name, "1"], option.Name);
        }
    }

    /// <summary>The walk over all options goes by the verbs that there are; that it finds them is not taken on trust.</summary>
    [Test]
    public void TheWalkMeetsEveryVerb()
    {
        string[] walked = [.. Options().Select(test => string.Join(' ', (string[])test.Arguments[0]!)).Distinct()];
        string help = Cli.Run("--help").MustSucceed().Output;
        string[] top = [.. help[help.IndexOf("Commands:", StringComparison.Ordinal)..].Split('\n').Skip(1)
            .Select(line => line.Trim().Split(' ')[0]).Where(word => word.Length > 0)];
        Assert.That(top, Has.Length.GreaterThan(10));
        Assert.That(walked.Select(verb => verb.Split(' ')[0]).Distinct(), Is.EquivalentTo(top));
        Assert.That(walked.Where(verb => verb.StartsWith("bench ", StringComparison.Ordinal)), Has.Exactly(5).Items);
        Assert.That(walked.Where(verb => verb.StartsWith("tensor ", StringComparison.Ordinal)), Has.Exactly(3).Items);
    }

    /// <summary>A command line that begins with a verb has only that one put together.</summary>
    [Test]
    public void AVerbIsTheSameAloneAndAmongAll()
    {
        foreach (Command verb in KQuantCommand.CreateRoot().Subcommands)
        {
            Command alone = KQuantCommand.CreateRoot(verb.Name).Subcommands.Single();
            Assert.That(alone.Name, Is.EqualTo(verb.Name));
            Assert.That(alone.Options.Select(option => option.Name), Is.EqualTo(verb.Options.Select(option => option.Name)), verb.Name);
            Assert.That(alone.Subcommands.Select(part => part.Name), Is.EqualTo(verb.Subcommands.Select(part => part.Name)), verb.Name);
        }

        Assert.That(KQuantCommand.CreateRoot("verbless").Subcommands, Has.Count.GreaterThan(10));
    }

    [Test]
    public void AWordTooManyIsOneSentence()
    {
        foreach ((string[] verb, Command command) in Verbs())
        {
            string[] line = [.. verb, .. command.Arguments.Select(_ => "x.gguf"), "surplus"];
            CliResult result = Cli.RunWith("", line);
            Assert.That(result.ExitCode, Is.EqualTo(2), string.Join(' ', line));
            Assert.That(result.Error, Does.Contain("surplus").Or.Contain("required").Or.Contain("twice"), string.Join(' ', line));
            Assert.That(result.Error, Does.Not.Match(@"System\.|Exception|   at "), string.Join(' ', line));
        }
    }

    [TestCase("--top-p", "2")]
    [TestCase("--temp", "-1")]
    [TestCase("--min-p", "1.5")]
    [TestCase("--xtc-threshold", "0.7")]
    [TestCase("--repetition-penalty", "0")]
    [TestCase("--presence-penalty", "1e9")]
    [TestCase("--seed", "1.5")]
    [TestCase("--max-tokens", "0")]
    [TestCase("-m", "0")]
    [TestCase("--chunk", "0")]
    [TestCase("--threads", "1025")]
    [TestCase("--max-kv-size", "-1")]
    public void AValueOutOfRangeNamesTheOption(string option, string value)
    {
        foreach (string verb in (string[])["run", "chat"])
        {
            CliResult result = Cli.Run(verb, "--model", "x", option, value).MustFail(option == "-m" ? "--max-tokens" : option, exitCode: 2);
            Assert.That(result.Error, Does.Not.Contain(nameof(SamplingOptions.TopP)));
        }
    }

    [TestCase("quantise", "'quantize'")]
    [TestCase("inpsect", "'inspect'")]
    [TestCase("perplexty", "'perplexity'")]
    [TestCase("frobnicate", null)]
    public void AMistypedVerbSuggestsTheNearest(string verb, string? suggestion)
    {
        CliResult result = Cli.Run(verb).MustFail($"'{verb}'", exitCode: 2);
        Assert.That(result.Error, suggestion is null ? Does.Not.Contain("Did you mean") : Does.Contain($"Did you mean {suggestion}?"));
    }

    [TestCase("--thread", "'--threads'", "run", "--model", "x")]
    [TestCase("--ouput", "'--output'", "quantize", "x")]
    [TestCase("--max-token", "'--max-tokens'", "chat", "x")]
    [TestCase("--round", "'--rounds'", "bench", "codecs")]
    [TestCase("--zzz", null, "inspect")]
    public void AMistypedOptionSuggestsTheNearest(string option, string? suggestion, params string[] before)
    {
        CliResult result = Cli.Run([.. before, option, "1"]);
        Assert.That(result.ExitCode, Is.EqualTo(2));
        Assert.That(result.Error, suggestion is null ? Does.Not.Contain("Did you mean") : Does.Contain($"'{option}'. Did you mean {suggestion}?"));
    }

    [Test]
    public void HelpIsAVerb()
    {
        Assert.That(Cli.Run("help").Output, Is.EqualTo(Cli.Run("--help").Output));
        Assert.That(Cli.Run("help", "run").MustSucceed().Output, Is.EqualTo(Cli.Run("run", "--help").Output));
        Assert.That(Cli.Run("help", "tensor", "encode").MustSucceed().Output, Is.EqualTo(Cli.Run("tensor", "encode", "--help").Output));
    }

    [Test]
    public void EveryVerbThatNeedsAModelTakesItAsAnArgument()
    {
        Assert.That(Cli.Run("inspect", TestModels.TinyDense).MustSucceed().Output, Is.EqualTo(Cli.Inspect(TestModels.TinyDense).Output));
        foreach ((string[] verb, Command command) in Verbs().Where(pair => pair.Item2.Arguments.Any(argument => argument.Name == "model")))
        {
            Option? model = command.Options.First(option => option.Name == "--model");
            string[] rest = Required(verb, model);
            CliResult missing = Cli.Run([.. verb, .. rest]);
            Assert.That((missing.ExitCode, missing.Error), Is.EqualTo((2, missing.Error)));
            Assert.That(missing.Error, Does.Contain("'--model' is required"));
            Assert.That(Cli.RunWith("", [.. verb, "no/such/file", .. rest]).ExitCode, Is.EqualTo(1), string.Join(' ', verb));
            Assert.That(Cli.Run([.. verb, "a", "--model", "b", .. rest]).MustFail("twice", exitCode: 2).ExitCode, Is.EqualTo(2));
        }
    }

    [Test]
    public void AModelOfTheLocalCacheIsFoundByItsName()
    {
        using var folder = new TemporaryFolder();
        string? before = Environment.GetEnvironmentVariable("HF_HOME"), hub = Environment.GetEnvironmentVariable("HF_HUB_CACHE");
        try
        {
            Environment.SetEnvironmentVariable("HF_HUB_CACHE", null);
            Environment.SetEnvironmentVariable("HF_HOME", folder.Path);
            Cli.Inspect("org/tiny").MustFail("'hf download org/tiny' fetches it");
            Cli.Inspect("org/tiny/more").MustFail("there is no such file or folder");
            Cli.Inspect("./org/tiny").MustFail("there is no such file or folder");

            folder.Write("hub/models--org--tiny/refs/main", "abc\n");
            string snapshot = folder["hub/models--org--tiny/snapshots/abc"];
            Directory.CreateDirectory(snapshot);
            foreach (string file in Directory.GetFiles(TestModels.TinyDense))
            {
                File.Copy(file, Path.Combine(snapshot, Path.GetFileName(file)));
            }

            Assert.That(Cli.Inspect("org/tiny", "--json").MustSucceed().Json.Text("model"), Is.EqualTo(snapshot));
        }
        finally
        {
            Environment.SetEnvironmentVariable("HF_HOME", before);
            Environment.SetEnvironmentVariable("HF_HUB_CACHE", hub);
        }
    }

    [Test]
    public void ALimitWithoutAComparisonIsWrong() =>
        Cli.Verify("x", "--max-nmse", "0.1").MustFail("--max-nmse needs --against", exitCode: 2);

    [TestCase("--raw")]
    [TestCase("--no-chat-template")]
    public void ASystemPromptWithoutATemplateIsAnError(string option) =>
        Cli.Run("run", TestModels.TinyDense, "--system-prompt", "Be kind.", option).MustFail("--system-prompt has no place without");

    private static IEnumerable<(string[] Verb, Command Command)> Verbs()
    {
        foreach (Command verb in KQuantCommand.CreateRoot().Subcommands)
        {
            if (verb.Subcommands.Count == 0)
            {
                yield return ([verb.Name], verb);
            }

            foreach (Command part in verb.Subcommands)
            {
                yield return ([verb.Name, part.Name], part);
            }
        }
    }

    /// <summary>What a verb needs besides the option in question.</summary>
    private static string[] Required(string[] verb, Option option)
    {
        (_, Command command) = Verbs().Single(pair => pair.Verb.SequenceEqual(verb));
        var words = new List<string>();
        foreach (Argument argument in command.Arguments.Where(argument => argument.Arity.MinimumNumberOfValues > 0))
        {
            words.Add("x.gguf");
        }

        foreach (Option other in command.Options.Where(other => other.Name != option.Name && (other.Required || other.Name is "--model" or "--kquant-type")))
        {
            if (other.Name == "--kquant-type" && option.Name is ("--preset" or "--target-size" or "--target-bpw"))
            {
                continue;
            }

            words.AddRange([other.Name, other.Name is "--codec" or "--kquant-type" ? "q4_k" : other.Name is "--output" or "-o" ? "x.gguf" : "x"]);
        }

        if (verb is ["logits"] && option.Name is not ("--prompt" or "--ids"))
        {
            words.AddRange(["--ids", "1"]);
        }

        return [.. words];
    }

    private static void Check(Option option, string[] args, string? word)
    {
        CliResult result = Cli.RunWith("", args);
        string line = string.Join(' ', args);
        Assert.Multiple(() =>
        {
            Assert.That(result.ExitCode, Is.EqualTo(2), $"{line}: {result.Error}");
            Assert.That(result.Output, Is.Empty, line);
            Assert.That(result.Messages, Has.Length.EqualTo(2).Or.Length.EqualTo(3), $"{line}: {result.Error}");
            Assert.That(result.Error, Does.Contain(word ?? option.Name.TrimStart('-')), line);
            Assert.That(result.Error, Does.Not.Match(@"System\.|Nullable|Int32|Single|Exception|   at "), line);
        });
    }
}
