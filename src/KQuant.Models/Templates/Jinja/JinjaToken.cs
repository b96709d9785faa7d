namespace KQuant.Models.Templates;

internal enum TokenKind
{
    Data,
    BlockBegin,
    BlockEnd,
    VariableBegin,
    VariableEnd,
    Name,
    Integer,
    Float,
    String,
    Operator,
    End,
}

/// <summary>A token of a template: text outside of tags, or a word inside of one.</summary>
internal readonly record struct JinjaToken(TokenKind Kind, string Text, int Line)
{
    public bool Is(TokenKind kind, string text) => Kind == kind && Text == text;

    public bool IsName(string text) => Is(TokenKind.Name, text);

    public bool IsOperator(string text) => Is(TokenKind.Operator, text);

    /// <summary>How an error names it.</summary>
    public string Describe() => Kind switch
    {
        TokenKind.End => "end of template",
        TokenKind.Data => "text",
        TokenKind.BlockEnd => "end of statement block",
        TokenKind.VariableEnd => "end of print statement",
        _ => $"'{Text}'",
    };
}
