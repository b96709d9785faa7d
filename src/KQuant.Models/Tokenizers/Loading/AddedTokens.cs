using System.Text;
using KQuant.Codecs.Files;

namespace KQuant.Models.Tokenizers;

/// <summary>Reads the <c>added_tokens</c> section of a <c>tokenizer.json</c>.</summary>
internal static class AddedTokens
{
    /// <summary>The tokens with the ids that the file gives them, each with its place.</summary>
    /// <exception cref="Codecs.ModelFormatException">A token has no id or no text, or a text that is far too long.</exception>
    public static IEnumerable<(JsonPlace Place, AddedToken Token)> Read(JsonPlace section)
    {
        foreach (JsonPlace place in section.IsNull ? [] : section.Elements())
        {
            byte[] content = Encoding.UTF8.GetBytes(place["content"].AsText());
            if (content.Length == 0)
            {
                continue;
            }

            if (content.Length > AddedTokenCutter.MaxTokenBytes)
            {
                throw place["content"].Error($"has {content.Length} bytes; at most {AddedTokenCutter.MaxTokenBytes} are taken");
            }

            bool special = place["special"].AsFlag(false);
            yield return (place, new AddedToken(place["id"].AsNumber(0, TokenizerFile.MaxTokens - 1), content)
            {
                SingleWord = place["single_word"].AsFlag(false),
                StripsLeft = place["lstrip"].AsFlag(false),
                StripsRight = place["rstrip"].AsFlag(false),
                Normalized = place["normalized"].AsFlag(!special),
                Special = special,
            });
        }
    }

    /// <summary>Reads the tokens and gives ids to those that the vocabulary lacks.</summary>
    /// <param name="section">The section.</param>
    /// <param name="tokens">The vocabulary of the model; takes the new ones.</param>
    /// <exception cref="Codecs.ModelFormatException">A token has another id than Hugging Face would give it.</exception>
    public static AddedToken[] Place(JsonPlace section, TokenTable.Builder tokens)
    {
        var added = new List<AddedToken>();
        if (section.IsNull)
        {
            return [];
        }

        TokenTable model = tokens.Build();
        var known = new Dictionary<string, int>(StringComparer.Ordinal);
        int next = model.Count;
        foreach ((JsonPlace place, AddedToken token) in Read(section))
        {
            bool isNew = false;
            if (!model.TryGet(token.Content, out int id) && !known.TryGetValue(token.Text, out id))
            {
                isNew = true;
                id = next++;
            }

            if (id != token.Id)
            {
                throw place["id"].Error($"is {token.Id}, but '{Printable.Shorten(token.Text)}' is token {id} by its place");
            }

            if (isNew)
            {
                known.Add(token.Text, id);
                tokens.TryAdd(id, token.Content);
            }

            added.Add(token);
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
