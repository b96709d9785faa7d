using System.CommandLine;

namespace KQuant.Cli.Commands;

/// <summary>
/// The model of a verb: <c>--model PATH</c>, or the first argument. A path, or the name of a model that the cache of Hugging Face's tools
/// has; nothing is ever fetched.
/// </summary>
internal static class ModelPath
{
    private const string OptionName = "--model";

    /// <summary>Lets a verb that has <c>--model</c> take the model as its argument, too.</summary>
    public static void AllowAsArgument(Command command)
    {
        if (command.Options.FirstOrDefault(option => option.Name == OptionName) is not Option<string> { Required: true } option)
        {
            return;
        }

        option.Required = false;
        var argument = new Argument<string>("model") { Description = "The same as --model.", Arity = ArgumentArity.ZeroOrOne };
        command.Arguments.Add(argument);
        command.Validators.Add(result =>
        {
            string? word = result.GetResult(argument) is { Tokens.Count: > 0 } given ? given.Tokens[0].Value : null;
            bool hasOption = result.GetResult(option) is not null;
            if (word is ['-', _, ..])
            {
                result.AddError($"Unrecognized command or argument '{word}'.{Suggestions.For(word, command)}");
            }
            else if (word is "")
            {
                result.AddError("The model is empty; a path is needed.");
            }
            else if (word is not null && hasOption)
            {
                result.AddError($"The model is given twice, as {OptionName} and as '{word}'.");
            }
            else if (word is null && !hasOption)
            {
                result.AddError($"Option '{OptionName}' is required.");
            }
        });
    }

    /// <summary>The path of the model that a verb was given.</summary>
    /// <exception cref="CommandException">It is the name of a model that is not on this machine.</exception>
    public static string GetModel(this ParseResult parsed, Option<string> option)
    {
        string? value = parsed.GetValue(option);
        return Resolve(value ?? parsed.CommandResult.Command.Arguments.OfType<Argument<string>>().Select(parsed.GetValue).First()!);
    }

    /// <summary>A path as it is; for a name such as <c>org/model</c> the folder of the local cache.</summary>
    /// <exception cref="CommandException">It is neither a path that exists nor a model of the cache, but could be one.</exception>
    public static string Resolve(string path)
    {
        string[] parts = path.Split('/');
        if (Path.Exists(path) || parts.Length != 2 || !parts.All(IsNamePart) || Directory.Exists(parts[0]))
        {
            return path;
        }

        string model = Path.Combine(CacheFolder, $"models--{parts[0]}--{parts[1]}");
        string reference = Path.Combine(model, "refs", "main"), snapshots = Path.Combine(model, "snapshots");
        string? folder = File.Exists(reference) ? Path.Combine(snapshots, Utf8Text(reference).Trim()) : null;
        return folder is not null && Directory.Exists(folder)
            ? folder
            : throw new CommandException(
                $"{path}: there is no such file or folder, and no model of that name in {CacheFolder}; 'hf download {path}' fetches it.");
    }

    /// <summary>Where Hugging Face's tools keep models.</summary>
    private static string CacheFolder
    {
        get
        {
            if (Environment.GetEnvironmentVariable("HF_HUB_CACHE") is { Length: > 0 } hub)
            {
                return hub;
            }

            if (Environment.GetEnvironmentVariable("HF_HOME") is { Length: > 0 } home)
            {
                return Path.Combine(home, "hub");
            }

            string cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg
                ? xdg
                : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
            return Path.Combine(cache, "huggingface", "hub");
        }
    }

    private static bool IsNamePart(string part) =>
        part.Length > 0 && part[0] is not ('.' or '~' or '-') && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');

    private static string Utf8Text(string file) => Utf8Reader.ReadFile(file);
}
