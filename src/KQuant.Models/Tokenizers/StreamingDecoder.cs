namespace KQuant.Models.Tokenizers;

/// <summary>
/// Decodes tokens as they come: characters whose bytes are spread over several tokens appear with the last of them. The texts together are
/// what <see cref="Tokenizer.Decode"/> gives for all ids at once. Not safe for use by several threads at once.
/// </summary>
public sealed class StreamingDecoder
{
    internal StreamingDecoder()
    {
    }

    /// <summary>Takes the next token.</summary>
    /// <param name="id">Its id.</param>
    /// <returns>The text that is certain now; may be empty.</returns>
    public string Append(int id) => throw new NotSupportedException();

    /// <summary>Ends the text: what is left of an incomplete character becomes U+FFFD. The decoder is as new afterwards.</summary>
    /// <returns>The rest of the text; usually empty.</returns>
    public string Flush() => throw new NotSupportedException();
}
