using KQuant.Models.Generation;
using Microsoft.Extensions.AI;

namespace KQuant.Server.Chat;

/// <summary>What a token adds to one of the answers.</summary>
/// <param name="Choice">The number of the answer.</param>
/// <param name="Token">The token.</param>
/// <param name="Contents">Text, thoughts and calls that are certain with it.</param>
/// <param name="End">Why it is the last one.</param>
internal readonly record struct ChatPiece(int Choice, GeneratedToken Token, IReadOnlyList<AIContent> Contents, ChatEnd End);
