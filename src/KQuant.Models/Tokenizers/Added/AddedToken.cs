using System.Text;

namespace KQuant.Models.Tokenizers;

/// <summary>A token that is cut out of a text before anything else looks at it.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text as UTF-8, not empty.</param>
internal sealed record AddedToken(int Id, byte[] Content)
{
    /// <summary>An added token as a file has it.</summary>
    public AddedToken(int id, string text)
        : this(id, Encoding.UTF8.GetBytes(text))
    {
    }

    /// <summary>Its text.</summary>
    public string Text => Encoding.UTF8.GetString(Content);

    /// <summary>Whether it counts only between characters that are no word characters.</summary>
    public bool SingleWord { get; init; }

    /// <summary>Whether it takes the white space before it along.</summary>
    public bool StripsLeft { get; init; }

    /// <summary>Whether it takes the white space behind it along.</summary>
    public bool StripsRight { get; init; }

    /// <summary>Whether it is looked for in normalized text.</summary>
    public bool Normalized { get; init; }

    /// <summary>Whether it is control, not text.</summary>
    public bool Special { get; init; }
}
