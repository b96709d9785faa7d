using System.Text.Json;
using KQuant.Server.Hosting;
using KQuant.Server.Protocol;

namespace KQuant.Server.OpenAI;

/// <summary>Texts as OpenAI's interface has them: a text, the tokens of one, or a list of either.</summary>
internal static class TextFields
{
    /// <summary>Reads texts.</summary>
    /// <param name="body">What has them.</param>
    /// <param name="name">The name of the field.</param>
    /// <param name="served">Whose tokens they become.</param>
    /// <param name="most">Texts at most.</param>
    /// <param name="parseSpecialTokens">Whether the names of special tokens in a text mean those tokens.</param>
    /// <returns>The tokens of each text.</returns>
    /// <exception cref="ApiException">There are none, a text is empty, or something else stands there.</exception>
    public static IReadOnlyList<int[]> Read(JsonFields body, string name, ServedModel served, int most, bool parseSpecialTokens = true)
    {
        if (!body.TryGet(name, out JsonElement value))
        {
            throw body.Missing(name);
        }

        if (value.ValueKind == JsonValueKind.String)
        {
            return [Encode(body.Text(name)!, body.PathOf(name))];
        }

        (JsonElement Item, string Path)[] items = [.. body.List(name)!];
        if (items.Length > 0 && items[0].Item.ValueKind == JsonValueKind.Number)
        {
            return [ReadTokens(items, served)];
        }

        string path = body.PathOf(name);
        return items.Length is 0 || items.Length > most
            ? throw ApiException.Wrong(path, $"'{path}' has {items.Length} texts; it has 1 to {most}.")
            : [.. items.Select(item => item.Item.ValueKind == JsonValueKind.Array
                ? NotEmpty(ReadTokens(item.Item.EnumerateArray().Select((token, i) => (token, $"{item.Path}[{i}]")), served), item.Path)
                : Encode(JsonFields.Text(item.Item, item.Path), item.Path))];

        int[] Encode(string text, string path) => NotEmpty(served.Model.Tokenizer.Encode(text, parseSpecialTokens: parseSpecialTokens), path);
    }

    /// <summary>Reads tokens.</summary>
    /// <param name="items">The tokens and where they stand.</param>
    /// <param name="served">Whose tokens they are.</param>
    /// <exception cref="ApiException">One is none of the vocabulary.</exception>
    public static int[] ReadTokens(IEnumerable<(JsonElement Item, string Path)> items, ServedModel served)
    {
        int size = served.Model.Config.VocabularySize;
        return
        [
            .. items.Select(item => item.Item.ValueKind == JsonValueKind.Number && item.Item.TryGetInt32(out int token) && token >= 0 && token < size
                ? token
                : throw ApiException.Wrong(item.Path, $"'{item.Path}' is no token; tokens are numbers from 0 to {size - 1}.")),
        ];
    }

    private static int[] NotEmpty(int[] tokens, string path) => tokens.Length > 0 ? tokens : throw ApiException.Wrong(path, $"'{path}' is empty; a text has a token at least.");
}
