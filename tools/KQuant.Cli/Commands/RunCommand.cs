using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using System.Text.Json.Nodes;
using KQuant.Cli.Rendering;
using KQuant.Matmul.Backends;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.Models.Templates;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant run</c>: one prompt, one answer.</summary>
internal static class RunCommand
{
    private const string Line = "==========";

    internal static Command Create()
    {
        var arguments = new ModelArguments();
        var sampling = new SamplingArguments();
        var prompt = new Option<string>("--prompt", "-p")
        {
            Description = "What to answer or to continue; '-' reads it from the standard input.",
            HelpName = "text",
            DefaultValueFactory = _ => "Hello!",
        };
        Option<int> maxTokens = CommonOptions.MaxTokens("Tokens to generate at most.", 64);
        var system = new Option<string>("--system-prompt") { Description = "A system message before the prompt.", HelpName = "text" };
        var noTemplate = new Option<bool>("--no-chat-template") { Description = "Continue the prompt as it is." };
        var templateConfig = new Option<JsonObject>("--chat-template-config")
        {
            Description = "Variables for the chat template, as a JSON object.",
            HelpName = "json",
            CustomParser = ParseVariables,
        };
        var stops = new Option<string[]>("--stop") { Description = "A text that ends the answer.", HelpName = "text" };
        var ignoreEos = new Option<bool>("--ignore-eos") { Description = "Go on when the model ends the text." };
        Option<int> maxKvSize = CommonOptions.Number("--max-kv-size", "Tokens to remember at most; 0 for all.", 0, 0, int.MaxValue);
        var raw = new Option<bool>("--raw") { Description = "Print the continuation of the prompt alone: no chat template, no statistics." };
        var command = new Command("run", "Run a model on one prompt and print what it answers.")
        {
            prompt, maxTokens, system, noTemplate, templateConfig, stops, ignoreEos, maxKvSize, raw,
        };
        arguments.AddTo(command);
        sampling.AddTo(command);
        command.SetWork((parsed, cancellationToken) =>
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            JsonObject? variables = parsed.GetValue(templateConfig);
            string text = parsed.GetValue(prompt)!;
            text = text == "-" ? parsed.GetStreams().Input.ReadToEnd() : text;
            bool isRaw = parsed.GetValue(raw);
            using MatmulBackend? device = arguments.OpenDevice(parsed);
            using LanguageModel model = arguments.Load(parsed, device, cancellationToken);
            bool isPlain = isRaw || parsed.GetValue(noTemplate) || model.ChatTemplate is null;
            if (isPlain && !string.IsNullOrEmpty(parsed.GetValue(system)))
            {
                throw new CommandException(model.ChatTemplate is null
                    ? $"{model.Path} has no chat template, and --system-prompt has no place without one; put it into --prompt."
                    : "--system-prompt has no place without a chat template; put it into --prompt.");
            }

            int[] ids = isPlain
                ? model.Tokenizer.Encode(text)
                : EncodeChat(model, text, parsed.GetValue(system), variables, cancellationToken);
            var options = new GenerationOptions
            {
                Sampling = sampling.Read(parsed, model),
                MaxTokens = parsed.GetValue(maxTokens),
                StopSequences = parsed.GetValue(stops) ?? [],
                StopTokens = parsed.GetValue(ignoreEos) ? [] : null,
                IncludeSpecialTokens = parsed.GetValue(ignoreEos),
                MaxCacheSize = parsed.GetValue(maxKvSize),
            };
            Action<string> write = isRaw ? output.Write : WordWrap.For(output);
            var statistics = new RunStatistics();
            bool isFirst = true;
            try
            {
                foreach (GeneratedToken token in model.Generate(ids, options, cancellationToken))
                {
                    if (isFirst && !isRaw)
                    {
                        output.WriteLine(Line);
                    }

                    isFirst = false;
                    statistics.Add();
                    write(token.Text);
                    output.Flush();
                }
            }
            catch (OperationCanceledException) when (!isFirst)
            {
                // That it was interrupted stands on a line of its own.
                output.WriteLine();
                throw;
            }

            output.WriteLine();
            if (!isRaw)
            {
                output.WriteLine(Line);
                statistics.Write(output, model, ids.Length);
            }
        });
        return command;
    }

    private static JsonObject? ParseVariables(ArgumentResult result)
    {
        try
        {
            if (JsonText.Parse(result.Tokens[0].Value) is JsonObject variables)
            {
                return variables;
            }

            result.AddError("--chat-template-config is no JSON object.");
        }
        catch (JsonException exception)
        {
            result.AddError($"--chat-template-config is no JSON: {exception.Message}");
        }

        return null;
    }

    private static int[] EncodeChat(LanguageModel model, string prompt, string? system, JsonObject? variables, CancellationToken cancellation)
    {
        var messages = new List<TemplateMessage>();
        if (!string.IsNullOrEmpty(system))
        {
            messages.Add(new TemplateMessage("system", system));
        }

        messages.Add(new TemplateMessage("user", prompt));
        return model.EncodeChat(messages, variables, cancellationToken: cancellation);
    }
}
