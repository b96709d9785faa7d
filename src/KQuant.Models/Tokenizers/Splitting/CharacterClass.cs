namespace KQuant.Models.Tokenizers;

/// <summary>What the regular expressions of tokenizers ask about a character.</summary>
[Flags]
internal enum CharacterClass : byte
{
    None = 0,

    /// <summary><c>\p{L}</c>.</summary>
    Letter = 1,

    /// <summary><c>\p{M}</c>.</summary>
    Mark = 2,

    /// <summary><c>\p{N}</c>.</summary>
    Number = 4,

    /// <summary><c>\s</c>: White_Space.</summary>
    Space = 8,

    /// <summary><c>\p{Lu}</c> and <c>\p{Lt}</c>.</summary>
    Upper = 16,

    /// <summary><c>\p{Ll}</c>.</summary>
    Lower = 32,

    /// <summary><c>\p{P}</c>.</summary>
    Punctuation = 64,

    /// <summary><c>\p{S}</c>.</summary>
    Symbol = 128,
}
