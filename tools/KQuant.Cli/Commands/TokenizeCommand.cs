using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using KQuant.Cli.Reports;
using KQuant.Models.Tokenizers;

namespace KQuant.Cli.Commands;

/// <summary><c>kquant tokenize</c>: lines to token ids and back.</summary>
internal static class TokenizeCommand
{
    internal static Command Create()
    {
        Option<string> model = CommonOptions.Model("A folder with a tokenizer.json, such a file, or a GGUF file.");
        var decode = new Option<bool>("--decode") { Description = "Read token ids, separated by spaces or commas, and write text." };
        var plain = new Option<bool>("--no-special") { Description = "Add no special tokens around a line; with --decode, leave them out." };
        Option<bool> json = CommonOptions.Json();
        json.Description = "Read and write JSON, one value a line: strings and arrays of ids.";
        var command = new Command("tokenize", "Turn lines of the standard input into token ids, or ids into text.") { model, decode, plain, json };
        command.SetWork((parsed, cancellationToken) =>
        {
            var tokenizer = Tokenizer.Load(parsed.GetModel(model));
            bool asJson = parsed.GetValue(json), special = !parsed.GetValue(plain);
            TextWriter output = parsed.GetStreams().Output;
            TextReader input = parsed.GetStreams().Input;
            int number = 0;
            while (input.ReadLine() is string line)
            {
                cancellationToken.ThrowIfCancellationRequested();
                number++;
                output.WriteLine(parsed.GetValue(decode)
                    ? Text(tokenizer.Decode(ReadIds(line, number, asJson, tokenizer.VocabularySize), skipSpecialTokens: !special), asJson)
                    : Ids(tokenizer.Encode(asJson ? ReadText(line, number) : line, addSpecialTokens: special), asJson));
            }
        });
        return command;
    }

    private static string Text(string text, bool asJson) => asJson ? JsonSerializer.Serialize(text, ReportJson.Default.String) : text;

    private static string Ids(int[] ids, bool asJson) => asJson ? $"[{string.Join(',', ids)}]" : string.Join(' ', ids);

    private static string ReadText(string line, int number)
    {
        try
        {
            return JsonSerializer.Deserialize(line, ReportJson.Default.String) ?? throw new JsonException();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The reader throws InvalidOperationException for half of a surrogate pair.
            throw new CommandException($"Line {number} of the input is no JSON string.");
        }
    }

    private static int[] ReadIds(string line, int number, bool asJson, int vocabulary)
    {
        if (asJson)
        {
            line = line.Trim();
            line = line is ['[', .. string list, ']'] ? list : throw new CommandException($"Line {number} of the input is no JSON array.");
        }

        string[] words = line.Split([' ', ',', '\t'], StringSplitOptions.RemoveEmptyEntries);
        var ids = new int[words.Length];
        for (int i = 0; i < words.Length; i++)
        {
            if (!int.TryParse(words[i], NumberStyles.None, CultureInfo.InvariantCulture, out ids[i]))
            {
                throw new CommandException($"Line {number} of the input has '{words[i]}', which is no token id.");
            }

            if (ids[i] >= vocabulary)
            {
                throw new CommandException($"Line {number} of the input has {ids[i]}; the vocabulary has {vocabulary} tokens.");
            }
        }

        return ids;
    }
}
