using System.Text.Json.Nodes;
using KQuant.Models;
using KQuant.Models.Generation;
using KQuant.Models.Templates;

// Conversations MODEL FOLDER: a chat with several conversations at once, each with a cache of its own. A line is a question, or
//   /open NAME    goes to a conversation, one that lies in FOLDER or a new one
//   /undo         takes the last question and its answer back
//   /edit TEXT    asks something else in their place
//   /stop N TEXT  asks, and cancels after N tokens, as Ctrl-C does
//   /close        writes the conversation to FOLDER and frees its memory; the next line reads it again
if (args is not [string path, string folder])
{
    Console.Error.WriteLine("Conversations MODEL FOLDER");
    return 2;
}

using LanguageModel model = LanguageModel.Load(path);
var conversations = new Dictionary<string, ChatSession>();
var options = new GenerationOptions { Sampling = SamplingOptions.Greedy, MaxTokens = 24 };
CancellationTokenSource? answering = null;
Console.CancelKeyPress += (_, pressed) =>
{
    answering?.Cancel();
    pressed.Cancel = answering is not null;
};
Console.WriteLine($"A conversation of 1000 tokens takes {model.GetCacheByteCount(1000) >> 10} KiB.");
string name = "first";
while (Console.ReadLine() is { } line)
{
    string[] words = line.Split(' ', 3);
    if (words[0] == "/open")
    {
        name = words[1];
        continue;
    }

    ChatSession session = Open();
    switch (words[0])
    {
        case "/undo":
            TakeBack(session);
            break;
        case "/edit":
            TakeBack(session);
            await Ask(session, line[6..]);
            break;
        case "/stop":
            await Ask(session, words[2], int.Parse(words[1]));
            break;
        case "/close":
            session.Cache.Save(Path.Combine(folder, name + ".cache"));
            File.WriteAllText(Path.Combine(folder, name + ".json"), new JsonArray([.. session.Messages.Select(message => message.ToJson())]).ToJsonString());
            session.Dispose();
            conversations.Remove(name);
            break;
        default:
            await Ask(session, line);
            break;
    }
}

foreach (ChatSession conversation in conversations.Values)
{
    conversation.Dispose();
}

return 0;

ChatSession Open()
{
    if (conversations.TryGetValue(name, out ChatSession? there))
    {
        return there;
    }

    string saved = Path.Combine(folder, name + ".json");
    if (!File.Exists(saved))
    {
        return conversations[name] = new ChatSession(model);
    }

    var opened = new ChatSession(model, new ChatSessionOptions { Cache = model.LoadCache(Path.ChangeExtension(saved, ".cache")) });
    foreach (JsonNode? message in JsonNode.Parse(File.ReadAllText(saved))!.AsArray())
    {
        opened.Messages.Add(TemplateMessage.FromJson(message!.AsObject()));
    }

    return conversations[name] = opened;
}

static void TakeBack(ChatSession session)
{
    for (int i = 0; i < 2 && session.Messages.Count > 0; i++)
    {
        session.Messages.RemoveAt(session.Messages.Count - 1);
    }
}

async Task Ask(ChatSession session, string question, int stopAfter = int.MaxValue)
{
    using (answering = new CancellationTokenSource())
    {
        try
        {
            await foreach (GeneratedToken token in session.AskAsync(question, options, answering.Token))
            {
                Console.Write(token.Text);
                if (--stopAfter == 0)
                {
                    answering.Cancel();
                }
            }
        }
        catch (OperationCanceledException)
        {
            Console.Write(" (cancelled)");
        }
    }

    answering = null;
    Console.WriteLine($"\n[{name}: {session.PromptTokens} tokens, {session.ReusedTokens} of them read before; {session.Messages.Count} messages]");
}
