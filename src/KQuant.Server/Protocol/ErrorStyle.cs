namespace KQuant.Server.Protocol;

/// <summary>Whose clients read an error.</summary>
internal enum ErrorStyle
{
    OpenAI,
    Anthropic,
}
