using KQuant.Models;
using Microsoft.Extensions.AI;

// ExtensionsChat MODEL: a conversation through Microsoft.Extensions.AI, one line of the standard input for each turn.
if (args is not [string path])
{
    Console.Error.WriteLine("ExtensionsChat MODEL");
    return 2;
}

using var client = LanguageModel.Load(path).AsIChatClient(ownsModel: true);
var options = new ChatOptions { MaxOutputTokens = 24, Temperature = 0 };
var history = new List<ChatMessage>();
while (Console.ReadLine() is { } line)
{
    history.Add(new ChatMessage(ChatRole.User, line));
    var updates = new List<ChatResponseUpdate>();
    await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(history, options))
    {
        Console.Write(update.Text);
        updates.Add(update);
    }

    Console.WriteLine();
    history.AddMessages(updates);
}

return 0;
