using System.Text;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Reads the <c>added_tokens</c> section of a <c>tokenizer.json</c>.</summary>
internal static class AddedTokens
{
    /// <summary>Reads the tokens and gives ids to those that the vocabulary lacks.</summary>
    /// <param name="section">The section.</param>
    /// <param name="tokens">The vocabulary of the model; takes the new ones.</param>
    /// <exception cref="Codecs.ModelFormatException">A token has another id than Hugging Face would give it, or is far too long.</exception>
    public static AddedToken[] Read(JsonPlace section, TokenTable.Builder tokens)
    {
        var added = new List<AddedToken>();
        if (section.IsNull)
        {
            return [];
        }

        TokenTable model = tokens.Build();
        var known = new Dictionary<string, int>(StringComparer.Ordinal);
        int next = model.Count;
        foreach (JsonPlace place in section.Elements())
        {
            string content = place["content"].AsText();
            byte[] bytes = Encoding.UTF8.GetBytes(content);
            if (bytes.Length == 0)
            {
                continue;
            }

            if (bytes.Length > AddedTokenCutter.MaxTokenBytes)
            {
                throw place["content"].Error($"has {bytes.Length} bytes; at most {AddedTokenCutter.MaxTokenBytes} are taken");
            }

            int declared = place["id"].AsNumber(0, BpeReader.MaxTokens - 1);
            bool isNew = false;
            if (!model.TryGet(bytes, out int id) && !known.TryGetValue(content, out id))
            {
                isNew = true;
                id = next++;
            }

            if (id != declared)
            {
                throw place["id"].Error($"is {declared}, but '{Printable.Shorten(content)}' is token {id} by its place");
            }

            if (isNew)
            {
                known.Add(content, id);
                tokens.TryAdd(id, bytes);
            }

            bool special = place["special"].AsFlag(false);
            added.Add(new AddedToken(id, bytes)
            {
                SingleWord = place["single_word"].AsFlag(false),
                StripsLeft = place["lstrip"].AsFlag(false),
                StripsRight = place["rstrip"].AsFlag(false),
                Normalized = place["normalized"].AsFlag(!special),
                Special = special,
            });
        }

        return [.. added];
    }

    /// <summary>Tokens that are looked for in normalized text, as they look there.</summary>
    public static AddedToken[] Normalize(AddedToken[] tokens, List<Normalizer> normalizers)
    {
        var result = new List<AddedToken>();
        foreach (AddedToken token in tokens)
        {
            byte[] content = token.Content;
            foreach (Normalizer normalizer in token.Normalized ? normalizers : [])
            {
                using var buffer = new ByteBuffer();
                content = normalizer.TryNormalize(content, buffer) ? buffer.Bytes.ToArray() : content;
            }

            // What normalization leaves nothing of is never found, but stays in the vocabulary.
            if (content.Length > 0)
            {
                result.Add(token with { Content = content });
            }
        }

        return [.. result];
    }
}
